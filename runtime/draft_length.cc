// SPDX-License-Identifier: MIT
#include "runtime/draft_length.h"

namespace slm {
namespace {

constexpr double kNewWeight = 0.25;     // of a round in the moving means
constexpr double kFewAccepted = 0.5;    // below: try a shorter draft
constexpr double kManyAccepted = 0.75;  // from here: try a longer one
constexpr double kSameSpeed = 0.97;     // of the origin's: keep the probe
constexpr double kMuchSlower = 0.8;     // below: give it up at once
constexpr int kRoundsToJudge = 2;
constexpr int kWaitAfterSuccess = 1, kWaitAfterFailure = 6;
constexpr int kRejectionsToCool = 3;

}  // namespace

void DraftLength::Estimate::Add(double more_tokens, double more_seconds,
                                double more_acceptance) {
  const double weight = empty ? 1 : kNewWeight;
  tokens += weight * (more_tokens - tokens);
  seconds += weight * (more_seconds - seconds);
  acceptance += weight * (more_acceptance - acceptance);
  empty = false;
}

DraftLength::DraftLength(const NgramOptions& options)
    : adaptive_(options.min_adaptive_k > 0),
      cooldown_(options.cooldown),
      least_(static_cast<size_t>(adaptive_ ? options.min_adaptive_k
                                           : options.max_draft_tokens)),
      length_(least_) {}

size_t DraftLength::Next() {
  if (!cool_) return length_;
  cool_ = false;
  return 0;
}

void DraftLength::Record(const DraftRound& round) {
  if (round.proposed == 0) return;
  CountRejections(round);
  // A short draft says nothing about the length, a clock that stood nothing
  // about the speed.
  if (!adaptive_ || round.proposed != length_ || !(round.seconds > 0)) return;
  const size_t examined =
      round.accepted + (round.accepted < round.proposed ? 1 : 0);
  Estimate& here = estimates_[length_];
  here.Add(static_cast<double>(round.accepted + 1), round.seconds,
           static_cast<double>(round.accepted) / static_cast<double>(examined));
  ++rounds_;
  if (origin_ != 0) return JudgeProbe(here);
  if (wait_ > 0) {
    --wait_;
  } else if (rounds_ < kRoundsToJudge) {
    return;
  } else if (here.acceptance < kFewAccepted && length_ > least_) {
    StartProbe(length_ - 1);
  } else if (here.acceptance >= kManyAccepted && length_ < kMaxDraftTokens) {
    StartProbe(length_ + 1);
  }
}

void DraftLength::CountRejections(const DraftRound& round) {
  if (!cooldown_ || round.accepted > 0 || length_ != least_) {
    rejected_rounds_ = 0;
  } else if (++rejected_rounds_ == kRejectionsToCool) {
    rejected_rounds_ = 0;
    cool_ = true;
  }
}

void DraftLength::JudgeProbe(const Estimate& probe) {
  const double origin = estimates_[origin_].Speed();
  if (probe.Speed() < kMuchSlower * origin) return EndProbe(/*keep=*/false);
  if (rounds_ < kRoundsToJudge) return;
  const bool accepted = length_ < origin_ || probe.acceptance >= kManyAccepted;
  EndProbe(accepted && probe.Speed() >= kSameSpeed * origin);
}

void DraftLength::StartProbe(size_t length) {
  origin_ = length_;
  length_ = length;
  rounds_ = 0;
}

void DraftLength::EndProbe(bool keep) {
  if (!keep) length_ = origin_;
  origin_ = 0;
  rounds_ = 0;
  wait_ = keep ? kWaitAfterSuccess : kWaitAfterFailure;
}

}  // namespace slm
