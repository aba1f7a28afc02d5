// SPDX-License-Identifier: MIT
// Stop strings in a stream of text: what may be the beginning of one is held
// back until that is decided.
#ifndef SLM_RUNTIME_STOP_H_
#define SLM_RUNTIME_STOP_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"

namespace slm {

class StopMatcher {
 public:
  // Without strings everything passes through.
  StopMatcher() = default;
  // Refuses an empty string and one that is not UTF-8. (A string of whole
  // characters can begin at a character only, so complete characters in give
  // complete characters out.)
  static Result<StopMatcher> Create(std::vector<std::string> strings);

  // Appends to *out what is now certain to be no part of a stop string, in
  // order. True once a stop string is complete: then neither it nor what
  // follows is given out. The first to be complete counts, of several that
  // end together the longest.
  bool Feed(std::string_view text, std::string* out);

  // The text ends here: appends what was held back.
  void Flush(std::string* out);

  // Ready for another text.
  void Reset();

  // Index of the string that was found.
  std::optional<size_t> found() const { return found_; }

 private:
  // Knuth-Morris-Pratt: `matched` bytes of `text` are the end of the stream;
  // next[i] is the longest proper border of the first i bytes.
  struct Pattern {
    std::string text;
    std::vector<size_t> next;
    size_t matched = 0;
  };
  static size_t Advance(const Pattern& pattern, size_t matched, char c);

  std::vector<Pattern> patterns_;
  std::string held_;
  std::optional<size_t> found_;
};

}  // namespace slm

#endif  // SLM_RUNTIME_STOP_H_
