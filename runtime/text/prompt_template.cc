// SPDX-License-Identifier: MIT
#include "runtime/text/prompt_template.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "runtime/text/template_strings.h"

namespace slm {
namespace {

constexpr std::string_view kContent = "{Content}";

struct Role {
  std::string_view name;
  std::string PromptTemplate::*text;
};
constexpr Role kRoles[] = {{"system", &PromptTemplate::system},
                           {"user", &PromptTemplate::user},
                           {"assistant", &PromptTemplate::assistant}};

// Every {Content} becomes the content.
void Fill(std::string_view text, std::string_view content,
          jinja::StringBuilder* out) {
  while (true) {
    const size_t at = text.find(kContent);
    out->Append(text.substr(0, at));
    if (at == text.npos) return;
    out->Append(content, /*marked=*/true);
    text.remove_prefix(at + kContent.size());
  }
}

}  // namespace

Result<RenderedPrompt> Render(const PromptTemplate& prompt_template,
                              const std::vector<ChatMessage>& messages,
                              bool add_generation_prompt) {
  jinja::StringBuilder out;
  bool opened = false;
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    const auto* role =
        std::find_if(std::begin(kRoles), std::end(kRoles),
                     [&](const Role& r) { return r.name == message.role; });
    if (role == std::end(kRoles)) {
      return Invalid(
          "PromptTemplate: role \"%s\" is not known; it has system, user and "
          "assistant",
          Printable(message.role).c_str());
    }
    opened = add_generation_prompt && i + 1 == messages.size() &&
             role->name == "user" && !prompt_template.prompt.empty();
    const std::string& text =
        opened ? prompt_template.prompt : prompt_template.*role->text;
    if (text.empty()) {
      return Invalid("PromptTemplate: there is no \"%s\" to render a message",
                     message.role.c_str());
    }
    if (i) out.Append("\n");
    Fill(text, message.content, &out);
  }
  if (add_generation_prompt && !opened) {
    const std::string_view text = prompt_template.assistant;
    if (!messages.empty()) out.Append("\n");
    out.Append(text.substr(0, text.find(kContent)));
  }
  RenderedPrompt prompt;
  prompt.text = out.TakeText();
  prompt.user_spans = out.TakeMarks();
  return prompt;
}

}  // namespace slm
