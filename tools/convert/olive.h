// SPDX-License-Identifier: MIT
// The command lines and configuration files of Olive and of ONNX Runtime
// GenAI's model builder, as options of slm-convert. What changes a result there
// is honoured or refused; what means nothing here is accepted with a note.
#ifndef SLM_TOOLS_CONVERT_OLIVE_H_
#define SLM_TOOLS_CONVERT_OLIVE_H_

#include <span>
#include <string>

#include "runtime/core/result.h"
#include "tools/convert/options.h"

namespace slm::convert {

// "auto-opt ...", "run --config FILE ...", another command of Olive with flags
// behind it, or the builder's -i, -o, -e and --extra_options; all others are
// slm-convert's own.
bool IsForeignCommand(std::span<const std::string> args);
Result<Options> ParseForeignCommand(std::span<const std::string> args);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_OLIVE_H_
