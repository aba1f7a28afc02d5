// SPDX-License-Identifier: MIT
#include "tools/line/line_buffer.h"

#include <algorithm>

#include "runtime/core/utf8.h"
#include "runtime/text/unicode.h"
#include "runtime/text/width.h"

namespace slm {
namespace {

constexpr std::string_view kTab = "    ";

// Letters and digits of any script, and what joins them. A Chinese sentence is
// one word: there is no dictionary here.
bool InWord(std::string_view text, size_t at) {
  uint32_t size;
  return text::CategoryIn(
      text::CodeAt(text, at, &size),
      text::kLetters | text::kMarks | text::kNumbers | text::Bit(text::kPc));
}

bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\t'; }

// What a grapheme looks like and how many cells it takes.
std::string_view Shown(std::string_view grapheme, size_t* width) {
  if (grapheme == "\t") grapheme = kTab;
  *width = grapheme == kTab ? kTab.size() : text::GraphemeWidth(grapheme);
  return grapheme;
}

}  // namespace

void LineBuffer::Set(std::string text) {
  text_ = std::move(text);
  cursor_ = text_.size();
}

void LineBuffer::Insert(std::string_view text) {
  text_.insert(cursor_, text);
  cursor_ += text.size();
  // What was inserted may have joined what follows: é from e and an accent.
  if (!AtEnd() && cursor_ > 0) {
    const size_t end = After(text::GraphemeBefore(text_, cursor_));
    cursor_ = std::max(cursor_, end);
  }
}

size_t LineBuffer::After(size_t at) const {
  if (at >= text_.size()) return text_.size();
  return at + text::GraphemeSize(std::string_view(text_).substr(at));
}

void LineBuffer::Left() { cursor_ = text::GraphemeBefore(text_, cursor_); }
void LineBuffer::Right() { cursor_ = After(cursor_); }

size_t LineBuffer::BeginOfLine() const {
  if (cursor_ == 0) return 0;
  const size_t newline = text_.rfind('\n', cursor_ - 1);
  return newline == std::string::npos ? 0 : newline + 1;
}

size_t LineBuffer::EndOfLine() const {
  return std::min(text_.find('\n', cursor_), text_.size());
}

size_t LineBuffer::WordBefore() const {
  size_t at = cursor_;
  for (const bool in_word : {false, true}) {
    while (at > 0) {
      const size_t before = text::GraphemeBefore(text_, at);
      if (InWord(text_, before) != in_word) break;
      at = before;
    }
  }
  return at;
}

size_t LineBuffer::WordAfter() const {
  size_t at = cursor_;
  for (const bool in_word : {false, true}) {
    while (at < text_.size() && InWord(text_, at) == in_word) at = After(at);
  }
  return at;
}

void LineBuffer::GoTo(size_t line_begin, size_t column) {
  size_t cells = 0;
  cursor_ = line_begin;
  while (!AtEnd() && text_[cursor_] != '\n') {
    size_t width;
    const size_t end = After(cursor_);
    Shown(std::string_view(text_).substr(cursor_, end - cursor_), &width);
    if (cells + width > column) break;
    cells += width;
    cursor_ = end;
  }
}

bool LineBuffer::Up() {
  const size_t begin = BeginOfLine();
  if (begin == 0) return false;
  const size_t column =
      text::TextWidth(std::string_view(text_).substr(begin, cursor_ - begin));
  cursor_ = begin - 1;
  GoTo(BeginOfLine(), column);
  return true;
}

bool LineBuffer::Down() {
  const size_t begin = BeginOfLine(), end = EndOfLine();
  if (end == text_.size()) return false;
  GoTo(end + 1,
       text::TextWidth(std::string_view(text_).substr(begin, cursor_ - begin)));
  return true;
}

void LineBuffer::Backspace() {
  const size_t begin = text::GraphemeBefore(text_, cursor_);
  text_.erase(begin, cursor_ - begin);
  cursor_ = begin;
}

void LineBuffer::Delete() { text_.erase(cursor_, After(cursor_) - cursor_); }

void LineBuffer::Kill(size_t begin, size_t end) {
  if (begin == end) return;
  killed_ = text_.substr(begin, end - begin);
  text_.erase(begin, end - begin);
  cursor_ = begin;
}

void LineBuffer::KillToEnd() {
  const size_t end = EndOfLine();
  // At the end of a line it takes the newline, as in Emacs.
  Kill(cursor_, end == cursor_ && !AtEnd() ? end + 1 : end);
}

void LineBuffer::KillToBegin() { Kill(BeginOfLine(), cursor_); }

void LineBuffer::KillBlanksAndWord() {
  size_t at = cursor_;
  while (at > 0 && IsBlank(text_[at - 1])) --at;
  while (at > 0 && !IsBlank(text_[at - 1])) --at;
  Kill(at, cursor_);
}

LineLayout LayOut(const LineBuffer& line, std::string_view first,
                  std::string_view next, size_t columns) {
  LineLayout layout;
  columns = std::max<size_t>(columns, 4);
  layout.rows.emplace_back(first);
  size_t column = text::TextWidth(first);
  const std::string_view all = line.text();
  for (size_t at = 0;;) {
    if (column >= columns) {  // full: the cursor is on the next row
      layout.rows.emplace_back();
      column = 0;
    }
    if (at == line.cursor()) {
      layout.cursor_row = layout.rows.size() - 1;
      layout.cursor_column = column;
    }
    if (at >= all.size()) break;
    const size_t size = text::GraphemeSize(all.substr(at));
    const std::string_view grapheme = all.substr(at, size);
    at += size;
    if (grapheme == "\n") {
      layout.rows.emplace_back(next);
      column = text::TextWidth(next);
      continue;
    }
    size_t width;
    const std::string_view shown = Shown(grapheme, &width);
    if (column + width > columns) {
      layout.rows.emplace_back();
      // A wide character that does not fit takes the cursor along.
      if (at - size == line.cursor()) {
        layout.cursor_row = layout.rows.size() - 1;
        layout.cursor_column = 0;
      }
      column = 0;
    }
    layout.rows.back() += shown;
    column += width;
  }
  return layout;
}

}  // namespace slm
