// SPDX-License-Identifier: MIT
#include "gtest/gtest.h"
#include "tools/bench/prompts.h"

namespace slm::bench {
namespace {

TEST(Prompts, LinesAreTextsOrMessages) {
  const auto prompts = ParsePrompts(
      "{\"prompt\": \"Hello\\nworld\"}\r\n"
      "\n"
      "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief\"},"
      " {\"role\": \"user\", \"content\": \"안녕\"}]}",
      "p.jsonl");
  ASSERT_TRUE(prompts.ok()) << prompts.status().message();
  ASSERT_EQ(prompts->size(), 2u);
  using Messages = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ((*prompts)[0].name, "line 1");
  EXPECT_EQ((*prompts)[0].messages, (Messages{{"user", "Hello\nworld"}}));
  EXPECT_EQ((*prompts)[1].name, "line 3");
  EXPECT_EQ((*prompts)[1].messages,
            (Messages{{"system", "Be brief"}, {"user", "안녕"}}));
}

TEST(Prompts, WhatIsWrongIsRefusedWithItsLine) {
  struct Case {
    const char* text;
    const char* part;  // of the message
  };
  const Case cases[] = {
      {"", "p.jsonl has no prompt"},
      {" \n\t\n", "p.jsonl has no prompt"},
      {"{\"prompt\": \"a\"}\n{\"prompt\": \"", "p.jsonl, line 2: "},
      {"{\"prompt\": \"a\"}\n\n7", "p.jsonl, line 3: "},
      {"[]", "must be an object"},
      {"{}", "must have one of \"prompt\" and \"messages\""},
      {"{\"prompt\": \"a\", \"messages\": []}", "must have one of"},
      {"{\"prompt\": 3}", "\"prompt\" is"},
      {"{\"prompt\": \"\"}", "\"prompt\" is empty"},
      {"{\"prompt\": \"a\", \"id\": 3}", "unknown key \"id\""},
      {"{\"messages\": []}", "a message at least"},
      {"{\"messages\": [\"a\"]}", "a message is"},
      {"{\"messages\": [{\"role\": \"user\"}]}", "\"content\" is missing"},
      {"{\"messages\": [{\"role\": \"user\", \"content\": \"a\", \"x\": 1}]}",
       "unknown key \"x\""},
      {"{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}",
       "nothing is asked"},
  };
  for (const Case& c : cases) {
    const auto prompts = ParsePrompts(c.text, "p.jsonl");
    ASSERT_FALSE(prompts.ok()) << c.text;
    EXPECT_EQ(prompts.status().kind(), ErrorKind::kInvalid) << c.text;
    EXPECT_NE(prompts.status().message().find(c.part), std::string::npos)
        << prompts.status().message();
  }
}

TEST(Prompts, BuiltInOnesDifferInLength) {
  size_t shortest = SIZE_MAX, longest = 0;
  for (const Prompt& prompt : BuiltInPrompts()) {
    size_t bytes = 0;
    for (const auto& [role, content] : prompt.messages) bytes += content.size();
    EXPECT_EQ(prompt.messages.back().first, "user") << prompt.name;
    shortest = std::min(shortest, bytes);
    longest = std::max(longest, bytes);
  }
  EXPECT_GT(longest, 30 * shortest);
}

}  // namespace
}  // namespace slm::bench
