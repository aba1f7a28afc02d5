// SPDX-License-Identifier: MIT
// Values as text: Python's str and repr, and JSON.
#ifndef SLM_RUNTIME_TEXT_TEMPLATE_PRINT_H_
#define SLM_RUNTIME_TEXT_TEMPLATE_PRINT_H_

#include <string>

#include "runtime/text/template_runtime.h"
#include "runtime/text/template_strings.h"
#include "runtime/text/value.h"

namespace slm::jinja {

// Python's repr(float): the shortest digits that read back.
std::string FloatRepr(double d);

// Appends str(value) or repr(value), with the marks of user text.
bool AppendStr(Runtime& rt, const Value& value, StringBuilder* out);
bool AppendRepr(Runtime& rt, const Value& value, StringBuilder* out);

// str(value): a string that is no markup.
Value Str(Runtime& rt, const Value& value);
// Jinja's soft_str: strings stay as they are.
Value SoftStr(Runtime& rt, const Value& value);
// repr(value), shortened for a message.
std::string ReprForMessage(Runtime& rt, const Value& value);

struct JsonOptions {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool has_indent = false;
  std::string indent;  // of one level
  std::string item_separator = ", ", key_separator = ": ";
};

// json.dumps(value).
bool AppendJson(Runtime& rt, const Value& value, const JsonOptions& options,
                StringBuilder* out);
// json.loads(text).
Value ParseJson(Runtime& rt, const StringObject& text);

}  // namespace slm::jinja

#endif  // SLM_RUNTIME_TEXT_TEMPLATE_PRINT_H_
