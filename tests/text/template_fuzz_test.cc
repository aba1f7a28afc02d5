// SPDX-License-Identifier: MIT
// Truncated and mutated templates must neither crash nor take long.
#include <algorithm>
#include <chrono>
#include <random>

#include "tests/text/template_support.h"

namespace slm {
namespace {

using template_tests::ChatContext;
using template_tests::FixtureFolder;
using template_tests::ReadLines;
using template_tests::RenderText;

// What the mutations insert.
constexpr const char* kPieces[] = {
    "{{",
    "}}",
    "{%",
    "%}",
    "{%-",
    "-%}",
    "{#",
    "#}",
    "(",
    ")",
    "[",
    "]",
    "|",
    "~",
    "**",
    "//",
    "[::-1]",
    "[9:]",
    " is ",
    " in ",
    " not ",
    "0",
    "-1",
    "1e308",
    "none",
    "'",
    "\"",
    "\\",
    "|list",
    "|tojson",
    "|join",
    "|string",
    "*99",
    ".x",
    "('a')",
    "loop",
    "range",
    "namespace",
    "messages",
    "\xC3",
    "\n",
    "\xE4\xB8\xAD",
    "{% for x in messages %}",
    "{% endfor %}",
    "{% if x %}",
    "{% endif %}",
    "{% set x = messages %}",
    "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}"};

TEST(TemplateFuzz, MutatedTemplatesEndInTime) {
  SLM_NEED_TEMPLATE_FIXTURES();
  const unsigned seed = 20240229;
  std::mt19937 random(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::vector<std::filesystem::path> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(FixtureFolder())) {
    if (entry.path().extension() == ".jinja") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  // A small budget of work each: the point is crashes, and time adds up.
  const TemplateLimits limits = {.max_steps = 200'000, .max_memory = 16 << 20};
  double slowest = 0;
  size_t rendered = 0, tried = 0;
  for (const auto& path : paths) {
    Result<std::string> source = ReadFile(path.string());
    ASSERT_TRUE(source.ok());
    std::string stem = path.string();
    stem.resize(stem.size() - 6);
    const auto lines = ReadLines(stem + ".cases.jsonl");
    ASSERT_FALSE(lines.empty());
    for (int round = 0; round < 60; ++round) {
      std::string text = *source;
      const JsonValue& line = lines[random() % lines.size()].root();
      if (round % 4 == 0) text.resize(random() % text.size());
      for (unsigned i = random() % 4 + 1; i > 0 && !text.empty(); --i) {
        const size_t at = random() % text.size();
        if (random() % 2) text.erase(at, random() % 8);
        text.insert(std::min(at, text.size()),
                    kPieces[random() % std::size(kPieces)]);
      }
      const auto start = std::chrono::steady_clock::now();
      TemplateError error;
      rendered += RenderText(text, ChatContext(line), &error, limits).ok();
      ++tried;
      const std::chrono::duration<double> took =
          std::chrono::steady_clock::now() - start;
      slowest = std::max(slowest, took.count());
    }
  }
  std::printf("%zu mutations, %zu rendered, slowest %.3f s\n", tried, rendered,
              slowest);
  // The limits allow 10 ms of work; the rest is a busy machine.
  EXPECT_LT(slowest, 5.0);
}

}  // namespace
}  // namespace slm
