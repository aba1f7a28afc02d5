// SPDX-License-Identifier: MIT
// slm-bench speed: runs the tests and reports them.
#ifndef SLM_TOOLS_BENCH_SPEED_H_
#define SLM_TOOLS_BENCH_SPEED_H_

#include "tools/bench/flags.h"

namespace slm::bench {

// The exit code.
Result<int> RunSpeed(Flags* flags);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_SPEED_H_
