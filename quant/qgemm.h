// SPDX-License-Identifier: MIT
// c [M, N] = a [M, K] * dequant(b [N, K])^T + bias [N], straight from the bytes
// of the file: the weights are read once per 528 rows.
//
// A row of c is bitwise the same whatever M, the thread count and the other
// rows are (for one SIMD target): per block of b an exact integer dot product
// (or one float chain), then one float chain over the blocks in order. Where
// scales are fixed and the target multiplies them: over pairs of blocks
// (pairs-inl.h).
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

// A tile of both products of a gated one, on its way to c.
struct GateTile {
  const float* gate = nullptr;  // [rows, columns] by `stride`
  const float* up = nullptr;    // likewise
  size_t stride = 0, rows = 0, columns = 0;
  float* c = nullptr;  // [rows, columns] by `ldc`; may be `gate`
  size_t ldc = 0;
};

// The other half of a gated product (GLU, arXiv 2002.05202):
//   c = f(a b^T + bias, a up^T + up_bias), element by element.
struct QGemmGate {
  const BlockQuantMatrix* up = nullptr;  // CanGate(b, *up) must hold
  const float* up_bias = nullptr;        // [N] or null
  // Fills the tile's c; called by several threads at a time.
  void (*f)(const void* context, const GateTile& tile) = nullptr;
  const void* context = nullptr;
};

// Whether the matrices take the same packed activations.
bool CanGate(const BlockQuantMatrix& b, const BlockQuantMatrix& up);

// Whether fixed scales are faster here, in mode kInt8Activations: the target
// multiplies by them as they are, where others turn them into float32.
bool MultipliesFixedScales();

// The weights that the caller reads next, if it knows. A product of few rows
// asks for the first lines of them, each thread for those of its share, where
// its own have come to an end: else every product begins with what nobody has
// asked for. Nothing depends on them but time.
struct NextWeights {
  const uint8_t* b = nullptr;       // [n, row_bytes], or null
  const uint8_t* scales = nullptr;  // [n, scale_row_bytes]
  size_t n = 0, row_bytes = 0, scale_row_bytes = 0;
};
inline NextWeights RowsOf(const BlockQuantMatrix& b) {
  return {.b = b.b,
          .scales = static_cast<const uint8_t*>(b.scales),
          .n = b.n,
          .row_bytes = b.row_bytes(),
          .scale_row_bytes = b.scale_row_bytes()};
}

// Bytes that QGemm needs for up to `m` rows with a pool of `threads`.
size_t QGemmScratchBytes(size_t m, const BlockQuantMatrix& b, QGemmMode mode,
                         size_t threads);

// lda and ldc are row strides in floats. `scratch` is aligned to kAlignment
// and holds QGemmScratchBytes(m, b, mode, pool.size()); `c` overlaps nothing.
// `bias` may be null. b.Valid() must hold. `gate`, `next`: see there; `gate` is
// null for one product.
void QGemm(ThreadPool& pool, const float* a, size_t lda, size_t m,
           const BlockQuantMatrix& b, const float* bias, float* c, size_t ldc,
           QGemmMode mode, void* scratch, const QGemmGate* gate = nullptr,
           const NextWeights& next = {});

// The feed-forward of most decoders, c as in QGemmGate:
//   y [M, D] = c [M, N] * dequant(down [D, N])^T + down_bias
// in mode kInt8Activations throughout.
struct GatedMlp {
  const BlockQuantMatrix* b = nullptr;
  const float* bias = nullptr;  // [N] or null
  QGemmGate gate;
  const BlockQuantMatrix* down = nullptr;  // CanFeed(*b, *down) must hold
  const float* down_bias = nullptr;        // [D] or null
};

// Whether what a thread finishes of c at a time is whole blocks of `down`. Asks
// for n, k and block_size only.
bool CanFeed(const BlockQuantMatrix& b, const BlockQuantMatrix& down);

// Likewise QGemmScratchBytes.
size_t QGatedMlpScratchBytes(size_t m, const BlockQuantMatrix& b,
                             const BlockQuantMatrix& down, size_t threads);

// The bits of QGemm with the gate, then QGemm with `down`; but c is quantised
// where it comes about and never lies in memory as floats. Arguments as there.
void QGatedMlp(ThreadPool& pool, const float* a, size_t lda, size_t m,
               const GatedMlp& mlp, float* y, size_t ldy, void* scratch,
               const NextWeights& next = {});

}  // namespace slm

#endif  // SLM_QUANT_QGEMM_H_
