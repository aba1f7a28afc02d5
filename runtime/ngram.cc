// SPDX-License-Identifier: MIT
#include "runtime/ngram.h"

#include <algorithm>
#include <cinttypes>
#include <optional>

namespace slm {
namespace {

// Where the token after the latest occurrence of `key` in `tokens` lies; the
// occurrence at the very end has none.
std::optional<size_t> FindContinuation(std::span<const int32_t> tokens,
                                       std::span<const int32_t> key) {
  if (tokens.size() <= key.size()) return std::nullopt;
  for (size_t next = tokens.size() - 1; next >= key.size(); --next) {
    if (tokens[next - 1] == key.back() &&
        std::equal(key.begin(), key.end(),
                   tokens.begin() + (next - key.size()))) {
      return next;
    }
  }
  return std::nullopt;
}

}  // namespace

Status Validate(const NgramOptions& o) {
  if (o.ngram_size != 0 && (o.ngram_size < 2 || o.ngram_size > kMaxNgramSize)) {
    return Usage("ngram_size is %" PRId64 ", must be 0 or 2..%" PRId64,
                 o.ngram_size, kMaxNgramSize);
  }
  if (o.max_draft_tokens < 1 || o.max_draft_tokens > kMaxDraftTokens) {
    return Usage("max_draft_tokens is %" PRId64 ", must be 1..%" PRId64,
                 o.max_draft_tokens, kMaxDraftTokens);
  }
  if (o.min_adaptive_k < 0 || o.min_adaptive_k > kMaxDraftTokens) {
    return Usage("min_adaptive_k is %" PRId64 ", must be 0..%" PRId64,
                 o.min_adaptive_k, kMaxDraftTokens);
  }
  if (o.chained_lookup && o.ngram_size == 0) {
    return Usage(
        "ngram_chained_lookup is true, but ngram_size is 0 (off); set it");
  }
  return OkStatus();
}

void ProposeDrafts(const NgramOptions& options, std::span<const int32_t> tokens,
                   size_t limit, std::vector<int32_t>* drafts) {
  drafts->clear();
  if (options.ngram_size < 2 || limit == 0) return;
  const size_t key_size = static_cast<size_t>(options.ngram_size - 1);
  if (tokens.size() < key_size) return;

  int32_t key[kMaxNgramSize];
  std::copy_n(tokens.end() - key_size, key_size, key);
  while (drafts->size() < limit) {
    const auto next = FindContinuation(tokens, {key, key_size});
    if (!next) return;
    if (!options.chained_lookup) {
      const size_t count = std::min(limit, tokens.size() - *next);
      drafts->assign(tokens.begin() + *next, tokens.begin() + *next + count);
      return;
    }
    drafts->push_back(tokens[*next]);
    std::copy(key + 1, key + key_size, key);
    key[key_size - 1] = tokens[*next];
  }
}

}  // namespace slm
