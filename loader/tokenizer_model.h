// SPDX-License-Identifier: MIT
// The "model" of a tokenizer.json.
#ifndef SLM_LOADER_TOKENIZER_MODEL_H_
#define SLM_LOADER_TOKENIZER_MODEL_H_

#include "loader/json.h"
#include "runtime/core/result.h"
#include "runtime/text/tokenizer.h"

namespace slm {

Status ParseTokenizerModel(const JsonValue& model, TokenizerParts* parts);

}  // namespace slm

#endif  // SLM_LOADER_TOKENIZER_MODEL_H_
