// SPDX-License-Identifier: MIT
// Hugging Face's tokenizer.json (tokenizers 0.22) into a Tokenizer. Parts that
// are unknown are refused by name.
#ifndef SLM_LOADER_TOKENIZER_JSON_H_
#define SLM_LOADER_TOKENIZER_JSON_H_

#include <memory>
#include <string>
#include <string_view>

#include "loader/json.h"
#include "runtime/core/result.h"
#include "runtime/text/tokenizer.h"

namespace slm {

Result<std::unique_ptr<Tokenizer>> LoadTokenizer(
    const std::string& tokenizer_json_path);

// From a parsed document; `name` stands for the file in messages.
Result<std::unique_ptr<Tokenizer>> ParseTokenizer(const JsonValue& root,
                                                  std::string_view name);

}  // namespace slm

#endif  // SLM_LOADER_TOKENIZER_JSON_H_
