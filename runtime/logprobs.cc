// SPDX-License-Identifier: MIT
#include "runtime/logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace slm {

double LogSumExp(std::span<const float> row) {
  if (row.empty()) return -std::numeric_limits<double>::infinity();
  const double top{*std::max_element(row.begin(), row.end())};
  double sum = 0;
  // exp of a double takes as long as that of a float: 3 ns.
  for (const float v : row) sum += std::exp(double{v} - top);
  return top + std::log(sum);
}

double KlDivergence(std::span<const float> p, double p_log_sum,
                    std::span<const float> q, double q_log_sum) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double log_p = double{p[i]} - p_log_sum;
    const double share = std::exp(log_p);
    // 0 log 0 = 0, whatever Q has there.
    if (share > 0) sum += share * (log_p - (double{q[i]} - q_log_sum));
  }
  return std::max(0.0, sum);  // rounding may make it negative
}

void ComputeLogprobs(std::span<const float> logits, int32_t chosen,
                     size_t top_count, Candidates* scratch, Logprobs* out) {
  scratch->Reset(logits);
  // In double: 151936 terms, most of them far below the sum's last place.
  const double log_sum = LogSumExp(logits);
  const auto logprob = [&](float s) {
    return static_cast<float>(double{s} - log_sum);
  };
  out->chosen = {.token = chosen, .logprob = logprob(logits[chosen])};
  out->top.clear();
  const auto top = scratch->Top(top_count);
  for (size_t i = 0; i < std::min(top_count, top.size()); ++i) {
    out->top.push_back({.token = top[i].id, .logprob = logprob(top[i].score)});
  }
}

}  // namespace slm
