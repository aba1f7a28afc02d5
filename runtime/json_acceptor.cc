// SPDX-License-Identifier: MIT
#include "runtime/json_acceptor.h"

namespace slm {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// -1 if it is none.
int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

JsonAcceptor JsonAcceptor::InString() {
  JsonAcceptor acceptor;
  acceptor.Take("[\"");
  return acceptor;
}

bool JsonAcceptor::Take(std::string_view bytes) {
  for (const char c : bytes) {
    if (!Take(static_cast<uint8_t>(c))) return false;
  }
  return true;
}

bool JsonAcceptor::Take(uint8_t byte) {
  const char c = static_cast<char>(byte);
  switch (at_) {
    case At::kString:
      return TakeInString(byte);
    case At::kCharacter:
      return TakeCharacter(byte);
    case At::kEscape:
      return TakeEscape(c);
    case At::kHex:
      return TakeHex(c);
    case At::kLowBackslash:
      if (c != '\\') return false;
      at_ = At::kLowU;
      return true;
    case At::kLowU:
      if (c != 'u') return false;
      wants_low_ = true;
      digits_ = 0;
      code_ = 0;
      at_ = At::kHex;
      return true;
    case At::kWord:
      if (c != *word_) return false;
      if (*++word_ == '\0') EndValue();
      return true;
    default:
      break;
  }
  if (at_ >= At::kMinus) {
    bool ended = false;
    if (TakeDigit(c, &ended)) return true;
    if (!ended) return false;
    // The number ends only if what follows it fits.
    JsonAcceptor after = *this;
    after.EndValue();
    if (!(IsBlank(c) ? after.TakeBlank() : after.TakeStructure(c))) {
      return false;
    }
    *this = after;
    return true;
  }
  return IsBlank(c) ? TakeBlank() : TakeStructure(c);
}

bool JsonAcceptor::TakeBlank() {
  if (blanks_ >= 4 + 4 * depth_) return false;
  ++blanks_;
  return true;
}

// A byte between values, keys and marks that is no white space.
bool JsonAcceptor::TakeStructure(char c) {
  switch (at_) {
    case At::kBegin:
      return (c == '{' || c == '[') && Open(c == '{');
    case At::kFirstKey:
      if (c == '}') return Close(true);
      [[fallthrough]];
    case At::kKey:
      if (c != '"') return false;
      key_ = true;
      at_ = At::kString;
      blanks_ = 0;
      return true;
    case At::kColon:
      if (c != ':') return false;
      at_ = At::kValue;
      blanks_ = 0;
      return true;
    case At::kFirstElement:
      if (c == ']') return Close(false);
      [[fallthrough]];
    case At::kValue:
      return TakeValue(c);
    case At::kAfter:
      if (c == '}' || c == ']') return Close(c == '}');
      if (c != ',') return false;
      at_ = InObject() ? At::kKey : At::kValue;
      blanks_ = 0;
      return true;
    default:
      return false;
  }
}

bool JsonAcceptor::TakeValue(char c) {
  switch (c) {
    case '{':
    case '[':
      return Open(c == '{');
    case '"':
      key_ = false;
      at_ = At::kString;
      break;
    case '-':
      at_ = At::kMinus;
      break;
    case '0':
      at_ = At::kZero;
      break;
    case 't':
      word_ = "rue";
      at_ = At::kWord;
      break;
    case 'f':
      word_ = "alse";
      at_ = At::kWord;
      break;
    case 'n':
      word_ = "ull";
      at_ = At::kWord;
      break;
    default:
      if (!IsDigit(c)) return false;
      at_ = At::kInteger;
      break;
  }
  blanks_ = 0;
  return true;
}

bool JsonAcceptor::TakeInString(uint8_t byte) {
  if (byte == '"') {
    if (key_) {
      at_ = At::kColon;
    } else {
      EndValue();
    }
    return true;
  }
  if (byte == '\\') {
    at_ = At::kEscape;
    return true;
  }
  if (byte < 0x20) return false;
  if (byte < 0x80) return true;
  // Table 3-7 of the Unicode standard: neither overlong forms nor surrogates
  // nor more than U+10FFFF.
  if (byte < 0xC2 || byte > 0xF4) return false;
  rest_ = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
  low_ = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
  high_ = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
  at_ = At::kCharacter;
  return true;
}

bool JsonAcceptor::TakeCharacter(uint8_t byte) {
  if (byte < low_ || byte > high_) return false;
  low_ = 0x80;
  high_ = 0xBF;
  if (--rest_ == 0) at_ = At::kString;
  return true;
}

bool JsonAcceptor::TakeEscape(char c) {
  if (c == 'u') {
    wants_low_ = false;
    digits_ = 0;
    code_ = 0;
    at_ = At::kHex;
    return true;
  }
  if (std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos) {
    return false;
  }
  at_ = At::kString;
  return true;
}

// D800..DBFF is the first half of a character, DC00..DFFF its second and
// nothing else: seen after two digits, so that no digits lead nowhere.
bool JsonAcceptor::TakeHex(char c) {
  const int digit = HexDigit(c);
  if (digit < 0) return false;
  const uint16_t code = static_cast<uint16_t>(code_ * 16 + digit);
  if (wants_low_ && digits_ == 0 && code != 0xD) return false;
  if (digits_ == 1) {
    const bool is_low = code >= 0xDC && code <= 0xDF;
    if (is_low != wants_low_) return false;
  }
  code_ = code;
  if (++digits_ < 4) return true;
  const bool is_high = code_ >= 0xD800 && code_ <= 0xDBFF;
  at_ = is_high ? At::kLowBackslash : At::kString;
  return true;
}

bool JsonAcceptor::TakeDigit(char c, bool* ended) {
  const bool digit = IsDigit(c);
  switch (at_) {
    case At::kMinus:
      if (!digit) return false;
      at_ = c == '0' ? At::kZero : At::kInteger;
      return true;
    case At::kInteger:
      if (digit) return true;
      [[fallthrough]];
    case At::kZero:
      *ended = true;
      if (c == '.') {
        at_ = At::kPoint;
      } else if (c == 'e' || c == 'E') {
        at_ = At::kExponent;
      } else {
        return false;
      }
      return true;
    case At::kPoint:
      if (!digit) return false;
      at_ = At::kFraction;
      return true;
    case At::kFraction:
      if (digit) return true;
      *ended = true;
      if (c != 'e' && c != 'E') return false;
      at_ = At::kExponent;
      return true;
    case At::kExponent:
      if (c == '+' || c == '-') {
        at_ = At::kExponentSign;
        return true;
      }
      [[fallthrough]];
    case At::kExponentSign:
      if (!digit) return false;
      at_ = At::kExponentDigits;
      return true;
    default:
      *ended = true;
      return digit;
  }
}

bool JsonAcceptor::Open(bool object) {
  if (depth_ == kMostDepth) return false;
  objects_ = objects_ << 1 | (object ? 1 : 0);
  ++depth_;
  at_ = object ? At::kFirstKey : At::kFirstElement;
  blanks_ = 0;
  return true;
}

bool JsonAcceptor::Close(bool object) {
  if (InObject() != object) return false;
  objects_ >>= 1;
  --depth_;
  EndValue();
  return true;
}

void JsonAcceptor::EndValue() {
  at_ = depth_ > 0 ? At::kAfter : At::kDone;
  blanks_ = 0;
}

}  // namespace slm
