// SPDX-License-Identifier: MIT
#include "runtime/core/utf8.h"

#include "gtest/gtest.h"

namespace slm {
namespace {

TEST(Utf8, DecodesWhatItEncodes) {
  for (uint32_t code = 0; code < 0x110000; code += code < 0x3000 ? 1 : 97) {
    if (code >= 0xD800 && code < 0xE000) continue;
    std::string text;
    AppendUtf8(code, &text);
    const Utf8Char c = DecodeUtf8(text);
    EXPECT_TRUE(c.valid);
    EXPECT_EQ(c.code, code);
    EXPECT_EQ(c.size, text.size());
    for (size_t cut = 1; cut < text.size(); ++cut) {
      EXPECT_EQ(IncompleteUtf8Suffix(text.substr(0, cut)), cut);
    }
    EXPECT_EQ(IncompleteUtf8Suffix(text), 0u);
  }
}

TEST(Utf8, ReplacesAsPythonDoes) {
  // python3: b"...".decode("utf-8", "replace")
  EXPECT_EQ(ReplaceInvalidUtf8("a\xC0\x80z"),
            "a\xEF\xBF\xBD\xEF\xBF\xBDz");
  EXPECT_EQ(ReplaceInvalidUtf8("\xE2\x82"), "\xEF\xBF\xBD");
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x9F\x98z"), "\xEF\xBF\xBDz");
  EXPECT_EQ(ReplaceInvalidUtf8("\xED\xA0\x80"),
            "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_FALSE(IsValidUtf8("\xF8\x88\x80\x80\x80"));
}

}  // namespace
}  // namespace slm
