// SPDX-License-Identifier: MIT
// UTF-8 as the Unicode standard defines it (no overlong forms, no surrogates).
#ifndef SLM_RUNTIME_CORE_UTF8_H_
#define SLM_RUNTIME_CORE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace slm {

struct Utf8Char {
  uint32_t code;  // U+FFFD if not valid
  uint32_t size;  // bytes consumed, at least 1 for a non-empty text
  bool valid;
};

// Decodes the first character of a non-empty text. Of an invalid sequence it
// consumes the maximal prefix that could begin a character (Unicode 3.9, U+FFFD
// substitution), so that replacing gives what Python's 'replace' gives.
Utf8Char DecodeUtf8(std::string_view text);

// Appends the UTF-8 form of a code point (not a surrogate).
void AppendUtf8(uint32_t code, std::string* out);

bool IsValidUtf8(std::string_view text);

// Invalid sequences become U+FFFD.
std::string ReplaceInvalidUtf8(std::string_view text);

// Number of bytes at the end of `text` that begin a character without
// completing it (0..3): what a stream must hold back.
size_t IncompleteUtf8Suffix(std::string_view text);

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_UTF8_H_
