// SPDX-License-Identifier: MIT
// Whether a text that comes byte by byte can still become a JSON value: an
// object or an array of RFC 8259, in UTF-8.
#ifndef SLM_RUNTIME_JSON_ACCEPTOR_H_
#define SLM_RUNTIME_JSON_ACCEPTOR_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace slm {

// A value, cheap to copy: a mask over a vocabulary tries it many thousand
// times. What it has taken can always be completed; there are no dead ends.
//
// Narrower than the RFC where a weak model would go on for ever or a reader
// would stumble:
//   - the value is an object or an array, nested at most kMostDepth deep;
//   - a run of white space has at most 4 + 4 * depth bytes, which is a line
//     end and an indent of four;
//   - \u escapes of surrogates come in pairs.
class JsonAcceptor {
 public:
  static constexpr size_t kMostDepth = 64;

  // False if no JSON value goes on like this; then nothing is taken.
  bool Take(uint8_t byte);
  // All bytes; false if one is refused, and what is before it is taken.
  bool Take(std::string_view bytes);

  // The value is complete; only a little white space may follow.
  bool complete() const { return at_ == At::kDone; }
  // In a string, between two characters, so that what is plain text goes on
  // wherever the string stands.
  bool in_string() const { return at_ == At::kString; }

  // In a string, as if its bytes so far were plain text.
  static JsonAcceptor InString();

 private:
  enum class At : uint8_t {
    kBegin,         // { or [
    kFirstKey,      // after {: a key or }
    kKey,           // after , in an object
    kColon,         // after a key
    kValue,         // after : or , in an array
    kFirstElement,  // after [: a value or ]
    kAfter,         // after a value: , or the end of what it is in
    kDone,
    kString,        // at a character or the closing quote
    kCharacter,     // within a character of UTF-8
    kEscape,        // after a backslash
    kHex,           // in the four digits after \u
    kLowBackslash,  // after a high surrogate: \u of its low one
    kLowU,
    kMinus,  // numbers
    kZero,
    kInteger,
    kPoint,
    kFraction,
    kExponent,
    kExponentSign,
    kExponentDigits,
    kWord,  // in true, false or null
  };

  bool TakeBlank();
  bool TakeStructure(char c);
  bool TakeValue(char c);
  bool TakeInString(uint8_t byte);
  bool TakeCharacter(uint8_t byte);
  bool TakeEscape(char c);
  bool TakeHex(char c);
  // Whether the byte is a part of the number; if not, *ended tells whether
  // the number may end before it.
  bool TakeDigit(char c, bool* ended);
  bool Open(bool object);
  bool Close(bool object);
  bool InObject() const { return depth_ > 0 && (objects_ & 1) != 0; }
  void EndValue();

  At at_ = At::kBegin;
  bool key_ = false;        // the string is a key
  bool wants_low_ = false;  // \u is that of a low surrogate
  uint8_t blanks_ = 0;      // white space in a row
  uint8_t depth_ = 0;
  uint8_t digits_ = 0;          // of \u, so far
  uint16_t code_ = 0;           // their value
  uint8_t rest_ = 0;            // bytes that the character lacks
  uint8_t low_ = 0, high_ = 0;  // what the next of them may be
  const char* word_ = nullptr;  // what it lacks
  uint64_t objects_ = 0;        // bit 0: the innermost is an object, and so on
};

}  // namespace slm

#endif  // SLM_RUNTIME_JSON_ACCEPTOR_H_
