// SPDX-License-Identifier: MIT
#include "runtime/chat.h"

#include <algorithm>

#include "loader/json.h"
#include "loader/json_value.h"
#include "runtime/core/clock.h"
#include "runtime/core/utf8.h"

namespace slm {
namespace {

constexpr const char* kRoles[] = {"system", "developer", "user", "assistant",
                                  "tool"};

void AddToken(const char* name, const std::optional<std::string>& text,
              std::vector<std::pair<std::string, jinja::Value>>* context) {
  if (text) context->emplace_back(name, jinja::Value::String(*text));
}

}  // namespace

Status Conversation::Add(std::string role, std::string text) {
  if (std::find(std::begin(kRoles), std::end(kRoles), role) ==
      std::end(kRoles)) {
    return Usage("role \"%s\" is not system, developer, user, assistant or "
                 "tool",
                 Printable(role).c_str());
  }
  if (!IsValidUtf8(text)) text = ReplaceInvalidUtf8(text);
  turns_.push_back({std::move(role), std::move(text)});
  return OkStatus();
}

void Conversation::Undo(size_t count) {
  turns_.resize(turns_.size() - std::min(count, turns_.size()));
}

Status Conversation::Set(std::string name, const std::string& json) {
  Result<JsonDocument> document = JsonDocument::Parse(json);
  if (!document.ok()) {
    return Usage("template variable \"%s\": %s", Printable(name).c_str(),
                 document.status().message().c_str());
  }
  std::erase_if(variables_, [&](const auto& v) { return v.first == name; });
  variables_.emplace_back(std::move(name), ValueFromJson(document->root()));
  return OkStatus();
}

bool Conversation::DropOldest() {
  const size_t first =
      !turns_.empty() && (turns_[0].role == "system" ||
                          turns_[0].role == "developer")
          ? 1
          : 0;
  // A question goes with its answer: up to the next user turn.
  size_t end = first + 1;
  while (end < turns_.size() && turns_[end].role != "user") ++end;
  if (end >= turns_.size()) return false;
  turns_.erase(turns_.begin() + static_cast<ptrdiff_t>(first),
               turns_.begin() + static_cast<ptrdiff_t>(end));
  return true;
}

Result<RenderedPrompt> Conversation::RenderTemplate() const {
  using jinja::Value;
  // Every turn counts as typed: an answer may spell a control token, too.
  std::vector<Value> messages;
  for (const ChatMessage& turn : turns_) {
    messages.push_back(
        Value::Dict({{"role", Value::String(turn.role)},
                     {"content", Value::UserString(turn.content)}}));
  }
  std::vector<std::pair<std::string, Value>> context = {
      {"messages", Value::List(std::move(messages))},
      {"tools", Value::None()},
      {"documents", Value::None()},
      {"add_generation_prompt", Value::Bool(true)},
  };
  const TokenizerConfig& tokenizer = model_->folder().tokenizer;
  AddToken("bos_token", tokenizer.bos_token, &context);
  AddToken("eos_token", tokenizer.eos_token, &context);
  AddToken("pad_token", tokenizer.pad_token, &context);
  AddToken("unk_token", tokenizer.unk_token, &context);
  for (const auto& variable : variables_) {
    std::erase_if(context, [&](const auto& c) {
      return c.first == variable.first;
    });
    context.push_back(variable);
  }
  const LocalTime t = Now();
  return model_->chat_template()->Render(
      Value::Dict(std::move(context)),
      {t.year, t.month, t.day, t.hour, t.minute, t.second});
}

Result<RenderedPrompt> Conversation::Render() const {
  if (!raw_ && model_->chat_template()) return RenderTemplate();
  const auto& prompt_template =
      model_->folder().inference_model.prompt_template;
  if (!raw_ && prompt_template) {
    return slm::Render(*prompt_template, turns_, true);
  }
  RenderedPrompt prompt;
  for (const ChatMessage& turn : turns_) {
    if (!prompt.text.empty()) prompt.text += '\n';
    const size_t begin = prompt.text.size();
    prompt.text += turn.content;
    if (!raw_) prompt.user_spans.push_back({begin, prompt.text.size()});
  }
  return prompt;
}

Result<ChatPrompt> Conversation::Prompt() const {
  ChatPrompt prompt;
  SLM_ASSIGN_OR_RETURN(prompt.rendered, Render());
  EncodeOptions options;
  options.user_spans = prompt.rendered.user_spans;
  // A template writes BOS itself. A plain text for a base model gets what the
  // tokenizer's post-processor adds, as in transformers; raw is raw.
  options.add_special_tokens = !raw_ && !model_->chat_template() &&
                               !model_->folder().inference_model.prompt_template;
  SLM_ASSIGN_OR_RETURN(
      prompt.tokens,
      model_->tokenizer().Encode(prompt.rendered.text, options));
  return prompt;
}

}  // namespace slm
