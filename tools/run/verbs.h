// SPDX-License-Identifier: MIT
// What slm-run does besides answering: Foundry Local's cache and model
// commands, and a look at the machine.
#ifndef SLM_TOOLS_RUN_VERBS_H_
#define SLM_TOOLS_RUN_VERBS_H_

#include "runtime/core/result.h"
#include "tools/run/options.h"

namespace slm {

// The exit code.
Result<int> RunVerb(const RunOptions& options);

}  // namespace slm

#endif  // SLM_TOOLS_RUN_VERBS_H_
