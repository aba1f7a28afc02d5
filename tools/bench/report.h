// SPDX-License-Identifier: MIT
// What slm-bench found out, as data; the formats print the same report.
#ifndef SLM_TOOLS_BENCH_REPORT_H_
#define SLM_TOOLS_BENCH_REPORT_H_

#include <string>
#include <vector>

#include "tools/bench/options.h"
#include "tools/bench/speed.h"

namespace slm::bench {

struct Report {
  std::string model;
  std::string version;
  std::string cpu;
  std::string target;  // SIMD target that the kernels take
  size_t threads = 0;
  DType kv = DType::kF16;

  double load_ms = 0;       // folder to ready session, tokenizer included
  double ttft_ms = 0;       // folder to the first token of a 1-token prompt
  size_t weight_bytes = 0;  // of all constants, mapped or not
  size_t peak_rss = 0;      // bytes, after the last test
  double cpu_percent = 0;   // of `threads` processors, while timed

  std::vector<TestResult> tests;
};

// The whole report in the format; ends in a newline.
std::string Print(const Report& report, OutputFormat format);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_REPORT_H_
