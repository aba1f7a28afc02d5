// SPDX-License-Identifier: MIT
// A GGUF file's tokenizer as the files of a Hugging Face folder.
#ifndef SLM_TOOLS_CONVERT_GGUF_TOKENIZER_H_
#define SLM_TOOLS_CONVERT_GGUF_TOKENIZER_H_

#include <map>
#include <string>
#include <vector>

#include "loader/gguf.h"
#include "loader/tokenizer_config.h"
#include "runtime/core/result.h"
#include "tools/convert/gguf_config.h"

namespace slm::convert {

struct GgufTokenizer {
  // tokenizer.json, tokenizer_config.json, special_tokens_map.json.
  std::map<std::string, std::string> files;
  TokenizerConfig config;
  std::string chat_template;  // empty: none
  GgufTokenIds ids;
  std::vector<std::string> notes;
};

// Every id of tokenizer.json is the file's: the result has been read back.
// Tokenizers and pre-tokenizers that are not known are refused by name.
Result<GgufTokenizer> ReadGgufTokenizer(const Gguf& gguf,
                                        const GgufFamily& family);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_GGUF_TOKENIZER_H_
