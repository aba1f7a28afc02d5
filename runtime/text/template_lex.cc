// SPDX-License-Identifier: MIT
#include "runtime/text/template_lex.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "runtime/core/utf8.h"
#include "runtime/text/bigint.h"
#include "runtime/text/template_strings.h"

namespace slm::jinja {
namespace {

bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool IsDecimalDigit(char c) { return c >= '0' && c <= '9'; }

int HexValue(char c) {
  if (IsDecimalDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The two-byte operators come first: the longest match counts.
constexpr std::string_view kOperators[] = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

class Lexer {
 public:
  Lexer(std::string_view source, std::vector<Token>* tokens,
        TemplateError* error)
      : source_(source), tokens_(tokens), error_(error) {}

  bool Run() {
    while (at_ < source_.size()) {
      if (!Root()) return false;
    }
    Push(TokenType::kEnd, source_.size());
    return true;
  }

 private:
  bool Fail(size_t offset, std::string message) {
    error_->kind = "TemplateSyntaxError";
    error_->message = std::move(message);
    error_->offset = offset;
    error_->has_offset = true;
    return false;
  }
  Token& Push(TokenType type, size_t offset, std::string text = {}) {
    tokens_->push_back(
        {type, static_cast<uint32_t>(offset), std::move(text), Value()});
    return tokens_->back();
  }
  bool At(std::string_view what) const {
    return source_.compare(at_, what.size(), what) == 0;
  }
  char Peek(size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  void SkipSpace() {
    const std::string_view rest = source_.substr(at_);
    at_ += StripRange(rest, nullptr, /*left=*/true, /*right=*/false).begin;
  }

  // Where the next tag begins, npos if there is none.
  size_t FindTag() const {
    for (size_t i = at_;; ++i) {
      i = source_.find('{', i);
      if (i == source_.npos || i + 1 == source_.size()) return source_.npos;
      const char c = source_[i + 1];
      if (c == '{' || c == '%' || c == '#') return i;
    }
  }

  // The text before a tag, [at_, tag), as the sign after "{%" and lstrip_blocks
  // leave it.
  void PushData(size_t tag, char sign, bool is_variable) {
    std::string_view text = source_.substr(at_, tag - at_);
    if (sign == '-') {
      text = text.substr(0, StripRange(text, nullptr, false, true).end);
    } else if (sign != '+' && !is_variable) {
      const size_t line = text.rfind('\n') + 1;  // npos + 1 is 0
      const std::string_view blank = text.substr(line);
      if ((line > 0 || line_starting_) &&
          StripRange(blank, nullptr, true, false).begin == blank.size()) {
        text = text.substr(0, line);
      }
    }
    if (!text.empty()) Push(TokenType::kData, at_, std::string(text));
  }

  // After "%}" or "#}": one line end goes, too, unless "+%}"; all white space
  // after "-%}".
  void AfterEnd(char sign, bool trim) {
    if (sign == '-') {
      SkipSpace();
    } else if (sign != '+' && trim && Peek() == '\n') {
      ++at_;
    }
    line_starting_ = at_ > 0 && source_[at_ - 1] == '\n';
  }

  bool Root() {
    const size_t tag = FindTag();
    if (tag == source_.npos) {
      Push(TokenType::kData, at_, std::string(source_.substr(at_)));
      at_ = source_.size();
      return true;
    }
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    PushData(tag, sign, kind == '{');
    at_ = tag + 2;
    if (sign == '-' || sign == '+') ++at_;
    line_starting_ = false;
    if (kind == '#') return Comment(tag);
    if (kind == '%') {
      const size_t after_sign = at_;
      if (RawBegin()) return Raw(tag);
      at_ = after_sign;
    }
    Push(kind == '{' ? TokenType::kVariableBegin : TokenType::kBlockBegin, tag);
    return Inside(kind == '{' ? '}' : '%');
  }

  bool Comment(size_t tag) {
    const size_t end = source_.find("#}", at_);
    if (end == source_.npos) return Fail(tag, "Missing end of comment tag");
    const char sign = end > at_ ? source_[end - 1] : '\0';
    at_ = end + 2;
    AfterEnd(sign, /*trim=*/true);
    return true;
  }

  // "raw %}" after "{%".
  bool RawBegin() {
    SkipSpace();
    if (!At("raw")) return false;
    at_ += 3;
    SkipSpace();
    const bool strip = At("-%}");
    if (!strip && !At("%}")) return false;
    at_ += strip ? 3 : 2;
    AfterEnd(strip ? '-' : '\0', /*trim=*/false);
    return true;
  }

  bool Raw(size_t tag) {
    for (size_t i = at_; (i = source_.find("{%", i)) != source_.npos; ++i) {
      const size_t begin = at_;
      at_ = i + 2;
      const char sign = Peek();
      if (sign == '-' || sign == '+') ++at_;
      SkipSpace();
      if (At("endraw")) {
        at_ += 6;
        SkipSpace();
        const char end = Peek() == '-' || Peek() == '+' ? Peek() : '\0';
        if (end) ++at_;
        if (At("%}")) {
          const size_t after = at_ + 2;
          at_ = begin;
          PushData(i, sign, /*is_variable=*/false);
          at_ = after;
          AfterEnd(end, /*trim=*/true);
          return true;
        }
      }
      at_ = begin;
    }
    return Fail(tag, "Missing end of raw directive");
  }

  // Tokens up to "}}" or "%}"; `last` is the first character of that.
  bool Inside(char last) {
    brackets_.clear();
    const size_t begin = tokens_->back().offset;
    while (at_ < source_.size()) {
      if (brackets_.empty()) {
        const char sign = Peek();
        const bool has_sign = sign == '-' || (sign == '+' && last == '%');
        if (Peek(has_sign) == last && Peek(has_sign + 1) == '}') {
          Push(last == '}' ? TokenType::kVariableEnd : TokenType::kBlockEnd,
               at_);
          at_ += has_sign ? 3 : 2;
          AfterEnd(has_sign ? sign : '\0', /*trim=*/last == '%');
          return true;
        }
      }
      if (!One()) return false;
    }
    return Fail(begin, last == '}'
                           ? "unexpected end of template, expected 'end of "
                             "print statement'"
                           : "unexpected end of template, expected 'end of "
                             "statement block'");
  }

  bool One() {
    const size_t before = at_;
    SkipSpace();
    if (at_ != before) return true;
    const char c = Peek();
    if (IsDecimalDigit(c)) return Number();
    if (IsNameStart(c)) {
      while (at_ < source_.size() &&
             (IsNameStart(Peek()) || IsDecimalDigit(Peek()))) {
        ++at_;
      }
      Push(TokenType::kName, before,
           std::string(source_.substr(before, at_ - before)));
      return true;
    }
    if (c == '\'' || c == '"') return String(c);
    for (std::string_view op : kOperators) {
      if (At(op)) return Operator(op);
    }
    const uint32_t size = DecodeUtf8(source_.substr(at_)).size;
    return Fail(at_, "unexpected char '" +
                         std::string(source_.substr(at_, size)) + "'");
  }

  bool Operator(std::string_view op) {
    const char c = op[0];
    if (c == '(') brackets_ += ')';
    if (c == '[') brackets_ += ']';
    if (c == '{') brackets_ += '}';
    if (c == ')' || c == ']' || c == '}') {
      if (brackets_.empty()) {
        return Fail(at_, std::string("unexpected '") + c + "'");
      }
      if (brackets_.back() != c) {
        return Fail(at_, std::string("unexpected '") + c + "', expected '" +
                             brackets_.back() + "'");
      }
      brackets_.pop_back();
    }
    Push(TokenType::kOperator, at_, std::string(op));
    at_ += op.size();
    return true;
  }

  // Digits with single '_' between them are appended to *out.
  void Digits(std::string* out) {
    while (IsDecimalDigit(Peek()) ||
           (Peek() == '_' && IsDecimalDigit(Peek(1)))) {
      if (Peek() != '_') *out += Peek();
      ++at_;
    }
  }

  bool Number() {
    const size_t begin = at_;
    if (Peek() == '0') {
      const char c = static_cast<char>(Peek(1) | 0x20);
      const int base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
      if (base) return Prefixed(base);
    }
    std::string text;
    Digits(&text);
    bool is_float = false;
    if (Peek() == '.' && IsDecimalDigit(Peek(1))) {
      is_float = true;
      text += '.';
      ++at_;
      Digits(&text);
    }
    if ((Peek() | 0x20) == 'e') {
      const size_t sign = Peek(1) == '+' || Peek(1) == '-';
      if (IsDecimalDigit(Peek(1 + sign))) {
        is_float = true;
        text += source_.substr(at_, 1 + sign);
        at_ += 1 + sign;
        Digits(&text);
      }
    }
    if (is_float) {
      Push(TokenType::kFloat, begin).number =
          Value::Float(std::strtod(text.c_str(), nullptr));
      return true;
    }
    if (text.size() > 1 && text[0] == '0' &&
        text.find_first_not_of('0') != text.npos) {
      return Fail(begin, "a number must not begin with 0");
    }
    if (text.size() > 4300) return Fail(begin, "the number is too long");
    BigInt number;
    for (size_t end = text.size(); end > 0;) {
      const size_t start = end > 9 ? end - 9 : 0;
      number.digits.push_back(static_cast<uint32_t>(
          std::strtoul(text.substr(start, end - start).c_str(), nullptr, 10)));
      end = start;
    }
    while (!number.digits.empty() && !number.digits.back()) {
      number.digits.pop_back();
    }
    Push(TokenType::kInteger, begin).number = ValueOf(std::move(number));
    return true;
  }

  bool Prefixed(int base) {
    const size_t begin = at_;
    at_ += 2;
    uint64_t number = 0;
    bool any = false;
    for (;; ++at_) {
      const size_t skip = Peek() == '_';
      const int digit = HexValue(Peek(skip));
      if (digit < 0 || digit >= base) break;
      at_ += skip;
      any = true;
      if (number > std::numeric_limits<int64_t>::max() / 16) {
        return Fail(begin, "the number is too large");
      }
      number =
          number * static_cast<uint64_t>(base) + static_cast<uint64_t>(digit);
    }
    if (!any) return Fail(begin, "a number without digits");
    Push(TokenType::kInteger, begin).number =
        Value::Int(static_cast<int64_t>(number));
    return true;
  }

  bool String(char quote) {
    const size_t begin = at_++;
    std::string text;
    for (;;) {
      if (at_ >= source_.size()) {
        return Fail(begin, std::string("unexpected char '") + quote + "'");
      }
      const char c = source_[at_++];
      if (c == quote) break;
      if (c != '\\') {
        text += c;
      } else if (!Escape(begin, &text)) {
        return false;
      }
    }
    Push(TokenType::kString, begin, std::move(text));
    return true;
  }

  // After a backslash, as Python's unicode-escape has it.
  bool Escape(size_t string, std::string* out) {
    if (at_ >= source_.size()) return Fail(string, "the string has no end");
    const char c = source_[at_++];
    constexpr std::string_view kFrom = "\\'\"abfnrtv";
    constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t i = kFrom.find(c); i != kFrom.npos) {
      *out += kTo[i];
      return true;
    }
    if (c == '\n') return true;
    if (c >= '0' && c <= '7') {
      uint32_t code = static_cast<uint32_t>(c - '0');
      for (int i = 0; i < 2 && Peek() >= '0' && Peek() <= '7'; ++i) {
        code = code * 8 + static_cast<uint32_t>(source_[at_++] - '0');
      }
      AppendUtf8(code, out);
      return true;
    }
    const int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits) return HexEscape(string, digits, out);
    if (c == 'N') return Fail(at_ - 2, "the escape \\N{...} is not supported");
    *out += '\\';
    *out += c;
    return true;
  }

  bool HexEscape(size_t string, int digits, std::string* out) {
    uint32_t code = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const int digit = HexValue(Peek());
      if (digit < 0) return Fail(string, "truncated \\ escape in the string");
      code = code * 16 + static_cast<uint32_t>(digit);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      return Fail(string, "the string holds an escape that is no character");
    }
    AppendUtf8(code, out);
    return true;
  }

  std::string_view source_;
  std::vector<Token>* tokens_;
  TemplateError* error_;
  size_t at_ = 0;
  bool line_starting_ = true;
  std::string brackets_;  // that close what is open
};

}  // namespace

std::string Describe(const Token& token) {
  switch (token.type) {
    case TokenType::kData:
      return "template data / text";
    case TokenType::kVariableBegin:
      return "begin of print statement";
    case TokenType::kVariableEnd:
      return "end of print statement";
    case TokenType::kBlockBegin:
      return "begin of statement block";
    case TokenType::kBlockEnd:
      return "end of statement block";
    case TokenType::kString:
      return "string";
    case TokenType::kInteger:
      return "integer";
    case TokenType::kFloat:
      return "float";
    case TokenType::kEnd:
      return "end of template";
    default:
      return token.text;
  }
}

std::string NormalizeNewlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool Tokenize(std::string_view source, std::vector<Token>* tokens,
              TemplateError* error) {
  return Lexer(source, tokens, error).Run();
}

}  // namespace slm::jinja
