// SPDX-License-Identifier: MIT
#include "runtime/token_history.h"

#include <algorithm>

#include "runtime/core/check.h"

namespace slm {
namespace {

bool Before(const TokenHistory::Seen& a, const TokenHistory::Seen& b) {
  return a.token < b.token;
}

}  // namespace

void TokenHistory::AppendPrompt(std::span<const int32_t> tokens) {
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  prompt_length_ = tokens_.size();
  // Sort and merge: inserting one by one would move O(n^2) bytes.
  const size_t known = seen_.size();
  for (const int32_t token : tokens) {
    seen_.push_back({.token = token, .total = 1, .output = 0});
  }
  std::sort(seen_.begin() + known, seen_.end(), Before);
  std::inplace_merge(seen_.begin(), seen_.begin() + known, seen_.end(), Before);
  size_t kept = 0;
  for (const Seen& s : seen_) {
    if (kept > 0 && seen_[kept - 1].token == s.token) {
      seen_[kept - 1].total += s.total;
    } else {
      seen_[kept++] = {.token = s.token, .total = s.total, .output = 0};
    }
  }
  seen_.resize(kept);
}

void TokenHistory::AppendOutput(int32_t token) {
  tokens_.push_back(token);
  auto at = std::lower_bound(seen_.begin(), seen_.end(), Seen{.token = token},
                             Before);
  if (at == seen_.end() || at->token != token) {
    at = seen_.insert(at, Seen{.token = token});
  }
  ++at->total;
  ++at->output;
}

void TokenHistory::Truncate(size_t length) {
  while (tokens_.size() > length) {
    const auto at = std::lower_bound(seen_.begin(), seen_.end(),
                                     Seen{.token = tokens_.back()}, Before);
    SLM_DCHECK(at != seen_.end() && at->token == tokens_.back());
    --at->total;
    if (tokens_.size() > prompt_length_) --at->output;
    if (at->total == 0) seen_.erase(at);
    tokens_.pop_back();
  }
  prompt_length_ = std::min(prompt_length_, tokens_.size());
}

}  // namespace slm
