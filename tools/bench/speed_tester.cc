// SPDX-License-Identifier: MIT
#include "tools/bench/speed_tester.h"

#include <algorithm>

#include "runtime/candidates.h"
#include "runtime/core/clock.h"
#include "tools/bench/statistics.h"

namespace slm::bench {
namespace {

// The sum of `steps` steps that grow evenly from the first to the last.
Work SumOfSteps(const Work& first, const Work& last, size_t steps) {
  const auto sum = [&](uint64_t Work::*field) {
    return (first.*field + last.*field) * steps / 2;
  };
  Work work;
  work.weight_bytes = sum(&Work::weight_bytes);
  work.kv_bytes = sum(&Work::kv_bytes);
  work.activation_bytes = sum(&Work::activation_bytes);
  work.product_macs = sum(&Work::product_macs);
  work.attention_macs = sum(&Work::attention_macs);
  return work;
}

}  // namespace

Speed SpeedOf(const TestResult& result) {
  std::vector<double> rates;
  for (const Elapsed& e : result.repetitions) {
    rates.push_back(result.Tokens() / e.seconds);
  }
  if (rates.empty()) return {};
  return {.median = Median(rates),
          .best = *std::max_element(rates.begin(), rates.end()),
          .mean = Mean(rates),
          .stddev = StdDev(rates)};
}

std::span<const int32_t> SpeedTester::RandomIds(size_t count) {
  // Not std::uniform_int_distribution: its values differ between libraries.
  ids_.resize(count);
  for (int32_t& id : ids_) {
    id = static_cast<int32_t>(random_() % session_.spec().vocab_size);
  }
  return ids_;
}

Status SpeedTester::FillOne(SequenceId id, size_t depth) {
  const size_t missing = depth - session_.Tokens(id).size();
  if (missing == 0) return OkStatus();
  const Session::Item item{
      .sequence = id, .tokens = RandomIds(missing), .logits = LogitsFor::kNone};
  return session_.Run({&item, 1});
}

// Each sequence is filled by itself: forks of one would share its pages, and
// read them once for all.
Status SpeedTester::Fill(const SpeedTest& test) {
  // What is too long is begun anew: not every state can be rewound.
  std::erase_if(base_, [&](SequenceId id) {
    if (session_.Tokens(id).size() <= test.depth) return false;
    session_.Drop(id);
    return true;
  });
  for (; base_.size() > test.batch; base_.pop_back()) {
    session_.Drop(base_.back());
  }
  while (base_.size() < test.batch) base_.push_back(session_.NewSequence());
  for (const SequenceId id : base_) {
    SLM_RETURN_IF_ERROR(FillOne(id, test.depth));
  }
  return OkStatus();
}

// `tokens` more in every fork, and the greedy choice of the next one.
Status SpeedTester::Step(std::span<const SequenceId> forks, size_t tokens) {
  const std::span<const int32_t> ids = RandomIds(tokens * forks.size());
  std::vector<Session::Item> items;
  for (const SequenceId fork : forks) {
    items.push_back({.sequence = fork,
                     .tokens = ids.subspan(items.size() * tokens, tokens),
                     .logits = LogitsFor::kLast});
  }
  SLM_RETURN_IF_ERROR(session_.Run(items));
  const double begin = profile_ ? MonotonicSeconds() : 0;
  for (size_t row = 0; row < session_.logit_rows(); ++row) {
    chosen_ ^= ArgMax(session_.Logits(row));
  }
  if (profile_) {
    profile_->AddOutside("(greedy choice)", MonotonicSeconds() - begin);
  }
  return OkStatus();
}

Status SpeedTester::RunForks(const SpeedTest& test,
                             std::span<const SequenceId> forks) {
  if (!test.decode) return Step(forks, test.tokens);
  for (size_t i = 0; i < test.tokens; ++i) {
    SLM_RETURN_IF_ERROR(Step(forks, 1));
  }
  return OkStatus();
}

// The test on forks of the base, which have taken `skip` tokens more before.
Result<Elapsed> SpeedTester::Repeat(const SpeedTest& test, size_t skip) {
  std::vector<SequenceId> forks;
  for (const SequenceId id : base_) {
    SLM_ASSIGN_OR_RETURN(const SequenceId fork, session_.Fork(id));
    forks.push_back(fork);
    SLM_RETURN_IF_ERROR(FillOne(fork, test.depth + skip));
  }
  session_.executor().SetProfile(profile_);
  const double begin = MonotonicSeconds();
  const double cpu_begin = ProcessCpuSeconds();
  const Status status = RunForks(test, forks);
  const Elapsed elapsed{MonotonicSeconds() - begin,
                        ProcessCpuSeconds() - cpu_begin};
  session_.executor().SetProfile(nullptr);
  for (const SequenceId fork : forks) session_.Drop(fork);
  SLM_RETURN_IF_ERROR(status);
  return elapsed;
}

Result<ProfiledRun> SpeedTester::RepeatProfiled(const SpeedTest& test,
                                                size_t skip) {
  ProfiledRun run;
  profile_ = &run.profile;
  const Result<Elapsed> elapsed = Repeat(test, skip);
  profile_ = nullptr;
  SLM_RETURN_IF_ERROR(elapsed.status());
  run.seconds = elapsed->seconds - run.profile.own_seconds();
  return run;
}

// Counts the work on the way. A decode is counted at its first and its last
// token: what attention reads grows by the same from one to the next (but where
// a window fills up between them).
Result<Work> SpeedTester::WarmUp(const SpeedTest& test) {
  if (!test.decode) {
    SLM_ASSIGN_OR_RETURN(const ProfiledRun run, RepeatProfiled(test));
    return run.profile.Total();
  }
  SpeedTest one = test;
  one.tokens = 1;
  SLM_ASSIGN_OR_RETURN(const ProfiledRun last,
                       RepeatProfiled(one, test.tokens - 1));
  SLM_ASSIGN_OR_RETURN(const ProfiledRun first, RepeatProfiled(one));
  return SumOfSteps(first.profile.Total(), last.profile.Total(), test.tokens);
}

Status SpeedTester::FirstToken() {
  const SequenceId sequence = session_.NewSequence();
  const Status status = Step({&sequence, 1}, 1);
  session_.Drop(sequence);
  return status;
}

Result<TestResult> SpeedTester::Run(const SpeedTest& test, size_t repetitions,
                                    bool profile) {
  SLM_RETURN_IF_ERROR(Fill(test).In(test.Name()));
  TestResult result;
  result.test = test;
  const Result<Work> work = WarmUp(test);
  SLM_RETURN_IF_ERROR(work.status().In(test.Name()));
  result.work = *work;
  for (size_t i = 0; i < repetitions; ++i) {
    SLM_ASSIGN_OR_RETURN(const Elapsed elapsed, Repeat(test));
    result.repetitions.push_back(elapsed);
  }
  if (profile) {
    SLM_ASSIGN_OR_RETURN(result.profiled, RepeatProfiled(test));
  }
  return result;
}

}  // namespace slm::bench
