// SPDX-License-Identifier: MIT
#include "ops/kernels/gemm.h"
#include "runtime/core/half.h"

namespace slm {
namespace {
float Load(const GemmB& b, size_t k, size_t n) {
  const size_t i = b.transposed ? n * b.k + k : k * b.n + n;
  if (b.dtype == DType::kF32) return static_cast<const float*>(b.data)[i];
  const uint16_t h = static_cast<const uint16_t*>(b.data)[i];
  return b.dtype == DType::kF16 ? FloatFromF16(h) : FloatFromBF16(h);
}
}  // namespace
void GemmF32(ThreadPool* pool, const float* a, size_t lda, size_t m,
             const GemmB& b, const float* bias, float* c, size_t ldc) {
  const auto part = [&](size_t begin, size_t end, size_t) {
    for (size_t r = 0; r < m; ++r) {
      float* row = c + r * ldc;
      for (size_t n = begin; n < end; ++n) row[n] = bias ? bias[n] : 0;
      if (b.transposed) {
        for (size_t n = begin; n < end; ++n) {
          for (size_t k = 0; k < b.k; ++k)
            row[n] += a[r * lda + k] * Load(b, k, n);
        }
      } else {
        for (size_t k = 0; k < b.k; ++k) {
          for (size_t n = begin; n < end; ++n)
            row[n] += a[r * lda + k] * Load(b, k, n);
        }
      }
    }
  };
  if (pool) {
    ParallelFor(*pool, b.n, 16, part);
  } else if (b.n > 0) {
    part(0, b.n, 0);
  }
}
}  // namespace slm
