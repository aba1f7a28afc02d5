// SPDX-License-Identifier: MIT
// Plain structs between QGemm's entry point and its per-target kernels.
#ifndef SLM_QUANT_QGEMM_ARGS_H_
#define SLM_QUANT_QGEMM_ARGS_H_

#include <cstddef>
#include <cstdint>

#include "quant/formats.h"

namespace slm {

// Rows of a that share one pass over b's bytes. 128 rows of K = 4864 int8
// values are 608 KiB: they stay in a 1 MiB second-level cache.
inline constexpr size_t kQGemmRowBlock = 128;
// Words of a row that are turned at a time: 16 rows of them are 16 KiB, which
// leaves half of the first-level cache to a. A multiple of every block's words.
inline constexpr size_t kQGemmChunkWords = 256;

// A chunk of 16 rows of b, turned. Arrays are [.][16], column n in lane n.
struct PanelChunk {
  const uint32_t* words;        // [blocks * words per block][16]
  const uint32_t* scales;       // [blocks][16] bits of float32
  const uint32_t* zero_points;  // [blocks][16] bits of float32
  size_t blocks;
  size_t groups_per_block;  // bs / 16
};

// R rows of int8 activations: 16 columns of row 0, of row 1, ... of row R-1,
// then the next 16 columns; inside the 16, the order of b's sub-vectors.
struct QuantizedRows {
  const uint32_t* words;   // [Kp/16][R][4]
  const uint32_t* scales;  // [blocks][R] bits of float32
  const uint32_t* init;    // [blocks][R] int32: where the dot product starts
  const uint32_t* sums;    // [blocks][R] bits of float32: sum of the block
};

// Per worker; see PrepareChunk and kQGemmRowBlock.
struct QGemmWorker {
  alignas(64) uint32_t words[kQGemmChunkWords * 16];
  uint32_t scales[kQGemmChunkWords * 16];
  uint32_t zero_points[kQGemmChunkWords * 16];
  uint32_t packed[kQGemmChunkWords * 16];
  uint32_t acc[kQGemmRowBlock * 16];
};

struct QGemmArgs {
  const float* a;
  size_t lda;
  size_t m;
  const BlockQuantMatrix* b;
  const float* bias;
  float* c;
  size_t ldc;
  bool int8;
  // Packed activations. Rows [r, r + R) of one kernel call start at r * Kp
  // elements (Kp = blocks * bs) and r * blocks.
  uint32_t* a_words;
  uint32_t* a_scales;
  uint32_t* a_init;
  uint32_t* a_sums;
  QGemmWorker* workers;
};

}  // namespace slm

#endif  // SLM_QUANT_QGEMM_ARGS_H_
