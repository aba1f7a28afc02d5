// SPDX-License-Identifier: MIT
#include "loader/json.h"

#include "gtest/gtest.h"

namespace slm {
namespace {

TEST(Json, ReadsEveryType) {
  auto document = JsonDocument::Parse(
      R"({"a": [1, -2.5, true, null, "x\ny"], "b": {"c": {}}, "a2": []})");
  ASSERT_TRUE(document.ok()) << document.status().message();
  const JsonValue& root = document->root();
  const auto items = root.Find("a")->Items();
  ASSERT_EQ(items.size(), 5u);
  EXPECT_EQ(items[0].Int(), 1);
  EXPECT_EQ(items[1].Double(), -2.5);
  EXPECT_TRUE(items[2].Bool());
  EXPECT_TRUE(items[3].IsNull());
  EXPECT_EQ(items[4].String(), "x\ny");
  EXPECT_TRUE(root.Find("b")->Find("c")->IsObject());
  EXPECT_EQ(root.Members()[2].key, "a2");
  EXPECT_EQ(root.Find("missing"), nullptr);
}

TEST(Json, LastDuplicateWins) {
  auto document = JsonDocument::Parse(R"({"a": 1, "a": 2})");
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->root().Find("a")->Int(), 2);
}

TEST(Json, RefusesWithLineAndColumn) {
  auto broken = JsonDocument::Parse("{\n  \"a\": [1,\n");
  ASSERT_FALSE(broken.ok());
  EXPECT_NE(broken.status().message().find("line 3"), std::string::npos)
      << broken.status().message();
  EXPECT_FALSE(JsonDocument::Parse("").ok());
  EXPECT_FALSE(JsonDocument::Parse("{} {}").ok());
  EXPECT_FALSE(JsonDocument::Parse("\"\xff\"").ok());
  auto deep = JsonDocument::Parse(std::string(100000, '['));
  ASSERT_FALSE(deep.ok());
  EXPECT_NE(deep.status().message().find("nested"), std::string::npos);
}

TEST(Json, WritesStrings) {
  std::string out;
  AppendJsonString("a\"\\\n\x01\xffz\xE2\x82\xAC", &out);
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u0001\xEF\xBF\xBDz\xE2\x82\xAC\"");
  out.clear();
  AppendJsonString("\xE2\x80\xA8\xC2\x85", &out);
  EXPECT_EQ(out, "\"\\u2028\\u0085\"");
}

}  // namespace
}  // namespace slm
