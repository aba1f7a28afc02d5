// SPDX-License-Identifier: MIT
#include "runtime/text/width.h"

#include <algorithm>

#include "runtime/text/unicode.h"
#include "utf8proc.h"

namespace slm::text {
namespace {

constexpr uint32_t kEmojiStyle = 0xFE0F;  // variation selector 16

size_t CodeWidth(uint32_t code) {
  const int width = utf8proc_charwidth(static_cast<utf8proc_int32_t>(code));
  return width > 0 ? static_cast<size_t>(width) : 0;
}

}  // namespace

// What is joined (flags, families, skin tones, syllables) is shown as one
// glyph of at most two cells; a character in emoji style has two.
size_t GraphemeWidth(std::string_view cluster) {
  size_t width = 0;
  for (size_t at = 0; at < cluster.size();) {
    uint32_t size = 0;
    const uint32_t code = CodeAt(cluster, at, &size);
    at += size;
    if (code == kEmojiStyle && width > 0) width = 2;
    width += CodeWidth(code);
  }
  return std::min<size_t>(width, 2);
}

size_t TextWidth(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    const size_t size = GraphemeSize(text);
    width += GraphemeWidth(text.substr(0, size));
    text.remove_prefix(size);
  }
  return width;
}

size_t GraphemeBefore(std::string_view text, size_t at) {
  if (at == 0) return 0;
  // A newline ends a cluster on both sides, so a line is far enough to look.
  const size_t newline =
      at > 1 ? text.rfind('\n', at - 2) : std::string_view::npos;
  size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
  for (;;) {
    const size_t next = begin + GraphemeSize(text.substr(begin));
    if (next >= at) return begin;
    begin = next;
  }
}

}  // namespace slm::text
