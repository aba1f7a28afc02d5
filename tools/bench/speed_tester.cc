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

// A copy of what holds the most of the depth already: depths in rising order
// take the time and the pages of the deepest together.
Result<SequenceId> SpeedTester::NewBase(size_t depth, size_t index) {
  for (auto it = bases_.lower_bound(depth); it != bases_.begin();) {
    --it;
    if (it->second.size() > index) return session_.Fork(it->second[index]);
  }
  return session_.NewSequence();
}

// Each sequence of a depth is filled by itself: forks of one would share its
// pages, and read them once for all.
Status SpeedTester::Fill(const SpeedTest& test) {
  std::vector<SequenceId>& base = bases_[test.depth];
  while (base.size() < test.batch) {
    SLM_ASSIGN_OR_RETURN(const SequenceId id, NewBase(test.depth, base.size()));
    base.push_back(id);
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
Result<Elapsed> SpeedTester::Time(const SpeedTest& test, size_t skip) {
  std::vector<SequenceId> forks;
  for (const SequenceId id : std::span(bases_[test.depth]).first(test.batch)) {
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

Result<ProfiledRun> SpeedTester::TimeProfiled(const SpeedTest& test,
                                              size_t skip) {
  ProfiledRun run;
  profile_ = &run.profile;
  const Result<Elapsed> elapsed = Time(test, skip);
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
    SLM_ASSIGN_OR_RETURN(const ProfiledRun run, TimeProfiled(test));
    return run.profile.Total();
  }
  SpeedTest one = test;
  one.tokens = 1;
  SLM_ASSIGN_OR_RETURN(const ProfiledRun last,
                       TimeProfiled(one, test.tokens - 1));
  SLM_ASSIGN_OR_RETURN(const ProfiledRun first, TimeProfiled(one));
  return SumOfSteps(first.profile.Total(), last.profile.Total(), test.tokens);
}

Status SpeedTester::FirstToken() {
  const SequenceId sequence = session_.NewSequence();
  const Status status = Step({&sequence, 1}, 1);
  session_.Drop(sequence);
  return status;
}

Result<TestResult> SpeedTester::Prepare(const SpeedTest& test) {
  SLM_RETURN_IF_ERROR(Fill(test).In(test.Name()));
  const Result<Work> work = WarmUp(test);
  SLM_RETURN_IF_ERROR(work.status().In(test.Name()));
  TestResult result;
  result.test = test;
  result.work = *work;
  return result;
}

Status SpeedTester::Repeat(TestResult* result) {
  // Not counted: a token takes 1.0 to 1.2 ms more where a prefill of 512 was
  // before it (4.6 to 6.3 ms otherwise), those after it the same.
  SpeedTest one = result->test;
  one.tokens = 1;
  SLM_RETURN_IF_ERROR(Time(one).status().In(result->test.Name()));
  const Result<Elapsed> elapsed = Time(result->test);
  SLM_RETURN_IF_ERROR(elapsed.status().In(result->test.Name()));
  result->repetitions.push_back(*elapsed);
  return OkStatus();
}

Status SpeedTester::RepeatProfiled(TestResult* result) {
  Result<ProfiledRun> run = TimeProfiled(result->test);
  SLM_RETURN_IF_ERROR(run.status().In(result->test.Name()));
  result->profiled = std::move(*run);
  return OkStatus();
}

}  // namespace slm::bench
