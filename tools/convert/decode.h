// SPDX-License-Identifier: MIT
// Values of safetensors as float32.
#ifndef SLM_TOOLS_CONVERT_DECODE_H_
#define SLM_TOOLS_CONVERT_DECODE_H_

#include <cstddef>

#include "loader/safetensors.h"

namespace slm::convert {

// F64, F32, F16, BF16 and both F8.
bool IsFloatType(SafeType type);

// `count` values at `bytes`, which need no alignment; `type` IsFloatType.
void Decode(SafeType type, const char* bytes, size_t count, float* out);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_DECODE_H_
