// SPDX-License-Identifier: MIT
// Preparation of both sides of QGemm: activations to packed rows, a chunk of
// rows of b to a panel.
#if defined(SLM_QUANT_QGEMM_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_QGEMM_PACK_INL_H_
#undef SLM_QUANT_QGEMM_PACK_INL_H_
#else
#define SLM_QUANT_QGEMM_PACK_INL_H_
#endif

#include <cstring>
#include <limits>

#include "hwy/cache_control.h"
#include "quant/dot-inl.h"
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

// Scales of four blocks and their inverses.
struct FourScales {
  alignas(16) float scale[kBlocksAtOnce];
  alignas(16) float inverse[kBlocksAtOnce];
};

// scale = max|x| / 127 for blocks x[0..bs), x[bs..2 bs), ... A scale below the
// smallest normal float would make 1 / scale infinite: such a block is below
// 1.5e-36 and becomes zero. A block with NaN or infinity: scale NaN, and what
// the integers then are does not matter.
HWY_INLINE void ScalesOf(const float* x, size_t bs, size_t blocks,
                         FourScales* out) {
  const DF32 df;
  const DI32 di;
  const VI32 magnitude = hn::Set(di, 0x7FFFFFFF);
  VI32 most[kBlocksAtOnce];
  for (size_t b = 0; b < kBlocksAtOnce; ++b) {
    most[b] = hn::Zero(di);
    for (size_t i = 0; b < blocks && i < bs; i += kLanes) {
      const VI32 bits = hn::BitCast(di, hn::LoadU(df, x + b * bs + i));
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
  hn::Store(hn::IfThenElse(bad, nan, scale), d4, out->scale);
  const auto inverse =
      hn::IfThenZeroElse(tiny, hn::Div(hn::Set(d4, 1.0f), scale));
  hn::Store(hn::IfThenZeroElse(bad, inverse), d4, out->inverse);
}

// q [blocks * bs] = round(x * inverse); sums [4] of the blocks' q. 1.5 * 2^23 +
// a number below 2^22 is rounded to an integer, and lies as such in the low
// bits: NearestInt and a saturating DemoteTo would also care for what is
// larger.
HWY_INLINE void QuantizeBlocks(const float* x, size_t bs, size_t blocks,
                               const FourScales& s, int8_t* HWY_RESTRICT q,
                               int32_t* HWY_RESTRICT sums) {
  const DF32 df;
  const DI32 di;
  const DU32 du;
  const hn::Rebind<uint8_t, DU32> du8;
  const VF32 magic = hn::Set(df, 12582912.0f);
  const VI32 magic_bits = hn::BitCast(di, magic);
  VI32 total[kBlocksAtOnce];
  for (size_t b = 0; b < kBlocksAtOnce; ++b) {
    total[b] = hn::Zero(di);
    const VF32 factor = hn::Set(df, s.inverse[b]);
    for (size_t i = 0; b < blocks && i < bs; i += kLanes) {
      const VF32 v = hn::LoadU(df, x + b * bs + i);
      // Two roundings, not a MulAdd: as everywhere (-ffp-contract=off).
      const VF32 rounded = hn::Add(hn::Mul(v, factor), magic);
      const VI32 bits = hn::BitCast(di, rounded);
      total[b] = hn::Add(total[b], hn::Sub(bits, magic_bits));
      hn::Store(hn::TruncateTo(du8, hn::BitCast(du, bits)), du8,
                reinterpret_cast<uint8_t*>(q + b * bs + i));
    }
  }
  hn::Store(
      FoldFour(total, [](auto a, auto b) HWY_ATTR { return hn::Add(a, b); }),
      D4I(), sums);
}

// Where int8 activations go, by block: 16 columns at a time among `rows` rows.
struct PanelOrder {
  uint32_t* words;  // of the first row's group 0
  size_t rows, r;
};
template <int kBits>
HWY_INLINE void StoreBlock(const int8_t* q, size_t bs, size_t block,
                           const PanelOrder& to) {
  const hn::Full128<uint8_t> d8;
  alignas(16) uint8_t order_bytes[16];
  GroupOrder<kBits>(order_bytes);
  const auto order = hn::Load(d8, order_bytes);
  uint32_t* words = to.words + block * (bs / 4) * to.rows + to.r * 4;
  for (size_t i = 0; i < bs; i += 16) {
    const auto v = hn::Load(d8, reinterpret_cast<const uint8_t*>(q + i));
    hn::Store(hn::TableLookupBytes(v, order), d8,
              reinterpret_cast<uint8_t*>(words));
    words += to.rows * 4;
  }
}

// And for QGemv: the columns of each vector of b, sub-vector by sub-vector.
struct StreamOrder {
  uint32_t* words;  // of the row
};
template <int kBits>
HWY_INLINE void StoreBlock(const int8_t* q, size_t bs, size_t block,
                           const StreamOrder& to) {
  const hn::Full128<uint8_t> d8;
  constexpr size_t kBytes = kLanes * 4;
  auto* bytes = reinterpret_cast<uint8_t*>(to.words);
  constexpr size_t kColumns = kUnitBytes * 8 / kBits;  // of a unit
  for (size_t i = 0; i < bs; i += kColumns) {
    const size_t unit = (block * bs + i) / kColumns;
    const size_t vector = unit * kUnitBytes / kBytes;
    uint8_t* at =
        bytes + vector * kBytes * (8 / kBits) + unit * kUnitBytes % kBytes;
    const auto v0 = hn::Load(d8, reinterpret_cast<const uint8_t*>(q + i));
    if constexpr (kBits == 8) {
      hn::StoreU(v0, d8, at);
    } else {
      static_assert(kBits == 4);
      const auto v1 =
          hn::Load(d8, reinterpret_cast<const uint8_t*>(q + i + 16));
      hn::StoreU(hn::ConcatEven(d8, v1, v0), d8, at);
      hn::StoreU(hn::ConcatOdd(d8, v1, v0), d8, at + kBytes);
    }
  }
}

// Activations [k] of one row: its bytes to `to`; scale, start of the dot
// product and sum of block i to element first + i * step of g's arrays.
template <Dot kDot, int kBits, typename Order>
HWY_NOINLINE void QuantizeRow(const float* a, const QGemmArgs& g,
                              const Order& to, size_t first, size_t step) {
  const BlockQuantMatrix& b = *g.b;
  const size_t bs = b.block_size;
  const uint32_t zp =
      b.zero_point_kind == ZeroPoints::kNone ? b.default_zero_point() : 0;
  const uint32_t offset = (kSignedWeights<kDot, kBits> ? 128u : 0u) - zp;
  alignas(64) int8_t q[kBlocksAtOnce * 256];
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
    FourScales s;
    alignas(16) int32_t sums[kBlocksAtOnce];
    // Almost always; with constants the loops unroll.
    if (bs == 32 && count == kBlocksAtOnce) {
      ScalesOf(x, 32, kBlocksAtOnce, &s);
      QuantizeBlocks(x, 32, kBlocksAtOnce, s, q, sums);
    } else {
      ScalesOf(x, bs, count, &s);
      QuantizeBlocks(x, bs, count, s, q, sums);
    }
    for (size_t i = 0; i < count; ++i) {
      const size_t at = first + (block + i) * step;
      std::memcpy(g.a_scales + at, &s.scale[i], sizeof(float));
      const float sum = static_cast<float>(sums[i]);
      std::memcpy(g.a_sums + at, &sum, sizeof sum);
      g.a_init[at] = offset * static_cast<uint32_t>(sums[i]);
      StoreBlock<kBits>(q + i * bs, bs, block + i, to);
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

// out [count][kStride] float32 = packed zero points [first, first + count).
template <size_t kStride>
HWY_INLINE void TurnPackedZeroPoints(const BlockQuantMatrix& b, size_t row,
                                     size_t rows, size_t first, size_t count,
                                     uint32_t* HWY_RESTRICT words,
                                     uint32_t* HWY_RESTRICT out) {
  const size_t stride = b.zero_point_row_bytes();
  const auto* base = static_cast<const uint8_t*>(b.zero_points) + row * stride +
                     first * b.bits / 8;
  TransposeWords(base, stride, rows, (count * b.bits + 7) / 8, words);
  const VU32 mask = hn::Set(DU32(), (1u << b.bits) - 1);
  const size_t per_word = 32 / static_cast<size_t>(b.bits);
  for (size_t i = 0; i < count; ++i) {
    const int shift = static_cast<int>(i % per_word) * b.bits;
    for (size_t n = 0; n < kTile; n += kLanes) {
      const VU32 word = LoadWords(words + i / per_word * kTile + n);
      const auto q = hn::And(hn::ShiftRightSame(word, shift), mask);
      StoreFloats(hn::ConvertTo(DF32(), hn::BitCast(DI32(), q)),
                  out + i * kStride + n);
    }
  }
}

// Scales and zero points of blocks [first, first + count) of up to 16 rows of
// b from `row` on, to lanes [lane, lane + 16) of [count][kStride] each. `first`
// is a multiple of a chunk, so packed zero points begin at a whole byte.
template <size_t kStride>
HWY_INLINE PanelChunk TurnScales(const BlockQuantMatrix& b, size_t row,
                                 size_t rows, size_t first, size_t count,
                                 bool int8, size_t lane, QGemmWorker& w) {
  TurnFloats<kStride>(b.scales, b.scale_dtype, row, rows, b.blocks(), first,
                      count, w.packed, w.scales + lane);
  uint32_t* const zero_points = w.zero_points + lane;
  if (b.zero_point_kind == ZeroPoints::kPacked) {
    TurnPackedZeroPoints<kStride>(b, row, rows, first, count, w.packed,
                                  zero_points);
  } else if (b.zero_point_kind == ZeroPoints::kFloat) {
    TurnFloats<kStride>(b.zero_points, b.scale_dtype, row, rows, b.blocks(),
                        first, count, w.packed, zero_points);
  } else if (!int8) {
    const VF32 zp = hn::Set(DF32(), static_cast<float>(b.default_zero_point()));
    for (size_t i = 0; i < count; ++i) {
      for (size_t n = 0; n < kTile; n += kLanes) {
        StoreFloats(zp, zero_points + i * kStride + n);
      }
    }
  }
  return {.words = w.panel,
          .scales = w.scales,
          .zero_points = w.zero_points,
          .blocks = count,
          .groups_per_block = b.block_size / 16,
          .first = first == 0};
}

// Sub-vector s of a word of b to word s of `out`, [.][kQGemmColumns].
template <Dot kDot, int kBits>
HWY_INLINE void StoreSubVectors(VU32 word, uint32_t* HWY_RESTRICT out) {
  HWY_UNROLL(4)
  for (int s = 0; s < 8 / kBits; ++s) {
    hn::Store(SubVector<kDot, kBits>(word, s), DU32(), out + s * kQGemmColumns);
  }
}

// A line of each of the rows that the next chunk turns: 16 streams of a few
// lines end before the processor has learnt them.
HWY_INLINE void PrefetchRows(const uint8_t* base, size_t stride) {
  for (size_t n = 0; n < kTile; ++n) hwy::Prefetch(base + n * stride);
}

// Those of the scales of kTile rows from `lane` on.
HWY_INLINE void PrefetchScales(const ChunkPlace& at, size_t lane) {
  const size_t bytes = BytesFor(at.b->scale_dtype, 1);
  const size_t stride = at.b->blocks() * bytes;
  PrefetchRows(static_cast<const uint8_t*>(at.b->scales) +
                   (at.row + lane) * stride + at.first * bytes,
               stride);
}

// out [bytes * 8/bits / 4][kQGemmColumns]: 16 lanes of each are the sub-vectors
// of the first `bytes` (a multiple of 4) of `rows` rows, in order.
template <Dot kDot, int kBits>
HWY_INLINE void UnpackRows(const uint8_t* base, size_t stride, size_t rows,
                           size_t bytes, const uint8_t* next,
                           uint32_t* HWY_RESTRICT out) {
  constexpr size_t kStep = 8 / kBits * kQGemmColumns;  // of a word
  size_t i = 0;
  for (; rows == kTile && i + 16 <= bytes; i += 16) {
    if (next && i % 64 == 0) PrefetchRows(next + i, stride);
    for (size_t n = 0; n < kTile; n += kLanes) {
      const FourWords t = Transpose4Words(base + n * stride + i, stride);
      uint32_t* to = out + i / 4 * kStep + n;
      StoreSubVectors<kDot, kBits>(t.w0, to);
      StoreSubVectors<kDot, kBits>(t.w1, to + kStep);
      StoreSubVectors<kDot, kBits>(t.w2, to + 2 * kStep);
      StoreSubVectors<kDot, kBits>(t.w3, to + 3 * kStep);
    }
  }
  for (; i < bytes; i += 4) {
    alignas(64) uint32_t words[kTile];
    TransposeEdge<kTile>(base + i, stride, rows, 4, words);
    for (size_t n = 0; n < kTile; n += kLanes) {
      StoreSubVectors<kDot, kBits>(LoadWords(words + n),
                                   out + i / 4 * kStep + n);
    }
  }
}

// Turns the chunk at `at`, while memory brings the first half of `next`.
template <Dot kDot, int kBits, bool kInt8>
PanelChunk PrepareChunk(const ChunkPlace& at, const ChunkPlace& next,
                        QGemmWorker& w) {
  const BlockQuantMatrix& b = *at.b;
  const size_t bytes = at.count * b.block_bytes();
  PanelChunk p = {};
  for (size_t lane = 0; lane < kQGemmColumns; lane += kTile) {
    // A missing half repeats the first: its columns are not stored.
    const size_t skip = lane < at.rows ? lane : 0;
    const size_t some = HWY_MIN(kTile, at.rows - skip);
    const uint8_t* base = at.Bytes() + skip * b.row_bytes();
    if constexpr (kInt8) {
      const uint8_t* ahead = next.b && lane == 0 ? next.Bytes() : nullptr;
      UnpackRows<kDot, kBits>(base, b.row_bytes(), some, bytes, ahead,
                              w.panel + lane);
    } else {
      TransposeWords<kQGemmColumns>(base, b.row_bytes(), some, bytes,
                                    w.panel + lane);
    }
    p = TurnScales<kQGemmColumns>(b, at.row + skip, some, at.first, at.count,
                                  kInt8, lane, w);
    if (next.b) PrefetchScales(next, lane);
  }
  if (next.b) {
    p.next = next.Bytes() + kTile * next.b->row_bytes();
    p.next_stride = next.b->row_bytes();
    p.next_bytes = next.count * next.b->block_bytes();
  }
  return p;
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
