// SPDX-License-Identifier: MIT
// The conversation at a terminal.
#ifndef SLM_TOOLS_RUN_REPL_H_
#define SLM_TOOLS_RUN_REPL_H_

#include "tools/run/answer.h"

namespace slm {

// Reads turns from stdin until it ends or /exit. A failed answer is told and
// the chat goes on.
Status Chat(slm_chat* chat, const Sampling& sampling, const std::string& model,
            const RunOptions& options, bool color);

}  // namespace slm

#endif  // SLM_TOOLS_RUN_REPL_H_
