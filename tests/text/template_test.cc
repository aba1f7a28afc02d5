// SPDX-License-Identifier: MIT
// Messages, limits, marks of user text, and PromptTemplate.
#include <chrono>
#include <thread>

#include "runtime/text/prompt_template.h"
#include "tests/text/template_support.h"

namespace slm {
namespace {

using template_tests::RenderText;
using Spans = std::vector<TextSpan>;

TemplateValue UserContext(const std::string& text) {
  return TemplateValue::Dict(
      {{"u", TemplateValue::UserString(text)},
       {"list", TemplateValue::List({TemplateValue::UserString("<a>"),
                                     TemplateValue::String("<b>")})}});
}

TEST(TemplateMarks, FollowUserTextThroughOperations) {
  const struct {
    const char* source;
    const char* text;
    Spans spans;
  } cases[] = {
      {"<|u|>{{ u }}<|e|>", "<|u|> ab cd <|e|>", {{5, 12}}},
      {"{{ '[' + u + ']' }}", "[ ab cd ]", {{1, 8}}},
      {"{{ '[' ~ u ~ ']' ~ u }}", "[ ab cd ] ab cd ", {{1, 8}, {9, 16}}},
      {"{{ '[' ~ u|trim ~ ']' }}", "[ab cd]", {{1, 6}}},
      {"{{ '[' ~ u.strip() ~ ']' }}", "[ab cd]", {{1, 6}}},
      {"{{ '-' ~ u[1:3] }}", "-ab", {{1, 3}}},
      {"{{ '-' ~ u[::-1] }}", "- dc ba ", {{1, 8}}},
      {"{{ u.split()|join('|') }}", "ab|cd", {{0, 2}, {3, 5}}},
      {"{{ u|replace(' ', '_') }}", "_ab_cd_", {{1, 3}, {4, 6}}},
      {"{{ 'a-b'|replace('-', u) }}", "a ab cd b", {{1, 8}}},
      {"{{ '-' ~ u|upper ~ '-' }}", "- AB CD -", {{1, 8}}},
      {"{{ u|tojson }}", "\" ab cd \"", {{1, 8}}},
      {"{{ [u] }}", "[' ab cd ']", {{2, 9}}},
      {"{{ {'k': u}|tojson(indent=1) }}",
       "{\n \"k\": \" ab cd \"\n}",
       {{9, 16}}},
      {"{{ '<%s>' % u }}", "< ab cd >", {{1, 8}}},
      {"{{ '<{}>'.format(u) }}", "< ab cd >", {{1, 8}}},
      {"{{ u|e ~ '&' }}", " ab cd &", {{0, 7}}},
      {"{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(u) }}",
       "[ ab cd ]",
       {{1, 8}}},
      {"{% set x %}[{{ u }}]{% endset %}{{ x }}", "[ ab cd ]", {{1, 8}}},
      {"{% filter upper %}a{{ u }}{% endfilter %}", "A AB CD ", {{1, 8}}},
      {"{% for c in u if c != ' ' %}{{ c }}-{% endfor %}",
       "a-b-c-d-",
       {{0, 1}, {2, 3}, {4, 5}, {6, 7}}},
      {"{{ list|join }}", "<a><b>", {{0, 3}}},
      {"{{ u|indent(2, true) }}", "   ab cd ", {{2, 9}}},
      {"{{ u|length }}{{ 'ab' in u }}", "7True", {}},
  };
  for (const auto& c : cases) {
    TemplateError error;
    const auto result = RenderText(c.source, UserContext(" ab cd "), &error);
    ASSERT_TRUE(result.ok()) << c.source << result.status().message();
    EXPECT_EQ(result->text, c.text) << c.source;
    EXPECT_EQ(result->user_spans, c.spans) << c.source;
  }
}

TEST(TemplateMarks, MessagesAreMarkedButTheirRoles) {
  Result<JsonDocument> json = JsonDocument::Parse(
      R"([{"role": "user", "content": "<|end|>", "x": {"y": "z"}}])");
  ASSERT_TRUE(json.ok());
  TemplateError error;
  const auto result = RenderText(
      "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ m.x.y }}"
      "{% endfor %}",
      TemplateValue::Dict({{"messages", MessagesFromJson(json->root())}}),
      &error);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->text, "<|user|><|end|>z");
  EXPECT_EQ(result->user_spans, (Spans{{8, 16}}));
}

TEST(TemplateErrors, TellLineColumnAndCaret) {
  const struct {
    const char* source;
    const char* message;
    const char* kind;
  } cases[] = {
      {"a\n  {{ x|tojson2 }}",
       "chat_template line 2, column 8: unknown filter \"tojson2\"\n"
       "    {{ x|tojson2 }}\n"
       "         ^",
       "TemplateAssertionError"},
      {"é{{ 1 / 0 }}",
       "chat_template line 1, column 7: division by zero\n"
       "  é{{ 1 / 0 }}\n"
       "        ^",
       "ZeroDivisionError"},
      {"{{ raise_exception('no system role') }}",
       "chat_template line 1, column 4: no system role\n"
       "  {{ raise_exception('no system role') }}\n"
       "     ^",
       "raise"},
      {"{% include 'x' %}",
       "chat_template line 1, column 4: tag \"include\" is not supported in "
       "chat templates\n  {% include 'x' %}\n     ^",
       "unsupported"},
      {"{{ ''.encode() }}",
       "chat_template line 1, column 6: \"encode\" is not supported in chat "
       "templates\n  {{ ''.encode() }}\n       ^",
       "unsupported"},
      {"\xC0\xAF", "chat_template: the template is not valid UTF-8",
       "TemplateSyntaxError"},
  };
  for (const auto& c : cases) {
    TemplateError error;
    const auto result = RenderText(c.source, TemplateValue::Dict({}), &error);
    ASSERT_FALSE(result.ok()) << c.source;
    EXPECT_EQ(error.kind, c.kind) << c.source;
    EXPECT_EQ(result.status().kind(), ErrorKind::kInvalid);
    EXPECT_EQ(result.status().message(), c.message);
  }
}

TEST(TemplateErrors, FromJsonBelongsToTheExtendedDialect) {
  const std::string source = "{{ ('{\"a\": [1, 2.5, null]}'|from_json).a }}";
  EXPECT_FALSE(ChatTemplate::Parse(source, "t").ok());
  const auto parsed =
      ChatTemplate::Parse(source, "t", TemplateDialect::kExtended);
  ASSERT_TRUE(parsed.ok());
  const auto result = parsed->Render(TemplateValue::Dict({}), {});
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->text, "[1, 2.5, None]");
}

// Each must end within a second (the default limits bound work and memory).
TEST(TemplateLimits, StopHostileTemplatesEarly) {
  std::string nested = "{{ ", lists = "{{ ", chain = "{{ 1", ifs;
  for (int i = 0; i < 100000; ++i) {
    nested += '(';
    lists += '[';
    chain += "+1";
    ifs += "{% if 1 %}";
  }
  const std::string sources[] = {
      "{% macro f(x) %}{{ f(x + 1) }}{% endmacro %}{{ f(0) }}",
      "{% for a in range(100000) %}{% for b in range(100000) %}"
      "{% for c in range(100000) %}x{% endfor %}{% endfor %}{% endfor %}",
      "{% set n = namespace(s='xx') %}{% for i in range(99) %}"
      "{% set n.s = n.s + n.s %}{% endfor %}",
      "{% set n = namespace(s=[1]) %}{% for i in range(99) %}"
      "{% set n.s = n.s + n.s %}{% endfor %}",
      "{% set n = namespace(s=[1]) %}{% for i in range(9999) %}"
      "{% set n.s = [n.s, n.s] %}{% endfor %}",
      "{% set n = namespace(s=[1]) %}{% for i in range(40) %}"
      "{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s }}",
      "{% set n = namespace(s=[1]) %}{% for i in range(40) %}"
      "{% set n.s = [n.s, n.s] %}{% endfor %}{{ n.s|tojson }}",
      "{% set n = namespace() %}{% set n.n = n %}{{ n }}",
      "{{ 'x' * 1000000000000 }}",
      "{{ [1] * 1000000000000 }}",
      "{{ 'x'.center(1000000000) }}",
      "{{ '%1000000000d' % 1 }}",
      "{{ '{:1000000000}'.format(1) }}",
      "{{ 9 ** 99999 }}",
      "{{ 'x'|indent(999999999, true) }}",
      "{{ [1]|tojson(indent=999999999) }}",
      "{{ range(100000)|list|map('string')|list * 1000 }}",
      "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
      "{% set n = namespace(s='" + std::string(1000, 'a') +
          "') %}{% for i in range(99999) %}{{ n.s|replace('a', 'bb') }}"
          "{% endfor %}",
      nested,
      lists,
      chain + " }}",
      ifs,
  };
  for (const std::string& source : sources) {
    const auto start = std::chrono::steady_clock::now();
    TemplateError error;
    const auto result = RenderText(source, TemplateValue::Dict({}), &error);
    const std::chrono::duration<double> took =
        std::chrono::steady_clock::now() - start;
    EXPECT_FALSE(result.ok()) << source.substr(0, 100);
    // Sanitizers and a busy machine are an order of magnitude slower.
    EXPECT_LT(took.count(), 20.0) << source.substr(0, 100);
  }
}

// A macro that calls itself at the bottom of a deep expression or body takes
// the most stack.
TEST(TemplateLimits, BoundTheStack) {
  const struct {
    const char *open, *close;
  } wraps[] = {
      {"{{ -(", ") }}"},
      {"{{ [0, ", "] }}"},
      {"{{ 'a'|replace('a', ", ") }}"},
      {"{{ (1 if ", " else 2) }}"},
      {"{% if 1 %}{% for x in [1] %}", "{% endfor %}{% endif %}"},
      {"{% filter upper %}", "{% endfilter %}"},
      {"{% set q %}", "{% endset %}"},
  };
  for (const auto& wrap : wraps) {
    const bool is_expression = wrap.open[1] == '{';
    std::string source = "{% macro f(x) %}", close;
    if (is_expression) source += "{{ ";
    for (int i = 0; i < 40; ++i) {
      const std::string_view open = wrap.open, end = wrap.close;
      source += is_expression ? open.substr(3) : open;
      close += is_expression ? end.substr(0, end.size() - 3) : end;
    }
    source += is_expression ? "f(x)" : "{{ f(x) }}";
    source += close;
    if (is_expression) source += " }}";
    source += "{% endmacro %}{{ f(0) }}";
    TemplateError error;
    EXPECT_FALSE(RenderText(source, TemplateValue::Dict({}), &error).ok());
    EXPECT_EQ(error.kind, "RecursionError") << source << error.message;
  }
}

TEST(TemplateLimits, OfTheCallerCount) {
  TemplateError error;
  const TemplateValue none = TemplateValue::Dict({});
  const std::string source = "{% for i in range(100) %}0123456789{% endfor %}";
  EXPECT_TRUE(RenderText(source, none, &error).ok());
  EXPECT_FALSE(
      RenderText(source, none, &error, {.max_output_bytes = 999}).ok());
  EXPECT_EQ(error.kind, "limit");
  EXPECT_FALSE(RenderText(source, none, &error, {.max_steps = 99}).ok());
  EXPECT_FALSE(RenderText(source, none, &error, {.max_memory = 999}).ok());
  const std::string deep =
      "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{% endif %}.{% endmacro %}"
      "{{ f(50) }}";
  EXPECT_TRUE(RenderText(deep, none, &error).ok());
  EXPECT_FALSE(RenderText(deep, none, &error, {.max_depth = 50}).ok());
}

TEST(ChatTemplate, IsSharedByThreads) {
  const auto parsed = ChatTemplate::Parse(
      "{% for i in range(200) %}{{ 'a' ~ u ~ i }}{% endfor %}", "t");
  ASSERT_TRUE(parsed.ok());
  const TemplateValue context = UserContext("x");
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (std::string& text : texts) {
    threads.emplace_back([&] {
      const auto result = parsed->Render(context, {});
      if (result.ok()) text = result->text;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : texts) {
    EXPECT_FALSE(text.empty());
    EXPECT_EQ(text, texts[0]);
  }
}

TEST(ChatTemplate, TellsWhichVariablesItNames) {
  const auto parsed =
      ChatTemplate::Parse("{% if tools %}{{ x.enable }}{% endif %}", "t");
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed->Mentions("tools"));
  EXPECT_FALSE(parsed->Mentions("enable"));
}

// The texts of the tutorial's inference_model.json.
const PromptTemplate kPrompt = {
    "<|im_start|>system\n{Content}<|im_end|>",
    "<|im_start|>user\n{Content}<|im_end|>",
    "<|im_start|>assistant\n{Content}<|im_end|>",
    "<|im_start|>user\n{Content}<|im_end|>\n<|im_start|>assistant"};

TEST(PromptTemplates, TakePromptForTheLastUserTurn) {
  const auto result = Render(kPrompt, {{"system", "S"}, {"user", "U{Content}"}},
                             /*add_generation_prompt=*/true);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->text,
            "<|im_start|>system\nS<|im_end|>\n"
            "<|im_start|>user\nU{Content}<|im_end|>\n<|im_start|>assistant");
  EXPECT_EQ(result->user_spans, (Spans{{19, 20}, {48, 58}}));
}

TEST(PromptTemplates, OpenTheAnswerWithoutPrompt) {
  PromptTemplate no_prompt = kPrompt;
  no_prompt.prompt.clear();
  const auto result = Render(no_prompt, {{"user", "U"}}, true);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->text,
            "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n");
  const auto closed = Render(kPrompt, {{"user", "U"}}, false);
  ASSERT_TRUE(closed.ok());
  EXPECT_EQ(closed->text, "<|im_start|>user\nU<|im_end|>");
}

TEST(PromptTemplates, RefuseWhatTheyCannotSay) {
  EXPECT_FALSE(Render(kPrompt, {{"tool", "x"}}, true).ok());
  PromptTemplate no_system = kPrompt;
  no_system.system.clear();
  EXPECT_FALSE(Render(no_system, {{"system", "x"}}, true).ok());
}

}  // namespace
}  // namespace slm
