// SPDX-License-Identifier: MIT
#include "runtime/text/template_strings.h"

#include <algorithm>
#include <iterator>

#include "runtime/core/utf8.h"
#include "utf8proc.h"

namespace slm::jinja {
namespace {

struct SpecialCase {
  uint16_t code;
  uint16_t upper[3];
  uint16_t title[3];
};

constexpr SpecialCase kSpecialCases[] = {
#include "runtime/text/case_special.inc"
};

const SpecialCase* FindSpecialCase(uint32_t code) {
  const auto* found = std::lower_bound(
      std::begin(kSpecialCases), std::end(kSpecialCases), code,
      [](const SpecialCase& row, uint32_t c) { return row.code < c; });
  return found != std::end(kSpecialCases) && found->code == code ? found
                                                                 : nullptr;
}

void AppendCodes(const uint16_t (&codes)[3], std::string* out) {
  for (uint16_t code : codes) {
    if (code) AppendUtf8(code, out);
  }
}

utf8proc_category_t Category(uint32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

// Numeric characters outside of category Nd whose Numeric_Type is Digit:
// superscripts, subscripts, circled and other enclosed digits (UnicodeData).
bool IsSpecialDigit(uint32_t c) {
  constexpr uint32_t kRanges[][2] = {
      {0xB2, 0xB3},       {0xB9, 0xB9},       {0x1369, 0x1371},
      {0x19DA, 0x19DA},   {0x2070, 0x2070},   {0x2074, 0x2079},
      {0x2080, 0x2089},   {0x2460, 0x2468},   {0x2474, 0x247C},
      {0x2488, 0x2490},   {0x24EA, 0x24EA},   {0x24F5, 0x24FD},
      {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},
      {0x278A, 0x2792},   {0x10A40, 0x10A43}, {0x10E60, 0x10E68},
      {0x11052, 0x1105A}, {0x1F100, 0x1F10A}};
  return std::any_of(
      std::begin(kRanges), std::end(kRanges),
      [c](const uint32_t(&r)[2]) { return c >= r[0] && c <= r[1]; });
}

}  // namespace

bool IsSpace(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 ||
         c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool IsAlpha(uint32_t code) {
  const utf8proc_category_t c = Category(code);
  return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool IsDecimal(uint32_t code) { return Category(code) == UTF8PROC_CATEGORY_ND; }

bool IsDigit(uint32_t code) { return IsDecimal(code) || IsSpecialDigit(code); }

bool IsNumeric(uint32_t code) {
  const utf8proc_category_t c = Category(code);
  return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL ||
         c == UTF8PROC_CATEGORY_NO;
}

bool IsPrintable(uint32_t code) {
  if (code == ' ') return true;
  switch (Category(code)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
      return false;
    default:
      return true;
  }
}

bool IsUpper(uint32_t code) { return Category(code) == UTF8PROC_CATEGORY_LU; }
bool IsLower(uint32_t code) {
  // Other_Lowercase besides Ll: the ordinal indicators.
  return Category(code) == UTF8PROC_CATEGORY_LL || code == 0xAA || code == 0xBA;
}
bool IsTitle(uint32_t code) { return Category(code) == UTF8PROC_CATEGORY_LT; }
bool IsCased(uint32_t code) {
  return IsUpper(code) || IsLower(code) || IsTitle(code);
}

void AppendUpper(uint32_t code, std::string* out) {
  if (const SpecialCase* row = FindSpecialCase(code)) {
    AppendCodes(row->upper, out);
  } else {
    AppendUtf8(static_cast<uint32_t>(
                   utf8proc_toupper(static_cast<utf8proc_int32_t>(code))),
               out);
  }
}

void AppendLower(uint32_t code, std::string* out) {
  if (code == 0x130) {  // the only one: I with a dot above
    *out += "i\xCC\x87";
    return;
  }
  AppendUtf8(static_cast<uint32_t>(
                 utf8proc_tolower(static_cast<utf8proc_int32_t>(code))),
             out);
}

void AppendTitle(uint32_t code, std::string* out) {
  if (const SpecialCase* row = FindSpecialCase(code)) {
    AppendCodes(row->title, out);
  } else {
    AppendUtf8(static_cast<uint32_t>(
                   utf8proc_totitle(static_cast<utf8proc_int32_t>(code))),
               out);
  }
}

void AppendFolded(uint32_t code, std::string* out) {
  utf8proc_int32_t folded[4];
  int boundary = 0;
  const utf8proc_ssize_t n =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), folded, 4,
                              UTF8PROC_CASEFOLD, &boundary);
  if (n < 0 || n > 4) {
    AppendUtf8(code, out);
    return;
  }
  for (utf8proc_ssize_t i = 0; i < n; ++i) {
    AppendUtf8(static_cast<uint32_t>(folded[i]), out);
  }
}

size_t CountChars(std::string_view text) {
  size_t count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

size_t ByteOfChar(std::string_view text, size_t index) {
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;
    if (index-- == 0) return i;
  }
  return text.size();
}

TextSpan StripRange(std::string_view text, const std::string_view* chars,
                    bool left, bool right) {
  const auto in_set = [chars](std::string_view c) {
    return chars ? chars->find(c) != chars->npos : IsSpace(DecodeUtf8(c).code);
  };
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    const size_t size = DecodeUtf8(text.substr(begin)).size;
    if (!in_set(text.substr(begin, size))) break;
    begin += size;
  }
  while (right && end > begin) {
    size_t start = end - 1;
    while (start > begin &&
           (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) {
      --start;
    }
    if (!in_set(text.substr(start, end - start))) break;
    end = start;
  }
  return {begin, end};
}

void StringBuilder::Mark(size_t begin, size_t end) {
  if (begin == end) return;
  if (!marks_.empty() && marks_.back().end == begin) {
    marks_.back().end = end;
  } else {
    marks_.push_back({begin, end});
  }
}

void StringBuilder::Append(std::string_view text, bool marked) {
  text_ += text;
  if (marked) Mark(text_.size() - text.size(), text_.size());
}

void StringBuilder::Append(const StringObject& from, size_t begin, size_t end) {
  const size_t base = text_.size();
  text_.append(from.text, begin, end - begin);
  auto mark = std::partition_point(
      from.marks.begin(), from.marks.end(),
      [begin](const TextSpan& m) { return m.end <= begin; });
  for (; mark != from.marks.end() && mark->begin < end; ++mark) {
    Mark(base + std::max(mark->begin, begin) - begin,
         base + std::min(mark->end, end) - begin);
  }
}

Value StringBuilder::Take(bool markup) {
  auto* object = new StringObject;
  object->text = std::move(text_);
  object->marks = std::move(marks_);
  object->markup = markup;
  text_.clear();
  marks_.clear();
  return Value::Of(Value::Type::kString, object);
}

bool IsMarked(const StringObject& from, size_t begin, size_t end) {
  const auto mark = std::partition_point(
      from.marks.begin(), from.marks.end(),
      [begin](const TextSpan& m) { return m.end <= begin; });
  return mark != from.marks.end() && mark->begin < end;
}

Value Substring(const StringObject& from, size_t begin, size_t end) {
  StringBuilder builder;
  builder.Append(from, begin, end);
  return builder.Take(from.markup);
}

Value Derived(std::string text, bool marked, bool markup) {
  StringBuilder builder;
  builder.Append(text, marked);
  return builder.Take(markup);
}

}  // namespace slm::jinja
