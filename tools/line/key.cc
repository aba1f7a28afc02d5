// SPDX-License-Identifier: MIT
#include "tools/line/key.h"

#include <cstring>

#include "runtime/core/utf8.h"

namespace slm {
namespace {

constexpr int kEscape = 27;
constexpr size_t kMostPasted = size_t{16} << 20;
constexpr size_t kMostParameters = 32;  // bytes of an escape sequence

// Final byte and parameters of "ESC [ ... final" (xterm, rxvt, Linux).
struct Sequence {
  const char* parameters;
  char final;
  Key::Kind kind;
};
constexpr Sequence kSequences[] = {
    {"", 'A', Key::kUp},
    {"", 'B', Key::kDown},
    {"", 'C', Key::kRight},
    {"", 'D', Key::kLeft},
    {"", 'H', Key::kHome},
    {"", 'F', Key::kEnd},
    {"1", '~', Key::kHome},
    {"7", '~', Key::kHome},
    {"4", '~', Key::kEnd},
    {"8", '~', Key::kEnd},
    {"3", '~', Key::kDelete},
    {"1;5", 'C', Key::kWordRight},
    {"1;5", 'D', Key::kWordLeft},
    {"1;3", 'C', Key::kWordRight},
    {"1;3", 'D', Key::kWordLeft},
    {"200", '~', Key::kPaste},
    {"27;2;13", '~', Key::kNewline},  // Shift-Enter where it differs
    {"13;2", 'u', Key::kNewline},
};

// What may stand in a line: \r\n and \r are \n, controls go.
std::string CleanText(const std::string& raw) {
  const std::string text = ReplaceInvalidUtf8(raw);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\r') {
      if (i + 1 == text.size() || text[i + 1] != '\n') out += '\n';
    } else if ((c >= 32 && c != 127) || c == '\n' || c == '\t') {
      out += text[i];
    }
  }
  return out;
}

// Up to the mark that ends a paste. What is too long is dropped, not kept for
// the next key.
Key ReadPaste(const NextByte& next) {
  constexpr char kMark[] = "\033[201~";
  constexpr size_t kMarkSize = sizeof kMark - 1;
  std::string text;
  for (int byte; (byte = next(false)) >= 0;) {
    text += static_cast<char>(byte);
    if (byte == '~' && text.size() >= kMarkSize &&
        text.compare(text.size() - kMarkSize, kMarkSize, kMark) == 0) {
      text.resize(text.size() - kMarkSize);
      break;
    }
    if (text.size() > kMostPasted + kMarkSize) {
      text.erase(kMostPasted, text.size() - kMostPasted - kMarkSize);
    }
  }
  return {Key::kPaste, CleanText(text)};
}

// After "ESC [".
Key ReadSequence(const NextByte& next) {
  std::string parameters;
  for (;;) {
    const int byte = next(true);
    if (byte < 0x20 || parameters.size() > kMostParameters) return {};
    if (byte < 0x40) {
      parameters += static_cast<char>(byte);
      continue;
    }
    for (const Sequence& s : kSequences) {
      if (s.final != byte || parameters != s.parameters) continue;
      return s.kind == Key::kPaste ? ReadPaste(next) : Key{s.kind};
    }
    return {};
  }
}

// The characters from a first byte on; more of them than one may have come.
Key ReadCharacter(int first, const NextByte& next) {
  std::string text(1, static_cast<char>(first));
  while (IncompleteUtf8Suffix(text) > 0) {
    const int byte = next(true);
    if (byte < 0) break;
    text += static_cast<char>(byte);
  }
  return {Key::kText, CleanText(text)};
}

// After ESC: Alt with a key, or a sequence.
Key ReadEscape(const NextByte& next) {
  const int byte = next(true);
  if (byte == '[') return ReadSequence(next);
  if (byte == 'O') {  // keypad mode of vt100
    const int final = next(true);
    for (const Sequence& s : kSequences) {
      if (s.parameters[0] == '\0' && s.final == final) return {s.kind};
    }
    return {};
  }
  if (byte == '\r' || byte == '\n') return {Key::kNewline};
  if (byte == 127 || byte == 8) return {Key::kAlt, "\b"};
  if (byte < 32 || byte > 126) return {};
  return {Key::kAlt, std::string(1, static_cast<char>(byte))};
}

}  // namespace

Key ReadKey(const NextByte& next) {
  const int byte = next(false);
  if (byte < 0) return {Key::kClosed};
  switch (byte) {
    case '\r':
      return {Key::kEnter};
    case '\n':
      return {Key::kNewline};
    case '\t':
      return {Key::kTab};
    case 8:
    case 127:
      return {Key::kBackspace};
    case kEscape:
      return ReadEscape(next);
    default:
      break;
  }
  if (byte < 32) {
    return {Key::kControl, std::string(1, static_cast<char>(byte + '@'))};
  }
  return ReadCharacter(byte, next);
}

}  // namespace slm
