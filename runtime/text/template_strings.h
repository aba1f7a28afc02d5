// SPDX-License-Identifier: MIT
// Text of the template engine: Python's view of characters on UTF-8, and
// building strings that remember which bytes a user typed.
#ifndef SLM_RUNTIME_TEXT_TEMPLATE_STRINGS_H_
#define SLM_RUNTIME_TEXT_TEMPLATE_STRINGS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/value.h"

namespace slm::jinja {

// str.isspace() of one character.
bool IsSpace(uint32_t code);
// str.isalpha(), isdigit(), isdecimal(), isnumeric() of one character.
bool IsAlpha(uint32_t code);
bool IsDecimal(uint32_t code);
bool IsDigit(uint32_t code);
bool IsNumeric(uint32_t code);
// False where repr() escapes the character.
bool IsPrintable(uint32_t code);
bool IsUpper(uint32_t code);
bool IsLower(uint32_t code);
bool IsTitle(uint32_t code);
bool IsCased(uint32_t code);

// Appends the full case mapping (one character may become three).
void AppendUpper(uint32_t code, std::string* out);
void AppendLower(uint32_t code, std::string* out);
void AppendTitle(uint32_t code, std::string* out);
void AppendFolded(uint32_t code, std::string* out);

// Number of characters.
size_t CountChars(std::string_view text);
// Byte offset of character `index` (at most text.size()).
size_t ByteOfChar(std::string_view text, size_t index);

// [begin, end) of what is left without the leading and/or trailing characters
// that are in `chars`, or white space if that is null.
TextSpan StripRange(std::string_view text, const std::string_view* chars,
                    bool left, bool right);

// Builds a string from pieces and keeps the marks of user text exact.
class StringBuilder {
 public:
  size_t size() const { return text_.size(); }
  const std::string& text() const { return text_; }
  // Text of the template.
  void Append(std::string_view text) { text_ += text; }
  // Text that a user typed if `marked`.
  void Append(std::string_view text, bool marked);
  void Append(const StringObject& from) { Append(from, 0, from.text.size()); }
  void Append(const StringObject& from, size_t begin, size_t end);
  // Moves on; the builder is empty then.
  Value Take(bool markup = false);
  std::string TakeText() { return std::move(text_); }
  std::vector<TextSpan> TakeMarks() { return std::move(marks_); }

 private:
  void Mark(size_t begin, size_t end);
  std::string text_;
  std::vector<TextSpan> marks_;
};

// Does any mark of `from` overlap [begin, end)? An empty range has none.
bool IsMarked(const StringObject& from, size_t begin, size_t end);

// Bytes [begin, end) of `from` as a string with its marks and markup.
Value Substring(const StringObject& from, size_t begin, size_t end);

// A string with the text and whole-string mark (exact positions are lost).
Value Derived(std::string text, bool marked, bool markup = false);

}  // namespace slm::jinja

#endif  // SLM_RUNTIME_TEXT_TEMPLATE_STRINGS_H_
