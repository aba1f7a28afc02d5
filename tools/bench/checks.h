// SPDX-License-Identifier: MIT
// Measured figures beside the limits that the user gave for them.
#ifndef SLM_TOOLS_BENCH_CHECKS_H_
#define SLM_TOOLS_BENCH_CHECKS_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tools/bench/flags.h"

namespace slm::bench {

struct Check {
  const char* name;
  const char* unit;
  int decimals;
  bool at_least;  // the limit is the least that will do, else the most
  std::optional<double> limit;
  double measured;  // NaN: not known, which no limit lets pass

  bool ok() const;
};

bool AllOk(std::span<const Check> checks);
// Exit code 10 if a limit is broken.
int ExitCodeOf(std::span<const Check> checks);

// A row for each: name, measured, limit, ok. Not of JSON.
std::string CheckTable(std::span<const Check> checks, OutputFormat format);
// [{"name": ..., "unit": ..., "measured": ..., "limit": ..., "ok": ...}, ...]
void AppendChecks(std::span<const Check> checks, std::string* out);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_CHECKS_H_
