// SPDX-License-Identifier: MIT
// Typing at a terminal and parting reasoning from answers, without either.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/text/unicode.h"
#include "runtime/text/width.h"
#include "tools/line/clipboard.h"
#include "tools/line/key.h"
#include "tools/line/line_buffer.h"
#include "tools/run/progress.h"
#include "tools/run/think.h"

namespace slm {
namespace {

// Cells as UAX #11 and the emoji standard (UTS #51) have them.
TEST(Width, GraphemesTakeTheCellsThatTerminalsGiveThem) {
  struct Case {
    const char* text;
    size_t width;
  };
  for (const auto& [text, width] : {
           Case{"a", 1},
           Case{"\u00e9", 1},
           Case{"e\u0301", 1},
           Case{"\u65e5", 2},
           Case{"\ud55c", 2},
           Case{"\uff21", 2},
           Case{"\u1112\u1161\u11ab", 2},    // conjoining jamo
           Case{"\U0001f600", 2},            // emoji
           Case{"\u2764", 1},                // heart as text
           Case{"\u2764\ufe0f", 2},          // and as emoji
           Case{"\U0001f1ef\U0001f1f5", 2},  // flag
           Case{"\U0001f44d\U0001f3fd", 2},  // skin tone
           Case{"\U0001f468\u200d\U0001f469\u200d\U0001f467", 2},
           Case{"\u200b", 0},
           Case{"\u0301", 0},
       }) {
    EXPECT_EQ(text::GraphemeSize(text), std::string_view(text).size()) << text;
    EXPECT_EQ(text::GraphemeWidth(text), width) << text;
  }
  EXPECT_EQ(text::TextWidth("ab\u65e5e\u0301\U0001f600"), 7u);
}

TEST(Width, GraphemeBeforeGoesOverWholeGraphemes) {
  const std::string text = "x\ne\u0301\U0001f1ef\U0001f1f5\U0001f1eb\U0001f1f7";
  std::vector<size_t> begins;
  for (size_t at = text.size(); at > 0;) {
    at = text::GraphemeBefore(text, at);
    begins.push_back(at);
  }
  EXPECT_EQ(begins, (std::vector<size_t>{13, 5, 2, 1, 0}));
}

std::vector<Key> KeysOf(const std::string& bytes) {
  size_t at = 0;
  const NextByte next = [&](bool) {
    return at < bytes.size() ? static_cast<unsigned char>(bytes[at++]) : -1;
  };
  std::vector<Key> keys;
  do {
    keys.push_back(ReadKey(next));
  } while (keys.back().kind != Key::kClosed);
  keys.pop_back();
  return keys;
}

TEST(Keys, InputOfAnyKindEndsAndIsCleanText) {
  // Cut and broken sequences, characters and pastes.
  for (const std::string bytes :
       {"\033", "\033[", "\033[1;", "\033[200~", "\033[200~x\033[201", "\xe6",
        "\xe6\x97", "\xff\xfe", "\033O", "\033[\033[A", "\xc0\x80"}) {
    for (const Key& key : KeysOf(bytes)) {
      for (const char c : key.text) {
        EXPECT_TRUE(key.kind != Key::kText ||
                    static_cast<unsigned char>(c) >= 32);
      }
    }
  }
  std::string numbers = "\033[";
  numbers.append(100000, '1');
  EXPECT_FALSE(KeysOf(numbers + "~").empty());
}

TEST(Keys, PasteIsOneKeyWithItsLines) {
  const auto keys = KeysOf("\033[200~a\r\nb\rc\td\033[Ae\033[201~\r");
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0].kind, Key::kPaste);
  EXPECT_EQ(keys[0].text, "a\nb\nc\td[Ae");
  EXPECT_EQ(keys[1].kind, Key::kEnter);
}

TEST(LineLayout, RowsAreCutAtTheLastColumn) {
  LineBuffer line;
  line.Set("abc\u65e5\u65e5\nx\ty");
  const LineLayout layout = LayOut(line, "> ", ". ", 6);
  // 2 + 3 cells, then a wide character that does not fit into one cell.
  EXPECT_EQ(layout.rows, (std::vector<std::string>{"> abc", "\u65e5\u65e5",
                                                   ". x", "    y"}));
  EXPECT_EQ(layout.cursor_row, 3u);
  EXPECT_EQ(layout.cursor_column, 5u);
}

TEST(LineLayout, ACursorBehindAFullRowIsOnTheNext) {
  LineBuffer line;
  line.Set("abcd");
  const LineLayout layout = LayOut(line, "> ", ". ", 6);
  EXPECT_EQ(layout.rows, (std::vector<std::string>{"> abcd", ""}));
  EXPECT_EQ(layout.cursor_row, 1u);
  EXPECT_EQ(layout.cursor_column, 0u);
}

struct Said {
  std::string reasoning, answer;
  bool operator==(const Said&) const = default;
};

Said Split(std::string_view prompt, std::string_view text, size_t piece) {
  ThinkSplitter splitter(prompt);
  Said said;
  const auto take = [&](const ThinkSplitter::Parts& parts) {
    said.reasoning += parts.reasoning;
    said.answer += parts.answer;
  };
  for (size_t at = 0; at < text.size(); at += piece) {
    take(splitter.Push(text.substr(at, piece)));
  }
  take(splitter.Finish());
  return said;
}

TEST(ThinkSplitter, PartsReasoningFromAnswersHoweverTheTextIsCut) {
  struct Case {
    const char* prompt;
    const char* text;
    Said said;
  };
  for (const Case& c : {
           Case{"user", "Hello", {"", "Hello"}},
           Case{"user", " <b>x</b>", {"", " <b>x</b>"}},
           Case{"user", "<think>why</think>\n\nso", {"why", "so"}},
           Case{"user",
                "\n<think>\na < b\n</think>so </think>",
                {"\na < b\n", "so </think>"}},
           Case{"user", "so <think>x</think>", {"", "so <think>x</think>"}},
           Case{"user", "<think>never en", {"never en", ""}},
           Case{"user", "<think>x</thi", {"x</thi", ""}},
           Case{"user", "<thi", {"", "<thi"}},
           Case{"assistant\n<think>\n", "why</think>so", {"why", "so"}},
           Case{"<think>\n\n</think>\n\n", "so", {"", "so"}},
           Case{"user", "", {"", ""}},
       }) {
    for (const size_t piece : {1, 2, 3, 100}) {
      EXPECT_EQ(Split(c.prompt, c.text, piece), c.said)
          << c.text << " in pieces of " << piece;
    }
  }
}

// RFC 4648, section 10.
TEST(Clipboard, IsBase64InAControlSequence) {
  for (const auto& [text, base64] :
       {std::pair{"", ""}, std::pair{"f", "Zg=="}, std::pair{"fo", "Zm8="},
        std::pair{"foo", "Zm9v"}, std::pair{"foob", "Zm9vYg=="},
        std::pair{"fooba", "Zm9vYmE="}, std::pair{"foobar", "Zm9vYmFy"},
        std::pair{"\xff\xfe", "//4="}, std::pair{"\xfb\xef\xbe", "++++"}}) {
    const auto sequence = ClipboardSequence(text);
    ASSERT_TRUE(sequence.ok());
    EXPECT_EQ(*sequence, std::string("\033]52;c;") + base64 + "\a");
  }
  EXPECT_EQ(ClipboardSequence(std::string(74994, 'x'))->size(), 100000u);
  const auto refused = ClipboardSequence(std::string(74995, 'x'));
  EXPECT_EQ(refused.status().message(),
            "the text has 74995 bytes, terminals take 74994");
}

TEST(PromptProgress, ShowsAfterTwoSecondsAndGoes) {
  PromptProgress progress(100);
  EXPECT_EQ(progress.Step(512, 2000, 101.9), "");
  EXPECT_EQ(progress.Clear(), "");
  EXPECT_EQ(progress.Step(1024, 2000, 102), "\rreading the prompt: 51 %");
  EXPECT_EQ(progress.Step(2000, 2000, 104), "\rreading the prompt: 100 %");
  EXPECT_EQ(progress.Clear(), "\r" + std::string(25, ' ') + "\r");
  EXPECT_EQ(progress.Clear(), "");
  EXPECT_EQ(progress.Step(0, 0, 103), "\rreading the prompt: 0 %");
}

TEST(ThinkSplitter, WithoutThoughtIsWhatAReaderWants) {
  for (const auto& [answer, want] :
       {std::pair{"Hello", "Hello"}, std::pair{"", ""},
        std::pair{"<think>a</think>\n\nb", "b"},
        std::pair{"a</think>\n\nb", "b"}, std::pair{"<think>a", ""},
        std::pair{"</think>b</think>", "b</think>"}}) {
    EXPECT_EQ(WithoutThought(answer), want) << answer;
  }
}

}  // namespace
}  // namespace slm
