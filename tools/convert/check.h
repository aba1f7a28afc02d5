// SPDX-License-Identifier: MIT
// slm-convert check: is a model folder whole, and what slm.json says it is?
#ifndef SLM_TOOLS_CONVERT_CHECK_H_
#define SLM_TOOLS_CONVERT_CHECK_H_

#include <string>
#include <vector>

#include "runtime/core/log.h"
#include "runtime/core/result.h"

namespace slm::convert {

struct CheckReport {
  size_t hashed_files = 0;         // that are as slm.json says
  std::vector<std::string> notes;  // what works in slm and not everywhere
};

// Opens the folder as slm-run does: config, graph, weights, tokenizer and
// template; then compares sizes and hashes with slm.json where it is there.
Result<CheckReport> CheckFolder(const std::string& folder, const LogSink& log);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_CHECK_H_
