// SPDX-License-Identifier: MIT
// What the template tests share: fixtures and contexts.
#ifndef SLM_TESTS_TEXT_TEMPLATE_SUPPORT_H_
#define SLM_TESTS_TEXT_TEMPLATE_SUPPORT_H_

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "loader/json.h"
#include "loader/json_value.h"
#include "runtime/core/file.h"
#include "runtime/text/chat_template.h"

namespace slm::template_tests {

// The documents of a file of JSON lines.
inline std::vector<JsonDocument> ReadLines(const std::string& path) {
  std::vector<JsonDocument> out;
  Result<std::string> text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status().message();
  if (!text.ok()) return out;
  for (size_t begin = 0; begin < text->size();) {
    const size_t end = std::min(text->find('\n', begin), text->size());
    if (end > begin) {
      Result<JsonDocument> line =
          JsonDocument::Parse(text->substr(begin, end - begin));
      EXPECT_TRUE(line.ok()) << path << ": " << line.status().message();
      if (line.ok()) out.push_back(std::move(*line));
    }
    begin = end + 1;
  }
  return out;
}

inline TemplateDate DateOf(const JsonValue& line) {
  TemplateDate date;
  if (const JsonValue* now = line.Find("now")) {
    std::sscanf(std::string(now->String()).c_str(), "%d-%d-%d", &date.year,
                &date.month, &date.day);
  }
  return date;
}

// The variables that apply_chat_template gives for a line of a cases file.
inline TemplateValue ChatContext(const JsonValue& line) {
  std::vector<std::pair<std::string, TemplateValue>> members;
  members.emplace_back("messages", MessagesFromJson(*line.Find("messages")));
  members.emplace_back("tools", ValueFromJson(*line.Find("tools")));
  members.emplace_back("documents", TemplateValue::None());
  members.emplace_back("add_generation_prompt",
                       ValueFromJson(*line.Find("add_generation_prompt")));
  for (const char* token : {"bos_token", "eos_token"}) {
    const JsonValue* value = line.Find(token);
    if (value->IsString()) members.emplace_back(token, ValueFromJson(*value));
  }
  for (const JsonMember& member : line.Find("kwargs")->Members()) {
    members.emplace_back(member.key, ValueFromJson(member.value));
  }
  return TemplateValue::Dict(std::move(members));
}

// Is this what the line of a fixture wants? *why tells if not.
inline bool Agrees(const JsonValue& line, const Result<RenderedPrompt>& result,
                   const TemplateError& error, std::string* why) {
  const std::string got = result.ok() ? "output " + result->text
                                      : "error " + result.status().message();
  if (const JsonValue* output = line.Find("output")) {
    if (result.ok() && result->text == output->String()) return true;
    *why = "want output " + std::string(output->String()) + "\ngot " + got;
    return false;
  }
  const std::string kind(line.Find("error_kind")->String());
  const std::string message(line.Find("error")->String());
  if (!result.ok() && (kind != "raise" || error.message == message)) {
    return true;
  }
  *why = "want " + kind + " " + message + "\ngot " + got;
  return false;
}

inline Result<RenderedPrompt> RenderText(const std::string& source,
                                         const TemplateValue& context,
                                         TemplateError* error,
                                         const TemplateLimits& limits = {},
                                         const TemplateDate& date = {}) {
  Result<ChatTemplate> parsed = ChatTemplate::Parse(
      source, "chat_template", TemplateDialect::kTransformers, error);
  if (!parsed.ok()) return parsed.status();
  return parsed->Render(context, date, limits, error);
}

inline std::string FixtureFolder() {
  return std::string(SLM_SHARED_DIR) + "/fixtures/chat_templates";
}
inline bool HasFixtures() { return std::filesystem::exists(FixtureFolder()); }

// Fixtures are not part of the repository; CI must have them.
#define SLM_NEED_TEMPLATE_FIXTURES()                                   \
  if (!::slm::template_tests::HasFixtures()) {                         \
    if (std::getenv("CI")) FAIL() << "no fixtures in " SLM_SHARED_DIR; \
    GTEST_SKIP() << "no chat template fixtures in " SLM_SHARED_DIR;    \
  }

}  // namespace slm::template_tests

#endif  // SLM_TESTS_TEXT_TEMPLATE_SUPPORT_H_
