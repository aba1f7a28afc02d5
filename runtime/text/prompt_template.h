// SPDX-License-Identifier: MIT
// Foundry's PromptTemplate (inference_model.json), for folders without a chat
// template: one text per role with {Content} in it, and `prompt` for the last
// user turn with the opening of the answer.
#ifndef SLM_RUNTIME_TEXT_PROMPT_TEMPLATE_H_
#define SLM_RUNTIME_TEXT_PROMPT_TEMPLATE_H_

#include <string>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/text/chat_template.h"

namespace slm {

struct PromptTemplate {
  // Empty: the file does not give it.
  std::string system, user, assistant, prompt;

  bool empty() const {
    return system.empty() && user.empty() && assistant.empty() &&
           prompt.empty();
  }
};

struct ChatMessage {
  std::string role, content;
};

// The messages in their templates, joined by newlines. Their contents are what
// the user spans of the result tell. With `add_generation_prompt`, a last user
// turn takes `prompt`; without that text, the part of `assistant` before
// {Content} follows.
Result<RenderedPrompt> Render(const PromptTemplate& prompt_template,
                              const std::vector<ChatMessage>& messages,
                              bool add_generation_prompt);

}  // namespace slm

#endif  // SLM_RUNTIME_TEXT_PROMPT_TEMPLATE_H_
