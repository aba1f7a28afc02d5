// SPDX-License-Identifier: MIT
// Where a sum is taken in float and in this order, it is because the token
// that is drawn depends on it; this file is compiled without contraction to
// fused multiply-add for the same reason.
#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>

namespace slm {
namespace {

// Sampling from everything: above this vocabulary size by buckets, up to it by
// the same ordered walk as a nucleus.
constexpr size_t kOrderedVocab = 4096;
// Buckets of 1/8 nat. What is 32 nats below the best has less than 2^-46 of
// its probability: 151936 such tokens together stay below 2^-28, less than
// one unit in the last place of the float sums of the ordered walk.
constexpr float kNats = 32;
constexpr size_t kBucketsPerNat = 8;
constexpr size_t kBuckets = 32 * kBucketsPerNat;

// ONNX Runtime GenAI sorts 16, 64, 256, ... candidates; see NucleusSize.
constexpr size_t kFirstStage = 16;
constexpr size_t kStageGrowth = 4;

// The first `keep` weights are >= min_p times the first, which is 1.
size_t KeepMinP(std::span<const float> weights, size_t keep, float min_p) {
  while (keep > 1 && weights[keep - 1] < min_p) --keep;
  return keep;
}

}  // namespace

double Canonical(std::mt19937& random) {
  constexpr double kTwo32 = 4294967296.0;
  double sum = static_cast<double>(random());
  sum += static_cast<double>(random()) * kTwo32;
  const double value = sum / (kTwo32 * kTwo32);
  return value < 1.0 ? value : std::nextafter(1.0, 0.0);
}

size_t SampleIndex(std::span<const float> weights, std::mt19937& random) {
  if (weights.size() < 2) return 0;
  double sum = 0;
  for (const float w : weights) sum += static_cast<double>(w);
  const double drawn = Canonical(random);
  double cumulative = 0;
  for (size_t i = 0; i + 1 < weights.size(); ++i) {
    cumulative += static_cast<double>(weights[i]) / sum;
    if (cumulative >= drawn) return i;
  }
  return weights.size() - 1;
}

Sampler::Sampler(const SearchOptions& options, uint32_t seed)
    : greedy_(IsGreedy(options)),
      top_k_(static_cast<size_t>(options.top_k)),
      top_p_(options.top_p),
      min_p_(options.min_p),
      inverse_temperature_(greedy_ ? 1.0f : 1.0f / options.temperature),
      random_(seed) {}

Result<int32_t> Sampler::Choose(std::span<const float> logits) {
  if (greedy_) {
    const int32_t best = ArgMax(logits);
    if (logits.empty() || !std::isfinite(logits[best])) {
      return Error(ErrorKind::kRuntime,
                   "cannot select a token: the largest of %zu logits is not "
                   "finite",
                   logits.size());
    }
    return best;
  }
  candidates_.Reset(logits);
  if (!std::isfinite(candidates_.max())) {
    return Error(ErrorKind::kRuntime,
                 "cannot select a token: the largest of %zu logits is not "
                 "finite",
                 logits.size());
  }
  if (top_k_ > 1) return ChooseAmongTopK();
  if (top_p_ >= 1 && min_p_ == 0 && logits.size() > kOrderedVocab) {
    return ChooseFromAll(logits);
  }
  return ChooseFromNucleus(logits.size());
}

// exp((s - max) / T), so that the best has weight 1.
float Sampler::Weight(float score) const {
  return std::exp((score - candidates_.max()) * inverse_temperature_);
}

// p_j = exp(s_j / T) / sum over the k; of these the smallest prefix with
// cumulative p >= top_p.
int32_t Sampler::ChooseAmongTopK() {
  auto top = candidates_.Top(top_k_);
  top = top.first(std::min(top_k_, top.size()));
  weights_.clear();
  float sum = 0;
  for (const Candidate& c : top) {
    weights_.push_back(Weight(c.score));
    sum += weights_.back();
  }
  size_t keep = KeepMinP(weights_, weights_.size(), min_p_);
  for (float& w : weights_) w /= sum;
  if (top_p_ > 0 && top_p_ < 1) {
    float cumulative = 0;
    for (size_t i = 0; i < keep; ++i) {
      cumulative += weights_[i];
      if (cumulative >= top_p_) {
        keep = i + 1;
        break;
      }
    }
  }
  weights_.resize(keep);
  return Draw(top);
}

int32_t Sampler::ChooseFromNucleus(size_t vocab) {
  weights_.clear();
  const size_t keep = vocab <= kFirstStage * kStageGrowth
                          ? ExactNucleusSize(vocab)
                          : NucleusSize(vocab);
  weights_.resize(KeepMinP(weights_, keep, min_p_));
  return Draw(candidates_.Top(weights_.size()));
}

// The nucleus without a sum over the vocabulary, as ONNX Runtime GenAI finds
// it: what follows candidate i is at most as probable as i, so that
//   cumulative(i) >= prefix / (prefix + (V - 1 - i) * weight(i))
// and the nucleus ends where this bound reaches top_p. It holds more tokens
// than the exact one. The bound is not heeded at the last candidate of a
// stage, which is an accident there, but decides which token a seed gives.
size_t Sampler::NucleusSize(size_t vocab) {
  size_t stage = kFirstStage;
  float prefix = 0;
  for (size_t i = 0; i < vocab; ++i) {
    if (i == stage) stage *= kStageGrowth;
    const auto top = candidates_.Top(std::min(stage, vocab));
    const float weight = Weight(top[i].score);
    weights_.push_back(weight);
    if (weight < min_p_) return i + 1;  // dropped by the caller with the rest
    prefix += weight;
    const float tail = static_cast<float>(vocab - i - 1) * weight;
    const bool last_of_stage = i + 1 == stage && stage < vocab;
    if (!last_of_stage && prefix >= top_p_ * (prefix + tail)) return i + 1;
  }
  return vocab;
}

// The smallest prefix with sum(prefix) >= top_p * sum(all).
size_t Sampler::ExactNucleusSize(size_t vocab) {
  float all = 0;
  for (const Candidate& c : candidates_.Top(vocab)) {
    weights_.push_back(Weight(c.score));
    all += weights_.back();
  }
  float prefix = 0;
  for (size_t i = 0; i < vocab; ++i) {
    prefix += weights_[i];
    if (prefix >= top_p_ * all) return i + 1;
  }
  return vocab;
}

// Draws from the first weights_.size() candidates. The two roundings of the
// weights are those of the peer.
int32_t Sampler::Draw(std::span<const Candidate> kept) {
  float sum = 0;
  for (const float w : weights_) sum += w;
  const float inverse = 1.0f / sum;
  for (float& w : weights_) w *= inverse;
  return kept[SampleIndex(weights_, random_)].id;
}

// Descending order matters to the draw only around the drawn point: the row is
// summed by buckets of equal distance from the best, and the one bucket that
// the point falls into is sorted. Sums are in double, so the point differs
// from that of the ordered walk by some 1e-8 of the probability.
int32_t Sampler::ChooseFromAll(std::span<const float> logits) {
  double sums[kBuckets] = {};
  const auto bucket_of = [this](float score) {
    const float nats = (candidates_.max() - score) * inverse_temperature_;
    // NaN compares false and ends up outside, too.
    return nats < kNats ? static_cast<size_t>(nats * kBucketsPerNat) : kBuckets;
  };
  for (const float score : logits) {
    const size_t b = bucket_of(score);
    if (b < kBuckets) sums[b] += static_cast<double>(Weight(score));
  }
  double total = 0;
  for (const double s : sums) total += s;
  double left = Canonical(random_) * total;
  size_t bucket = 0;
  size_t last = 0;  // the last bucket that is not empty
  for (; bucket < kBuckets; ++bucket) {
    if (sums[bucket] == 0) continue;
    last = bucket;
    if (left <= sums[bucket]) break;
    left -= sums[bucket];
  }
  if (bucket == kBuckets) {  // rounding went past the end
    bucket = last;
    left = total;
  }
  drawn_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (bucket_of(logits[i]) == bucket) {
      drawn_.push_back({logits[i], static_cast<int32_t>(i)});
    }
  }
  std::sort(drawn_.begin(), drawn_.end(), Better);
  for (const Candidate& c : drawn_) {
    left -= static_cast<double>(Weight(c.score));
    if (left <= 0) return c.id;
  }
  return drawn_.back().id;
}

}  // namespace slm
