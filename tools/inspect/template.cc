// SPDX-License-Identifier: MIT
// slm-inspect template FILE.jinja: chats as JSON lines in, their prompts out.
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loader/json.h"
#include "loader/json_value.h"
#include "runtime/core/file.h"
#include "runtime/text/chat_template.h"
#include "tools/inspect/commands.h"

namespace slm::inspect {
namespace {

constexpr const char* kHelp =
    "usage: slm-inspect template FILE.jinja|-\n"
    "Reads one JSON object a line and answers each with {\"output\": TEXT} or\n"
    "{\"error\": MESSAGE, \"error_kind\": KIND}.\n"
    "  FILE.jinja  lines hold messages, tools, add_generation_prompt, kwargs,\n"
    "              bos_token, eos_token and now (\"2026-01-02\")\n"
    "  -           lines hold template, context and now\n";

using Members = std::vector<std::pair<std::string, TemplateValue>>;

bool ReadLine(std::string* line) {
  line->clear();
  int c = 0;
  while ((c = std::getc(stdin)) != EOF && c != '\n') {
    *line += static_cast<char>(c);
  }
  return c != EOF || !line->empty();
}

TemplateValue Member(const JsonValue& line, const char* key) {
  const JsonValue* found = line.Find(key);
  return found ? ValueFromJson(*found) : TemplateValue::None();
}

// The variables that transformers' apply_chat_template gives a template.
TemplateValue ChatContext(const JsonValue& line) {
  Members members;
  const JsonValue* messages = line.Find("messages");
  const JsonValue* generation = line.Find("add_generation_prompt");
  members.emplace_back("messages", messages ? MessagesFromJson(*messages)
                                            : TemplateValue::List({}));
  members.emplace_back("tools", Member(line, "tools"));
  members.emplace_back("documents", TemplateValue::None());
  members.emplace_back(
      "add_generation_prompt",
      generation ? ValueFromJson(*generation) : TemplateValue::Bool(false));
  for (const char* token : {"bos_token", "eos_token"}) {
    const JsonValue* value = line.Find(token);
    if (value && value->IsString()) {
      members.emplace_back(token, ValueFromJson(*value));
    }
  }
  if (const JsonValue* kwargs = line.Find("kwargs");
      kwargs && kwargs->IsObject()) {
    for (const JsonMember& member : kwargs->Members()) {
      members.emplace_back(member.key, ValueFromJson(member.value));
    }
  }
  return TemplateValue::Dict(std::move(members));
}

Status DateOf(const JsonValue& line, TemplateDate* date) {
  const JsonValue* now = line.Find("now");
  if (!now || now->IsNull()) return OkStatus();
  const std::string text(now->IsString() ? now->String() : "");
  if (std::sscanf(text.c_str(), "%d-%d-%d", &date->year, &date->month,
                  &date->day) != 3) {
    return Invalid("now is \"%s\", not a date like 2026-01-02",
                   Printable(text).c_str());
  }
  return OkStatus();
}

void Answer(const Result<RenderedPrompt>& result, const TemplateError& error) {
  std::string out;
  if (result.ok()) {
    out = "{\"output\": ";
    AppendJsonString(result->text, &out);
  } else {
    // What raise_exception says is the author's message: nothing is added.
    out = "{\"error\": ";
    AppendJsonString(
        error.kind == "raise" ? error.message : result.status().message(),
        &out);
    out += ", \"error_kind\": ";
    AppendJsonString(error.kind, &out);
  }
  out += "}\n";
  std::fwrite(out.data(), 1, out.size(), stdout);
}

Result<RenderedPrompt> RenderLine(const JsonValue& line,
                                  const Result<ChatTemplate>* shared,
                                  TemplateError* error) {
  TemplateDate date;
  SLM_RETURN_IF_ERROR(DateOf(line, &date));
  if (shared) {
    if (!shared->ok()) return shared->status();
    return shared->value().Render(ChatContext(line), date, {}, error);
  }
  const JsonValue* source = line.Find("template");
  const JsonValue* context = line.Find("context");
  if (!source || !source->IsString() || !context || !context->IsObject()) {
    return Invalid("a line needs \"template\" (text) and \"context\" (object)");
  }
  SLM_ASSIGN_OR_RETURN(
      const ChatTemplate parsed,
      ChatTemplate::Parse(std::string(source->String()), "template",
                          TemplateDialect::kTransformers, error));
  return parsed.Render(ValueFromJson(*context), date, {}, error);
}

}  // namespace

Status Template(const Arguments& arguments) {
  if (arguments.size() == 1 &&
      (arguments[0] == "--help" || arguments[0] == "-h")) {
    std::fputs(kHelp, stdout);
    return OkStatus();
  }
  if (arguments.size() != 1) {
    return Usage(
        "template takes one argument, FILE.jinja or -, not %zu; see "
        "slm-inspect template --help",
        arguments.size());
  }
  const bool from_lines = arguments[0] == "-";
  TemplateError parse_error;
  Result<ChatTemplate> parsed = Invalid("no template");
  if (!from_lines) {
    SLM_ASSIGN_OR_RETURN(std::string source, ReadFile(arguments[0]));
    parsed = ChatTemplate::Parse(std::move(source), arguments[0],
                                 TemplateDialect::kTransformers, &parse_error);
  }
  std::string text;
  for (size_t number = 1; ReadLine(&text); ++number) {
    if (text.find_first_not_of(" \t\r") == text.npos) continue;
    Result<JsonDocument> line = JsonDocument::Parse(std::exchange(text, {}));
    if (!line.ok()) {
      return line.status().In(Format("input line %zu", number));
    }
    TemplateError error = parse_error;
    Answer(RenderLine(line->root(), from_lines ? nullptr : &parsed, &error),
           error);
  }
  return OkStatus();
}

}  // namespace slm::inspect
