// SPDX-License-Identifier: MIT
// Preparation of QGemm's activations: floats to packed rows.
#if defined(SLM_QUANT_QGEMM_ROWS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_QGEMM_ROWS_INL_H_
#undef SLM_QUANT_QGEMM_ROWS_INL_H_
#else
#define SLM_QUANT_QGEMM_ROWS_INL_H_
#endif

#include <cstring>
#include <limits>

#include "hwy/cache_control.h"
#include "quant/dot-inl.h"
#include "quant/pairs-inl.h"
#include "quant/qgemm-inl.h"
#include "quant/qgemm_args.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

// Byte order of 16 activations in a group: sub-vector s holds, of each of its
// bytes j, column s + j * 8/bits (of 32/bits columns a word).
template <int kBits>
HWY_INLINE void GroupOrder(uint8_t* HWY_RESTRICT order) {
  constexpr int kSubs = 8 / kBits;
  for (int i = 0; i < 16; ++i) {
    const int word = i / (4 * kSubs), s = i / 4 % kSubs, j = i % 4;
    order[i] = static_cast<uint8_t>(word * 4 * kSubs + s + j * kSubs);
  }
}

// Blocks that are quantised at a time: what folds one vector folds four.
inline constexpr size_t kBlocksAtOnce = 4;
using D4I = hn::Full128<int32_t>;
using D4F = hn::Full128<float>;

// Lane i of the result: all lanes of vi, folded by f.
template <typename F>
HWY_INLINE hn::Vec<D4I> FoldFour(const VI32 (&v)[kBlocksAtOnce], const F& f) {
  const DI32 di;
  alignas(64) int32_t units[kLanes];
  hn::Store(FoldUnits(v[0], v[1], v[2], v[3], f), di, units);
  hn::Vec<D4I> all = hn::Load(D4I(), units);
  for (size_t u = 4; u < kLanes; u += 4) {
    all = f(all, hn::Load(D4I(), units + u));
  }
  return all;
}

// Quantised blocks [count][bs], made four at a time, and the part that they
// have in every dot product: init + dot is the sum over (q of b) * (q of a),
// less the default zero point of b if that is what b has.
struct QuantizedBlocks {
  static constexpr size_t kMost = kQGemmRowStep;
  alignas(64) int8_t q[kBlocksAtOnce * 256];
  alignas(16) float scale[kMost];
  alignas(16) float inverse[kMost];  // of the scale
  alignas(16) float sum[kMost];      // of q
  alignas(16) uint32_t init[kMost];
};
static_assert(QuantizedBlocks::kMost % kBlocksAtOnce == 0);
static_assert(QuantizedBlocks::kMost * kQGemmColumns <= kBlocksAtOnce * 256);

// scale = max|x| / 127 for blocks of bs at x, x + stride, ... A scale below the
// smallest normal float would make 1 / scale infinite: such a block is below
// 1.5e-36 and becomes zero. A block with NaN or infinity: scale NaN, and what
// the integers then are does not matter.
HWY_INLINE void ScalesOf(const float* x, size_t stride, size_t bs,
                         size_t blocks, size_t at, QuantizedBlocks* out) {
  const DF32 df;
  const DI32 di;
  const VI32 magnitude = hn::Set(di, 0x7FFFFFFF);
  VI32 most[kBlocksAtOnce];
  for (size_t b = 0; b < kBlocksAtOnce; ++b) {
    most[b] = hn::Zero(di);
    for (size_t i = 0; b < blocks && i < bs; i += kLanes) {
      const VI32 bits = hn::BitCast(di, hn::LoadU(df, x + b * stride + i));
      most[b] = hn::Max(most[b], hn::And(bits, magnitude));
    }
  }
  const auto bits =
      FoldFour(most, [](auto a, auto b) HWY_ATTR { return hn::Max(a, b); });
  const D4F d4;
  const auto max = hn::BitCast(d4, bits);
  const auto exact = hn::Div(max, hn::Set(d4, 127.0f));
  const auto tiny =
      hn::Lt(exact, hn::Set(d4, std::numeric_limits<float>::min()));
  const auto scale = hn::IfThenZeroElse(tiny, exact);
  const auto bad = hn::RebindMask(d4, hn::Gt(bits, hn::Set(D4I(), 0x7F7FFFFF)));
  const auto nan = hn::Set(d4, std::numeric_limits<float>::quiet_NaN());
  hn::Store(hn::IfThenElse(bad, nan, scale), d4, out->scale + at);
  const auto inverse =
      hn::IfThenZeroElse(tiny, hn::Div(hn::Set(d4, 1.0f), scale));
  hn::Store(hn::IfThenZeroElse(bad, inverse), d4, out->inverse + at);
}

// q = round(x * inverse), its sum and factor * sum. 1.5 * 2^23 + a number below
// 2^22 is rounded to an integer, and lies as such in the low bits: NearestInt
// and a saturating DemoteTo would also care for what is larger. What the bits
// above add to a sum is taken off at its end, modulo 2^32.
HWY_INLINE void RoundBlocks(const float* x, size_t stride, size_t bs,
                            size_t blocks, uint32_t factor, size_t at,
                            QuantizedBlocks* HWY_RESTRICT out) {
  const DF32 df;
  const DI32 di;
  const DU32 du;
  const hn::Rebind<uint8_t, DU32> du8;
  constexpr float kMagic = 12582912.0f;
  const VF32 magic = hn::Set(df, kMagic);
  VI32 total[kBlocksAtOnce];
  for (size_t b = 0; b < kBlocksAtOnce; ++b) {
    total[b] = hn::Zero(di);
    const VF32 inverse = hn::Set(df, out->inverse[at + b]);
    for (size_t i = 0; b < blocks && i < bs; i += kLanes) {
      const VF32 v = hn::LoadU(df, x + b * stride + i);
      // Two roundings, not a MulAdd: as everywhere (-ffp-contract=off).
      const VF32 rounded = hn::Add(hn::Mul(v, inverse), magic);
      const VI32 bits = hn::BitCast(di, rounded);
      total[b] = hn::Add(total[b], bits);
      hn::Store(hn::TruncateTo(du8, hn::BitCast(du, bits)), du8,
                reinterpret_cast<uint8_t*>(out->q + (at + b) * bs + i));
    }
  }
  const auto sums =
      FoldFour(total, [](auto a, auto b) HWY_ATTR { return hn::Add(a, b); });
  const uint32_t above =
      static_cast<uint32_t>(bs) * hwy::BitCastScalar<uint32_t>(kMagic);
  const D4I d4;
  const auto sum = hn::Sub(sums, hn::Set(d4, static_cast<int32_t>(above)));
  hn::Store(hn::ConvertTo(D4F(), sum), D4F(), out->sum + at);
  const hn::Full128<uint32_t> du4;
  hn::Store(hn::Mul(hn::BitCast(du4, sum), hn::Set(du4, factor)), du4,
            out->init + at);
}

// Up to four blocks of bs at x, x + stride, ... as blocks `at` and so on.
HWY_INLINE void QuantizeBlocks(const float* x, size_t stride, size_t bs,
                               size_t blocks, uint32_t factor, size_t at,
                               QuantizedBlocks* out) {
  // Almost always; with constants the loops unroll.
  if (bs == 32 && blocks == kBlocksAtOnce) {
    ScalesOf(x, stride, 32, kBlocksAtOnce, at, out);
    RoundBlocks(x, stride, 32, kBlocksAtOnce, factor, at, out);
  } else {
    ScalesOf(x, stride, bs, blocks, at, out);
    RoundBlocks(x, stride, bs, blocks, factor, at, out);
  }
}

// 16 int8 activations, in the order of b's sub-vectors.
template <int kBits>
HWY_INLINE hn::Vec<hn::Full128<uint8_t>> LoadGroup(const int8_t* q) {
  const hn::Full128<uint8_t> d8;
  alignas(16) uint8_t order[16];
  GroupOrder<kBits>(order);
  return hn::TableLookupBytes(hn::Load(d8, reinterpret_cast<const uint8_t*>(q)),
                              hn::Load(d8, order));
}

// What a block's sum is multiplied by to start its dot product.
template <Dot kDot, int kBits>
HWY_INLINE uint32_t InitFactor(const BlockQuantMatrix& b) {
  const uint32_t zp =
      b.zero_point_kind == ZeroPoints::kNone ? b.default_zero_point() : 0;
  return (kSignedWeights<kDot, kBits> ? 128u : 0u) - zp;
}

// How rows become calls of kernels: a step of rows is cut into as few and as
// even pieces as there are kernels for.
struct RowCalls {
  size_t most;  // rows of a kernel
  size_t step;
  bool halved;  // kernels are of `most` rows, half of them, ... 1
};

// Rows of the call that starts with row `first` of `m`. Packing and product ask
// alike, in whatever ranges.
HWY_INLINE size_t RowsOfCall(size_t first, size_t m, const RowCalls& calls) {
  size_t most = calls.most;
  const size_t step_end = (first / calls.step + 1) * calls.step;
  if (step_end <= m) return most;
  const size_t left = m - first;
  if (calls.halved) {
    while (most > left) most /= 2;
    return most;
  }
  const size_t pieces = (left + most - 1) / most;
  return (left + pieces - 1) / pieces;
}

inline constexpr RowCalls kFloatCalls = {kMaxRows, kQGemmRowStep, true};
inline constexpr RowCalls kTileCalls = {kQGemmTileRows, kQGemmTileRows, false};
template <Dot kDot>
inline constexpr RowCalls kInt8Calls = {Int8Shape<kDot>::kRows, kQGemmRowStep,
                                        false};

// Kernels without panels. Of 8 rows on targets with 16 registers, too: what is
// stored and loaded again costs less than turning b twice.
inline constexpr RowCalls kDirectCalls = {8, kQGemmRowStep, false};
// Ahead of panels, or as fast: with 32 registers up to 16 rows, with 16 up to 8
// (tools/bench/README.md). Blocks of b are whole units.
HWY_INLINE bool UseDirect(const QGemmArgs& g) {
  return !g.tiles && g.m <= 2 * kMaxRows && g.b->bits != 2 &&
         g.b->block_bytes() % kUnitBytes == 0 && g.b->n >= kTile;
}

// A call of int8 rows in memory.
struct Int8Call {
  size_t first;         // row of a
  size_t rows, stride;  // that it has, and that there is room for
  bool pairs;           // UsePairs
  bool side_by_side;    // words of a pair's blocks, see PackedRows
  size_t row, group;    // words from a row to the next, from 16 columns to the
                        // next of a row

  // Words before row 0's in a block of bs.
  size_t WordsTo(size_t block, size_t bs) const {
    return side_by_side ? block / 2 * 2 * (bs / 4) * stride + block % 2
                        : block * (bs / 4) * stride;
  }
  // Numbers, one a block and row, before that of row r of g's arrays.
  size_t NumbersTo(size_t blocks, size_t block, size_t r) const {
    return first * blocks + (pairs ? (block / 2 * stride + r) * 2 + block % 2
                                   : block * stride + r);
  }
};
template <Dot kDot>
HWY_INLINE Int8Call Int8CallAt(size_t first, const QGemmArgs& g) {
  const bool pairs = UsePairs(*g.b);
  if (g.tiles) {
    return {.first = first,
            .rows = RowsOfCall(first, g.m, kTileCalls),
            .stride = kQGemmTileRows,
            .pairs = pairs,
            .side_by_side = false,
            .row = g.b->block_size / 4,
            .group = 4};
  }
  const size_t rows =
      RowsOfCall(first, g.m, UseDirect(g) ? kDirectCalls : kInt8Calls<kDot>);
  const size_t row = pairs ? 8 : 4;
  return {.first = first,
          .rows = rows,
          .stride = rows,
          .pairs = pairs,
          .side_by_side = pairs,
          .row = row,
          .group = rows * row};
}

// Four words, at `to` or, where two blocks are side by side, every second one
// from there on.
HWY_INLINE void StoreGroup(hn::Vec<hn::Full128<uint8_t>> group,
                           bool side_by_side, uint32_t* HWY_RESTRICT to) {
  if (side_by_side) {
    alignas(16) uint32_t words[4];
    hn::Store(hn::BitCast(hn::Full128<uint32_t>(), group),
              hn::Full128<uint32_t>(), words);
    for (size_t j = 0; j < 4; ++j) to[2 * j] = words[j];
  } else {
    hn::Store(group, hn::Full128<uint8_t>(), reinterpret_cast<uint8_t*>(to));
  }
}

// What belongs to quantised block i, as number `at` of g's arrays.
HWY_INLINE void StoreNumbers(const QuantizedBlocks& blocks, size_t i, size_t at,
                             const QGemmArgs& g) {
  std::memcpy(g.a_scales + at, &blocks.scale[i], sizeof(float));
  std::memcpy(g.a_sums + at, &blocks.sum[i], sizeof(float));
  g.a_init[at] = blocks.init[i];
}

// Row r of a call: its bytes, and scale, start of the dot product and sum of
// each block.
template <Dot kDot, int kBits>
HWY_NOINLINE void QuantizeRow(const QGemmArgs& g, const Int8Call& call,
                              size_t r) {
  const BlockQuantMatrix& b = *g.b;
  const float* a = g.a + (call.first + r) * g.lda;
  uint32_t* const words =
      g.a_words + call.first * b.blocks() * (b.block_size / 4) + r * call.row;
  const size_t bs = b.block_size;
  const uint32_t factor = InitFactor<kDot, kBits>(b);
  QuantizedBlocks four;
  alignas(64) float tail[256];
  for (size_t block = 0; block < b.blocks();) {
    const float* x = a + block * bs;
    size_t count = HWY_MIN(kBlocksAtOnce, (b.k - block * bs) / bs);
    if (count == 0) {
      std::memset(tail, 0, sizeof tail);
      std::memcpy(tail, x, (b.k - block * bs) * sizeof *x);
      x = tail;
      count = 1;
    }
    // Half of a row was written by another core: a third of this function's
    // time is waiting where a line is not asked for early.
    for (size_t i = 0; i < count * bs; i += 16) {
      hwy::Prefetch(x + 1024 + i);
    }
    QuantizeBlocks(x, bs, bs, count, factor, 0, &four);
    for (size_t i = 0; i < count; ++i) {
      StoreNumbers(four, i, call.NumbersTo(b.blocks(), block + i, r), g);
      uint32_t* to = words + call.WordsTo(block + i, bs);
      for (size_t k = 0; k < bs; k += 16, to += call.group) {
        StoreGroup(LoadGroup<kBits>(four.q + i * bs + k), call.side_by_side,
                   to);
      }
    }
    block += count;
  }
}

// out [Kp][rows] floats: column-major, zero behind k.
HWY_INLINE void PackFloatRow(const float* a, const BlockQuantMatrix& b,
                             size_t rows, size_t r, const QGemmArgs& out,
                             size_t first_row) {
  const size_t padded = b.blocks() * b.block_size;
  uint32_t* to = out.a_words + first_row * padded;
  if (rows == 1) {
    std::memcpy(to, a, b.k * sizeof *a);
  } else {
    for (size_t k = 0; k < b.k; ++k) {
      std::memcpy(to + k * rows + r, a + k, sizeof *a);
    }
  }
  for (size_t k = b.k; k < padded; ++k) to[k * rows + r] = 0;
}

// Rows [begin, end) are packed: their scales become what kernels read.
inline void FinishRows(const QGemmArgs& g, size_t begin, size_t end) {
  if (!UsePairs(*g.b)) return;
  const size_t blocks = g.b->blocks();
  // The last tile has room for, and zeros of, rows that there are none of.
  if (g.tiles && end == g.m) end = PackedRowsFor(end);
  MakePairScales(g.a_scales + begin * blocks, (end - begin) * blocks / 2);
}

template <Dot kDot, int kBits>
HWY_INLINE void PackInt8Rows(const QGemmArgs& g, size_t begin, size_t end) {
  for (size_t first = begin; first < end;) {
    const Int8Call call = Int8CallAt<kDot>(first, g);
    for (size_t r = 0; r < call.rows; ++r) {
      QuantizeRow<kDot, kBits>(g, call, r);
    }
    first += call.rows;
  }
  FinishRows(g, begin, end);
}

// Packs rows [begin, end) of a: multiples of g.row_step(), or g.m.
template <Dot kDot>
HWY_INLINE void PackRowsFor(const QGemmArgs& g, size_t begin, size_t end) {
  if (g.int8) {
    if (g.b->bits == 8) return PackInt8Rows<kDot, 8>(g, begin, end);
    if (g.b->bits == 4) return PackInt8Rows<kDot, 4>(g, begin, end);
    return PackInt8Rows<kDot, 2>(g, begin, end);
  }
  for (size_t first = begin; first < end;) {
    const size_t rows = RowsOfCall(first, g.m, kFloatCalls);
    for (size_t r = 0; r < rows; ++r) {
      PackFloatRow(g.a + (first + r) * g.lda, *g.b, rows, r, g, first);
    }
    first += rows;
  }
}

// Block `block` of rows [begin, end), at most a step of them from a multiple of
// it on, from the rows of a tile.
template <Dot kDot, int kBits>
HWY_NOINLINE void QuantizeStep(const float* tile, size_t begin, size_t end,
                               size_t block, const QGemmArgs& g) {
  const size_t blocks = g.b->blocks(), bs = g.b->block_size;
  const uint32_t factor = InitFactor<kDot, kBits>(*g.b);
  QuantizedBlocks s;
  for (size_t row = begin; row < end; row += kBlocksAtOnce) {
    QuantizeBlocks(tile + (row - begin) * kQGemmColumns, kQGemmColumns, bs,
                   HWY_MIN(kBlocksAtOnce, end - row), factor, row - begin, &s);
  }
  for (size_t first = begin, rows; first < end; first += rows) {
    const Int8Call call = Int8CallAt<kDot>(first, g);
    rows = call.rows;
    const size_t from = first - begin;
    uint32_t* const words =
        g.a_words + first * blocks * (bs / 4) + call.WordsTo(block, bs);
    for (size_t i = 0; i < bs / 16; ++i) {
      uint32_t* to = words + i * call.group;
      for (size_t r = 0; r < rows; ++r, to += call.row) {
        StoreGroup(LoadGroup<kBits>(s.q + (from + r) * bs + i * 16),
                   call.side_by_side, to);
      }
    }
    for (size_t r = 0; r < rows; ++r) {
      StoreNumbers(s, from + r, call.NumbersTo(blocks, block, r), g);
    }
  }
}

// The blocks that columns [n0, n0 + columns) are.
template <Dot kDot>
void QuantizeTile(const float* tile, size_t begin, size_t end, size_t n0,
                  size_t columns, const QGemmArgs& g) {
  const auto step = g.b->bits == 8   ? QuantizeStep<kDot, 8>
                    : g.b->bits == 4 ? QuantizeStep<kDot, 4>
                                     : QuantizeStep<kDot, 2>;
  for (size_t n = 0; n < columns; n += g.b->block_size) {
    step(tile + n, begin, end, (n0 + n) / g.b->block_size, g);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
