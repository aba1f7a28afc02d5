// SPDX-License-Identifier: MIT
// Logit processors: what the options forbid, penalise or favour, before a
// token is selected.
#ifndef SLM_RUNTIME_LOGITS_H_
#define SLM_RUNTIME_LOGITS_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/search_options.h"
#include "runtime/token_history.h"

namespace slm {

// Applies to logits [V] of the token that would follow `history`, in ONNX
// Runtime GenAI's order and then the additions:
//   min_length            logit(EOS) = lowest while shorter than min_length
//   repetition_penalty    of each token seen: s < 0 ? s * p : s / p
//   no_repeat_ngram_size  logit = lowest for what would repeat an n-gram
//   logit_bias            s + bias
//   presence, frequency   s - [count > 0] * presence - count * frequency
// Options must be valid; tokens outside the vocabulary are passed over.
// Takes O(distinct tokens), and O(length) compares with no_repeat_ngram_size.
void ProcessLogits(const SearchOptions& options, const TokenHistory& history,
                   std::span<float> logits);

// Whether ProcessLogits changes anything, whatever the history.
bool HasProcessors(const SearchOptions& options);

}  // namespace slm

#endif  // SLM_RUNTIME_LOGITS_H_
