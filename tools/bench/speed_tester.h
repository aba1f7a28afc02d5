// SPDX-License-Identifier: MIT
// Runs speed tests in a session. Tokens are random from a fixed seed, an end
// token means nothing; timed are the model and the greedy choice of a token
// from the logits, not tokenising. No result depends on what it says.
#ifndef SLM_TOOLS_BENCH_SPEED_TESTER_H_
#define SLM_TOOLS_BENCH_SPEED_TESTER_H_

#include <map>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "runtime/session.h"
#include "tools/bench/speed_options.h"

namespace slm::bench {

// Time on the clock, and of all processors in this process.
struct Elapsed {
  double seconds = 0;
  double cpu_seconds = 0;
};

// One repetition with a profile.
struct ProfiledRun {
  Profile profile;
  double seconds = 0;  // without what keeping the profile took
};

struct TestResult {
  SpeedTest test;
  std::vector<Elapsed> repetitions;
  Work work;  // the least that one repetition has to do
  std::optional<ProfiledRun> profiled;

  // Tokens of all sequences in one repetition.
  double Tokens() const {
    return static_cast<double>(test.tokens) * static_cast<double>(test.batch);
  }
};

// Tokens a second over the repetitions. The median is what `tok_per_s` says:
// one repetition that met another program does not move it.
struct Speed {
  double median = 0, best = 0, mean = 0, stddev = 0;
};
Speed SpeedOf(const TestResult& result);

class SpeedTester {
 public:
  explicit SpeedTester(Session* session) : session_(*session) {}

  // A prompt of one token and the choice of the next.
  Status FirstToken();
  // Fills the depth, warms up and counts the work; no repetition yet. What the
  // test needs is held from here on, so several tests can take turns.
  Result<TestResult> Prepare(const SpeedTest& test);
  // One repetition more of a prepared test; the timed one after a token that
  // is not counted.
  Status Repeat(TestResult* result);
  Status RepeatProfiled(TestResult* result);

 private:
  Status Fill(const SpeedTest& test);
  Status FillOne(SequenceId id, size_t depth);
  Result<SequenceId> NewBase(size_t depth, size_t index);
  Result<Elapsed> Time(const SpeedTest& test, size_t skip = 0);
  Result<ProfiledRun> TimeProfiled(const SpeedTest& test, size_t skip = 0);
  Status RunForks(const SpeedTest& test, std::span<const SequenceId> forks);
  Result<Work> WarmUp(const SpeedTest& test);
  Status Step(std::span<const SequenceId> forks, size_t tokens);
  std::span<const int32_t> RandomIds(size_t count);

  Session& session_;
  // Sequences by the depth that they hold, as many as the largest batch has;
  // repetitions run on forks of the first ones, so that a depth is computed
  // once whatever its sequences can be rewound to.
  std::map<size_t, std::vector<SequenceId>> bases_;
  std::mt19937 random_{1};
  std::vector<int32_t> ids_;
  Profile* profile_ = nullptr;
  int32_t chosen_ = 0;  // keeps the choice from being optimised away
};

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_SPEED_TESTER_H_
