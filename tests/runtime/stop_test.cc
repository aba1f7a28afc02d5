// SPDX-License-Identifier: MIT
#include "runtime/stop.h"

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace slm {
namespace {

StopMatcher Make(std::vector<std::string> strings) {
  auto matcher = StopMatcher::Create(std::move(strings));
  EXPECT_TRUE(matcher.ok()) << matcher.status().message();
  return std::move(matcher).value();
}

TEST(StopMatcher, GivesOutWhatCannotBeAStopStringAnyMore) {
  struct Step {
    const char* in;
    const char* out;
  };
  struct Case {
    std::vector<std::string> stops;
    std::vector<Step> steps;
    const char* flushed;  // nullptr: a stop string was found
  };
  const Case cases[] = {
      {{}, {{"anything", "anything"}}, ""},
      {{"STOP"}, {{"xS", "x"}, {"TO", ""}, {"x", "STOx"}}, ""},
      {{"STOP"}, {{"xS", "x"}, {"TO", ""}}, "STO"},
      {{"STOP"}, {{"a STOP b", "a "}, {"more", ""}}, nullptr},
      {{"STOP"}, {{"a ST", "a "}, {"OP", ""}}, nullptr},
      // The beginning may begin again inside what is held.
      {{"aab"}, {{"aaa", "a"}, {"b", ""}}, nullptr},
      {{"abab!"}, {{"ababab", "ab"}, {"x", "ababx"}}, ""},
      // Several: the first to be complete, of those the longest.
      {{"abc", "b"}, {{"xab", "xa"}}, nullptr},
      {{"b", "ab"}, {{"xab", "x"}}, nullptr},
      {{"abcd", "bx"}, {{"abc", ""}, {"bx", "abc"}}, nullptr},
      {{"\n\nQ:", "<|end|>"}, {{"A\n", "A"}, {"\n", ""}, {"B<", "\n\nB"}}, "<"},
      {{"終わり"}, {{"は終わ", "は"}, {"る", "終わる"}}, ""},
  };
  for (const Case& c : cases) {
    StopMatcher matcher = Make(c.stops);
    bool found = false;
    for (const Step& step : c.steps) {
      std::string out;
      found = matcher.Feed(step.in, &out);
      EXPECT_EQ(out, step.out) << "after " << step.in;
    }
    EXPECT_EQ(found, c.flushed == nullptr);
    EXPECT_EQ(matcher.found().has_value(), found);
    std::string rest;
    matcher.Flush(&rest);
    EXPECT_EQ(rest, c.flushed == nullptr ? "" : c.flushed);
  }
}

TEST(StopMatcher, TellsWhichStringWasFoundAndStartsAnew) {
  StopMatcher matcher = Make({"one", "two"});
  std::string out;
  EXPECT_TRUE(matcher.Feed("a two", &out));
  EXPECT_EQ(matcher.found(), std::optional<size_t>(1));
  matcher.Reset();
  EXPECT_FALSE(matcher.found().has_value());
  out.clear();
  EXPECT_FALSE(matcher.Feed("tw", &out));
  EXPECT_EQ(out, "");
}

TEST(StopMatcher, RefusesEmptyStringsAndBrokenUtf8) {
  EXPECT_EQ(StopMatcher::Create({"a", ""}).status().kind(), ErrorKind::kUsage);
  EXPECT_EQ(StopMatcher::Create({"\xE7\xB5"}).status().kind(),
            ErrorKind::kUsage);
}

// The obvious twin: the shortest prefix that ends in a stop string, less the
// longest stop string there.
std::optional<std::string> TextBeforeStop(
    const std::string& text, const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& s : stops) {
      if (s.size() <= end && text.compare(end - s.size(), s.size(), s) == 0) {
        longest = std::max(longest, s.size());
      }
    }
    if (longest > 0) return text.substr(0, end - longest);
  }
  return std::nullopt;
}

TEST(StopMatcher, AnyCutOfTheTextGivesTheSameAndHoldsNoMoreThanNeeded) {
  std::mt19937 random(11);
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> stops(1 + random() % 3);
    for (std::string& s : stops) {
      const size_t size = 1 + random() % 6;
      while (s.size() < size) s.push_back("ab"[random() % 2]);
    }
    std::string text;
    const size_t size = random() % 24;
    while (text.size() < size) text.push_back("abc"[random() % 3]);

    StopMatcher matcher = Make(stops);
    std::string out;
    bool found = false;
    for (size_t at = 0; at < text.size() && !found;) {
      const size_t piece = 1 + random() % 5;
      found = matcher.Feed(std::string_view(text).substr(at, piece), &out);
      at += std::min(piece, text.size() - at);
      if (found) break;
      const std::string held = text.substr(out.size(), at - out.size());
      bool needed = held.empty();
      for (const std::string& s : stops)
        needed |= s.compare(0, held.size(), held) == 0;
      ASSERT_TRUE(needed) << held;
    }
    matcher.Flush(&out);
    const auto expected = TextBeforeStop(text, stops);
    ASSERT_EQ(found, expected.has_value());
    ASSERT_EQ(out, expected.value_or(text));
  }
}

}  // namespace
}  // namespace slm
