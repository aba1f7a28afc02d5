// SPDX-License-Identifier: MIT
#include "runtime/text/template_error.h"

#include <algorithm>

#include "runtime/core/utf8.h"

namespace slm {
namespace {

// Of the line that is shown: templates may be one line of many kilobytes.
constexpr size_t kBefore = 48, kAfter = 48;

bool IsContinuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

size_t CountCharacters(std::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return !IsContinuation(c); }));
}

}  // namespace

Status ToStatus(const TemplateError& error, std::string_view name,
                std::string_view source) {
  const std::string label = Printable(name);
  const std::string what = Printable(error.message, 400);
  if (!error.has_offset) {
    return Error(ErrorKind::kInvalid, "%s: %s", label.c_str(), what.c_str());
  }
  const size_t at = std::min(error.offset, source.size());
  const std::string_view before = source.substr(0, at);
  const size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
  const size_t line_end = std::min(source.find('\n', at), source.size());
  const size_t line =
      1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  const size_t column = 1 + CountCharacters(before.substr(line_begin));
  size_t begin = at - line_begin > kBefore ? at - kBefore : line_begin;
  size_t end = std::min(line_end, at + kAfter);
  while (begin < at && IsContinuation(source[begin])) ++begin;
  while (end < line_end && IsContinuation(source[end])) ++end;
  const std::string shown = Printable(source.substr(begin, end - begin), 400);
  const size_t caret = CountCharacters(source.substr(begin, at - begin));
  return Error(ErrorKind::kInvalid, "%s line %zu, column %zu: %s\n  %s\n  %s^",
               label.c_str(), line, column, what.c_str(), shown.c_str(),
               std::string(caret, ' ').c_str());
}

}  // namespace slm
