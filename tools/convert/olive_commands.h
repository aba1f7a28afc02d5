// SPDX-License-Identifier: MIT
// Olive's commands beside auto-opt and run: optimize, quantize,
// capture-onnx-graph; the others are refused by name.
#ifndef SLM_TOOLS_CONVERT_OLIVE_COMMANDS_H_
#define SLM_TOOLS_CONVERT_OLIVE_COMMANDS_H_

#include <span>
#include <string>

#include "runtime/core/result.h"
#include "tools/convert/options.h"

namespace slm::convert {

// One of Olive's names, alone or with a flag behind it: a source folder of that
// name is followed by an output.
bool IsOliveCommand(std::span<const std::string> args);
Result<Options> ParseOliveCommand(std::span<const std::string> args);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_OLIVE_COMMANDS_H_
