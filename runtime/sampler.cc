// SPDX-License-Identifier: MIT
// Where a sum is taken in float and in this order, it is because the token
// that is drawn depends on it; this file is compiled without contraction to
// fused multiply-add for the same reason.
#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>

namespace slm {
namespace {

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

}  // namespace slm
