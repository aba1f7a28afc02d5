// SPDX-License-Identifier: MIT
#include "tools/bench/soak_log.h"

namespace slm::bench {
namespace {

void Join(const SoakSample& later, SoakSample* sample) {
  sample->hours = later.hours;
  sample->rss_mib = later.rss_mib;
  sample->tokens += later.tokens;
  sample->seconds += later.seconds;
}

double RateOf(std::span<const SoakSample> samples) {
  SoakSample all;
  for (const SoakSample& sample : samples) Join(sample, &all);
  return all.Rate();
}

}  // namespace

// A value other than 0, so that the pages are there.
SoakLog::SoakLog(size_t capacity) : samples_(capacity, {1, 1, 1, 1}) {}

void SoakLog::Add(const SoakSample& round) {
  ++rounds_;
  if (count_ > 0 && in_last_ < per_sample_) {
    Join(round, &samples_[count_ - 1]);
    ++in_last_;
    return;
  }
  if (count_ == samples_.size()) {
    count_ /= 2;
    per_sample_ *= 2;
    for (size_t i = 0; i < count_; ++i) {
      samples_[i] = samples_[2 * i];
      Join(samples_[2 * i + 1], &samples_[i]);
    }
  }
  samples_[count_++] = round;
  in_last_ = 1;
}

std::optional<Line> LeakOf(std::span<const SoakSample> samples) {
  std::vector<double> hours, rss;
  for (const SoakSample& sample : samples) {
    hours.push_back(sample.hours);
    rss.push_back(sample.rss_mib);
  }
  return FitLine(hours, rss);
}

std::optional<Drift> DriftOf(std::span<const SoakSample> samples) {
  const size_t quarter = samples.size() / 4;
  if (quarter == 0) return std::nullopt;
  const Drift drift = {RateOf(samples.first(quarter)),
                       RateOf(samples.last(quarter))};
  if (drift.first <= 0) return std::nullopt;
  return drift;
}

}  // namespace slm::bench
