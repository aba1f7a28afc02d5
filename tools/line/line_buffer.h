// SPDX-License-Identifier: MIT
// The text that is being typed, with a cursor that stands between graphemes.
#ifndef SLM_TOOLS_LINE_LINE_BUFFER_H_
#define SLM_TOOLS_LINE_LINE_BUFFER_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace slm {

class LineBuffer {
 public:
  const std::string& text() const { return text_; }
  size_t cursor() const { return cursor_; }
  bool AtEnd() const { return cursor_ == text_.size(); }

  // The cursor goes to its end.
  void Set(std::string text);
  void Insert(std::string_view text);

  void Left();
  void Right();
  void WordLeft() { cursor_ = WordBefore(); }
  void WordRight() { cursor_ = WordAfter(); }
  void LineBegin() { cursor_ = BeginOfLine(); }
  void LineEnd() { cursor_ = EndOfLine(); }
  // To the same column of the line above or below; false if there is none.
  bool Up();
  bool Down();

  // What these remove, but for single graphemes, Yank brings back.
  void Backspace();
  void Delete();
  void KillToEnd();
  void KillToBegin();
  void KillBlanksAndWord();  // back to a blank, as Ctrl-W of a shell
  void KillWordBefore() { Kill(WordBefore(), cursor_); }
  void KillWordAfter() { Kill(cursor_, WordAfter()); }
  void Yank() { Insert(killed_); }

 private:
  size_t BeginOfLine() const;
  size_t EndOfLine() const;
  size_t WordBefore() const;
  size_t WordAfter() const;
  size_t After(size_t at) const;
  void Kill(size_t begin, size_t end);
  // The cursor to the column of cells in the line that begins there.
  void GoTo(size_t line_begin, size_t column);

  std::string text_;
  size_t cursor_ = 0;
  std::string killed_;
};

// Where the text and its cursor are on a screen of so many columns.
struct LineLayout {
  std::vector<std::string> rows;  // ready to write
  size_t cursor_row = 0, cursor_column = 0;
};
// `first` stands before the first line of the text, `next` before others.
LineLayout LayOut(const LineBuffer& line, std::string_view first,
                  std::string_view next, size_t columns);

}  // namespace slm

#endif  // SLM_TOOLS_LINE_LINE_BUFFER_H_
