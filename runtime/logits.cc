// SPDX-License-Identifier: MIT
#include "runtime/logits.h"

#include <algorithm>
#include <limits>

namespace slm {
namespace {

constexpr float kForbidden = std::numeric_limits<float>::lowest();

bool InVocab(int32_t token, std::span<const float> logits) {
  return token >= 0 && static_cast<size_t>(token) < logits.size();
}

void ForbidEos(const SearchOptions& options, size_t length,
               std::span<float> logits) {
  if (static_cast<uint64_t>(options.min_length) <= length) return;
  for (const int32_t id : options.eos_ids) {
    if (InVocab(id, logits)) logits[id] = kForbidden;
  }
}

void PenaliseRepetition(float penalty, std::span<const TokenHistory::Seen> seen,
                        std::span<float> logits) {
  if (penalty == 1.0f) return;
  for (const TokenHistory::Seen& s : seen) {
    if (!InVocab(s.token, logits)) continue;
    float& logit = logits[s.token];
    logit = logit < 0 ? logit * penalty : logit / penalty;
  }
}

// The last n - 1 tokens are a prefix; every token that followed the same
// prefix before is forbidden. A scan, not an index: comparing the prefix's
// last token first rejects nearly all positions at one compare each, which for
// 32768 tokens is some 10 us, and needs no state to rewind or fork.
void ForbidNgrams(int64_t n, std::span<const int32_t> tokens,
                  std::span<float> logits) {
  if (n <= 0 || static_cast<uint64_t>(n) > tokens.size()) return;
  const size_t prefix_size = static_cast<size_t>(n - 1);
  const auto prefix = tokens.last(prefix_size);
  for (size_t next = prefix_size; next < tokens.size(); ++next) {
    if (prefix_size > 0) {
      if (tokens[next - 1] != prefix.back()) continue;
      if (!std::equal(prefix.begin(), prefix.end(),
                      tokens.begin() + (next - prefix_size))) {
        continue;
      }
    }
    if (InVocab(tokens[next], logits)) logits[tokens[next]] = kForbidden;
  }
}

void PenaliseOutput(const SearchOptions& options,
                    std::span<const TokenHistory::Seen> seen,
                    std::span<float> logits) {
  if (options.presence_penalty == 0 && options.frequency_penalty == 0) return;
  for (const TokenHistory::Seen& s : seen) {
    if (s.output == 0 || !InVocab(s.token, logits)) continue;
    logits[s.token] -= options.presence_penalty +
                       static_cast<float>(s.output) * options.frequency_penalty;
  }
}

}  // namespace

void ProcessLogits(const SearchOptions& options, const TokenHistory& history,
                   std::span<float> logits) {
  ForbidEos(options, history.length(), logits);
  PenaliseRepetition(options.repetition_penalty, history.seen(), logits);
  ForbidNgrams(options.no_repeat_ngram_size, history.tokens(), logits);
  for (const LogitBias& b : options.logit_bias) {
    if (InVocab(b.token, logits)) logits[b.token] += b.bias;
  }
  PenaliseOutput(options, history.seen(), logits);
}

bool HasProcessors(const SearchOptions& o) {
  return o.min_length > 0 || o.repetition_penalty != 1 ||
         o.no_repeat_ngram_size > 0 || !o.logit_bias.empty() ||
         o.presence_penalty != 0 || o.frequency_penalty != 0;
}

}  // namespace slm
