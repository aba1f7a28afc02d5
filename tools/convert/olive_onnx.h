// SPDX-License-Identifier: MIT
// Olive's passes over ONNX graphs, in run files and behind auto-opt.
#ifndef SLM_TOOLS_CONVERT_OLIVE_ONNX_H_
#define SLM_TOOLS_CONVERT_OLIVE_ONNX_H_

#include <string>
#include <string_view>

#include "loader/json.h"
#include "runtime/core/result.h"
#include "tools/convert/options.h"

namespace slm::convert {

// One pass other than ModelBuilder, `config` its parameters: honoured, accepted
// with a note because it only fuses or cleans, or refused by name.
Status ReadOnnxPass(std::string_view type, const JsonValue& config, Options* o);

// What auto-opt does with a graph where it would not run the model builder:
// blocks of 128 for matrices and embeddings.
void AdaptAutoOptToOnnx(Options* o);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_OLIVE_ONNX_H_
