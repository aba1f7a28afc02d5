// SPDX-License-Identifier: MIT
// Translated expressions against the tables that were probed from Oniguruma,
// and hand-written splitters against the expressions that they stand for.
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "loader/regex_split.h"
#include "runtime/core/utf8.h"
#include "runtime/text/splitters.h"
#include "runtime/text/unicode.h"

namespace slm::text {
namespace {

std::vector<std::string> MatchesOf(std::string_view expression,
                                   std::string_view text) {
  std::vector<std::string> out;
  auto regex = CompileRegex(expression);
  EXPECT_TRUE(regex.ok()) << regex.status().message();
  if (!regex.ok()) return out;
  std::vector<TextSpan> spans;
  EXPECT_TRUE((*regex)->FindAll(text, &spans).ok());
  for (const TextSpan& s : spans) {
    out.emplace_back(text.substr(s.begin, s.end - s.begin));
  }
  return out;
}

TEST(TokenizerRegex, MeansWhatOnigurumaMeans) {
  using Strings = std::vector<std::string>;
  const struct {
    const char* expression;
    const char* text;
    Strings matches;
  } kCases[] = {
      // ^ and $ match at the ends of lines, . not at one; (?m) lets it.
      {"a$", "a\na", {"a", "a"}},
      {"^a", "a\na", {"a", "a"}},
      {"a.b", "a\nb", {}},
      {"(?m:a.b)", "a\nb", {"a\nb"}},
      // The long s is an s if case does not matter.
      {"(?i:'s)", "'S'\xC5\xBF", {"'S", "'\xC5\xBF"}},
      // (?i) in the middle covers the alternatives behind it.
      {"a(?i)b|C", "aB ac bC c", {"aB", "ac"}},
      // An interval is not possessive, but repeated.
      {"[0-9]{1,3}+", "12345", {"12345"}},
      {"[0-9]{2}?x", "x1212x", {"x", "12x"}},
      {"xa{,2}", "xaaa", {"xaa"}},
      {"\\p{N}{1,3}", "1234", {"123", "4"}},
      {"a++b", "aaab", {"aaab"}},
      // Classes: nested, cut, negated, with complements inside.
      {"[a-z&&[^aeiou]]+", "hello", {"h", "ll"}},
      {"[^(\\s|[.,!?])]+", "a,b (c", {"a", "b", "c"}},
      {"[\\S\\n]+", "a b\nc", {"a", "b\nc"}},
      {"[^\\W_]+", "a_b", {"a", "b"}},
      {"[[:alpha:]]+", "ab1", {"ab"}},
      {"[]a]+", "a]b", {"a]"}},
      {"[a\\-c]+", "a-cb", {"a-c"}},
      {"\\h+", "xfF0g", {"fF0"}},
      {"\\v", "\x0B\n", {"\x0B"}},
      {"\\u00e9", "\xC3\xA9", {"\xC3\xA9"}},
      {"{", "a{b", {"{"}},
      // U+180E is no white space.
      {"\\s", "\xE1\xA0\x8E\xC2\x85", {"\xC2\x85"}},
      // A han script character, not one of its script extensions.
      {"\\p{Han}", "\xE3\x80\x81\xE4\xB8\xAD", {"\xE4\xB8\xAD"}},
      // A match of nothing right behind a match is skipped.
      {"", "ab", {"", "", ""}},
      {"x*", "axb", {"", "x", ""}},
  };
  for (const auto& c : kCases) {
    // "x*" on "axb": "" at 0, "x" at 1, "" at 3 (that at 2 touches "x").
    EXPECT_EQ(MatchesOf(c.expression, c.text), c.matches) << c.expression;
  }
}

TEST(TokenizerRegex, RefusesWhatItCannotTranslate) {
  for (const char* expression :
       {"(", ")", "[a", "a\\", "*a", "(?~a)", "(?<n", "\\p{Nonsense}", "\\q",
        "[b-a]", "\\xE9", "[[:nope:]]", "(?W:a)", "\\x{110000}"}) {
    auto regex = CompileRegex(expression);
    ASSERT_FALSE(regex.ok()) << expression;
    EXPECT_EQ(regex.status().kind(), ErrorKind::kInvalid);
    EXPECT_NE(regex.status().message().find("regular expression"),
              std::string::npos)
        << regex.status().message();
  }
  EXPECT_FALSE(CompileRegex(std::string(100000, '(')).ok());
  EXPECT_FALSE(CompileRegex(std::string(60000, '[')).ok());
}

TEST(TokenizerRegex, StopsAtTheLimitOfSteps) {
  auto regex = CompileRegex("(a|aa)+$|(b*)*c");
  ASSERT_TRUE(regex.ok());
  std::vector<TextSpan> spans;
  const Status status =
      (*regex)->FindAll(std::string(60, 'a') + std::string(60, 'b'), &spans);
  if (!status.ok()) {  // else the engine found a short way
    EXPECT_EQ(status.kind(), ErrorKind::kInvalid);
  }
}

TEST(TokenizerRegex, PropertiesAreThoseOfUnicode16) {
  const struct {
    const char* expression;
    uint32_t categories;
    uint16_t flag;
  } kCases[] = {{"\\p{L}", kLetters, 0},  {"\\p{N}", kNumbers, 0},
                {"\\p{M}", kMarks, 0},    {"\\p{P}", kPunctuations, 0},
                {"\\p{S}", kSymbols, 0},  {"\\p{Lu}", Bit(kLu), 0},
                {"\\p{Ll}", Bit(kLl), 0}, {"\\p{Lo}", Bit(kLo), 0},
                {"\\p{Lm}", Bit(kLm), 0}, {"\\d", Bit(kNd), 0},
                {"\\s", 0, kSpace},       {"\\w", 0, kWordOnig}};
  std::string all;
  for (uint32_t c = 1; c < 0x110000; ++c) {
    if (c < 0xD800 || c >= 0xE000) AppendUtf8(c, &all);
  }
  for (const auto& c : kCases) {
    auto regex = CompileRegex(c.expression);
    ASSERT_TRUE(regex.ok()) << regex.status().message();
    std::vector<TextSpan> spans;
    ASSERT_TRUE((*regex)->FindAll(all, &spans).ok());
    size_t next = 0, wrong = 0;
    for (size_t i = 0; i < all.size();) {
      uint32_t size;
      const uint32_t code = CodeAt(all, i, &size);
      const bool matched = next < spans.size() && spans[next].begin == i;
      next += matched;
      const bool wanted = c.flag != 0 ? (PropertiesOf(code) & c.flag) != 0
                                      : CategoryIn(code, c.categories);
      if (matched != wanted && ++wrong < 5) {
        ADD_FAILURE() << c.expression << " and U+" << std::hex << code;
      }
      i += size;
    }
    EXPECT_EQ(next, spans.size());
  }
}

std::string RandomText(std::mt19937* random) {
  static constexpr uint32_t kUsual[] = {
      'a',   'e',   'A',  'B',   '\'',   's',    't',    'r',     'v',
      'l',   'L',   'S',  'd',   'm',    ' ',    ' ',    ' ',     '\n',
      '\r',  '\t',  '1',  '2',   '.',    ',',    '/',    '-',     '_',
      0x17F, 0xE9,  0xC9, 0x301, 0x308,  0x4E2D, 0x6587, 0x3042,  0x1C5,
      0x2B0, 0x661, 0xBD, 0xA0,  0x3000, 0x2028, 0x85,   0x1F600, 0x200B};
  std::string text;
  const size_t length = (*random)() % 40;
  for (size_t i = 0; i < length; ++i) {
    uint32_t code = kUsual[(*random)() % std::size(kUsual)];
    if ((*random)() % 16 == 0) code = 1 + (*random)() % 0x10FFFF;
    if (code >= 0xD800 && code < 0xE000) code = 'x';
    AppendUtf8(code, &text);
  }
  return text;
}

TEST(TokenizerSplitters, AgreeWithTheirExpressions) {
  constexpr unsigned kSeed = 20240501;
  for (size_t k = 0; k < KnownExpressionCount(); ++k) {
    const KnownExpression& known = KnownExpressionAt(k);
    auto regex = CompileRegex(known.expression);
    ASSERT_TRUE(regex.ok()) << regex.status().message();
    ASSERT_EQ(FindSplitter(known.expression), known.splitter);
    std::mt19937 random(kSeed);
    for (int round = 0; round < 20000; ++round) {
      const std::string text = RandomText(&random);
      std::vector<TextSpan> got, want;
      known.splitter(text, &got);
      ASSERT_TRUE((*regex)->FindAll(text, &want).ok());
      ASSERT_EQ(got.size(), want.size())
          << known.expression << " on " << Printable(text) << ", seed "
          << kSeed;
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i].begin, want[i].begin) << Printable(text);
        ASSERT_EQ(got[i].end, want[i].end) << Printable(text);
      }
    }
  }
}

}  // namespace
}  // namespace slm::text
