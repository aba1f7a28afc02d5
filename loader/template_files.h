// SPDX-License-Identifier: MIT
// Which file a chat template comes from. ORT GenAI and transformers disagree
// when a folder has two.
#ifndef SLM_LOADER_TEMPLATE_FILES_H_
#define SLM_LOADER_TEMPLATE_FILES_H_

#include <string>

#include "loader/tokenizer_config.h"
#include "runtime/core/result.h"

namespace slm {

enum class TemplateOrder {
  // tokenizer_config.json, chat_template.jinja, chat_template.json.
  kOrtGenAi,
  // chat_template.jinja, tokenizer_config.json, chat_template.json.
  kHuggingFace,
};

struct TemplateSource {
  std::string source;  // empty: the folder has no template
  std::string file;    // where it came from, as a path
};

// An empty template counts as none. Refuses text that is not UTF-8.
Result<TemplateSource> FindTemplate(const std::string& folder,
                                    const TokenizerConfig& config,
                                    TemplateOrder order);

}  // namespace slm

#endif  // SLM_LOADER_TEMPLATE_FILES_H_
