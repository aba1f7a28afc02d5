// SPDX-License-Identifier: MIT
// Runs speed tests in a session. Tokens are random from a fixed seed, an end
// token means nothing; timed are the model and the greedy choice of a token
// from the logits, not tokenising. No result depends on what it says.
#ifndef SLM_TOOLS_BENCH_SPEED_TESTER_H_
#define SLM_TOOLS_BENCH_SPEED_TESTER_H_

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
  // A warm-up, then `repetitions` of the test, then if wished one more with a
  // profile.
  Result<TestResult> Run(const SpeedTest& test, size_t repetitions,
                         bool profile);

 private:
  Status Fill(const SpeedTest& test);
  Status FillOne(SequenceId id, size_t depth);
  Result<Elapsed> Repeat(const SpeedTest& test, size_t skip = 0);
  Status RunForks(const SpeedTest& test, std::span<const SequenceId> forks);
  Result<Work> WarmUp(const SpeedTest& test);
  Result<ProfiledRun> RepeatProfiled(const SpeedTest& test, size_t skip = 0);
  Status Step(std::span<const SequenceId> forks, size_t tokens);
  std::span<const int32_t> RandomIds(size_t count);

  Session& session_;
  // Sequences that hold the depth; repetitions run on their forks, so that a
  // depth is computed once whatever its sequences can be rewound to.
  std::vector<SequenceId> base_;
  std::mt19937 random_{1};
  std::vector<int32_t> ids_;
  Profile* profile_ = nullptr;
  int32_t chosen_ = 0;  // keeps the choice from being optimised away
};

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_SPEED_TESTER_H_
