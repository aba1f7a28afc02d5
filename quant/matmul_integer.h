// SPDX-License-Identifier: MIT
// ONNX MatMulInteger and DynamicQuantizeLinear.
#ifndef SLM_QUANT_MATMUL_INTEGER_H_
#define SLM_QUANT_MATMUL_INTEGER_H_

#include <cstddef>
#include <cstdint>

#include "runtime/core/threads.h"

namespace slm {

// An int8 or uint8 matrix in place.
struct ByteMatrix {
  const void* data = nullptr;
  bool is_signed = false;
  size_t stride = 0;  // bytes from row to row
  // Type of the data: none (0), one for all, or one a row (A), a column (B).
  const void* zero_points = nullptr;
  bool per_line = false;
};

struct MatMulIntegerArgs {
  size_t m = 0, n = 0, k = 0;
  ByteMatrix a;  // [M, K]
  ByteMatrix b;  // [K, N]
  int32_t* c = nullptr;
  size_t ldc = 0;
};

// c [M, N] = (a - a's zero points) * (b - b's zero points), exact modulo 2^32.
// `pool` may be null. Takes 56 KiB of each worker's stack.
void MatMulInteger(ThreadPool* pool, const MatMulIntegerArgs& args);

// y = saturate(round(x / scale) + zero_point) with
//   scale = (max(x, 0) - min(x, 0)) / 255, 1 where that is 0
//   zero_point = saturate(round(-min(x, 0) / scale))
// over all `count` values; rounds half to even.
struct DynamicQuantization {
  float scale;
  uint8_t zero_point;
};
DynamicQuantization DynamicQuantizeLinear(const float* x, size_t count,
                                          uint8_t* y);

}  // namespace slm

#endif  // SLM_QUANT_MATMUL_INTEGER_H_
