// SPDX-License-Identifier: MIT
#include "quant/qgemm.h"

#include <algorithm>
#include <cstring>

#include "quant/qgemm_args.h"
#include "runtime/core/check.h"
#include "runtime/core/memory.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/qgemm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "quant/qgemm-inl.h"
#include "quant/qgemm_pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

// Packs rows [begin, end) of a; both are multiples of 8 or m.
void PackRows(const QGemmArgs& g, size_t begin, size_t end) {
  const BlockQuantMatrix& b = *g.b;
  for (size_t first = begin; first < end;) {
    const size_t rows = RowsAtOnce(end - first);
    for (size_t r = 0; r < rows; ++r) {
      const float* a = g.a + (first + r) * g.lda;
      if (!g.int8) {
        PackFloatRow(a, b, rows, r, g, first);
      } else if (b.bits == 8) {
        QuantizeRow<8>(a, b, rows, r, g, first);
      } else if (b.bits == 4) {
        QuantizeRow<4>(a, b, rows, r, g, first);
      } else {
        QuantizeRow<2>(a, b, rows, r, g, first);
      }
    }
    first += rows;
  }
}

// One chunk of a tile times `kRows` packed rows from `row` on.
template <int kBits, bool kInt8, bool kHasZp, int kRows>
HWY_NOINLINE void RowsKernel(const QGemmArgs& g, const PanelChunk& p,
                             size_t block, size_t row, uint32_t* acc) {
  const size_t blocks = g.b->blocks(), bs = g.b->block_size;
  for (size_t n = 0; n < kTile; n += kLanes) {
    if constexpr (kInt8) {
      const size_t at = row * blocks + block * kRows;
      Int8Kernel<kBits, kHasZp, kRows>(p, n,
                                       {.words = g.a_words + at * (bs / 4),
                                        .scales = g.a_scales + at,
                                        .init = g.a_init + at,
                                        .sums = g.a_sums + at},
                                       acc + n);
    } else {
      const size_t at = row * blocks + block * kRows;
      FloatKernel<kBits, kRows>(p, n, g.a_words + at * bs, acc + n);
    }
  }
}

// Tiles of columns [begin, end) for all rows.
template <int kBits, bool kInt8, bool kHasZp>
void Tiles(const QGemmArgs& g, size_t begin, size_t end, QGemmWorker& w) {
  const BlockQuantMatrix& b = *g.b;
  const size_t chunk = kQGemmChunkWords * 4 / b.block_bytes();
  for (size_t m0 = 0; m0 < g.m; m0 += kQGemmRowBlock) {
    const size_t m1 = std::min(g.m, m0 + kQGemmRowBlock);
    for (size_t n0 = begin; n0 < end; n0 += kTile) {
      const size_t columns = std::min(kTile, end - n0);
      std::memset(w.acc, 0, (m1 - m0) * kTile * sizeof *w.acc);
      for (size_t block = 0; block < b.blocks(); block += chunk) {
        const size_t count = std::min(chunk, b.blocks() - block);
        const PanelChunk p = PrepareChunk(b, n0, columns, block, count,
                                          /*prefetch=*/g.m == 1, kInt8, w);
        for (size_t m = m0; m < m1;) {
          const size_t rows = RowsAtOnce(m1 - m);
          uint32_t* acc = w.acc + (m - m0) * kTile;
          if (rows == 8) {
            if constexpr (kMaxRows == 8) {
              RowsKernel<kBits, kInt8, kHasZp, 8>(g, p, block, m, acc);
            }
          } else if (rows == 4) {
            RowsKernel<kBits, kInt8, kHasZp, 4>(g, p, block, m, acc);
          } else if (rows == 2) {
            RowsKernel<kBits, kInt8, kHasZp, 2>(g, p, block, m, acc);
          } else {
            RowsKernel<kBits, kInt8, kHasZp, 1>(g, p, block, m, acc);
          }
          m += rows;
        }
      }
      for (size_t m = m0; m < m1; ++m) {
        StoreTileRow(w.acc + (m - m0) * kTile, g.bias ? g.bias + n0 : nullptr,
                     columns, g.c + m * g.ldc + n0);
      }
    }
  }
}

template <int kBits>
void TilesOfBits(const QGemmArgs& g, size_t begin, size_t end, QGemmWorker& w) {
  if (!g.int8) return Tiles<kBits, false, true>(g, begin, end, w);
  if (g.b->zero_point_kind == ZeroPoints::kNone) {
    return Tiles<kBits, true, false>(g, begin, end, w);
  }
  return Tiles<kBits, true, true>(g, begin, end, w);
}

void TileRange(const QGemmArgs& g, size_t begin, size_t end, size_t worker) {
  QGemmWorker& w = g.workers[worker];
  if (g.b->bits == 4) return TilesOfBits<4>(g, begin, end, w);
  if (g.b->bits == 8) return TilesOfBits<8>(g, begin, end, w);
  return TilesOfBits<2>(g, begin, end, w);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {
namespace {

HWY_EXPORT(PackRows);
HWY_EXPORT(TileRange);

constexpr size_t RoundUp(size_t value) {
  return (value + kAlignment - 1) / kAlignment * kAlignment;
}

// Offsets of the parts of the scratch memory.
struct ScratchLayout {
  size_t words, scales, init, sums, workers, total;
};

ScratchLayout Layout(size_t m, const BlockQuantMatrix& b, QGemmMode mode,
                     size_t threads) {
  const bool int8 = mode == QGemmMode::kInt8Activations;
  const size_t elements = m * b.blocks() * b.block_size;
  const size_t per_block = int8 ? RoundUp(m * b.blocks() * 4) : 0;
  ScratchLayout s;
  s.words = 0;
  s.scales = RoundUp(elements * (int8 ? 1 : sizeof(float)));
  s.init = s.scales + per_block;
  s.sums = s.init + per_block;
  s.workers = s.sums + per_block;
  s.total = s.workers + threads * sizeof(QGemmWorker);
  return s;
}

}  // namespace

size_t QGemmScratchBytes(size_t m, const BlockQuantMatrix& b, QGemmMode mode,
                         size_t threads) {
  return Layout(m, b, mode, threads).total;
}

void QGemm(ThreadPool& pool, const float* a, size_t lda, size_t m,
           const BlockQuantMatrix& b, const float* bias, float* c, size_t ldc,
           QGemmMode mode, void* scratch) {
  SLM_DCHECK(b.Valid());
  SLM_DCHECK(reinterpret_cast<uintptr_t>(scratch) % kAlignment == 0);
  if (m == 0) return;
  const ScratchLayout s = Layout(m, b, mode, pool.size());
  auto* bytes = static_cast<uint8_t*>(scratch);
  const QGemmArgs args = {
      .a = a,
      .lda = lda,
      .m = m,
      .b = &b,
      .bias = bias,
      .c = c,
      .ldc = ldc,
      .int8 = mode == QGemmMode::kInt8Activations,
      .a_words = reinterpret_cast<uint32_t*>(bytes + s.words),
      .a_scales = reinterpret_cast<uint32_t*>(bytes + s.scales),
      .a_init = reinterpret_cast<uint32_t*>(bytes + s.init),
      .a_sums = reinterpret_cast<uint32_t*>(bytes + s.sums),
      .workers = reinterpret_cast<QGemmWorker*>(bytes + s.workers)};
  const auto pack = HWY_DYNAMIC_POINTER(PackRows);
  const auto tiles = HWY_DYNAMIC_POINTER(TileRange);
  // A row of 4864 takes about 1 us to quantise: 16 rows are worth a thread.
  ParallelFor(pool, m, 16, [&](size_t begin, size_t end, size_t) {
    pack(args, begin, end);
  });
  // 64 KiB of weights take about 4 us from memory and are used m times.
  const size_t tile_bytes = 16 * b.row_bytes() * std::min<size_t>(m, 16);
  const size_t grain =
      16 * std::max<size_t>(1, (size_t{64} << 10) / tile_bytes);
  ParallelFor(pool, b.n, grain, [&](size_t begin, size_t end, size_t worker) {
    tiles(args, begin, end, worker);
  });
}

}  // namespace slm
#endif  // HWY_ONCE
