// SPDX-License-Identifier: MIT
#ifndef SLM_OPS_KERNELS_GEMM_H_
#define SLM_OPS_KERNELS_GEMM_H_

#include <cstddef>

#include "runtime/core/dtype.h"
#include "runtime/core/threads.h"

namespace slm {

struct GemmB {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  bool transposed = false;  // [N, K] instead of [K, N]
  size_t n = 0, k = 0;
};

void GemmF32(ThreadPool* pool, const float* a, size_t lda, size_t m,
             const GemmB& b, const float* bias, float* c, size_t ldc);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_GEMM_H_
