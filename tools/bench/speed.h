// SPDX-License-Identifier: MIT
// slm-bench speed: runs the tests and reports them.
#ifndef SLM_TOOLS_BENCH_SPEED_H_
#define SLM_TOOLS_BENCH_SPEED_H_

#include "tools/bench/flags.h"
#include "tools/bench/speed_report.h"

namespace slm::bench {

// Opens the model and runs the tests. `limits`: then measures the machine's.
Result<Report> MeasureSpeed(const SpeedOptions& options, bool limits);

// The exit code.
Result<int> RunSpeed(Flags* flags);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_SPEED_H_
