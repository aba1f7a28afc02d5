// SPDX-License-Identifier: MIT
// Log probabilities of a chosen token and of the best ones.
#ifndef SLM_RUNTIME_LOGPROBS_H_
#define SLM_RUNTIME_LOGPROBS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/candidates.h"

namespace slm {

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;  // natural logarithm, -infinity possible
};

struct Logprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;  // most probable first
};

// log softmax of a row [V]: s - max - log(sum(exp(s - max))).
// Pass the model's own logits: as in OpenAI's API today, penalties, logit
// bias, temperature, top-k and top-p do not change what is reported.
void ComputeLogprobs(std::span<const float> logits, int32_t chosen,
                     size_t top_count, Candidates* scratch, Logprobs* out);

}  // namespace slm

#endif  // SLM_RUNTIME_LOGPROBS_H_
