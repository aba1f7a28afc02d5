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
#include "runtime/text/prompt_template.h"

namespace slm {

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
