// SPDX-License-Identifier: MIT
#include "runtime/text/pattern.h"

#include <algorithm>

#include "runtime/text/unicode.h"

namespace slm::text {
namespace {

// An empty literal matches between all characters, as an empty regular
// expression does.
void FindEmpty(std::string_view text, std::vector<TextSpan>* matches) {
  for (size_t i = 0; i < text.size(); i += SizeOfLead(text[i])) {
    matches->push_back({i, i});
  }
  matches->push_back({text.size(), text.size()});
}

void MergeMatches(const std::vector<Stretch>& stretches, bool with_next,
                  std::vector<TextSpan>* parts) {
  const size_t first = parts->size();
  bool previous_match = false;
  const size_t n = stretches.size();
  for (size_t k = 0; k < n; ++k) {
    const Stretch& s = stretches[with_next ? n - 1 - k : k];
    if (s.is_match && !previous_match && parts->size() > first) {
      TextSpan& last = parts->back();
      (with_next ? last.begin : last.end) =
          with_next ? s.span.begin : s.span.end;
    } else {
      parts->push_back(s.span);
    }
    previous_match = s.is_match;
  }
  if (with_next) {
    std::reverse(parts->begin() + static_cast<ptrdiff_t>(first), parts->end());
  }
}

}  // namespace

Status FindAll(const Pattern& pattern, std::string_view text,
               std::vector<TextSpan>* matches) {
  if (text.empty()) return OkStatus();
  if (pattern.splitter != nullptr) {
    pattern.splitter(text, matches);
    return OkStatus();
  }
  if (pattern.regex != nullptr) return pattern.regex->FindAll(text, matches);
  if (pattern.literal.empty()) {
    FindEmpty(text, matches);
    return OkStatus();
  }
  for (size_t at = text.find(pattern.literal); at != std::string_view::npos;
       at = text.find(pattern.literal, at + pattern.literal.size())) {
    matches->push_back({at, at + pattern.literal.size()});
  }
  return OkStatus();
}

void CoverText(const std::vector<TextSpan>& matches, size_t size, bool invert,
               std::vector<Stretch>* stretches) {
  size_t end = 0;
  for (const TextSpan& m : matches) {
    if (end != m.begin) stretches->push_back({{end, m.begin}, invert});
    stretches->push_back({m, !invert});
    end = m.end;
  }
  if (end != size) stretches->push_back({{end, size}, invert});
}

void ApplySplit(const std::vector<Stretch>& stretches, SplitBehavior behavior,
                std::vector<TextSpan>* parts) {
  const size_t first = parts->size();
  switch (behavior) {
    case SplitBehavior::kRemoved:
      for (const Stretch& s : stretches) {
        if (!s.is_match) parts->push_back(s.span);
      }
      break;
    case SplitBehavior::kIsolated:
      for (const Stretch& s : stretches) parts->push_back(s.span);
      break;
    case SplitBehavior::kContiguous: {
      bool previous_match = false;
      for (const Stretch& s : stretches) {
        if (s.is_match == previous_match && parts->size() > first) {
          parts->back().end = s.span.end;
        } else {
          parts->push_back(s.span);
        }
        previous_match = s.is_match;
      }
      break;
    }
    case SplitBehavior::kMergedWithPrevious:
      MergeMatches(stretches, /*with_next=*/false, parts);
      break;
    case SplitBehavior::kMergedWithNext:
      MergeMatches(stretches, /*with_next=*/true, parts);
      break;
  }
  parts->erase(std::remove_if(
                   parts->begin() + static_cast<ptrdiff_t>(first), parts->end(),
                   [](const TextSpan& s) { return s.begin == s.end; }),
               parts->end());
}

}  // namespace slm::text
