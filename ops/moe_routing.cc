// SPDX-License-Identifier: MIT
#include "ops/moe_routing.h"

#include <algorithm>
#include <cmath>

namespace slm {
namespace {

// The largest logit's expert, the last of equals, without those in
// taken[0, count).
int32_t Largest(const float* logits, size_t experts, const int32_t* taken,
                size_t count) {
  int32_t best = -1;
  for (size_t e = 0; e < experts; ++e) {
    const int32_t expert = static_cast<int32_t>(e);
    if (std::find(taken, taken + count, expert) != taken + count) continue;
    if (best < 0 || logits[e] >= logits[best]) best = expert;
  }
  return best;
}

// softmax of logits[chosen] over the experts that are not masked.
float SparseMixerWeight(const float* logits, size_t experts, int32_t chosen,
                        int32_t excluded) {
  constexpr float kJitter = 0.01f;
  const float top = logits[chosen];
  float sum = 0;
  for (size_t e = 0; e < experts; ++e) {
    if (static_cast<int32_t>(e) == excluded) continue;
    const float factor = std::max(std::fabs(logits[e]), top);
    if (top - logits[e] > 2 * kJitter * factor) continue;
    sum += std::exp(logits[e] - top);
  }
  return 1.0f / sum;  // the choice itself is never masked: sum >= 1
}

void Divide(float* weights, size_t k, float total) {
  const float inverse = total == 0 ? 0.0f : 1.0f / total;
  for (size_t j = 0; j < k; ++j) weights[j] *= inverse;
}

}  // namespace

void RouteToken(Routing routing, const float* logits, const float* given,
                size_t experts, size_t k, int32_t* chosen, float* weights) {
  for (size_t j = 0; j < k; ++j)
    chosen[j] = Largest(logits, experts, chosen, j);
  if (routing == Routing::kSparseMixer) {
    weights[0] = SparseMixerWeight(logits, experts, chosen[0], -1);
    weights[1] = SparseMixerWeight(logits, experts, chosen[1], chosen[0]);
    return;
  }
  float total = 0;
  for (size_t j = 0; j < k; ++j) {
    weights[j] = given ? given[chosen[j]]
                       : std::exp(logits[chosen[j]] - logits[chosen[0]]);
    total += weights[j];
  }
  if (routing == Routing::kGiven) return;
  if (routing == Routing::kTopOfSoftmax) {
    total = 0;
    for (size_t e = 0; e < experts; ++e) {
      total += std::exp(logits[e] - logits[chosen[0]]);
    }
  }
  Divide(weights, k, total);
}

size_t RouteTable::Bytes(size_t tokens, size_t experts, size_t k) {
  return (3 * tokens * k + experts + 1) * sizeof(int32_t);
}

RouteTable RouteTable::Over(void* memory, size_t tokens, size_t experts,
                            size_t k) {
  int32_t* at = static_cast<int32_t*>(memory);
  RouteTable t{.tokens = tokens, .experts = experts, .k = k};
  t.chosen = at;
  t.order = at + tokens * k;
  t.weights = reinterpret_cast<float*>(at + 2 * tokens * k);
  t.first = at + 3 * tokens * k;
  return t;
}

void RouteTable::Sort(float least) {
  const size_t routes = tokens * k;
  std::fill(first, first + experts + 1, 0);
  for (size_t r = 0; r < routes; ++r) {
    if (weights[r] <= least) chosen[r] = -1;
    if (chosen[r] >= 0) ++first[chosen[r] + 1];
  }
  for (size_t e = 0; e < experts; ++e) first[e + 1] += first[e];
  // Filling moves first[e] to the end of its range: the start of the next.
  for (size_t r = 0; r < routes; ++r) {
    if (chosen[r] >= 0) order[first[chosen[r]]++] = static_cast<int32_t>(r);
  }
  for (size_t e = experts; e > 0; --e) first[e] = first[e - 1];
  first[0] = 0;
}

}  // namespace slm
