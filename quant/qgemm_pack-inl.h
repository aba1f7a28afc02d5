// SPDX-License-Identifier: MIT
// Preparation of QGemm's weights: a chunk of rows of b to a panel.
#if defined(SLM_QUANT_QGEMM_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_QGEMM_PACK_INL_H_
#undef SLM_QUANT_QGEMM_PACK_INL_H_
#else
#define SLM_QUANT_QGEMM_PACK_INL_H_
#endif

#include "hwy/cache_control.h"
#include "quant/dot-inl.h"
#include "quant/pairs-inl.h"
#include "quant/qgemm_args.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

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

// out [count][kStride] float32 = fixed scales [first, first + count).
template <size_t kStride>
HWY_INLINE void TurnFixedScales(const BlockQuantMatrix& b, size_t row,
                                size_t rows, size_t first, size_t count,
                                uint32_t* HWY_RESTRICT words,
                                uint32_t* HWY_RESTRICT out) {
  const DI32 di;
  const size_t stride = b.scale_row_bytes();
  const auto* base = static_cast<const uint8_t*>(b.scales) + row * stride;
  alignas(64) uint32_t units[kTile];
  TransposeWords(base + b.blocks() * sizeof(int16_t), stride, rows,
                 sizeof(float), units);
  TransposeWords(base + first * sizeof(int16_t), stride, rows,
                 count * sizeof(int16_t), words);
  for (size_t i = 0; i < count; i += 2) {
    for (size_t n = 0; n < kTile; n += kLanes) {
      const VI32 word = hn::BitCast(di, LoadWords(words + i / 2 * kTile + n));
      const VF32 unit = LoadFloats(units + n);
      const VI32 even = hn::ShiftRight<16>(hn::ShiftLeft<16>(word));
      const VI32 odd = hn::ShiftRight<16>(word);
      StoreFloats(hn::Mul(hn::ConvertTo(DF32(), even), unit),
                  out + i * kStride + n);
      StoreFloats(hn::Mul(hn::ConvertTo(DF32(), odd), unit),
                  out + (i + 1) * kStride + n);
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
  const bool pairs = int8 && UsePairs(b), last = first + count == b.blocks();
  if (pairs) {
    // The unit is one word more, behind the last block.
    const auto* base = static_cast<const uint8_t*>(b.scales) +
                       row * b.scale_row_bytes() + first * sizeof(int16_t);
    TransposeWords<kStride>(
        base, b.scale_row_bytes(), rows,
        count * sizeof(int16_t) + (last ? sizeof(float) : 0), w.scales + lane);
  } else if (b.fixed_scales()) {
    TurnFixedScales<kStride>(b, row, rows, first, count, w.packed,
                             w.scales + lane);
  } else {
    TurnFloats<kStride>(b.scales, b.scale_dtype, row, rows, b.blocks(), first,
                        count, w.packed, w.scales + lane);
  }
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
          .units = pairs && last ? w.scales + count / 2 * kStride : nullptr,
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
  for (size_t n = 0; rows == kTile && n < kTile; n += kLanes) {
    LaneRows from(base + n * stride, stride);
    for (i = 0; i + 16 <= bytes; i += 16) {
      if (n == 0 && next && i % 64 == 0) PrefetchRows(next + i, stride);
      const FourWords t = Transpose4Words(from);
      from.Advance(16);
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

#if SLM_QGEMM_PAIRS

// Words of a half of a panel of pairs.
inline constexpr size_t kPairsHalf = kQGemmMaxDepth / 4 * kTile;

// Both sub-vectors of a word.
HWY_INLINE void StorePairWord(const PairWord& w, uint32_t* HWY_RESTRICT out) {
  const DU32 du;
  HWY_UNROLL(2)
  for (int s = 0; s < 2; ++s) {
    hn::Store(SubVector<kNativeDot, 4>(w.lower, s), du, out);
    hn::Store(SubVector<kNativeDot, 4>(w.upper, s), du, out + kTile);
    out += 2 * kTile;
  }
}

// out [pairs][8][2][16]: the sub-vectors of `rows` rows from base on, lower and
// upper of PairWord.
HWY_INLINE void UnpackPairs(const uint8_t* base, size_t stride, size_t rows,
                            size_t pairs, const uint8_t* next,
                            uint32_t* HWY_RESTRICT out) {
  constexpr size_t kPairBytes = 2 * kUnitBytes;
  // Of fewer rows than a tile: a copy with zeros.
  alignas(64) uint8_t copy[kTile * kPairBytes] = {};
  LaneRows lanes(base, stride);
  for (size_t pair = 0; pair < pairs; ++pair) {
    const size_t at = pair * kPairBytes;
    if (next && at % 64 == 0) PrefetchRows(next + at, stride);
    if (rows < kTile) {
      for (size_t r = 0; r < rows; ++r) {
        std::memcpy(copy + r * kPairBytes, base + r * stride + at, kPairBytes);
      }
      lanes = LaneRows(copy, kPairBytes);
    }
    VU32 even[4], odd[4];
    LoadPairRows(lanes, 0, even);
    LoadPairRows(lanes, kUnitBytes, odd);
    lanes.Advance(kPairBytes);
    const TwoPairWords low = TransposePairs<false>(even, odd);
    const TwoPairWords high = TransposePairs<true>(even, odd);
    StorePairWord(low.first, out);
    StorePairWord(low.second, out + 4 * kTile);
    StorePairWord(high.first, out + 8 * kTile);
    StorePairWord(high.second, out + 12 * kTile);
    out += 16 * kTile;
  }
}

#endif  // SLM_QGEMM_PAIRS

// Turns the chunk at `at`, while memory brings the first half of `next`.
template <Dot kDot, int kBits, bool kInt8, bool kPairs = false>
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
#if SLM_QGEMM_PAIRS
      if constexpr (kPairs) {
        UnpackPairs(base, b.row_bytes(), some, at.count / 2, ahead,
                    w.panel + lane / kTile * kPairsHalf);
      } else
#endif
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
