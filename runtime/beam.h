// SPDX-License-Identifier: MIT
// Beam search as ONNX Runtime GenAI does it, without a model: the caller runs
// the model on each beam and forks its sequence states as next() says.
#ifndef SLM_RUNTIME_BEAM_H_
#define SLM_RUNTIME_BEAM_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/candidates.h"
#include "runtime/core/result.h"
#include "runtime/search_options.h"
#include "runtime/token_history.h"

namespace slm {

// Where a beam of the next step comes from, and the token that it adds.
struct BeamNext {
  size_t parent = 0;
  int32_t token = 0;
  float score = 0;  // sum of log probabilities
};

struct Hypothesis {
  std::vector<int32_t> tokens;  // with the prompt, without the EOS token
  float score = 0;              // sum / length^length_penalty
};

class BeamSearch {
 public:
  // Validates. The prompt is shared by all beams.
  static Result<BeamSearch> Create(const SearchOptions& options,
                                   int64_t vocab_size, int64_t context_length,
                                   std::span<const int32_t> prompt);

  // Takes logits [num_beams, V], row b for beam b, processes and overwrites
  // them. In the first step all rows are the prompt's. Not after done().
  Status Step(std::span<float> logits);

  // [num_beams], valid after Step and while not done.
  std::span<const BeamNext> next() const { return next_; }
  bool done() const { return done_; }
  std::span<const int32_t> tokens(size_t beam) const {
    return beams_[beam].tokens();
  }

  // The best num_return_sequences hypotheses, best first. Beams that are still
  // open, because max_length or the caller ends the search, take part.
  std::vector<Hypothesis> Finish();

 private:
  BeamSearch(const SearchOptions& options, size_t vocab,
             std::span<const int32_t> prompt);

  bool IsEos(int32_t token) const;
  void SelectBest(std::span<const float> scores);
  void ChooseNext();
  bool CanImprove() const;
  void Fork();
  void AddHypothesis(std::span<const int32_t> tokens, float sum);

  SearchOptions options_;
  size_t vocab_;
  size_t num_beams_;
  std::vector<TokenHistory> beams_;     // [num_beams]
  std::vector<TokenHistory> forked_;    // [num_beams] the other buffer
  std::vector<BeamNext> next_;          // [num_beams]
  std::vector<Hypothesis> hypotheses_;  // at most num_beams, best first
  Candidates candidates_;
  std::vector<BeamNext> best_;
  bool complete_ = false;  // hypotheses cannot improve
  bool done_ = false;
};

}  // namespace slm

#endif  // SLM_RUNTIME_BEAM_H_
