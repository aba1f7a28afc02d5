// SPDX-License-Identifier: MIT
#include "runtime/beam.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/logits.h"

namespace slm {
namespace {

// score(token) = log softmax(logits)(token) + score of the beam.
// False if that is not a number. The sums are in float and in this order
// because near ties of beams depend on it.
bool AddLogSoftmax(std::span<float> row, float beam_score) {
  const float max = row[ArgMax(row)];
  float sum = 0;
  for (float& s : row) {
    s -= max;
    sum += std::exp(s);
  }
  const float log_sum = std::log(sum);
  for (float& s : row) s = s - log_sum + beam_score;
  return std::isfinite(max) && std::isfinite(sum);
}

bool BetterBeam(const BeamNext& a, const BeamNext& b) {
  if (a.score != b.score) return a.score > b.score;
  return a.parent != b.parent ? a.parent < b.parent : a.token < b.token;
}

float LengthScore(float sum, size_t length, float length_penalty) {
  return sum / std::pow(static_cast<float>(length), length_penalty);
}

}  // namespace

Result<BeamSearch> BeamSearch::Create(const SearchOptions& options,
                                      int64_t vocab_size,
                                      int64_t context_length,
                                      std::span<const int32_t> prompt) {
  SLM_RETURN_IF_ERROR(Validate(options, vocab_size, context_length));
  // A hypothesis may be the bare prompt, and its score divides by the length.
  if (prompt.empty())
    return Usage("beam search needs a prompt, it has 0 tokens");
  if (prompt.size() >= static_cast<uint64_t>(options.max_length)) {
    return Error(
        ErrorKind::kOverflow,
        "prompt has %zu tokens, max_length is %zu; shorten it or raise "
        "the limit",
        prompt.size(), static_cast<size_t>(options.max_length));
  }
  return BeamSearch(options, static_cast<size_t>(vocab_size), prompt);
}

BeamSearch::BeamSearch(const SearchOptions& options, size_t vocab,
                       std::span<const int32_t> prompt)
    : options_(options),
      vocab_(vocab),
      num_beams_(static_cast<size_t>(options.num_beams)) {
  // All beams hold the same prompt: only the first may win the first step.
  constexpr float kUnused = -1e9f;
  for (size_t b = 0; b < num_beams_; ++b) {
    next_.push_back({.parent = b, .score = b == 0 ? 0.0f : kUnused});
    beams_.emplace_back();
    beams_.back().AppendPrompt(prompt);
    forked_.emplace_back();
  }
}

bool BeamSearch::IsEos(int32_t token) const {
  return std::find(options_.eos_ids.begin(), options_.eos_ids.end(), token) !=
         options_.eos_ids.end();
}

Status BeamSearch::Step(std::span<float> logits) {
  SLM_CHECK(logits.size() == num_beams_ * vocab_);
  SLM_CHECK(!done_);
  for (size_t b = 0; b < num_beams_; ++b) {
    const auto row = logits.subspan(b * vocab_, vocab_);
    ProcessLogits(options_, beams_[b], row);
    if (!AddLogSoftmax(row, next_[b].score)) {
      return Error(ErrorKind::kRuntime,
                   "cannot extend beam %zu: its %zu logits are not finite", b,
                   vocab_);
    }
  }
  SelectBest(logits);
  ChooseNext();
  complete_ = hypotheses_.size() == num_beams_ &&
              (options_.early_stopping || !CanImprove());
  Fork();
  done_ = complete_ ||
          beams_[0].length() == static_cast<size_t>(options_.max_length);
  return OkStatus();
}

// best_ = the best candidates of all beams, best first. 2 * num_beams of them
// hold num_beams that are not EOS when there is one EOS id; with more ids more
// are needed.
void BeamSearch::SelectBest(std::span<const float> scores) {
  const size_t eos_count = std::max<size_t>(1, options_.eos_ids.size());
  const size_t per_beam = std::min(vocab_, num_beams_ * (1 + eos_count));
  best_.clear();
  for (size_t b = 0; b < num_beams_; ++b) {
    candidates_.Reset(scores.subspan(b * vocab_, vocab_));
    for (const Candidate& c : candidates_.Top(per_beam).first(per_beam)) {
      best_.push_back({.parent = b, .token = c.id, .score = c.score});
    }
  }
  std::sort(best_.begin(), best_.end(), BetterBeam);
}

// An EOS among the num_beams best ends a hypothesis, a worse one is dropped;
// the best others go on.
void BeamSearch::ChooseNext() {
  next_.clear();
  for (size_t i = 0; next_.size() < num_beams_; ++i) {
    SLM_CHECK(i < best_.size());  // Validate: more tokens than EOS ids
    const BeamNext& candidate = best_[i];
    if (!IsEos(candidate.token)) {
      next_.push_back(candidate);
    } else if (i < num_beams_) {
      AddHypothesis(beams_[candidate.parent].tokens(), candidate.score);
    }
  }
}

// Whether the best beam, if it ended here, would displace a hypothesis.
bool BeamSearch::CanImprove() const {
  return hypotheses_.back().score < LengthScore(best_[0].score,
                                                beams_[0].length(),
                                                options_.length_penalty);
}

void BeamSearch::Fork() {
  for (size_t b = 0; b < num_beams_; ++b) {
    forked_[b].CopyFrom(beams_[next_[b].parent]);
    forked_[b].AppendOutput(next_[b].token);
  }
  beams_.swap(forked_);
}

// Keeps the num_beams best; of equal ones those that came first.
void BeamSearch::AddHypothesis(std::span<const int32_t> tokens, float sum) {
  const float score = LengthScore(sum, tokens.size(), options_.length_penalty);
  if (hypotheses_.size() == num_beams_) {
    if (!(score > hypotheses_.back().score)) return;
    hypotheses_.pop_back();
  }
  auto at = hypotheses_.end();
  while (at != hypotheses_.begin() && score > (at - 1)->score) --at;
  hypotheses_.insert(
      at, {.tokens = {tokens.begin(), tokens.end()}, .score = score});
}

std::vector<Hypothesis> BeamSearch::Finish() {
  if (!complete_) {
    for (size_t b = 0; b < num_beams_; ++b) {
      AddHypothesis(beams_[b].tokens(), next_[b].score);
    }
  }
  complete_ = true;
  done_ = true;
  const size_t wanted = static_cast<size_t>(options_.num_return_sequences);
  return {hypotheses_.begin(),
          hypotheses_.begin() + std::min(wanted, hypotheses_.size())};
}

}  // namespace slm
