// SPDX-License-Identifier: MIT
// One conversion from a source folder to a finished model folder.
#ifndef SLM_TOOLS_CONVERT_CONVERT_H_
#define SLM_TOOLS_CONVERT_CONVERT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/log.h"
#include "runtime/core/result.h"
#include "tools/convert/options.h"

namespace slm::convert {

struct Summary {
  uint64_t source_bytes = 0, output_bytes = 0;
  uint64_t weights = 0;  // values of the source's tensors
  double seconds = 0;
  std::vector<std::string> notes;
  std::vector<std::string> lines;  // of the self-check
};

// Leaves nothing behind where it fails or a signal is held (HoldSignals).
Result<Summary> Convert(const Options& options, const LogSink& log);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_CONVERT_H_
