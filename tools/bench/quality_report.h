// SPDX-License-Identifier: MIT
// Figures of quality in every format.
#ifndef SLM_TOOLS_BENCH_QUALITY_REPORT_H_
#define SLM_TOOLS_BENCH_QUALITY_REPORT_H_

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tools/bench/flags.h"
#include "tools/bench/open.h"

namespace slm::bench {

struct Figure {
  const char* key;     // of JSON and CSV; its error is key_error
  const char* title;   // of tables; nullptr: not in them
  double value;        // NaN: not known
  double error = NAN;  // standard error; NaN: none
  bool is_count = false;
};

struct QualityReport {
  const char* verb = "";
  RunInfo info = {};
  // What was compared or read: members of JSON, columns of CSV.
  std::vector<std::pair<const char*, std::string>> texts = {};
  std::string line = {};  // for people, below the first one
  std::string note = {};  // or ""
  std::vector<Figure> figures = {};
};

// The whole report in the format; ends in a newline.
std::string Print(const QualityReport& report, OutputFormat format);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_QUALITY_REPORT_H_
