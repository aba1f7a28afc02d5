// SPDX-License-Identifier: MIT
#include "tools/convert/chat_strings.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/text/chat_template.h"
#include "runtime/text/value.h"

namespace slm::convert {
namespace {

constexpr std::string_view kContent = "{Content}";

using Members = std::vector<std::pair<std::string, TemplateValue>>;

class Renderer {
 public:
  Renderer(const ChatTemplate& chat_template, const TokenizerConfig& tokenizer)
      : template_(chat_template), tokenizer_(tokenizer) {}

  // The chat with a message {Content} of each role.
  Result<std::string> Render(const std::vector<const char*>& roles,
                             bool open_answer) const {
    std::vector<TemplateValue> messages;
    for (const char* role : roles) {
      messages.push_back(TemplateValue::Dict(
          {{"role", TemplateValue::String(role)},
           {"content", TemplateValue::String(std::string(kContent))}}));
    }
    Members context = {
        {"messages", TemplateValue::List(std::move(messages))},
        {"tools", TemplateValue::None()},
        {"documents", TemplateValue::None()},
        {"add_generation_prompt", TemplateValue::Bool(open_answer)}};
    const std::pair<const char*, const std::optional<std::string>*> tokens[] = {
        {"bos_token", &tokenizer_.bos_token},
        {"eos_token", &tokenizer_.eos_token},
        {"pad_token", &tokenizer_.pad_token},
        {"unk_token", &tokenizer_.unk_token}};
    for (const auto& [name, token] : tokens) {
      if (*token) context.emplace_back(name, TemplateValue::String(**token));
    }
    SLM_ASSIGN_OR_RETURN(
        RenderedPrompt prompt,
        template_.Render(TemplateValue::Dict(std::move(context)), {}));
    return std::move(prompt.text);
  }

 private:
  const ChatTemplate& template_;
  const TokenizerConfig& tokenizer_;
};

// What one message became: no beginning of text, which is not the turn's, and
// no newline at the end, with which turns are joined, unless an answer follows
// it. Empty if it is no turn.
std::string Turn(std::string_view text, const TokenizerConfig& tokenizer,
                 bool answer_follows = false) {
  const std::string bos = tokenizer.bos_token.value_or("");
  if (!bos.empty() && text.substr(0, bos.size()) == bos) {
    text.remove_prefix(bos.size());
  }
  if (!answer_follows && !text.empty() && text.back() == '\n') {
    text.remove_suffix(1);
  }
  const size_t at = text.find(kContent);
  const bool once = at != std::string_view::npos &&
                    text.find(kContent, at + 1) == std::string_view::npos;
  return once ? std::string(text) : "";
}

}  // namespace

Result<PromptTemplate> ChatStrings(const Source& source) {
  PromptTemplate strings;
  if (source.chat_template.source.empty()) return strings;
  SLM_ASSIGN_OR_RETURN(
      const ChatTemplate chat_template,
      ChatTemplate::Parse(source.chat_template.source, "chat_template",
                          TemplateDialect::kExtended));
  const Renderer renderer(chat_template, source.tokenizer);
  // The one that every model must answer.
  SLM_ASSIGN_OR_RETURN(const std::string prompt,
                       renderer.Render({"user"}, true));
  const TokenizerConfig& tokenizer = source.tokenizer;
  const Result<std::string> user = renderer.Render({"user"}, false);
  const Result<std::string> answered =
      renderer.Render({"user", "assistant"}, false);
  if (!user.ok() || !answered.ok() ||
      answered->compare(0, user->size(), *user) != 0) {
    return strings;
  }
  strings.prompt = Turn(prompt, tokenizer, true);
  strings.user = Turn(*user, tokenizer);
  strings.assistant = Turn(answered->substr(user->size()), tokenizer);
  if (strings.prompt.empty() || strings.user.empty() ||
      strings.assistant.empty()) {
    return PromptTemplate();
  }
  // Many templates have a system turn of their own where there is none.
  const Result<std::string> system = renderer.Render({"system", "user"}, false);
  const std::string tail = strings.user;
  if (system.ok()) {
    const size_t at = system->rfind(tail);
    if (at != std::string::npos) {
      strings.system = Turn(system->substr(0, at), tokenizer);
    }
  }
  return strings;
}

}  // namespace slm::convert
