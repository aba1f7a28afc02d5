// SPDX-License-Identifier: MIT
// slm-inspect's commands: one file each, listed in main.cc.
#ifndef SLM_TOOLS_INSPECT_COMMANDS_H_
#define SLM_TOOLS_INSPECT_COMMANDS_H_

#include <string>
#include <vector>

#include "runtime/core/result.h"

namespace slm::inspect {

// Arguments after the command's name. Output goes to stdout, warnings to
// stderr; main prints the Status and turns its kind into the exit code.
using Arguments = std::vector<std::string>;

Status ShowGraph(const Arguments& arguments);
Status ShowPlan(const Arguments& arguments);
Status ShowOps(const Arguments& arguments);
Status ShowMemory(const Arguments& arguments);
Status Logits(const Arguments& arguments);
Status Generate(const Arguments& arguments);
Status Tokenize(const Arguments& arguments);
Status Template(const Arguments& arguments);

}  // namespace slm::inspect

#endif  // SLM_TOOLS_INSPECT_COMMANDS_H_
