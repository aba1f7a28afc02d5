// SPDX-License-Identifier: MIT
#include "loader/inference_model.h"

#include <utility>

#include "loader/fields.h"

namespace slm {

Result<InferenceModel> ParseInferenceModel(const JsonValue& root,
                                           const std::string& file,
                                           const LogSink& log,
                                           SearchConfig* search) {
  InferenceModel model;
  PromptTemplate prompts;
  FieldReader reader;
  reader.file = file;
  reader.log = log;
  reader.source = ConfigSource::kInferenceModel;
  reader.fields = {
      {"Name", &model.name},
      {"PromptTemplate.system", &prompts.system},
      {"PromptTemplate.user", &prompts.user},
      {"PromptTemplate.assistant", &prompts.assistant},
      {"PromptTemplate.prompt", &prompts.prompt},
  };
  for (Field& field : SearchFields("ModelConfig.", search)) {
    reader.fields.push_back(std::move(field));
  }
  SLM_RETURN_IF_ERROR(ReadFields(root, reader));
  const JsonValue* given = root.Find("PromptTemplate");
  if (given && given->IsObject()) model.prompt_template = std::move(prompts);
  // The file has no do_sample: a temperature is what asks for sampling, as in
  // Foundry's own requests.
  const Setting<double>& temperature = search->temperature;
  if (FindPath(root, "ModelConfig.temperature") &&
      !FindPath(root, "ModelConfig.do_sample") &&
      temperature.source == ConfigSource::kInferenceModel) {
    search->do_sample.Set(temperature.value > 0, ConfigSource::kInferenceModel);
  }
  return model;
}

}  // namespace slm
