// SPDX-License-Identifier: MIT
// What slm-bench speed found out, as data; the formats print the same report.
#ifndef SLM_TOOLS_BENCH_SPEED_REPORT_H_
#define SLM_TOOLS_BENCH_SPEED_REPORT_H_

#include <span>
#include <string>
#include <vector>

#include "tools/bench/open.h"
#include "tools/bench/speed_tester.h"

namespace slm::bench {

// ops/kernels/machine_limits.h; 0 where it could not be measured.
struct Limits {
  double read_bytes = 0;  // a second
  double int8_ops = 0;    // a second
};

struct Report {
  RunInfo info;
  double load_ms = 0;       // folder to ready session, tokenizer included
  double ttft_ms = 0;       // folder to the first token of a 1-token prompt
  size_t weight_bytes = 0;  // of all constants, mapped or not
  size_t peak_rss = 0;      // bytes, after the last test
  double cpu_percent = 0;   // of `threads` processors, while timed
  Limits limits;

  std::vector<TestResult> tests;

  const TestResult* Find(std::string_view name) const;
  // From a prompt of kTtftTokens to the choice of the next token, once the
  // model is warm: the median of that prefill test, NaN if it was not run.
  double TtftMs() const;
};
inline constexpr size_t kTtftTokens = 128;

// One figure of a test; every format has the same. NaN: not known.
struct Column {
  const char* key;    // of JSON and CSV
  const char* title;  // of tables
  int decimals;
  double (*value)(const Report& report, const TestResult& result);
};
std::span<const Column> Columns();

// A row of a profile with what it says of time, in the order to be printed.
struct ProfileLine {
  std::string name, shape;
  uint64_t calls = 0;
  double ms = 0, percent = 0;
  double gb_per_s = 0, gops = 0;  // 0: nothing to say
  uint64_t bytes = 0, ops = 0;
};
// Largest first, then "(other)", the time that no row has; the percents sum to
// 100. Rows below `least_percent` are summed up in one.
std::vector<ProfileLine> LinesOf(const ProfiledRun& run, double least_percent);

// The whole report in the format; ends in a newline.
std::string Print(const Report& report, OutputFormat format);
std::string PrintJson(const Report& report);
// As SVG: prefill and decode, a bar for each test.
std::string Chart(const Report& report);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_SPEED_REPORT_H_
