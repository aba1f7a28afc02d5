// SPDX-License-Identifier: MIT
// What was measured after each round of a long run, in memory that does not
// grow: a log that did would find itself as a leak.
#ifndef SLM_TOOLS_BENCH_SOAK_LOG_H_
#define SLM_TOOLS_BENCH_SOAK_LOG_H_

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "tools/bench/statistics.h"

namespace slm::bench {

// One round, or several in a row.
struct SoakSample {
  double hours = 0;    // since the first round began, at the end of the last
  double rss_mib = 0;  // then
  double tokens = 0;   // decoded
  double seconds = 0;  // that this took

  double Rate() const { return seconds > 0 ? tokens / seconds : 0; }
};

class SoakLog {
 public:
  // At most so many samples are kept, an even number; when they are full,
  // neighbours become one.
  explicit SoakLog(size_t capacity = 4096);

  void Add(const SoakSample& round);

  size_t rounds() const { return rounds_; }
  // Rounds in a sample; the last may have fewer.
  size_t rounds_per_sample() const { return per_sample_; }
  std::span<const SoakSample> samples() const {
    return {samples_.data(), count_};
  }

 private:
  std::vector<SoakSample> samples_;  // all of them written at the beginning
  size_t count_ = 0;
  size_t per_sample_ = 1;
  size_t in_last_ = 0;  // rounds in the last sample
  size_t rounds_ = 0;
};

// MiB an hour, with the standard error; empty below three samples.
std::optional<Line> LeakOf(std::span<const SoakSample> samples);

// Tokens a second of the first and of the last quarter of the samples.
struct Drift {
  double first = 0, last = 0;
  double Percent() const { return 100 * (last / first - 1); }
};
// Empty below four samples, or if the first decoded nothing.
std::optional<Drift> DriftOf(std::span<const SoakSample> samples);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_SOAK_LOG_H_
