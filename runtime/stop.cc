// SPDX-License-Identifier: MIT
#include "runtime/stop.h"

#include <algorithm>
#include <utility>

#include "runtime/core/utf8.h"

namespace slm {

// The longest prefix of the pattern that ends the stream after byte c.
size_t StopMatcher::Advance(const Pattern& pattern, size_t matched, char c) {
  while (matched > 0 && pattern.text[matched] != c) {
    matched = pattern.next[matched];
  }
  return pattern.text[matched] == c ? matched + 1 : 0;
}

Result<StopMatcher> StopMatcher::Create(std::vector<std::string> strings) {
  StopMatcher matcher;
  for (std::string& s : strings) {
    if (s.empty()) return Usage("stop string is empty; leave it out");
    if (!IsValidUtf8(s)) {
      return Usage("stop string \"%s\" is not valid UTF-8",
                   Printable(s).c_str());
    }
    Pattern pattern;
    pattern.text = std::move(s);
    pattern.next.resize(pattern.text.size(), 0);
    for (size_t i = 1; i + 1 < pattern.text.size(); ++i) {
      pattern.next[i + 1] = Advance(pattern, pattern.next[i], pattern.text[i]);
    }
    matcher.patterns_.push_back(std::move(pattern));
  }
  return matcher;
}

bool StopMatcher::Feed(std::string_view text, std::string* out) {
  if (found_) return true;
  for (const char c : text) {
    held_.push_back(c);
    size_t longest = 0;
    for (size_t i = 0; i < patterns_.size(); ++i) {
      Pattern& p = patterns_[i];
      p.matched = Advance(p, p.matched, c);
      if (p.matched < p.text.size() || p.matched <= longest) continue;
      longest = p.matched;
      found_ = i;
    }
    if (!found_) continue;
    out->append(held_, 0, held_.size() - longest);
    held_.clear();
    return true;
  }
  size_t undecided = 0;
  for (const Pattern& p : patterns_) undecided = std::max(undecided, p.matched);
  const size_t certain = held_.size() - undecided;
  out->append(held_, 0, certain);
  held_.erase(0, certain);
  return false;
}

void StopMatcher::Flush(std::string* out) {
  out->append(held_);
  held_.clear();
  for (Pattern& p : patterns_) p.matched = 0;
}

void StopMatcher::Reset() {
  held_.clear();
  found_.reset();
  for (Pattern& p : patterns_) p.matched = 0;
}

}  // namespace slm
