// SPDX-License-Identifier: MIT
// inference_model.json, which makes a folder a model of Foundry Local: its name
// and, where the tokenizer has no chat template, one of four strings.
#ifndef SLM_LOADER_INFERENCE_MODEL_H_
#define SLM_LOADER_INFERENCE_MODEL_H_

#include <optional>
#include <string>

#include "loader/json.h"
#include "loader/search_config.h"
#include "runtime/core/log.h"
#include "runtime/core/result.h"

namespace slm {

// In each of them "{Content}" stands for a message's text. `prompt` is the last
// user turn with the opening of the answer.
struct PromptTemplate {
  std::string system, user, assistant, prompt;
};

struct InferenceModel {
  std::string name;  // "phi-4-mini:3"; empty if the file does not say
  std::optional<PromptTemplate> prompt_template;
};

// The file's ModelConfig goes into `search` at its low precedence.
Result<InferenceModel> ParseInferenceModel(const JsonValue& root,
                                           const std::string& file,
                                           const LogSink& log,
                                           SearchConfig* search);

}  // namespace slm

#endif  // SLM_LOADER_INFERENCE_MODEL_H_
