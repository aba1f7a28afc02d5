// SPDX-License-Identifier: MIT
// How many cells of a terminal a text takes.
#ifndef SLM_RUNTIME_TEXT_WIDTH_H_
#define SLM_RUNTIME_TEXT_WIDTH_H_

#include <cstddef>
#include <string_view>

namespace slm::text {

// Cells of one extended grapheme cluster of valid UTF-8: 0, 1 or 2. Control
// characters have none.
size_t GraphemeWidth(std::string_view cluster);

// Cells of a valid UTF-8 text without control characters.
size_t TextWidth(std::string_view text);

// Where the grapheme before text[at] begins; 0 for at = 0.
size_t GraphemeBefore(std::string_view text, size_t at);

}  // namespace slm::text

#endif  // SLM_RUNTIME_TEXT_WIDTH_H_
