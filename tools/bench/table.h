// SPDX-License-Identifier: MIT
// Tables of text for people and for programs.
#ifndef SLM_TOOLS_BENCH_TABLE_H_
#define SLM_TOOLS_BENCH_TABLE_H_

#include <string>
#include <vector>

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

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_TABLE_H_
