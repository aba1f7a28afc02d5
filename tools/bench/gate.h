// SPDX-License-Identifier: MIT
// slm-bench gate: measures what the limits ask for and compares.
#ifndef SLM_TOOLS_BENCH_GATE_H_
#define SLM_TOOLS_BENCH_GATE_H_

#include "tools/bench/flags.h"

namespace slm::bench {

// The exit code: 0, or 10 if a limit does not hold.
Result<int> RunGate(Flags* flags);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_GATE_H_
