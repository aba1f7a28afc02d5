// SPDX-License-Identifier: MIT
// slm-bench compare: results of other runs beside each other.
#ifndef SLM_TOOLS_BENCH_COMPARE_H_
#define SLM_TOOLS_BENCH_COMPARE_H_

#include "tools/bench/flags.h"

namespace slm::bench {

// The exit code.
Result<int> RunCompare(Flags* flags);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_COMPARE_H_
