// SPDX-License-Identifier: MIT
// tokenizer_config.json: what stands beside a tokenizer.json but not in it.
#ifndef SLM_LOADER_TOKENIZER_CONFIG_H_
#define SLM_LOADER_TOKENIZER_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/core/log.h"
#include "runtime/core/result.h"

namespace slm {

struct NamedTemplate {
  std::string name;
  std::string source;
};

struct TokenizerConfig {
  // Texts of the special tokens; templates use them.
  std::optional<std::string> bos_token, eos_token, pad_token, unk_token;
  std::optional<bool> add_bos_token, add_eos_token;
  std::optional<bool> clean_up_tokenization_spaces;
  // Absent where the file has transformers' "no limit", 1e30.
  std::optional<int64_t> model_max_length;
  std::string tokenizer_class;
  // chat_template; of a list the one named "default".
  std::optional<std::string> chat_template;
  // The others of such a list: "tool_use", "rag".
  std::vector<NamedTemplate> other_templates;
};

// Reads tokenizer_config.json of that folder and, for tokens that it does not
// name, special_tokens_map.json. Both may be absent.
Result<TokenizerConfig> LoadTokenizerConfig(const std::string& folder,
                                            const LogSink& log);

}  // namespace slm

#endif  // SLM_LOADER_TOKENIZER_CONFIG_H_
