// SPDX-License-Identifier: MIT
// The tokens that activations are measured on: a text of the user's, or what
// the model itself says when its output is sampled.
#ifndef SLM_TOOLS_CONVERT_CALIBRATION_TEXT_H_
#define SLM_TOOLS_CONVERT_CALIBRATION_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/core/threads.h"
#include "runtime/model.h"

namespace slm::convert {

using Documents = std::vector<std::vector<int32_t>>;

size_t CountTokens(const Documents& documents);

// Told what is being done and how far it is; a failure ends the work.
using CalibrationProgress =
    std::function<Status(const char* what, size_t done, size_t total)>;

// The first `count` tokens of the file, cut into documents that begin as the
// tokenizer begins a text. Fails below 64 tokens.
Result<Documents> TokensOfFile(const Model& model, const std::string& path,
                               size_t count);

// `count` tokens at temperature 1, all in documents that begin with `first`
// (BOS, or what stands between texts) and go on for 256 tokens. The seed is
// fixed: the same model, machine and count give the same text whatever the
// number of threads.
Result<Documents> SampleDocuments(const Model& model, int32_t first,
                                  size_t count, ThreadPool& threads,
                                  const CalibrationProgress& progress);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_CALIBRATION_TEXT_H_
