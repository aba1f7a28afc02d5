// SPDX-License-Identifier: MIT
// Selects a token from processed logits. Same logits, options and seed: the
// token that ONNX Runtime GenAI selects on Linux, except where several logits
// are exactly equal (there its order is that of an unstable sort, ours is by
// id) and where the two last digits of a platform's expf decide.
#ifndef SLM_RUNTIME_SAMPLER_H_
#define SLM_RUNTIME_SAMPLER_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "runtime/candidates.h"
#include "runtime/core/result.h"
#include "runtime/search_options.h"

namespace slm {

// std::mt19937 gives the same words everywhere; the distributions over them do
// not, so these two are libstdc++'s algorithms written out.
//
// In [0, 1): std::generate_canonical<double, 53>. Takes two words.
double Canonical(std::mt19937& random);
// An index with probability weights[i] / sum: std::discrete_distribution.
// A single weight takes no random word.
size_t SampleIndex(std::span<const float> weights, std::mt19937& random);

class Sampler {
 public:
  // Options must be valid. `seed` is options.seed, or one that the caller drew
  // where that is -1.
  Sampler(const SearchOptions& options, uint32_t seed);

  // Fails if the logits [V] have no finite maximum.
  Result<int32_t> Choose(std::span<const float> logits);

 private:
  int32_t ChooseAmongTopK();
  int32_t ChooseFromNucleus(size_t vocab);

  float Weight(float score) const;
  size_t NucleusSize(size_t vocab);
  size_t ExactNucleusSize(size_t vocab);
  int32_t Draw(std::span<const Candidate> kept);

  bool greedy_;
  size_t top_k_;
  float top_p_;
  float min_p_;
  float inverse_temperature_;
  std::mt19937 random_;
  Candidates candidates_;
  std::vector<float> weights_;  // of the candidates, best first
};

}  // namespace slm

#endif  // SLM_RUNTIME_SAMPLER_H_
