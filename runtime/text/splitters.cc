// SPDX-License-Identifier: MIT
#include "runtime/text/splitters.h"

#include <iterator>

#include "runtime/text/unicode.h"

namespace slm::text {

const char kGpt2Expression[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

constexpr char kQwen2Expression[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kLlama3Expression[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kO200kExpression[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Classes of one character, as bits.
enum : uint8_t {
  kIsLetter = 1,
  kIsNumber = 2,
  kIsSpace = 4,
  kIsNewline = 8,    // \r or \n; also a space
  kIsUpperish = 16,  // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
  kIsLowerish = 32,  // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
};

constexpr uint32_t kUpperish =
    Bit(kLu) | Bit(kLt) | Bit(kLm) | Bit(kLo) | kMarks;
constexpr uint32_t kLowerish = Bit(kLl) | Bit(kLm) | Bit(kLo) | kMarks;

uint8_t ClassOfCode(uint32_t code) {
  const uint16_t p = PropertiesOf(code);
  const uint32_t bit = uint32_t{1} << (p & 31);
  return static_cast<uint8_t>(((bit & kLetters) != 0 ? kIsLetter : 0) |
                              ((bit & kNumbers) != 0 ? kIsNumber : 0) |
                              ((p & kSpace) != 0 ? kIsSpace : 0) |
                              (code == '\r' || code == '\n' ? kIsNewline : 0) |
                              ((bit & kUpperish) != 0 ? kIsUpperish : 0) |
                              ((bit & kLowerish) != 0 ? kIsLowerish : 0));
}

struct AsciiClasses {
  uint8_t of[128];
};
constexpr AsciiClasses MakeAsciiClasses() {
  AsciiClasses classes{};
  for (int c = 0; c < 128; ++c) {
    uint8_t k = 0;
    if (c >= 'A' && c <= 'Z') k = kIsLetter | kIsUpperish;
    if (c >= 'a' && c <= 'z') k = kIsLetter | kIsLowerish;
    if (c >= '0' && c <= '9') k = kIsNumber;
    if (c == ' ' || (c >= 9 && c <= 13)) k = kIsSpace;
    if (c == '\r' || c == '\n') k = kIsSpace | kIsNewline;
    classes.of[c] = k;
  }
  return classes;
}
constexpr AsciiClasses kAscii = MakeAsciiClasses();

// Reads a text character by character.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  size_t size() const { return text_.size(); }
  char Byte(size_t at) const { return text_[at]; }

  // Class and end of the character at `at`, which is inside the text.
  uint8_t ClassAt(size_t at, size_t* end) const {
    const auto byte = static_cast<uint8_t>(text_[at]);
    if (byte < 0x80) {
      *end = at + 1;
      return kAscii.of[byte];
    }
    uint32_t size;
    const uint32_t code = CodeAt(text_, at, &size);
    *end = at + size;
    return ClassOfCode(code);
  }
  // Class at `at`, 0xFF at the end of the text.
  uint8_t Peek(size_t at) const {
    size_t end;
    return at < text_.size() ? ClassAt(at, &end) : uint8_t{0xFF};
  }
  // End of the run from `at` of characters that have a bit of `want`.
  size_t SkipWith(size_t at, uint8_t want) const {
    size_t end;
    while (at < text_.size() && (ClassAt(at, &end) & want) != 0) at = end;
    return at;
  }
  // End of the run of characters that have no bit of `avoid`.
  size_t SkipWithout(size_t at, uint8_t avoid) const {
    size_t end;
    while (at < text_.size() && (ClassAt(at, &end) & avoid) == 0) at = end;
    return at;
  }
  size_t SkipNewlines(size_t at, bool slash) const {
    while (at < text_.size() && (text_[at] == '\r' || text_[at] == '\n' ||
                                 (slash && text_[at] == '/'))) {
      ++at;
    }
    return at;
  }

  // End of 's|'t|'re|'ve|'m|'ll|'d at `at`, or `at`. Ignoring case, the long
  // s (U+017F) counts as an s.
  size_t SkipContraction(size_t at, bool ignore_case) const {
    if (at + 1 >= text_.size() || text_[at] != '\'') return at;
    const auto lower = [&](size_t i) {
      if (i >= text_.size()) return '\0';
      const char c = text_[i];
      return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32)
                                                 : c;
    };
    const char first = lower(at + 1), second = lower(at + 2);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') {
      return at + 2;
    }
    if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
        (first == 'l' && second == 'l')) {
      return at + 3;
    }
    const bool long_s = ignore_case && text_.substr(at + 1, 2) == "\xC5\xBF";
    return long_s ? at + 3 : at;
  }

  // \s+(?!\S)|\s+ from a space at `at`: a run of spaces before something else
  // leaves its last one to that.
  size_t SkipSpaces(size_t at) const {
    size_t last = at, end = at;
    while (end < text_.size()) {
      size_t next;
      if ((ClassAt(end, &next) & kIsSpace) == 0) break;
      last = end;
      end = next;
    }
    return end == text_.size() || last == at ? end : last;
  }

  // \s*[\r\n]+ from a space at `at`: up to the last newline of the run, or
  // `at` if the run has none.
  size_t SkipToLastNewline(size_t at) const {
    size_t found = at;
    for (size_t i = at; i < text_.size();) {
      size_t next;
      const uint8_t c = ClassAt(i, &next);
      if ((c & kIsSpace) == 0) break;
      if ((c & kIsNewline) != 0) found = next;
      i = next;
    }
    return found;
  }

 private:
  std::string_view text_;
};

size_t NextGpt2(const Reader& r, size_t at) {
  const size_t contraction = r.SkipContraction(at, /*ignore_case=*/false);
  if (contraction != at) return contraction;
  const size_t body = at + (r.Byte(at) == ' ' ? 1 : 0);
  const uint8_t c = r.Peek(body);
  if (c != 0xFF) {
    if ((c & kIsLetter) != 0) return r.SkipWith(body, kIsLetter);
    if ((c & kIsNumber) != 0) return r.SkipWith(body, kIsNumber);
    if ((c & kIsSpace) == 0) {
      return r.SkipWithout(body, kIsLetter | kIsNumber | kIsSpace);
    }
  }
  return r.SkipSpaces(at);
}

size_t SkipNumbers(const Reader& r, size_t at, int most) {
  size_t end = at;
  for (int i = 0; i < most && end < r.size(); ++i) {
    size_t next;
    if ((r.ClassAt(end, &next) & kIsNumber) == 0) break;
    end = next;
  }
  return end;
}

// The last three alternatives, and ` ?[^\s\p{L}\p{N}]+[\r\n]*` before them.
size_t NextSymbolsOrSpaces(const Reader& r, size_t at, bool slash) {
  const size_t body = at + (r.Byte(at) == ' ' ? 1 : 0);
  const uint8_t c = r.Peek(body);
  if (c != 0xFF && (c & (kIsLetter | kIsNumber | kIsSpace)) == 0) {
    const size_t end = r.SkipWithout(body, kIsLetter | kIsNumber | kIsSpace);
    return r.SkipNewlines(end, slash);
  }
  const size_t newline = r.SkipToLastNewline(at);
  return newline != at ? newline : r.SkipSpaces(at);
}

// Qwen2's and Llama 3's differ in how many digits stand together.
size_t NextWithDigits(const Reader& r, size_t at, int digits) {
  const size_t contraction = r.SkipContraction(at, /*ignore_case=*/true);
  if (contraction != at) return contraction;
  size_t next;
  const uint8_t c = r.ClassAt(at, &next);
  if ((c & kIsLetter) != 0) return r.SkipWith(next, kIsLetter);
  if ((c & (kIsNewline | kIsNumber)) == 0) {
    const uint8_t after = r.Peek(next);
    if (after != 0xFF && (after & kIsLetter) != 0) {
      return r.SkipWith(next, kIsLetter);
    }
  }
  if ((c & kIsNumber) != 0) return SkipNumbers(r, at, digits);
  return NextSymbolsOrSpaces(r, at, /*slash=*/false);
}

size_t NextQwen2(const Reader& r, size_t at) {
  return NextWithDigits(r, at, 1);
}

size_t NextLlama3(const Reader& r, size_t at) {
  return NextWithDigits(r, at, 3);
}

// A word from `at`: upper* lower+ if there is one, else upper+ lower*. What is
// both (Lm, Lo, M) is taken greedily by the first part, which gives back.
// Returns `at` if there is no word.
size_t SkipCasedWord(const Reader& r, size_t at) {
  const size_t upper_end = r.SkipWith(at, kIsUpperish);
  const size_t lower_end = r.SkipWith(upper_end, kIsLowerish);
  if (lower_end > upper_end) return lower_end;
  // No lower-case letter follows: end after the last character of the run
  // that may count as one, or take the run whole.
  size_t both_end = at;
  for (size_t i = at; i < upper_end;) {
    size_t next;
    if ((r.ClassAt(i, &next) & kIsLowerish) != 0) both_end = next;
    i = next;
  }
  return both_end > at ? both_end : upper_end;
}

size_t NextO200k(const Reader& r, size_t at) {
  size_t next;
  const uint8_t c = r.ClassAt(at, &next);
  // [^\r\n\p{L}\p{N}]? is greedy: first with that character, then without.
  // Marks can be both that character and part of the word.
  const bool may_lead = (c & (kIsNewline | kIsLetter | kIsNumber)) == 0;
  size_t end = at;
  if (may_lead) {
    const size_t word = SkipCasedWord(r, next);
    // The first alternative needs a lower-case letter, and is tried without
    // the leading character before the second one is tried at all.
    const auto ends_lower = [&](size_t from, size_t to) {
      size_t i = from;
      uint8_t last = 0;
      while (i < to) last = r.ClassAt(i, &i);
      return to > from && (last & kIsLowerish) != 0;
    };
    if (ends_lower(next, word)) {
      end = word;
    } else if (const size_t own = SkipCasedWord(r, at); ends_lower(at, own)) {
      end = own;
    } else {
      end = word > next ? word : own;
    }
  } else if ((c & kIsLetter) != 0) {
    end = SkipCasedWord(r, at);
  }
  if (end > at) return r.SkipContraction(end, /*ignore_case=*/true);
  if ((c & kIsNumber) != 0) return SkipNumbers(r, at, 3);
  return NextSymbolsOrSpaces(r, at, /*slash=*/true);
}

template <size_t (*Next)(const Reader&, size_t)>
void SplitWith(std::string_view text, std::vector<TextSpan>* matches) {
  const Reader reader(text);
  for (size_t at = 0; at < text.size();) {
    const size_t end = Next(reader, at);
    matches->push_back({at, end});
    at = end;
  }
}

constexpr KnownExpression kKnown[] = {
    {kGpt2Expression, SplitWith<NextGpt2>},
    {kQwen2Expression, SplitWith<NextQwen2>},
    {kLlama3Expression, SplitWith<NextLlama3>},
    {kO200kExpression, SplitWith<NextO200k>},
};

}  // namespace

Splitter FindSplitter(std::string_view expression) {
  for (const KnownExpression& known : kKnown) {
    if (expression == known.expression) return known.splitter;
  }
  return nullptr;
}

size_t KnownExpressionCount() { return std::size(kKnown); }
const KnownExpression& KnownExpressionAt(size_t i) { return kKnown[i]; }

}  // namespace slm::text
