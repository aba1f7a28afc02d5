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

// log(sum(exp(row))) in double; NaN or infinite where the logits are not finite
// numbers (-infinity is: a token that cannot be).
double LogSumExp(std::span<const float> row);

// KL(P || Q) = sum p (log p - log q) in nats of the softmax of rows [V], whose
// LogSumExp the caller has. At least 0; infinite where Q excludes what P has.
double KlDivergence(std::span<const float> p, double p_log_sum,
                    std::span<const float> q, double q_log_sum);

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
