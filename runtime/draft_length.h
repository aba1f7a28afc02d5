// SPDX-License-Identifier: MIT
// How many tokens speculation drafts next: a fixed number, or one that follows
// the measured speed. It never changes a text, only the steps that it takes.
#ifndef SLM_RUNTIME_DRAFT_LENGTH_H_
#define SLM_RUNTIME_DRAFT_LENGTH_H_

#include <array>
#include <cstddef>

#include "runtime/ngram.h"

namespace slm {

// A step that verified drafts.
struct DraftRound {
  size_t proposed = 0;
  size_t accepted = 0;  // of them; one more token was chosen after them
  double seconds = 0;   // of look-up, execution and choice
};

// The rules of ORT-GenAI's docs/SpeculativeDecoding.md. With min_adaptive_k
// the length starts there, tries its neighbours up to 16 and keeps one that
// is not slower. With cooldown three rounds in a row of which nothing was
// accepted, at the least length, are followed by a step without drafts.
class DraftLength {
 public:
  explicit DraftLength(const NgramOptions& options);

  // For the next step; 0 for a step of cooldown, which this call uses up.
  size_t Next();
  void Record(const DraftRound& round);

  size_t length() const { return length_; }

 private:
  // Moving means over the rounds of one length.
  struct Estimate {
    double tokens = 0, seconds = 0, acceptance = 0;
    bool empty = true;
    void Add(double more_tokens, double more_seconds, double more_acceptance);
    double Speed() const { return tokens / seconds; }
  };

  void CountRejections(const DraftRound& round);
  void JudgeProbe(const Estimate& probe);
  void StartProbe(size_t length);
  void EndProbe(bool keep);

  bool adaptive_, cooldown_;
  size_t least_;
  size_t length_;
  std::array<Estimate, kMaxDraftTokens + 1> estimates_;  // [length]
  size_t origin_ = 0;  // the length that a probe came from; 0: no probe runs
  int rounds_ = 0;     // at this length since it was chosen
  int wait_ = 0;       // rounds before the next probe
  int rejected_rounds_ = 0;  // in a row
  bool cool_ = false;
};

}  // namespace slm

#endif  // SLM_RUNTIME_DRAFT_LENGTH_H_
