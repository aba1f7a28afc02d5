// SPDX-License-Identifier: MIT
// JSON as values of chat templates.
#ifndef SLM_LOADER_JSON_VALUE_H_
#define SLM_LOADER_JSON_VALUE_H_

#include "loader/json.h"
#include "runtime/text/value.h"

namespace slm {

enum class TextOrigin {
  kTrusted,  // the program's or the model folder's: may hold control tokens
  kUser,     // typed by a user: strings and keys are marked
};

TemplateValue ValueFromJson(const JsonValue& json,
                            TextOrigin origin = TextOrigin::kTrusted);

// A list of chat messages: all text is a user's but the value of "role", which
// templates put between the marks of control tokens ("<|user|>").
TemplateValue MessagesFromJson(const JsonValue& json);

}  // namespace slm

#endif  // SLM_LOADER_JSON_VALUE_H_
