// SPDX-License-Identifier: MIT
#ifndef SLM_RUNTIME_TEXT_TEXT_SPAN_H_
#define SLM_RUNTIME_TEXT_TEXT_SPAN_H_

#include <cstddef>

namespace slm {

// Bytes [begin, end) of a text.
struct TextSpan {
  size_t begin, end;
};

inline bool operator==(const TextSpan& a, const TextSpan& b) {
  return a.begin == b.begin && a.end == b.end;
}

}  // namespace slm

#endif  // SLM_RUNTIME_TEXT_TEXT_SPAN_H_
