// SPDX-License-Identifier: MIT
// What tokenizers ask of characters. The properties are those of the reference
// library (unicode_tables.inc says which Unicode versions that means), normal
// forms are utf8proc's, kept to the characters that the reference knows.
#ifndef SLM_RUNTIME_TEXT_UNICODE_H_
#define SLM_RUNTIME_TEXT_UNICODE_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "runtime/core/result.h"
#include "runtime/core/utf8.h"

namespace slm::text {

// General categories, numbered as in unicode_tables.inc.
enum Category : uint8_t {
  kCn,
  kLu,
  kLl,
  kLt,
  kLm,
  kLo,
  kMn,
  kMc,
  kMe,
  kNd,
  kNl,
  kNo,
  kPc,
  kPd,
  kPs,
  kPe,
  kPi,
  kPf,
  kPo,
  kSm,
  kSc,
  kSk,
  kSo,
  kZs,
  kZl,
  kZp,
  kCc,
  kCf,
  kCs,
  kCo
};

// Sets of categories as bits, for CategoryIn.
constexpr uint32_t Bit(Category c) { return uint32_t{1} << c; }
constexpr uint32_t kLetters =
    Bit(kLu) | Bit(kLl) | Bit(kLt) | Bit(kLm) | Bit(kLo);
constexpr uint32_t kMarks = Bit(kMn) | Bit(kMc) | Bit(kMe);
constexpr uint32_t kNumbers = Bit(kNd) | Bit(kNl) | Bit(kNo);
constexpr uint32_t kPunctuations =
    Bit(kPc) | Bit(kPd) | Bit(kPs) | Bit(kPe) | Bit(kPi) | Bit(kPf) | Bit(kPo);
constexpr uint32_t kSymbols = Bit(kSm) | Bit(kSc) | Bit(kSk) | Bit(kSo);

// Flags beside the category, in the order of the generator.
enum Property : uint16_t {
  kWordOnig = 1 << 5,     // \w of Oniguruma
  kWordRust = 1 << 6,     // \w of Rust's regex
  kSpace = 1 << 7,        // White_Space; \s of both
  kNumeric = 1 << 8,      // Rust's char::is_numeric
  kPunctuation = 1 << 9,  // what BERT and Punctuation split at
  kControl = 1 << 10,     // what BertNormalizer's clean_text removes
  kNonspacing = 1 << 11,  // what BertNormalizer strips as accents
  kCombining = 1 << 12,   // what StripAccents removes
  kNfcInert = 1 << 13,    // NFC leaves it, whatever stands beside it
  kOpaque = 1 << 14,      // unknown to the reference's normal forms
};

// Category and flags of a code point below U+110000.
uint16_t PropertiesOf(uint32_t code);

inline bool Has(uint32_t code, Property p) {
  return (PropertiesOf(code) & p) != 0;
}
inline bool CategoryIn(uint32_t code, uint32_t set) {
  return (set >> (PropertiesOf(code) & 31) & 1) != 0;
}

// Code points that got a category after Unicode 14, in ranges.
struct AddedRange {
  uint32_t first, last;
  Category category;
};
size_t AddedRangeCount();
AddedRange AddedRangeAt(size_t i);

// Script for the UnicodeScripts pre-tokenizer; 0 = belongs to any.
uint8_t ScriptOf(uint32_t code);

void AppendLower(uint32_t code, std::string* out);

enum class NormalForm : uint8_t { kNfc, kNfd, kNfkc, kNfkd };
// Appends the normal form of valid UTF-8.
void AppendNormalForm(std::string_view text, NormalForm form, std::string* out);
// True if the text is surely in that form already (a quick check).
bool IsNormalQuick(std::string_view text, NormalForm form);

// Size in bytes of the first extended grapheme cluster of a non-empty text.
size_t GraphemeSize(std::string_view text);

// The character before text[at], at > 0, of valid UTF-8.
uint32_t CodeBefore(std::string_view text, size_t at);

// Fast decoding of text that is known to be valid UTF-8.
inline uint32_t DecodeValid(const char* p, uint32_t* size) {
  const auto b = [p](int i) { return static_cast<uint8_t>(p[i]); };
  const uint32_t lead = b(0);
  if (lead < 0x80) {
    *size = 1;
    return lead;
  }
  if (lead < 0xE0) {
    *size = 2;
    return (lead & 0x1F) << 6 | (b(1) & 0x3Fu);
  }
  if (lead < 0xF0) {
    *size = 3;
    return (lead & 0x0F) << 12 | (b(1) & 0x3Fu) << 6 | (b(2) & 0x3Fu);
  }
  *size = 4;
  return (lead & 0x07) << 18 | (b(1) & 0x3Fu) << 12 | (b(2) & 0x3Fu) << 6 |
         (b(3) & 0x3Fu);
}

inline uint32_t CodeAt(std::string_view text, size_t at, uint32_t* size) {
  return DecodeValid(text.data() + at, size);
}

// Bytes of the character that begins with this byte of valid UTF-8.
inline uint32_t SizeOfLead(char byte) {
  const auto b = static_cast<uint8_t>(byte);
  return b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
}

}  // namespace slm::text

#endif  // SLM_RUNTIME_TEXT_UNICODE_H_
