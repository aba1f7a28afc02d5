// SPDX-License-Identifier: MIT
// An opened model: configuration, plan, tokenizer, chat template. Immutable;
// shared by any number of sessions and threads.
#ifndef SLM_RUNTIME_MODEL_H_
#define SLM_RUNTIME_MODEL_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "loader/folder.h"
#include "runtime/plan/plan.h"
#include "runtime/session.h"
#include "runtime/text/chat_template.h"
#include "runtime/text/tokenizer.h"

namespace slm {

struct ModelOptions {
  int accuracy_level = -1;   // overrides the nodes' accuracy_level when >= 0
  bool force_dense = false;  // run the graph as it stands
  // Replaces the folder's chat template.
  std::optional<std::string> template_text;
  TemplateOrder template_order = TemplateOrder::kOrtGenAi;
  // Sees the plan before it becomes immutable, and may wrap its steps.
  std::function<void(Plan*)> on_plan;
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
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  // nullptr if the folder has none.
  const ChatTemplate* chat_template() const {
    return chat_template_ ? &*chat_template_ : nullptr;
  }
  // Bytes of all constants, mapped or not.
  size_t WeightBytes() const;

 private:
  Model() = default;
  Status OpenText(const ModelOptions& options);

  ModelFolder folder_;
  std::unique_ptr<Plan> plan_;
  DecoderSpec decoder_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<ChatTemplate> chat_template_;
};

}  // namespace slm

#endif  // SLM_RUNTIME_MODEL_H_
