// SPDX-License-Identifier: MIT
// Plain structs between QGemm's entry point and its per-target kernels.
#ifndef SLM_QUANT_QGEMM_ARGS_H_
#define SLM_QUANT_QGEMM_ARGS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "quant/formats.h"
#include "quant/qgemm.h"
#include "runtime/core/cpu.h"

namespace slm {

// Columns of c that a panel holds: two AVX-512 vectors of 32-bit lanes.
inline constexpr size_t kQGemmColumns = 32;
// Columns of b that are turned at a time: a panel of one byte a weight is
// 16 KiB, which leaves half of the first-level cache to a.
inline constexpr size_t kQGemmDepth = 512;
inline constexpr size_t kQGemmMaxDepth = 1024;
// Kernels take up to 3, 4, 6 or 8 rows; a step of rows is whole calls of each.
inline constexpr size_t kQGemmRowStep = 24;
// Rows of a call of the kernel that takes tiles (AMX), and of a step of it.
// The last call of a product may have fewer: its other rows hold anything, but
// zeros as scales.
inline constexpr size_t kQGemmTileRows = 16;
// Rows of a that share one pass over b's bytes, at most.
inline constexpr size_t kQGemmRowBlock = 22 * kQGemmRowStep;
static_assert(kQGemmRowBlock % kQGemmTileRows == 0);

// A unit is 16 bytes of a row of b: what one 128-bit block of a vector holds.
inline constexpr size_t kUnitBytes = 16;
// How far ahead kernels without panels ask for b, at least.
inline constexpr size_t kQGemmBytesAhead = 8 << 10;

// Whether a product of m rows takes tiles where the machine has them: with 16
// rows they are a sixth slower than VPDPBUSD, with 32 as fast, with 512 a
// seventh faster (tools/bench/README.md).
inline bool UseTiles(size_t m) { return m >= 2 * kQGemmTileRows && UseAmx(); }

// Rows for which packed activations have room.
inline size_t PackedRowsFor(size_t m) {
  if (m < kQGemmTileRows) return m;
  return (m + kQGemmTileRows - 1) / kQGemmTileRows * kQGemmTileRows;
}

// Blocks of b in a chunk; chunks of a panel are about equal. A multiple of
// 8/bits, so that packed zero points of a chunk begin at a whole byte.
inline size_t QGemmChunkBlocks(const BlockQuantMatrix& b) {
  const size_t unit = size_t{8} / b.bits;
  const size_t most = std::max(kQGemmDepth / b.block_size, unit);
  const size_t chunks = (b.blocks() + most - 1) / most;
  const size_t even = (b.blocks() + chunks - 1) / chunks;
  return (even + unit - 1) / unit * unit;
}

// Rows of a that share one pass: their int8 values stay in a last-level cache
// of 8 MiB, from which kernels fetch them ahead; passes are of about equal
// size, in whole steps.
inline size_t QGemmRowBlock(const BlockQuantMatrix& b, size_t m, size_t step) {
  const size_t fit = (size_t{8} << 20) / (b.blocks() * b.block_size);
  const size_t most = std::clamp(fit, 2 * kQGemmRowStep, kQGemmRowBlock);
  const size_t passes = (m + most - 1) / most;
  const size_t rows = (m + passes - 1) / passes;
  return (rows + step - 1) / step * step;
}

// Up to kQGemmColumns rows of a matrix, from `row` on, and blocks [first,
// first + count) of them: what a panel is made of.
struct ChunkPlace {
  const BlockQuantMatrix* b = nullptr;  // null: nowhere
  size_t row = 0, rows = 0, first = 0, count = 0;

  const uint8_t* Bytes() const {
    return b->b + row * b->row_bytes() + first * b->block_bytes();
  }
};

// A chunk of kQGemmColumns rows of b, turned: column n in lane n.
// words: int8 mode [depth/4][columns][4] bytes, 4 columns of b each, in the
// order of the sub-vectors (dot-inl.h); float mode [words of a row][columns];
// pairs: see UnpackPairs.
struct PanelChunk {
  const uint32_t* words;
  // [blocks][columns] bits of float32; pairs: [blocks/2][columns] two int16
  const uint32_t* scales;
  const uint32_t* zero_points;  // [blocks][columns] bits of float32
  // Pairs: [columns] bits of float32, where sums end; else null.
  const uint32_t* units;
  size_t blocks;
  size_t groups_per_block;  // bs / 16
  bool first;               // sums start here
  // Half of the bytes that the next chunk is made of, 16 rows by `next_stride`:
  // the first kernel asks for them, turning this chunk for the other half, so
  // that memory is busy during both. Null: nothing to fetch.
  const uint8_t* next = nullptr;
  size_t next_stride = 0, next_bytes = 0;
};

// R rows of int8 activations: 16 columns of row 0, of row 1, ... of row R-1,
// then the next 16 columns; inside the 16, the order of b's sub-vectors. For
// tiles a block of row 0, of row 1, ... For pairs (pairs-inl.h) a word of the
// even block, one of the odd block, and so on.
struct PackedRows {
  // [Kp/16][R][4]; tiles: [blocks][R][bs/4]; pairs: [Kp/32][R][4][2]
  const uint32_t* words;
  // [blocks][R] bits of float32; pairs, those of tiles too: [blocks/2][R][2],
  // see MakePairScales
  const uint32_t* scales;
  // [blocks][R] int32: where the dot product starts; pairs: [blocks/2][R][2]
  const uint32_t* init;
  const uint32_t* sums;  // [blocks][R] bits of float32: sum of the block
  size_t next;           // words from these rows to the ones behind them
};

// Per worker.
struct QGemmWorker {
  alignas(64) uint32_t panel[kQGemmMaxDepth / 4 * kQGemmColumns];
  uint32_t scales[kQGemmMaxDepth / 16 * kQGemmColumns];
  uint32_t zero_points[kQGemmMaxDepth / 16 * kQGemmColumns];
  uint32_t packed[kQGemmMaxDepth / 16 * kQGemmColumns];
  uint32_t acc[2][kQGemmRowBlock * kQGemmColumns];  // of b, of the gate's up
};

struct QGemmArgs {
  const float* a;
  size_t lda;
  size_t m;
  const BlockQuantMatrix* b;
  const float* bias;
  const QGemmGate* gate;  // or null
  // Takes the gated product instead of c, as its packed activations; or null.
  const QGemmArgs* next;
  NextWeights then;
  bool past_second_cache;  // FetchesPastSecondCache
  size_t threads;          // workers that share the columns of c
  float* c;
  size_t ldc;
  bool int8;
  bool tiles;  // UseTiles; int8 only
  // Packed activations. Rows [r, r + R) of one kernel call start at r * Kp
  // elements (Kp = blocks * bs) and r * blocks. Float mode: [Kp][R] floats.
  // Tiles: R is 16 for all calls.
  uint32_t* a_words;
  uint32_t* a_scales;
  uint32_t* a_init;
  uint32_t* a_sums;
  QGemmWorker* workers;

  // The first of n columns that are a worker's, `threads` being one too many.
  size_t FirstColumn(size_t n, size_t worker) const {
    const size_t tiles = (n + kQGemmColumns - 1) / kQGemmColumns;
    const size_t first = SharedBlocks::First(tiles, threads, worker);
    return std::min(first * kQGemmColumns, n);
  }
  size_t products() const { return gate ? 2 : 1; }
  size_t row_step() const { return tiles ? kQGemmTileRows : kQGemmRowStep; }
  const BlockQuantMatrix& Matrix(size_t product) const {
    return product == 0 ? *b : *gate->up;
  }
  const float* Bias(size_t product) const {
    return product == 0 ? bias : gate->up_bias;
  }
};

}  // namespace slm

#endif  // SLM_QUANT_QGEMM_ARGS_H_
