// SPDX-License-Identifier: MIT
// Preparation of both sides of QGemm: activations to packed rows, a chunk of
// 16 rows of b to a panel.
#if defined(SLM_QUANT_QGEMM_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_QGEMM_PACK_INL_H_
#undef SLM_QUANT_QGEMM_PACK_INL_H_
#else
#define SLM_QUANT_QGEMM_PACK_INL_H_
#endif

#include <cstring>
#include <limits>

#include "quant/panel-inl.h"
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

// q [bs] = round(x / scale), scale = max|x| / 127; returns scale and sum(q).
// A scale below the smallest normal float would make 1 / scale infinite: such
// a block is below 1.5e-36 and becomes zero. NaN or infinity: scale NaN.
HWY_INLINE float QuantizeBlock(const float* x, size_t bs,
                               int8_t* HWY_RESTRICT q, int32_t* sum) {
  const DF32 df;
  const DI32 di;
  const hn::Rebind<int8_t, DF32> di8;
  const VI32 magnitude = hn::Set(di, 0x7FFFFFFF);
  VI32 vmax = hn::Zero(di);
  for (size_t i = 0; i < bs; i += kLanes) {
    const VI32 bits = hn::BitCast(di, hn::LoadU(df, x + i));
    vmax = hn::Max(vmax, hn::And(bits, magnitude));
  }
  const int32_t max_bits = hn::ReduceMax(di, vmax);
  float scale = 0, inverse = 0;
  if (max_bits >= 0x7F800000) {
    scale = std::numeric_limits<float>::quiet_NaN();
  } else {
    std::memcpy(&scale, &max_bits, sizeof scale);
    scale /= 127.0f;
    if (scale < std::numeric_limits<float>::min()) scale = 0;
    inverse = scale == 0 ? 0 : 1 / scale;
  }
  const VF32 factor = hn::Set(df, inverse);
  const VF32 zero = hn::Zero(df);
  VI32 total = hn::Zero(di);
  for (size_t i = 0; i < bs; i += kLanes) {
    const VF32 v = inverse == 0 ? zero : hn::LoadU(df, x + i);
    const VI32 rounded = hn::NearestInt(hn::Mul(v, factor));
    total = hn::Add(total, rounded);
    hn::Store(hn::DemoteTo(di8, rounded), di8, q + i);
  }
  *sum = hn::ReduceSum(di, total);
  return scale;
}

// Activations [k] of row `r` of `rows` packed rows. `words`, `scales`, `init`
// and `sums` point at the rows' packed block.
template <int kBits>
HWY_NOINLINE void QuantizeRow(const float* a, const BlockQuantMatrix& b,
                              size_t rows, size_t r, const QGemmArgs& out,
                              size_t first_row) {
  const hn::Full128<uint8_t> d8;
  const size_t bs = b.block_size, blocks = b.blocks();
  uint32_t* words = out.a_words + first_row * blocks * (bs / 4) + r * 4;
  alignas(16) uint8_t order_bytes[16];
  GroupOrder<kBits>(order_bytes);
  const auto order = hn::Load(d8, order_bytes);
  alignas(64) int8_t q[256];
  alignas(64) float tail[256];
  for (size_t block = 0; block < blocks; ++block) {
    const float* x = a + block * bs;
    const size_t left = b.k - block * bs;
    if (left < bs) {
      std::memset(tail, 0, sizeof tail);
      std::memcpy(tail, x, left * sizeof *x);
      x = tail;
    }
    int32_t sum;
    const float scale = QuantizeBlock(x, bs, q, &sum);
    const size_t at = first_row * blocks + block * rows + r;
    std::memcpy(out.a_scales + at, &scale, sizeof scale);
    const float float_sum = static_cast<float>(sum);
    std::memcpy(out.a_sums + at, &float_sum, sizeof float_sum);
    const int offset =
        (kSigned<kBits> ? 128 : 0) -
        (b.zero_point_kind == ZeroPoints::kNone ? b.default_zero_point() : 0);
    out.a_init[at] = static_cast<uint32_t>(offset * sum);
    for (size_t i = 0; i < bs; i += 16) {
      const auto v = hn::Load(d8, reinterpret_cast<const uint8_t*>(q + i));
      hn::Store(hn::TableLookupBytes(v, order), d8,
                reinterpret_cast<uint8_t*>(words));
      words += rows * 4;
    }
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

// out [count][16] float32 = packed zero points [first, first + count).
HWY_INLINE void TurnPackedZeroPoints(const BlockQuantMatrix& b, size_t row,
                                     size_t rows, size_t first, size_t count,
                                     uint32_t* HWY_RESTRICT words,
                                     uint32_t* HWY_RESTRICT out) {
  const size_t stride = b.zero_point_row_bytes();
  const auto* base = static_cast<const uint8_t*>(b.zero_points) + row * stride +
                     first * b.bits / 8;
  TransposeWords(base, stride, rows, (count * b.bits + 7) / 8,
                 /*prefetch=*/false, words);
  const VU32 mask = hn::Set(DU32(), (1u << b.bits) - 1);
  const size_t per_word = 32 / static_cast<size_t>(b.bits);
  for (size_t i = 0; i < count; ++i) {
    const int shift = static_cast<int>(i % per_word) * b.bits;
    for (size_t n = 0; n < kTile; n += kLanes) {
      const VU32 word = LoadWords(words + i / per_word * kTile + n);
      const auto q = hn::And(hn::ShiftRightSame(word, shift), mask);
      StoreFloats(hn::ConvertTo(DF32(), hn::BitCast(DI32(), q)),
                  out + i * kTile + n);
    }
  }
}

// Blocks [first, first + count) of rows [row, row + rows) of b. `first` is a
// multiple of a chunk, so packed zero points begin at a whole byte.
HWY_INLINE PanelChunk PrepareChunk(const BlockQuantMatrix& b, size_t row,
                                   size_t rows, size_t first, size_t count,
                                   bool prefetch, bool int8, QGemmWorker& w) {
  TransposeWords(b.b + row * b.row_bytes() + first * b.block_bytes(),
                 b.row_bytes(), rows, count * b.block_bytes(), prefetch,
                 w.words);
  TurnFloats(b.scales, b.scale_dtype, row, rows, b.blocks(), first, count,
             w.packed, w.scales);
  if (b.zero_point_kind == ZeroPoints::kPacked) {
    TurnPackedZeroPoints(b, row, rows, first, count, w.packed, w.zero_points);
  } else if (b.zero_point_kind == ZeroPoints::kFloat) {
    TurnFloats(b.zero_points, b.scale_dtype, row, rows, b.blocks(), first,
               count, w.packed, w.zero_points);
  } else if (!int8) {
    const VF32 zp = hn::Set(DF32(), static_cast<float>(b.default_zero_point()));
    for (size_t i = 0; i < count * kTile; i += kLanes) {
      StoreFloats(zp, w.zero_points + i);
    }
  }
  return {.words = w.words,
          .scales = w.scales,
          .zero_points = w.zero_points,
          .blocks = count,
          .groups_per_block = b.block_size / 16};
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
