// SPDX-License-Identifier: MIT
// Patterns of splits and replacements: a literal, a hand-written splitter for
// a well-known expression, or a regular expression of the loader's engine.
#ifndef SLM_RUNTIME_TEXT_PATTERN_H_
#define SLM_RUNTIME_TEXT_PATTERN_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/text/text_span.h"

namespace slm {

namespace text {

// A compiled regular expression; the loader supplies it. Immutable, may be
// used by several threads at once.
class Regex {
 public:
  virtual ~Regex() = default;
  // Appends all matches in valid UTF-8, in order, without overlap. An empty
  // match right behind the previous match is skipped. Fails if the engine's
  // limit of steps is exceeded.
  virtual Status FindAll(std::string_view text,
                         std::vector<TextSpan>* matches) const = 0;
};

// Appends the matches of a well-known expression, which cover all of `text`.
using Splitter = void (*)(std::string_view text,
                          std::vector<TextSpan>* matches);

struct Pattern {
  std::string literal;  // used if the others are null
  Splitter splitter = nullptr;
  std::shared_ptr<const Regex> regex;
};

Status FindAll(const Pattern& pattern, std::string_view text,
               std::vector<TextSpan>* matches);

// What a split does with the stretches that match.
enum class SplitBehavior : uint8_t {
  kRemoved,
  kIsolated,
  kMergedWithPrevious,
  kMergedWithNext,
  kContiguous
};

// A stretch of text that is or is not a match; a list of them covers a text.
struct Stretch {
  TextSpan span;
  bool is_match;
};

// Turns matches into stretches that cover the text; `invert` swaps the flags.
void CoverText(const std::vector<TextSpan>& matches, size_t size, bool invert,
               std::vector<Stretch>* stretches);

// Applies the behaviour; appends the parts that are not empty.
void ApplySplit(const std::vector<Stretch>& stretches, SplitBehavior behavior,
                std::vector<TextSpan>* parts);

}  // namespace text
}  // namespace slm

#endif  // SLM_RUNTIME_TEXT_PATTERN_H_
