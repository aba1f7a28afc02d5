// SPDX-License-Identifier: MIT
#include "tools/line/clipboard.h"

#include <cstdint>

namespace slm {
namespace {

// RFC 4648: three bytes are four characters, = fills up.
std::string Base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) {
      const uint8_t byte =
          i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0;
      group = group << 8 | byte;
    }
    for (size_t k = 0; k < 4; ++k) {
      out += i + k > bytes.size() ? '=' : kDigits[group >> (18 - 6 * k) & 63];
    }
  }
  return out;
}

}  // namespace

Result<std::string> ClipboardSequence(std::string_view text) {
  if (text.size() > kMostClipboardBytes) {
    return Usage("the text has %zu bytes, terminals take %zu", text.size(),
                 kMostClipboardBytes);
  }
  return "\033]52;c;" + Base64(text) + "\a";
}

}  // namespace slm
