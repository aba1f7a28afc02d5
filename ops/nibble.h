// SPDX-License-Identifier: MIT
// Elements of int4 and uint4 tensors: two a byte, low nibble first.
#ifndef SLM_OPS_NIBBLE_H_
#define SLM_OPS_NIBBLE_H_

#include <cstdint>

#include "runtime/core/tensor.h"

namespace slm {

inline int NibbleAt(const TensorView& t, size_t i) {
  const int bits = t.Raw()[i / 2] >> (i % 2 * 4) & 0xF;
  return t.dtype == DType::kI4 ? (bits ^ 8) - 8 : bits;
}

// In ascending order of i: the low nibble also clears the high one, so that
// the padding of an odd count is 0.
inline void SetNibble(const TensorView& t, size_t i, int value) {
  uint8_t& byte = static_cast<uint8_t*>(t.data)[i / 2];
  const unsigned bits = static_cast<unsigned>(value) & 0xF;
  byte = static_cast<uint8_t>(i % 2 ? byte | bits << 4 : bits);
}

}  // namespace slm

#endif  // SLM_OPS_NIBBLE_H_
