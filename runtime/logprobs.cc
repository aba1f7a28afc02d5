// SPDX-License-Identifier: MIT
#include "runtime/logprobs.h"

#include <algorithm>
#include <cmath>

namespace slm {

void ComputeLogprobs(std::span<const float> logits, int32_t chosen,
                     size_t top_count, Candidates* scratch, Logprobs* out) {
  scratch->Reset(logits);
  const float max = scratch->max();
  // In double: 151936 terms, most of them far below the sum's last place.
  double sum = 0;
  for (const float s : logits) sum += static_cast<double>(std::exp(s - max));
  const double log_sum = std::log(sum);
  const auto logprob = [&](float s) {
    return static_cast<float>(static_cast<double>(s - max) - log_sum);
  };
  out->chosen = {.token = chosen, .logprob = logprob(logits[chosen])};
  out->top.clear();
  const auto top = scratch->Top(top_count);
  for (size_t i = 0; i < std::min(top_count, top.size()); ++i) {
    out->top.push_back({.token = top[i].id, .logprob = logprob(top[i].score)});
  }
}

}  // namespace slm
