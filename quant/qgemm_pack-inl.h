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
