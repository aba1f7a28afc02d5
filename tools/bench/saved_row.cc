// SPDX-License-Identifier: MIT
#include "tools/bench/saved_row.h"

#include <algorithm>
#include <cmath>

#include "runtime/logprobs.h"

namespace slm::bench {
namespace {

// Sum of exp(logit - log_sum) over all but `ids`: added up, not 1 - the others,
// of which little would be left.
double RestMass(std::span<const float> row, double log_sum,
                std::span<const int32_t> ids) {
  std::array<int32_t, kTopLogits> sorted;
  std::copy(ids.begin(), ids.end(), sorted.begin());
  std::sort(sorted.begin(), sorted.begin() + ids.size());
  double sum = 0;
  size_t at = 0;
  for (size_t i = 0; i <= ids.size(); ++i) {
    const size_t end =
        i < ids.size() ? static_cast<size_t>(sorted[i]) : row.size();
    for (; at < end; ++at) sum += std::exp(double{row[at]} - log_sum);
    ++at;
  }
  return sum;
}

}  // namespace

SavedRow SaveRow(std::span<const float> row, int32_t token,
                 Candidates* scratch) {
  SavedRow saved;
  saved.log_sum = LogSumExp(row);
  saved.token_logit = row[static_cast<size_t>(token)];
  saved.count = std::min(kTopLogits, row.size());
  scratch->Reset(row);
  const std::span<const Candidate> top = scratch->Top(saved.count);
  for (size_t i = 0; i < saved.count; ++i) {
    saved.ids[i] = top[i].id;
    saved.logits[i] = top[i].score;
  }
  saved.rest_mass =
      RestMass(row, saved.log_sum, {saved.ids.data(), saved.count});
  return saved;
}

double KlFromSaved(const SavedRow& saved, std::span<const float> row,
                   double row_log_sum) {
  const std::span<const int32_t> ids(saved.ids.data(), saved.count);
  double sum = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const double log_p = double{saved.logits[i]} - saved.log_sum;
    const double log_q = double{row[static_cast<size_t>(ids[i])]} - row_log_sum;
    const double p = std::exp(log_p);
    if (p > 0) sum += p * (log_p - log_q);
  }
  if (saved.rest_mass > 0) {
    const double q = RestMass(row, row_log_sum, ids);
    sum += saved.rest_mass * (std::log(saved.rest_mass) - std::log(q));
  }
  return std::max(0.0, sum);  // rounding may make it negative
}

}  // namespace slm::bench
