// SPDX-License-Identifier: MIT
// c [M, N] = a [M, K] * B + bias [N] in float32, B float32, float16 or bfloat16
// as [K, N] or [N, K]. Batches are the caller's loop.
//
// A row of c is bitwise the same whatever M, the thread count and the other
// rows are (for one SIMD target): one chain of fused multiply-adds for each 256
// values of k, and one chain of additions over those.
#ifndef SLM_OPS_KERNELS_GEMM_H_
#define SLM_OPS_KERNELS_GEMM_H_

#include <cstddef>

#include "runtime/core/dtype.h"
#include "runtime/core/threads.h"

namespace slm {

// The right operand, in place; data needs no alignment and nothing outside its
// rows is read.
struct GemmB {
  const void* data = nullptr;
  DType dtype = DType::kF32;  // kF32, kF16 or kBF16
  bool transposed = false;    // rows are columns: [N, K]
  size_t n = 0, k = 0;
  size_t stride = 0;  // elements from row to row; 0: rows are adjacent
};

// lda and ldc are row strides in floats. `pool` and `bias` may be null; `c`
// overlaps nothing. k = 0 gives bias. Takes 48 KiB of each worker's stack.
void GemmF32(ThreadPool* pool, const float* a, size_t lda, size_t m,
             const GemmB& b, const float* bias, float* c, size_t ldc);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_GEMM_H_
