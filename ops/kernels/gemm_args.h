// SPDX-License-Identifier: MIT
// Plain structs between GemmF32's entry point and its per-target kernels.
#ifndef SLM_OPS_KERNELS_GEMM_ARGS_H_
#define SLM_OPS_KERNELS_GEMM_ARGS_H_

#include <cstddef>
#include <cstdint>

#include "ops/kernels/gemm.h"

namespace slm {

// Values of k between two additions to the total; 16 columns of them are
// 16 KiB, which leaves the first-level cache to a.
inline constexpr size_t kGemmChunk = 256;
inline constexpr size_t kGemmMostRows = 128;
// Columns that M = 1 sums at once from [K, N]: long enough for the hardware to
// prefetch each row, short enough for both sums to stay in the cache.
inline constexpr size_t kGemmStrip = 2048;

// On a worker's stack, not initialised.
struct GemmWorker {
  alignas(64) uint32_t panel[kGemmChunk * 16];  // [k][16] float32
  uint32_t words[kGemmChunk * 16 / 2];          // 16-bit B, turned
  uint32_t acc[kGemmMostRows * 16];             // M = 1: [kGemmStrip]
  uint32_t sum[kGemmStrip];
};
static_assert(kGemmStrip <= kGemmMostRows * 16);

struct GemmArgs {
  const float* a;
  size_t lda;
  size_t m;
  const GemmB* b;  // stride is set
  const float* bias;
  float* c;
  size_t ldc;
};

}  // namespace slm

#endif  // SLM_OPS_KERNELS_GEMM_ARGS_H_
