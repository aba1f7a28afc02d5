// SPDX-License-Identifier: MIT
// slm-bench chat: answers real prompts and reports what a user waits for.
#ifndef SLM_TOOLS_BENCH_CHAT_H_
#define SLM_TOOLS_BENCH_CHAT_H_

#include "tools/bench/flags.h"

namespace slm::bench {

// The exit code.
Result<int> RunChat(Flags* flags);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_CHAT_H_
