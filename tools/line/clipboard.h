// SPDX-License-Identifier: MIT
// The clipboard of whoever looks at the terminal, also through ssh.
#ifndef SLM_TOOLS_LINE_CLIPBOARD_H_
#define SLM_TOOLS_LINE_CLIPBOARD_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "runtime/core/result.h"

namespace slm {

// Terminals stop at sequences of 100 000 bytes (hterm): 8 are the sequence's
// own, and 99 992 of base64 are so many of text.
inline constexpr size_t kMostClipboardBytes = 74994;

// OSC 52: ESC ] 52 ; c ; base64 BEL. kUsage with the sizes if it is too long.
Result<std::string> ClipboardSequence(std::string_view text);

}  // namespace slm

#endif  // SLM_TOOLS_LINE_CLIPBOARD_H_
