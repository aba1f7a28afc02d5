// SPDX-License-Identifier: MIT
#include "quant/qgemm.h"

#include <algorithm>
#include <cstring>

#include "quant/qgemm_args.h"
#include "runtime/core/check.h"
#include "runtime/core/cpu.h"
#include "runtime/core/memory.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/qgemm.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "quant/lines_ahead-inl.h"
#include "quant/qgemm-inl.h"
#include "quant/qgemm_direct-inl.h"
#include "quant/qgemm_one_row-inl.h"
#include "quant/qgemm_pack-inl.h"
#include "quant/qgemm_pairs-inl.h"
#include "quant/qgemm_rows-inl.h"
#include "quant/qgemm_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

using RowsFunction = void (*)(const QGemmArgs& g, const PanelChunk& p,
                              size_t block, size_t row, uint32_t* acc);

// How one kind of product turns panels and multiplies rows by them.
struct TileKernels {
  PanelChunk (*prepare)(const ChunkPlace& at, const ChunkPlace& next,
                        QGemmWorker& w);
  RowsFunction (*kernel)(size_t rows);
  RowCalls calls;
  // A tile of floats to packed rows of another product; int8 only.
  void (*quantize)(const float* tile, size_t begin, size_t end, size_t n0,
                   size_t columns, const QGemmArgs& g);
  // Instead of prepare and kernel, or null.
  void (*direct)(const QGemmArgs& g, size_t product, size_t n0, size_t columns,
                 QGemmWorker& w);
};

// One chunk of a panel times `kRows` packed rows from `row` on.
template <Dot kDot, bool kSigned, bool kHasZp, int kRows>
void Int8Rows(const QGemmArgs& g, const PanelChunk& p, size_t block, size_t row,
              uint32_t* acc) {
  constexpr int kVectors = Int8Shape<kDot>::kVectors;
  const size_t blocks = g.b->blocks(), bs = g.b->block_size;
  const size_t at = row * blocks + block * kRows;
  const PackedRows a = {.words = g.a_words + at * (bs / 4),
                        .scales = g.a_scales + at,
                        .init = g.a_init + at,
                        .sums = g.a_sums + at,
                        .next = kRows * blocks * (bs / 4)};
  for (size_t n = 0; n < kQGemmColumns; n += kVectors * kLanes) {
    // Blocks of 32 are what exporters write: 10 % faster without a loop.
    if (kRows >= 4 && p.groups_per_block == 2) {
      Int8Kernel<kDot, kSigned, kHasZp, kRows, kVectors, 2>(p, n, a, acc + n);
    } else {
      Int8Kernel<kDot, kSigned, kHasZp, kRows, kVectors, 0>(p, n, a, acc + n);
    }
  }
}

template <Dot kDot, bool kSigned, bool kHasZp,
          int kRows = Int8Shape<kDot>::kRows>
RowsFunction Int8RowsOf(size_t rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) {
      return Int8RowsOf<kDot, kSigned, kHasZp, kRows - 1>(rows);
    }
  }
  return Int8Rows<kDot, kSigned, kHasZp, kRows>;
}

#if SLM_QGEMM_PAIRS

template <int kRows = Int8Shape<kNativeDot>::kRows>
RowsFunction PairRowsOf(size_t rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return PairRowsOf<kRows - 1>(rows);
  }
  return PairRows<kRows>;
}

#endif

template <int kBits, int kRows>
void FloatRows(const QGemmArgs& g, const PanelChunk& p, size_t block,
               size_t row, uint32_t* acc) {
  const size_t at = row * g.b->blocks() + block * kRows;
  for (size_t n = 0; n < kQGemmColumns; n += kLanes) {
    FloatKernel<kBits, kRows>(p, n, g.a_words + at * g.b->block_size, acc + n);
  }
}

template <int kBits, int kRows = static_cast<int>(kMaxRows)>
RowsFunction FloatRowsOf(size_t rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return FloatRowsOf<kBits, kRows / 2>(rows);
  }
  return FloatRows<kBits, kRows>;
}

// The chunk of columns n0 from block `first` on.
ChunkPlace PlaceAt(const QGemmArgs& g, size_t product, size_t n0,
                   size_t first) {
  if (n0 >= g.b->n) return {};
  return {.b = &g.Matrix(product),
          .row = n0,
          .rows = std::min(kQGemmColumns, g.b->n - n0),
          .first = first,
          .count = std::min(QGemmChunkBlocks(*g.b), g.b->blocks() - first)};
}

// Columns [n0, n0 + columns) of one product for rows [m0, m1): sums to the
// worker and, unless a gate waits for them, on to c.
void Tile(const QGemmArgs& g, const TileKernels& k, size_t product, size_t m0,
          size_t m1, size_t n0, size_t columns, QGemmWorker& w) {
  if (k.direct) {
    k.direct(g, product, n0, columns, w);
    if (g.gate) return;
    return StoreRows(w.acc[product], kQGemmColumns, g.bias, 0, g.m, n0, columns,
                     g);
  }
  const size_t blocks = g.b->blocks(), chunk = QGemmChunkBlocks(*g.b);
  for (size_t block = 0; block < blocks; block += chunk) {
    const bool store = !g.gate && block + chunk >= blocks;
    PanelChunk p = k.prepare(PlaceAt(g, product, n0, block),
                             PlaceAt(g, product, n0 + kQGemmColumns, block), w);
    for (size_t m = m0; m < m1;) {
      const size_t rows = RowsOfCall(m, g.m, k.calls);
      uint32_t* acc = w.acc[product] + (m - m0) * kQGemmColumns;
      // Lines of c that are not in a cache arrive during the kernel.
      for (size_t r = 0; store && r < rows; ++r) {
        hwy::Prefetch(g.c + (m + r) * g.ldc + n0);
        hwy::Prefetch(g.c + (m + r) * g.ldc + n0 + kTile);
      }
      k.kernel(rows)(g, p, block, m, acc);
      p.next = nullptr;
      if (store) {
        StoreRows(acc, kQGemmColumns, g.bias, m, rows, n0, columns, g);
      }
      m += rows;
    }
  }
}

// Both products' columns [n0, n0 + columns) of rows [m0, m1) from the worker
// through the gate, to c or into the rows of the next product: a step of rows
// at a time, which stays in the first cache.
void GateTiles(const QGemmArgs& g, const TileKernels& k, size_t m0, size_t m1,
               size_t n0, size_t columns, QGemmWorker& w) {
  for (size_t m = m0; m < m1; m += k.calls.step) {
    const size_t at = (m - m0) * kQGemmColumns;
    GateTile t = {.stride = kQGemmColumns,
                  .rows = std::min(k.calls.step, m1 - m),
                  .columns = columns};
    if (!g.next) {
      t.c = g.c + m * g.ldc + n0;
      t.ldc = g.ldc;
      GateRows(g, w, at, n0, t);
      continue;
    }
    t.c = reinterpret_cast<float*>(w.acc[0] + at);
    t.ldc = kQGemmColumns;
    GateRows(g, w, at, n0, t);
    // A row's last block ends in zeros.
    for (size_t r = 0; columns < kQGemmColumns && r < t.rows; ++r) {
      std::fill_n(t.c + r * t.ldc + columns, kQGemmColumns - columns, 0.0f);
    }
    k.quantize(t.c, m, m + t.rows, n0, columns, *g.next);
  }
}

// Columns [begin, end) of c for all rows.
void Tiles(const QGemmArgs& g, const TileKernels& k, size_t begin, size_t end,
           QGemmWorker& w) {
  const size_t part = QGemmRowBlock(*g.b, g.m, k.calls.step);
  for (size_t m0 = 0; m0 < g.m; m0 += part) {
    const size_t m1 = std::min(g.m, m0 + part);
    for (size_t n0 = begin; n0 < end; n0 += kQGemmColumns) {
      const size_t columns = std::min(kQGemmColumns, end - n0);
      for (size_t product = 0; product < g.products(); ++product) {
        Tile(g, k, product, m0, m1, n0, columns, w);
      }
      if (g.gate) GateTiles(g, k, m0, m1, n0, columns, w);
    }
  }
}

template <Dot kDot, int kBits>
decltype(TileKernels::direct) DirectOf(const QGemmArgs& g) {
  if constexpr (kBits != 2) {
    if (UseDirect(g)) return DirectTile<kDot, kBits>;
  }
  return nullptr;
}

template <Dot kDot, int kBits>
void TilesOfBits(const QGemmArgs& g, size_t begin, size_t end, QGemmWorker& w) {
  if (!g.int8) {
    // Its arithmetic is the same for every Dot: one copy of it will do.
    constexpr TileKernels kFloat = {
        .prepare = PrepareChunk<kNativeDot, kBits, false>,
        .kernel = FloatRowsOf<kBits>,
        .calls = kFloatCalls,
        .quantize = nullptr,
        .direct = nullptr};
    return Tiles(g, kFloat, begin, end, w);
  }
  const bool zp = g.b->zero_point_kind != ZeroPoints::kNone;
  constexpr bool kSigned = kSignedWeights<kDot, kBits>;
  TileKernels int8 = {.prepare = PrepareChunk<kDot, kBits, true>,
                      .kernel = zp ? Int8RowsOf<kDot, kSigned, true>
                                   : Int8RowsOf<kDot, kSigned, false>,
                      .calls = UseDirect(g) ? kDirectCalls : kInt8Calls<kDot>,
                      .quantize = QuantizeTile<kDot>,
                      .direct = DirectOf<kDot, kBits>(g)};
#if SLM_QGEMM_PAIRS
  if constexpr (kBits == 4) {
    if (UsePairs(*g.b)) {
      int8.prepare = PrepareChunk<kDot, 4, true, /*kPairs=*/true>;
      int8.kernel = PairRowsOf<>;
    }
  }
#endif
  Tiles(g, int8, begin, end, w);
}

template <Dot kDot>
void TileRangeFor(const QGemmArgs& g, size_t begin, size_t end, size_t worker) {
  QGemmWorker& w = g.workers[worker];
  if (g.b->bits == 4) return TilesOfBits<kDot, 4>(g, begin, end, w);
  if (g.b->bits == 8) return TilesOfBits<kDot, 8>(g, begin, end, w);
  return TilesOfBits<kDot, 2>(g, begin, end, w);
}

#if SLM_QGEMM_TILES

template <TileSums kSums>
RowsFunction TileRowsOf(size_t) {
  return TileRows<kSums>;
}

template <int kBits>
void TileTilesOfBits(const QGemmArgs& g, size_t begin, size_t end,
                     QGemmWorker& w) {
  const bool zp = g.b->zero_point_kind != ZeroPoints::kNone;
  const TileKernels tiles = {
      .prepare = zp ? PrepareChunk<kNativeDot, kBits, true>
                    : PrepareChunk<Dot::kTiles, kBits, true>,
      .kernel = UsePairs(*g.b) ? TileRowsOf<TileSums::kPairs>
                : zp           ? TileRowsOf<TileSums::kZeroPoints>
                               : TileRowsOf<TileSums::kFloats>,
      .calls = kTileCalls,
      .quantize = QuantizeTile<kNativeDot>,
      .direct = nullptr};
  Tiles(g, tiles, begin, end, w);
}

#endif

void PackRows(const QGemmArgs& g, size_t begin, size_t end) {
  PackRowsFor<kNativeDot>(g, begin, end);
}

bool HasPairs() { return SLM_QGEMM_PAIRS; }

void TileRange(const QGemmArgs& g, size_t begin, size_t end, size_t worker) {
  TileRangeFor<kNativeDot>(g, begin, end, worker);
}

// AVX2 with AVX-VNNI; elsewhere there is nothing better than the native way.
inline constexpr Dot kVexDot =
    HWY_TARGET == HWY_AVX2 ? Dot::kVexU8I8 : kNativeDot;

void PackRowsVex(const QGemmArgs& g, size_t begin, size_t end) {
  PackRowsFor<kVexDot>(g, begin, end);
}

void TileRangeVex(const QGemmArgs& g, size_t begin, size_t end, size_t worker) {
  TileRangeFor<kVexDot>(g, begin, end, worker);
}

// For g.tiles; targets without tiles are never asked.
void TileRangeAmx(const QGemmArgs& g, size_t begin, size_t end, size_t worker) {
#if SLM_QGEMM_TILES
  QGemmWorker& w = g.workers[worker];
  AmxConfigure(TileConfigFor(g.b->block_size));
  if (g.b->bits == 4) TileTilesOfBits<4>(g, begin, end, w);
  if (g.b->bits == 8) TileTilesOfBits<8>(g, begin, end, w);
  if (g.b->bits == 2) TileTilesOfBits<2>(g, begin, end, w);
  AmxRelease();
#else
  TileRange(g, begin, end, worker);
#endif
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {
namespace {

HWY_EXPORT(PackRows);
HWY_EXPORT(HasPairs);
HWY_EXPORT(FinishRows);
HWY_EXPORT(TileRange);
HWY_EXPORT(PackRowsVex);
HWY_EXPORT(TileRangeVex);
HWY_EXPORT(TileRangeAmx);

constexpr size_t RoundUp(size_t value) {
  return (value + kAlignment - 1) / kAlignment * kAlignment;
}

// Offsets of the parts of packed activations; words are the first.
struct PackedLayout {
  size_t scales, init, sums, total;
};

PackedLayout LayoutOf(size_t m, const BlockQuantMatrix& b, QGemmMode mode) {
  const bool int8 = mode == QGemmMode::kInt8Activations;
  const size_t rows = int8 ? PackedRowsFor(m) : m;
  const size_t elements = rows * b.blocks() * b.block_size;
  const size_t per_block = int8 ? RoundUp(rows * b.blocks() * 4) : 0;
  PackedLayout s;
  s.scales = RoundUp(int8 ? elements : elements * sizeof(float));
  s.init = s.scales + per_block;
  s.sums = s.init + per_block;
  s.total = s.sums + per_block;
  return s;
}

// The arguments of one product but for its gate, with `packed` for its rows.
QGemmArgs ArgsOf(const float* a, size_t lda, size_t m,
                 const BlockQuantMatrix& b, const float* bias, float* c,
                 size_t ldc, QGemmMode mode, bool tiles, uint8_t* packed,
                 void* workers) {
  SLM_DCHECK(b.Valid());
  SLM_DCHECK(reinterpret_cast<uintptr_t>(packed) % kAlignment == 0);
  const PackedLayout s = LayoutOf(m, b, mode);
  const bool int8 = mode == QGemmMode::kInt8Activations;
  return {.a = a,
          .lda = lda,
          .m = m,
          .b = &b,
          .bias = bias,
          .gate = nullptr,
          .next = nullptr,
          .then = {},
          .past_second_cache = FetchesPastSecondCache(),
          .threads = 1,
          .c = c,
          .ldc = ldc,
          .int8 = int8,
          .tiles = tiles,
          .a_words = reinterpret_cast<uint32_t*>(packed),
          .a_scales = reinterpret_cast<uint32_t*>(packed + s.scales),
          .a_init = reinterpret_cast<uint32_t*>(packed + s.init),
          .a_sums = reinterpret_cast<uint32_t*>(packed + s.sums),
          .workers = static_cast<QGemmWorker*>(workers)};
}

// Rows of the last tile that there are none of: zeros, lest what lies there
// are numbers that slow a multiplication down.
void ClearRest(const QGemmArgs& args) {
  if (!args.tiles || args.m % kQGemmTileRows == 0) return;
  const size_t blocks = args.b->blocks();
  const size_t at = args.m / kQGemmTileRows * kQGemmTileRows * blocks;
  std::fill_n(args.a_scales + at, kQGemmTileRows * blocks, 0);
  std::fill_n(args.a_sums + at, kQGemmTileRows * blocks, 0);
}

void Pack(ThreadPool& pool, const QGemmArgs& args) {
  ClearRest(args);
  const auto pack = UseAvxVnni() ? HWY_DYNAMIC_POINTER(PackRowsVex)
                                 : HWY_DYNAMIC_POINTER(PackRows);
  // A row of 4864 takes about 1 us to quantise: 24 rows are worth a thread.
  ParallelFor(
      pool, args.m, args.row_step(),
      [&](size_t begin, size_t end, size_t) { pack(args, begin, end); });
}

// Of rows that another product has packed.
void Finish(ThreadPool& pool, const QGemmArgs& args) {
  if (!args.b->fixed_scales()) return;
  const auto finish = HWY_DYNAMIC_POINTER(FinishRows);
  ParallelFor(
      pool, args.m, 8 * args.row_step(),
      [&](size_t begin, size_t end, size_t) { finish(args, begin, end); });
}

void Multiply(ThreadPool& pool, QGemmArgs args) {
  const auto tiles = args.tiles     ? HWY_DYNAMIC_POINTER(TileRangeAmx)
                     : UseAvxVnni() ? HWY_DYNAMIC_POINTER(TileRangeVex)
                                    : HWY_DYNAMIC_POINTER(TileRange);
  // 64 KiB of weights take about 4 us from memory and are used m times. Ranges
  // are small: coarser ones leave threads unequal (896 columns: 3 to 4).
  const BlockQuantMatrix& b = *args.b;
  const size_t column_bytes = b.row_bytes() * args.products();
  const size_t bytes_of_work =
      b.n * column_bytes * std::min<size_t>(args.m, 16);
  const size_t most = bytes_of_work >> 16;
  args.threads =
      WorkersFor(pool, (b.n + kQGemmColumns - 1) / kQGemmColumns, most);
  const auto range = [&](size_t begin, size_t end, size_t worker) {
    tiles(args, begin, end, worker);
  };
  ParallelForEach(pool, b.n, kQGemmColumns, range, most);
}

// Offsets of the parts of a gated MLP's scratch memory; the first product's
// rows are the first.
struct GatedMlpLayout {
  size_t down, workers, total;
};

GatedMlpLayout LayoutOf(size_t m, const BlockQuantMatrix& b,
                        const BlockQuantMatrix& down, size_t threads) {
  const QGemmMode mode = QGemmMode::kInt8Activations;
  GatedMlpLayout s;
  s.down = LayoutOf(m, b, mode).total;
  s.workers = s.down + LayoutOf(m, down, mode).total;
  s.total = s.workers + threads * sizeof(QGemmWorker);
  return s;
}

}  // namespace

bool MultipliesFixedScales() {
  return HWY_DYNAMIC_DISPATCH(HasPairs)();
}

bool CanGate(const BlockQuantMatrix& b, const BlockQuantMatrix& up) {
  const bool none = b.zero_point_kind == ZeroPoints::kNone;
  return b.n == up.n && b.k == up.k && b.bits == up.bits &&
         b.block_size == up.block_size &&
         b.fixed_scales() == up.fixed_scales() &&
         none == (up.zero_point_kind == ZeroPoints::kNone);
}

size_t QGemmScratchBytes(size_t m, const BlockQuantMatrix& b, QGemmMode mode,
                         size_t threads) {
  return LayoutOf(m, b, mode).total + threads * sizeof(QGemmWorker);
}

void QGemm(ThreadPool& pool, const float* a, size_t lda, size_t m,
           const BlockQuantMatrix& b, const float* bias, float* c, size_t ldc,
           QGemmMode mode, void* scratch, const QGemmGate* gate,
           const NextWeights& next) {
  SLM_DCHECK(!gate || CanGate(b, *gate->up));
  if (m == 0) return;
  auto* bytes = static_cast<uint8_t*>(scratch);
  const bool tiles = mode == QGemmMode::kInt8Activations && UseTiles(m);
  QGemmArgs args = ArgsOf(a, lda, m, b, bias, c, ldc, mode, tiles, bytes,
                          bytes + LayoutOf(m, b, mode).total);
  args.gate = gate;
  args.then = next;
  Pack(pool, args);
  Multiply(pool, args);
}

bool CanFeed(const BlockQuantMatrix& b, const BlockQuantMatrix& down) {
  const size_t bs = down.block_size;
  return b.n == down.k && (bs == kQGemmColumns || bs == kQGemmColumns / 2);
}

size_t QGatedMlpScratchBytes(size_t m, const BlockQuantMatrix& b,
                             const BlockQuantMatrix& down, size_t threads) {
  return LayoutOf(m, b, down, threads).total;
}

void QGatedMlp(ThreadPool& pool, const float* a, size_t lda, size_t m,
               const GatedMlp& mlp, float* y, size_t ldy, void* scratch,
               const NextWeights& next) {
  SLM_DCHECK(CanGate(*mlp.b, *mlp.gate.up) && CanFeed(*mlp.b, *mlp.down));
  if (m == 0) return;
  const QGemmMode mode = QGemmMode::kInt8Activations;
  const GatedMlpLayout s = LayoutOf(m, *mlp.b, *mlp.down, pool.size());
  auto* bytes = static_cast<uint8_t*>(scratch);
  void* workers = bytes + s.workers;
  // The first one's steps of rows are those in which the second one's are made.
  const bool tiles = UseTiles(m);
  QGemmArgs gated = ArgsOf(a, lda, m, *mlp.b, mlp.bias, nullptr, 0, mode, tiles,
                           bytes, workers);
  QGemmArgs down = ArgsOf(nullptr, 0, m, *mlp.down, mlp.down_bias, y, ldy, mode,
                          tiles, bytes + s.down, workers);
  gated.gate = &mlp.gate;
  gated.next = &down;
  gated.then = RowsOf(*mlp.down);
  down.then = next;
  ClearRest(down);
  Pack(pool, gated);
  Multiply(pool, gated);
  Finish(pool, down);
  Multiply(pool, down);
}

}  // namespace slm
#endif  // HWY_ONCE
