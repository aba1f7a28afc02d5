// SPDX-License-Identifier: MIT
// The turns of a chat, and files of them: JSON lines, one turn a line:
//   {"role":"user","content":"Hello"}
#ifndef SLM_TOOLS_RUN_TRANSCRIPT_H_
#define SLM_TOOLS_RUN_TRANSCRIPT_H_

#include <string>
#include <vector>

#include "runtime/core/result.h"

namespace slm {

struct Turn {
  std::string role, content;
};

// The system turn, if there is one, is the first.
using Transcript = std::vector<Turn>;

Result<Transcript> LoadTranscript(const std::string& path);
// The file holds the old or the new turns, never half; only this user may read
// it.
Status SaveTranscript(const std::string& path, const Transcript& turns);

}  // namespace slm

#endif  // SLM_TOOLS_RUN_TRANSCRIPT_H_
