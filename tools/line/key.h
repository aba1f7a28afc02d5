// SPDX-License-Identifier: MIT
// The bytes that a terminal sends as keys.
#ifndef SLM_TOOLS_LINE_KEY_H_
#define SLM_TOOLS_LINE_KEY_H_

#include <functional>
#include <string>

namespace slm {

struct Key {
  enum Kind {
    kText,     // characters that were typed
    kPaste,    // characters that were pasted
    kControl,  // Ctrl and the letter of `text`: "A"
    kAlt,      // Alt and the character of `text`
    kEnter,
    kNewline,
    kBackspace,
    kDelete,
    kTab,
    kLeft,
    kRight,
    kUp,
    kDown,
    kHome,
    kEnd,
    kWordLeft,
    kWordRight,
    kUnknown,  // a key that has no meaning here
    kClosed,   // the end of the input
  };
  Kind kind = kUnknown;
  std::string text = {};
};

// A byte of the input, below 0 at its end or, where the argument is true, if
// none follows within the time in which a terminal sends the rest of a key.
using NextByte = std::function<int(bool within_key)>;

// Waits for a key. Text is valid UTF-8 with \n between lines and, of other
// control characters, tabs only.
Key ReadKey(const NextByte& next);

}  // namespace slm

#endif  // SLM_TOOLS_LINE_KEY_H_
