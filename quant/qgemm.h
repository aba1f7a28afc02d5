// SPDX-License-Identifier: MIT
// c [M, N] = a [M, K] * dequant(b [N, K])^T + bias [N], straight from the bytes
// of the file: the weights are read once for M = 1, once per 128 rows else.
//
// A row of c is bitwise the same whatever M, the thread count and the other
// rows are (for one SIMD target): per block of b an exact integer dot product
// (or one float chain), then one float chain over the blocks in order.
#ifndef SLM_QUANT_QGEMM_H_
#define SLM_QUANT_QGEMM_H_

#include <cstddef>

#include "quant/formats.h"
#include "runtime/core/threads.h"

namespace slm {

enum class QGemmMode : uint8_t {
  // accuracy_level 0..3: float32 activations, weights dequantised exactly.
  kFloat32Activations,
  // accuracy_level 4: each block of bs activations becomes int8 with
  // scale = max|a| / 127. A block that holds infinity or NaN makes its row NaN.
  kInt8Activations,
};

// Bytes that QGemm needs for up to `m` rows with a pool of `threads`.
size_t QGemmScratchBytes(size_t m, const BlockQuantMatrix& b, QGemmMode mode,
                         size_t threads);

// lda and ldc are row strides in floats. `scratch` is aligned to kAlignment
// and holds QGemmScratchBytes(m, b, mode, pool.size()); `c` overlaps nothing.
// `bias` may be null. b.Valid() must hold.
void QGemm(ThreadPool& pool, const float* a, size_t lda, size_t m,
           const BlockQuantMatrix& b, const float* bias, float* c, size_t ldc,
           QGemmMode mode, void* scratch);

}  // namespace slm

#endif  // SLM_QUANT_QGEMM_H_
