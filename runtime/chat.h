// SPDX-License-Identifier: MIT
// A conversation: turns, the prompt that the model's template makes of them,
// and its tokens.
#ifndef SLM_RUNTIME_CHAT_H_
#define SLM_RUNTIME_CHAT_H_

#include <string>
#include <utility>
#include <vector>

#include "runtime/model.h"
#include "runtime/text/prompt_template.h"

namespace slm {

struct ChatPrompt {
  RenderedPrompt rendered;
  std::vector<int32_t> tokens;
};

class Conversation {
 public:
  // The model outlives the conversation. `raw`: no template; the texts are
  // joined as they are and control tokens in them count.
  Conversation(const Model* model, bool raw) : model_(model), raw_(raw) {}

  Status Add(std::string role, std::string text);
  void Clear() { turns_.clear(); }
  void Undo(size_t count);
  // A further variable of the template, as JSON.
  Status Set(std::string name, const std::string& json);

  // The prompt of all turns with the opening of an answer.
  Result<ChatPrompt> Prompt() const;
  // Forgets the oldest turn after the system text; false if only one is left.
  bool DropOldest();

  const std::vector<ChatMessage>& turns() const { return turns_; }

 private:
  Result<RenderedPrompt> Render() const;
  Result<RenderedPrompt> RenderTemplate() const;

  const Model* model_;
  bool raw_;
  std::vector<ChatMessage> turns_;
  std::vector<std::pair<std::string, jinja::Value>> variables_;
};

}  // namespace slm

#endif  // SLM_RUNTIME_CHAT_H_
