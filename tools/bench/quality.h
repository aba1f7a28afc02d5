// SPDX-License-Identifier: MIT
// slm-bench ppl, ref and kld. Each returns the exit code.
#ifndef SLM_TOOLS_BENCH_QUALITY_H_
#define SLM_TOOLS_BENCH_QUALITY_H_

#include "tools/bench/flags.h"

namespace slm::bench {

Result<int> RunPerplexity(Flags* flags);
Result<int> RunReference(Flags* flags);
Result<int> RunDivergence(Flags* flags);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_QUALITY_H_
