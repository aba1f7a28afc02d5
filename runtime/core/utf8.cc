// SPDX-License-Identifier: MIT
#include "runtime/core/utf8.h"

namespace slm {
namespace {

struct Lead {
  uint32_t size;        // of the whole character, 0 = not a lead byte
  uint8_t second_min;   // allowed range of the second byte: excludes overlong
  uint8_t second_max;   // forms, surrogates and codes above U+10FFFF
};

// Table 3-7 of the Unicode standard.
Lead LeadOf(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Utf8Char DecodeUtf8(std::string_view text) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(text.data());
  const Lead lead = LeadOf(bytes[0]);
  if (lead.size == 1) return {bytes[0], 1, true};
  if (lead.size == 0) return {0xFFFD, 1, false};
  uint32_t code = bytes[0] & (0x7Fu >> lead.size);
  for (uint32_t i = 1; i < lead.size; ++i) {
    const uint8_t low = i == 1 ? lead.second_min : 0x80;
    const uint8_t high = i == 1 ? lead.second_max : 0xBF;
    if (i >= text.size() || bytes[i] < low || bytes[i] > high) {
      return {0xFFFD, i, false};
    }
    code = (code << 6) | (bytes[i] & 0x3Fu);
  }
  return {code, lead.size, true};
}

void AppendUtf8(uint32_t code, std::string* out) {
  if (code < 0x80) {
    *out += static_cast<char>(code);
  } else if (code < 0x800) {
    *out += static_cast<char>(0xC0 | (code >> 6));
    *out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    *out += static_cast<char>(0xE0 | (code >> 12));
    *out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    *out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    *out += static_cast<char>(0xF0 | (code >> 18));
    *out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    *out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    *out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

bool IsValidUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<uint8_t>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const Utf8Char c = DecodeUtf8(text.substr(i));
    if (!c.valid) return false;
    i += c.size;
  }
  return true;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = DecodeUtf8(text.substr(i));
    if (c.valid) {
      out += text.substr(i, c.size);
    } else {
      out += "\xEF\xBF\xBD";
    }
    i += c.size;
  }
  return out;
}

size_t IncompleteUtf8Suffix(std::string_view text) {
  const size_t most = text.size() < 3 ? text.size() : 3;
  for (size_t back = 1; back <= most; ++back) {
    const std::string_view tail = text.substr(text.size() - back);
    const Lead lead = LeadOf(static_cast<uint8_t>(tail[0]));
    if (lead.size <= 1) {
      if (lead.size == 1) return 0;
      continue;
    }
    const Utf8Char c = DecodeUtf8(tail);
    return !c.valid && c.size == back && back < lead.size ? back : 0;
  }
  return 0;
}

}  // namespace slm
