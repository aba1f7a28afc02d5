// SPDX-License-Identifier: MIT
// Prompt look-up: drafts for speculation from the text so far.
#ifndef SLM_RUNTIME_NGRAM_H_
#define SLM_RUNTIME_NGRAM_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/core/result.h"

namespace slm {

struct NgramOptions {
  int64_t ngram_size = 0;  // 0: off; N: the last N - 1 tokens are looked up
  bool chained_lookup = false;
  int64_t max_draft_tokens = 4;  // of a step, where min_adaptive_k is 0
  int64_t min_adaptive_k = 0;    // draft_length.h
  bool cooldown = false;         // draft_length.h
};

inline constexpr int64_t kMaxNgramSize = 16;
inline constexpr int64_t kMaxDraftTokens = 16;

Status Validate(const NgramOptions& options);

// Sets *drafts to at most `limit` tokens that are likely to follow `tokens`: those
// that followed the latest earlier occurrence of their last N - 1. With chained_lookup each draft is looked up anew as if the
// drafts before it were part of the text, still in `tokens` only.
//
// Stateless: a backward scan that rejects nearly every position at one compare
// costs some 10 us at 32768 tokens, against a decode step of milliseconds, and
// has nothing to keep in step when a session rewinds.
void ProposeDrafts(const NgramOptions& options, std::span<const int32_t> tokens,
                   size_t limit, std::vector<int32_t>* drafts);

}  // namespace slm

#endif  // SLM_RUNTIME_NGRAM_H_
