// SPDX-License-Identifier: MIT
// What a reference keeps of a row of logits, and the divergence from that.
#ifndef SLM_TOOLS_BENCH_SAVED_ROW_H_
#define SLM_TOOLS_BENCH_SAVED_ROW_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/candidates.h"

namespace slm::bench {

inline constexpr size_t kTopLogits = 64;

// Logits as the model gave them: with the same sums a model's divergence from
// itself is 0, not what rounding of probabilities leaves.
struct SavedRow {
  double log_sum = 0;     // log sum exp of all V logits
  double rest_mass = 0;   // sum of p = exp(logit - log_sum) of those not below
  float token_logit = 0;  // of the token that came next
  size_t count = 0;       // min(64, V)
  std::array<int32_t, kTopLogits> ids = {};   // best first
  std::array<float, kTopLogits> logits = {};  // of `ids`
};

// Not for rows whose log-sum-exp is not finite.
SavedRow SaveRow(std::span<const float> row, int32_t token,
                 Candidates* scratch);

// KL of the distributions over the row's best tokens T and one more outcome,
// all other tokens:
//   sum over i in T of p_i (log p_i - log q_i) + p_r (log p_r - log q_r),
//   p_r = 1 - sum p_i = rest_mass, q_r = sum of q over tokens not in T.
// Putting tokens together is the same function of both distributions, which
// never makes them more different (data-processing inequality): it is a lower
// bound of the KL over the whole vocabulary. What is missing is p_r times the
// KL of the two distributions within the rest. `row` is the other model's, [V],
// with its LogSumExp.
double KlFromSaved(const SavedRow& saved, std::span<const float> row,
                   double row_log_sum);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_SAVED_ROW_H_
