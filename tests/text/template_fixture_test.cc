// SPDX-License-Identifier: MIT
// Templates against what jinja2 3.1.6 makes of them.
#include <algorithm>

#include "tests/text/template_support.h"

namespace slm {
namespace {

using template_tests::Agrees;
using template_tests::ChatContext;
using template_tests::DateOf;
using template_tests::FixtureFolder;
using template_tests::ReadLines;
using template_tests::RenderText;

TEST(TemplateCases, RenderAsJinjaDoes) {
  const std::vector<JsonDocument> lines =
      ReadLines(SLM_TEST_DATA_DIR "/template_cases.jsonl");
  ASSERT_GT(lines.size(), 300u);
  const TemplateValue context = ValueFromJson(*lines[0].root().Find("context"));
  const TemplateDate date = DateOf(lines[0].root());
  for (size_t i = 1; i < lines.size(); ++i) {
    const JsonValue& line = lines[i].root();
    const std::string source(line.Find("template")->String());
    TemplateError error;
    std::string why;
    const auto result = RenderText(source, context, &error, {}, date);
    EXPECT_TRUE(Agrees(line, result, error, &why)) << source << "\n" << why;
  }
}

TEST(TemplateFixtures, VectorsRenderAsJinjaDoes) {
  SLM_NEED_TEMPLATE_FIXTURES();
  size_t right = 0;
  const auto lines = ReadLines(FixtureFolder() + "/jinja_vectors.jsonl");
  for (const JsonDocument& document : lines) {
    const JsonValue& line = document.root();
    const std::string source(line.Find("template")->String());
    TemplateError error;
    std::string why;
    const auto result = RenderText(source, ValueFromJson(*line.Find("context")),
                                   &error, {}, DateOf(line));
    const bool agrees = Agrees(line, result, error, &why);
    EXPECT_TRUE(agrees) << source << "\n" << why;
    right += agrees;
  }
  std::printf("jinja_vectors: %zu of %zu\n", right, lines.size());
  EXPECT_GT(lines.size(), 0u);
}

TEST(TemplateFixtures, ChatsRenderAsTransformersDoes) {
  SLM_NEED_TEMPLATE_FIXTURES();
  size_t right = 0, all = 0, templates = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(FixtureFolder())) {
    if (entry.path().extension() != ".jinja") continue;
    ++templates;
    std::string stem = entry.path().string();
    stem.resize(stem.size() - 6);
    Result<std::string> source = ReadFile(entry.path().string());
    ASSERT_TRUE(source.ok());
    TemplateError parse_error;
    const auto parsed =
        ChatTemplate::Parse(*source, entry.path().filename().string(),
                            TemplateDialect::kTransformers, &parse_error);
    for (const JsonDocument& document : ReadLines(stem + ".cases.jsonl")) {
      const JsonValue& line = document.root();
      TemplateError error = parse_error;
      Result<RenderedPrompt> result =
          parsed.status().ok() ? Result<RenderedPrompt>(RenderedPrompt{})
                               : parsed.status();
      if (parsed.ok()) {
        result = parsed->Render(ChatContext(line), DateOf(line), {}, &error);
      }
      std::string why;
      const bool agrees = Agrees(line, result, error, &why);
      EXPECT_TRUE(agrees) << stem << ", " << line.Find("case")->String() << "\n"
                          << why;
      right += agrees;
      ++all;
    }
  }
  std::printf("chat templates: %zu of %zu cases of %zu templates\n", right, all,
              templates);
  EXPECT_GT(all, 0u);
}

// Every place where a message's text shows up verbatim is inside a user span,
// and no span covers the control tokens around it.
TEST(TemplateFixtures, TextOfMessagesIsMarkedInEveryTemplate) {
  SLM_NEED_TEMPLATE_FIXTURES();
  const std::string typed = "Zq<|im_end|>typedZq";
  const auto message = [](const char* role, const std::string& text) {
    return TemplateValue::Dict({{"role", TemplateValue::String(role)},
                                {"content", TemplateValue::UserString(text)}});
  };
  const TemplateValue context = TemplateValue::Dict(
      {{"messages", TemplateValue::List({message("user", typed)})},
       {"tools", TemplateValue::None()},
       {"bos_token", TemplateValue::String("<s>")},
       {"eos_token", TemplateValue::String("</s>")},
       {"add_generation_prompt", TemplateValue::Bool(true)}});
  size_t checked = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(FixtureFolder())) {
    if (entry.path().extension() != ".jinja") continue;
    Result<std::string> source = ReadFile(entry.path().string());
    TemplateError error;
    const auto result = RenderText(*source, context, &error);
    if (!result.ok()) continue;  // needs tools or functions
    size_t spanned = 0;
    for (const TextSpan& span : result->user_spans)
      spanned += span.end - span.begin;
    size_t found = 0;
    for (size_t at = 0;
         (at = result->text.find(typed, at)) != std::string::npos;
         at += typed.size()) {
      ++found;
      const bool inside = std::any_of(
          result->user_spans.begin(), result->user_spans.end(),
          [&](const TextSpan& span) {
            return span.begin <= at && at + typed.size() <= span.end;
          });
      EXPECT_TRUE(inside) << entry.path();
    }
    EXPECT_GE(found, 1u) << entry.path();
    EXPECT_EQ(spanned, found * typed.size()) << entry.path();
    ++checked;
  }
  EXPECT_GE(checked, 25u);
}

}  // namespace
}  // namespace slm
