// SPDX-License-Identifier: MIT
// Tables of text for people and for programs.
#ifndef SLM_TOOLS_BENCH_TABLE_H_
#define SLM_TOOLS_BENCH_TABLE_H_

#include <string>
#include <vector>

#include "tools/bench/flags.h"

namespace slm::bench {

// The first row is the head.
using Cells = std::vector<std::vector<std::string>>;

// Aligned for people, with bars for Markdown. The first column, and where it
// is text the last, are aligned to the left.
std::string Table(const Cells& rows, bool last_is_text, bool markdown);

// RFC 4180: what has a comma, a quote or a line break is quoted.
std::string Csv(const Cells& rows);

// "-" where the value is not known (NaN).
std::string Number(double value, int decimals);

// A report as -o wants it: json(report), csv(report) or people(report,
// markdown).
template <typename Report, typename ToJson, typename ToCsv, typename ToPeople>
std::string PrintAs(const Report& report, OutputFormat format,
                    const ToJson& json, const ToCsv& csv,
                    const ToPeople& people) {
  switch (format) {
    case OutputFormat::kJson:
      return json(report);
    case OutputFormat::kCsv:
      return csv(report);
    case OutputFormat::kMarkdown:
      return people(report, /*markdown=*/true);
    case OutputFormat::kText:
      break;
  }
  return people(report, /*markdown=*/false);
}

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_TABLE_H_
