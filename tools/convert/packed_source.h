// SPDX-License-Identifier: MIT
// Tensors of a Hugging Face folder whose weights are quantised already: each
// "X.qweight" with its scales and zero points is the "X.weight" that it was.
#ifndef SLM_TOOLS_CONVERT_PACKED_SOURCE_H_
#define SLM_TOOLS_CONVERT_PACKED_SOURCE_H_

#include <memory>

#include "loader/safetensors.h"
#include "runtime/core/result.h"
#include "tools/convert/pack_config.h"
#include "tools/convert/tensors.h"

namespace slm::convert {

Result<std::unique_ptr<TensorSource>> OpenPackedSource(
    SafeTensors file, const PackConfig& config);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_PACKED_SOURCE_H_
