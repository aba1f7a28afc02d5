// SPDX-License-Identifier: MIT
// slm-bench soak: answers prompts for a long time and looks for leaks and for
// a speed that falls.
#ifndef SLM_TOOLS_BENCH_SOAK_H_
#define SLM_TOOLS_BENCH_SOAK_H_

#include "tools/bench/flags.h"

namespace slm::bench {

// The exit code.
Result<int> RunSoak(Flags* flags);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_SOAK_H_
