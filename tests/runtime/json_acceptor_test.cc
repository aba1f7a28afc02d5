// SPDX-License-Identifier: MIT
// The verdicts in tests/data/json_cases.txt are those of Python's json module;
// tests/runtime/make_json_cases.py made the file and says how.
#include "runtime/json_acceptor.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/core/file.h"

namespace slm {
namespace {

struct Case {
  bool is_json;
  std::string text;
};

std::vector<Case> PythonsVerdicts() {
  auto file = ReadFile(std::string(SLM_TEST_DATA_DIR) + "/json_cases.txt",
                       size_t{16} << 20);
  EXPECT_TRUE(file.ok()) << file.status().message();
  if (!file.ok()) return {};
  std::vector<Case> cases;
  std::string_view rest = *file;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    Case c{line[0] == '1', ""};
    for (size_t i = 2; i + 1 < line.size(); i += 2) {
      c.text += static_cast<char>(
          std::stoi(std::string(line.substr(i, 2)), nullptr, 16));
    }
    cases.push_back(std::move(c));
    rest.remove_prefix(line.size() + 1);
  }
  return cases;
}

bool IsJson(std::string_view text) {
  JsonAcceptor acceptor;
  return acceptor.Take(text) && acceptor.complete();
}

std::string Blanks(size_t count) { return std::string(count, ' '); }

// Ends what is open in as few bytes as it can; false if that leads nowhere.
bool CanBeCompleted(JsonAcceptor acceptor) {
  constexpr std::string_view kBytes = "\"}]:0\\uDCnrealst\x80\x90\xA0[";
  for (int step = 0; step < 300 && !acceptor.complete(); ++step) {
    bool taken = false;
    for (size_t i = 0; i < kBytes.size() && !taken; ++i) {
      taken = acceptor.Take(static_cast<uint8_t>(kBytes[i]));
    }
    if (!taken) return false;
  }
  return acceptor.complete();
}

TEST(JsonAcceptor, AgreesWithPython) {
  const std::vector<Case> cases = PythonsVerdicts();
  ASSERT_GT(cases.size(), 2000u);
  size_t valid = 0;
  for (const Case& c : cases) {
    EXPECT_EQ(IsJson(c.text), c.is_json) << testing::PrintToString(c.text);
    valid += c.is_json;
  }
  EXPECT_GT(valid, 400u);
}

TEST(JsonAcceptor, EachPrefixOfAValueIsTakenAndIncomplete) {
  for (const Case& c : PythonsVerdicts()) {
    if (!c.is_json) continue;
    const size_t end = c.text.find_last_not_of(" \n\t\r") + 1;
    JsonAcceptor acceptor;
    for (size_t i = 0; i < c.text.size(); ++i) {
      EXPECT_EQ(acceptor.complete(), i >= end) << c.text << " at " << i;
      ASSERT_TRUE(acceptor.Take(static_cast<uint8_t>(c.text[i])))
          << c.text << " at " << i;
    }
  }
}

TEST(JsonAcceptor, WhatIsTakenCanBeCompletedAndARefusalTakesNothing) {
  for (const Case& c : PythonsVerdicts()) {
    JsonAcceptor acceptor;
    for (const char byte : c.text) {
      if (!acceptor.Take(static_cast<uint8_t>(byte))) {
        EXPECT_FALSE(acceptor.Take(static_cast<uint8_t>(byte)));
        break;
      }
      ASSERT_TRUE(CanBeCompleted(acceptor)) << testing::PrintToString(c.text);
    }
    EXPECT_TRUE(CanBeCompleted(acceptor)) << testing::PrintToString(c.text);
  }
}

TEST(JsonAcceptor, DepthEndsAt64) {
  EXPECT_TRUE(IsJson(std::string(64, '[') + std::string(64, ']')));
  EXPECT_FALSE(JsonAcceptor().Take(std::string(65, '[')));
  std::string objects;
  for (int i = 0; i < 64; ++i) objects += "{\"a\":";
  EXPECT_TRUE(IsJson(objects + "0" + std::string(64, '}')));
  EXPECT_FALSE(JsonAcceptor().Take(objects + "{"));
  EXPECT_FALSE(IsJson(objects + "0" + std::string(63, '}') + "]"));
}

TEST(JsonAcceptor, RunsOfBlanksEndAtFourAndFourForEachLevel) {
  const std::pair<std::string, size_t> cases[] = {
      {"", 4},        {"{", 8},   {"[1", 8}, {"[1,", 8},       {"{\"a\"", 8},
      {"{\"a\":", 8}, {"[[", 12}, {"[]", 4}, {"[{\"a\":[", 16}};
  for (const auto& [before, most] : cases) {
    JsonAcceptor acceptor;
    EXPECT_TRUE(acceptor.Take(before + Blanks(most))) << before;
    for (const char blank : {' ', '\n', '\t', '\r'}) {
      EXPECT_FALSE(acceptor.Take(static_cast<uint8_t>(blank))) << before;
    }
  }
  // A new run begins after anything else; in a string blanks are text.
  EXPECT_TRUE(IsJson("[" + Blanks(8) + "1" + Blanks(8) + "," + Blanks(8) +
                     "\"" + Blanks(99) + "\"" + Blanks(8) + "]"));
}

TEST(JsonAcceptor, AStringIsAStringWhereverItStands) {
  for (const char* text : {"[\"", "{\"", "{\"a\":\"x", "[\"\\u0041"}) {
    JsonAcceptor acceptor;
    ASSERT_TRUE(acceptor.Take(text));
    EXPECT_TRUE(acceptor.in_string()) << text;
  }
  for (const char* text : {"[", "[\"\\", "[\"\xC3", "[\"\\ud83d", "[\"\""}) {
    JsonAcceptor acceptor;
    ASSERT_TRUE(acceptor.Take(text));
    EXPECT_FALSE(acceptor.in_string()) << text;
  }
}

}  // namespace
}  // namespace slm
