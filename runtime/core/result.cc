// SPDX-License-Identifier: MIT
#include "runtime/core/result.h"

#include <cstdarg>
#include <cstdio>

#include "runtime/core/utf8.h"

namespace slm {
namespace {

std::string FormatV(const char* format, va_list args) {
  va_list again;
  va_copy(again, args);
  const int size = std::vsnprintf(nullptr, 0, format, args);
  std::string text(size < 0 ? 0 : static_cast<size_t>(size), '\0');
  if (size > 0) std::vsnprintf(text.data(), text.size() + 1, format, again);
  va_end(again);
  return text;
}

}  // namespace

#define SLM_FORMAT_ARGS(text)          \
  va_list args;                        \
  va_start(args, format);              \
  std::string text = FormatV(format, args); \
  va_end(args)

Status Status::In(std::string_view context) const {
  if (ok()) return *this;
  return Status(kind_, std::string(context) + ": " + message_);
}

std::string Format(const char* format, ...) {
  SLM_FORMAT_ARGS(text);
  return text;
}

Status Error(ErrorKind kind, const char* format, ...) {
  SLM_FORMAT_ARGS(text);
  return Status(kind, std::move(text));
}

Status Invalid(const char* format, ...) {
  SLM_FORMAT_ARGS(text);
  return Status(ErrorKind::kInvalid, std::move(text));
}

Status Usage(const char* format, ...) {
  SLM_FORMAT_ARGS(text);
  return Status(ErrorKind::kUsage, std::move(text));
}

std::string Printable(std::string_view text, size_t max_bytes) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (out.size() >= max_bytes) return out + "...";
    const Utf8Char c = DecodeUtf8(text.substr(i));
    if (!c.valid) {
      out += "\xEF\xBF\xBD";
    } else if (c.code < 0x20 || c.code == 0x7F) {
      out += ' ';
    } else {
      out += text.substr(i, c.size);
    }
    i += c.size;
  }
  return out;
}

}  // namespace slm
