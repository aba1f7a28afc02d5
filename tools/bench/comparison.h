// SPDX-License-Identifier: MIT
// Two results of the same tests: by how much the second differs from the
// first, and whether that can be chance.
#ifndef SLM_TOOLS_BENCH_COMPARISON_H_
#define SLM_TOOLS_BENCH_COMPARISON_H_

#include <string>
#include <vector>

#include "tools/bench/result_file.h"

namespace slm::bench {

enum class Verdict { kBetter, kWorse, kNotSignificant, kTooFewSamples };
// "better", "worse", "not significant", "one sample".
const char* VerdictName(Verdict verdict);

struct ComparedTest {
  std::string name, unit;
  bool lower_is_better = false;  // of milliseconds and of memory
  double mean_a = 0, mean_b = 0;
  size_t samples_a = 0, samples_b = 0;
  double percent = 0;        // b against a
  double low = 0, high = 0;  // its 95 % interval, NaN if there is none
  Verdict verdict = Verdict::kTooFewSamples;
};

struct Comparison {
  std::vector<ComparedTest> tests;    // that both have; load and memory last
  std::vector<std::string> warnings;  // what makes the two hard to compare
};

// kUsage where they are of different verbs or have no test in common.
Result<Comparison> Compare(const ResultFile& a, const ResultFile& b);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_COMPARISON_H_
