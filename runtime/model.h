// SPDX-License-Identifier: MIT
// An opened model: configuration, plan, tokenizer, chat template. Immutable;
// shared by any number of sessions and threads.
#ifndef SLM_RUNTIME_MODEL_H_
#define SLM_RUNTIME_MODEL_H_

#include <memory>
#include <string>

#include "loader/folder.h"
#include "runtime/plan/plan.h"
#include "runtime/session.h"

namespace slm {

struct ModelOptions {
  int accuracy_level = -1;   // overrides the nodes' accuracy_level when >= 0
  bool force_dense = false;  // run the graph as it stands
  TemplateOrder template_order = TemplateOrder::kOrtGenAi;
  LogSink log;
};

class Model {
 public:
  // MODEL is a folder or an .onnx file in one. Nothing big is allocated: the
  // weights are mapped.
  static Result<std::unique_ptr<Model>> Open(const std::string& model,
                                             const ModelOptions& options);

  const ModelFolder& folder() const { return folder_; }
  const ModelConfig& config() const { return folder_.config; }
  const Plan& plan() const { return *plan_; }
  const DecoderSpec& decoder() const { return decoder_; }
  // Bytes of all constants, mapped or not.
  size_t WeightBytes() const;

 private:
  Model() = default;

  ModelFolder folder_;
  std::unique_ptr<Plan> plan_;
  DecoderSpec decoder_;
};

}  // namespace slm

#endif  // SLM_RUNTIME_MODEL_H_
