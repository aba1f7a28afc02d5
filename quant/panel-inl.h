// SPDX-License-Identifier: MIT
// Panels: 16 rows of a matrix turned so that lane n holds row n. Every product
// of this project has one output column a lane, so an output is one chain of
// additions in the order of K, whatever M, the threads and the neighbours are.
#if defined(SLM_QUANT_PANEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_PANEL_INL_H_
#undef SLM_QUANT_PANEL_INL_H_
#else
#define SLM_QUANT_PANEL_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"
#include "runtime/core/dtype.h"
#include "runtime/core/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

// Columns of a panel: one AVX-512 vector of 32-bit lanes.
inline constexpr size_t kTile = 16;

using DU32 = hn::CappedTag<uint32_t, kTile>;
using DI32 = hn::RebindToSigned<DU32>;
using DF32 = hn::RebindToFloat<DU32>;
using VU32 = hn::Vec<DU32>;
using VI32 = hn::Vec<DI32>;
using VF32 = hn::Vec<DF32>;
// SVE and RVV are not built: arrays of vectors need a known size.
inline constexpr size_t kLanes = hn::MaxLanes(DU32());

// Rows that a kernel holds: two accumulators each, of 32 registers or 16.
inline constexpr size_t kMaxRows =
    HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3 ? 4 : 8;

// Rows of the kernel call that starts with `left` rows to go: 8, 4, 2 or 1.
HWY_INLINE size_t RowsAtOnce(size_t left) {
  size_t rows = kMaxRows;
  while (rows > left) rows /= 2;
  return rows;
}

HWY_INLINE VU32 LoadWords(const uint32_t* p) { return hn::Load(DU32(), p); }
HWY_INLINE VF32 LoadFloats(const uint32_t* p) {
  return hn::BitCast(DF32(), hn::Load(DU32(), p));
}
HWY_INLINE void StoreFloats(VF32 v, uint32_t* p) {
  hn::Store(hn::BitCast(DU32(), v), DU32(), p);
}
// One 32-bit word from anywhere to all lanes.
HWY_INLINE VU32 BroadcastWord(const uint32_t* p) { return hn::Set(DU32(), *p); }
HWY_INLINE VF32 BroadcastFloat(const uint32_t* p) {
  return hn::BitCast(DF32(), BroadcastWord(p));
}

// Lane 4u + i of the result: lanes 4u..4u+3 of vi, folded by f.
template <typename F>
HWY_INLINE VI32 FoldUnits(VI32 v0, VI32 v1, VI32 v2, VI32 v3, const F& f) {
  const DI32 di;
  const hn::Repartition<uint64_t, DI32> d64;
  const auto v01 = hn::BitCast(
      d64, f(hn::InterleaveLower(di, v0, v1), hn::InterleaveUpper(di, v0, v1)));
  const auto v23 = hn::BitCast(
      d64, f(hn::InterleaveLower(di, v2, v3), hn::InterleaveUpper(di, v2, v3)));
  return f(hn::BitCast(di, hn::InterleaveLower(d64, v01, v23)),
           hn::BitCast(di, hn::InterleaveUpper(d64, v01, v23)));
}

using V16 = hn::Vec<hn::Rebind<uint16_t, DU32>>;

// Exact. Highway's own conversion for x86 before F16C takes infinity for 65536
// and NaN for a number, so that one is done here: 2^112 moves the exponent's
// bias, subnormals included.
HWY_INLINE VF32 FloatsFromF16(V16 half) {
#if HWY_ARCH_X86 && HWY_TARGET > HWY_AVX2
  const DU32 du;
  const VU32 bits = hn::PromoteTo(du, half);
  const VU32 sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(du, 0x8000u)));
  const VU32 magnitude = hn::ShiftLeft<13>(hn::And(bits, hn::Set(du, 0x7FFFu)));
  const VU32 most = hn::Set(du, 0x7F800000u);
  const VU32 finite = hn::BitCast(
      du, hn::Mul(hn::BitCast(DF32(), magnitude), hn::Set(DF32(), 0x1p112f)));
  const auto special =
      hn::Gt(hn::BitCast(DI32(), magnitude), hn::Set(DI32(), 0x0F7FFFFF));
  const VU32 all = hn::IfThenElse(hn::RebindMask(du, special),
                                  hn::Or(magnitude, most), finite);
  return hn::BitCast(DF32(), hn::Or(all, sign));
#else
  const hn::Rebind<hwy::float16_t, DF32> df16;
  return hn::PromoteTo(DF32(), hn::BitCast(df16, half));
#endif
}

HWY_INLINE VF32 FloatsFromBF16(V16 half) {
  return hn::BitCast(DF32(), hn::ShiftLeft<16>(hn::PromoteTo(DU32(), half)));
}

// Rows of a vector's lanes: 128-bit block i has rows 4 i to 4 i + 3. A pointer
// a block: with one for all, a loop over columns runs out of registers for the
// products of its stride.
struct LaneRows {
  const uint8_t* block[kLanes / 4];
  size_t stride;

  HWY_INLINE LaneRows(const uint8_t* first, size_t row_stride)
      : stride(row_stride) {
    for (size_t i = 0; i < kLanes / 4; ++i) block[i] = first + 4 * i * stride;
  }
  HWY_INLINE void Advance(size_t bytes) {
    for (const uint8_t*& p : block) p += bytes;
  }
};

// 128-bit block i of the result is 16 bytes, `offset` behind block[i].
HWY_INLINE VU32 LoadRowBlocks(const LaneRows& rows, size_t offset) {
  const hn::Full128<uint8_t> d128;
  const auto v0 = hn::LoadU(d128, rows.block[0] + offset);
#if HWY_MAX_BYTES >= 32
  const hn::CappedTag<uint8_t, 32> d256;
  const auto pair =
      hn::Combine(d256, hn::LoadU(d128, rows.block[1] + offset), v0);
#if HWY_MAX_BYTES >= 64
  const hn::CappedTag<uint8_t, 64> d512;
  const auto upper = hn::Combine(d256, hn::LoadU(d128, rows.block[3] + offset),
                                 hn::LoadU(d128, rows.block[2] + offset));
  return hn::BitCast(DU32(), hn::Combine(d512, upper, pair));
#else
  return hn::BitCast(DU32(), pair);
#endif
#else
  return hn::BitCast(DU32(), v0);
#endif
}

// Four words of kLanes rows, turned: w[i] lane n is word i of row n.
struct FourWords {
  VU32 w0, w1, w2, w3;
};
HWY_INLINE FourWords Transpose4Words(const LaneRows& rows) {
  const hn::Repartition<uint64_t, DU32> d64;
  const DU32 du;
  const VU32 r0 = LoadRowBlocks(rows, 0);
  const VU32 r1 = LoadRowBlocks(rows, rows.stride);
  const VU32 r2 = LoadRowBlocks(rows, 2 * rows.stride);
  const VU32 r3 = LoadRowBlocks(rows, 3 * rows.stride);
  const auto l01 = hn::BitCast(d64, hn::InterleaveLower(du, r0, r1));
  const auto l23 = hn::BitCast(d64, hn::InterleaveLower(du, r2, r3));
  const auto u01 = hn::BitCast(d64, hn::InterleaveUpper(du, r0, r1));
  const auto u23 = hn::BitCast(d64, hn::InterleaveUpper(du, r2, r3));
  return {hn::BitCast(du, hn::InterleaveLower(d64, l01, l23)),
          hn::BitCast(du, hn::InterleaveUpper(d64, l01, l23)),
          hn::BitCast(du, hn::InterleaveLower(d64, u01, u23)),
          hn::BitCast(du, hn::InterleaveUpper(d64, u01, u23))};
}

// The general edge: fewer than 16 rows, fewer than 16 bytes. Missing rows and
// bytes become zero.
template <size_t kStride>
HWY_NOINLINE void TransposeEdge(const uint8_t* base, size_t stride, size_t rows,
                                size_t bytes, uint32_t* HWY_RESTRICT out) {
  const size_t words = (bytes + 3) / 4;
  for (size_t w = 0; w < words; ++w) {
    std::memset(out + w * kStride, 0, kTile * sizeof *out);
  }
  for (size_t n = 0; n < rows; ++n) {
    for (size_t w = 0; w < words; ++w) {
      const size_t left = bytes - 4 * w;
      std::memcpy(out + w * kStride + n, base + n * stride + 4 * w,
                  left < 4 ? left : 4);
    }
  }
}

// out [ceil(bytes/4)][kStride]: 16 lanes of each are the first `bytes` of
// `rows` rows, a word a lane. Reads exactly those bytes.
template <size_t kStride = kTile>
HWY_INLINE void TransposeWords(const uint8_t* base, size_t stride, size_t rows,
                               size_t bytes, uint32_t* HWY_RESTRICT out) {
  size_t i = 0;
  const bool whole_words = rows == kTile && bytes >= 16 && bytes % 4 == 0;
  for (; whole_words ? i < bytes : rows == kTile && i + 16 <= bytes; i += 16) {
    // The last 16 bytes overlap those before, rather than be an edge.
    const size_t at = HWY_MIN(i, bytes - 16);
    for (size_t n = 0; n < kTile; n += kLanes) {
      const FourWords t = Transpose4Words({base + n * stride + at, stride});
      uint32_t* to = out + at / 4 * kStride + n;
      hn::Store(t.w0, DU32(), to);
      hn::Store(t.w1, DU32(), to + kStride);
      hn::Store(t.w2, DU32(), to + 2 * kStride);
      hn::Store(t.w3, DU32(), to + 3 * kStride);
    }
  }
  if (i < bytes) {
    TransposeEdge<kStride>(base + i, stride, rows, bytes - i,
                           out + i / 4 * kStride);
  }
}

// float32 [16] of the 16-bit halves in `word`: shift 0 or 16.
template <int kShift>
HWY_INLINE VF32 FloatFromHalves(VU32 word, DType dtype) {
  const hn::Rebind<uint16_t, DU32> d16;
  if (dtype == DType::kBF16) {
    const VU32 high = kShift ? hn::And(word, hn::Set(DU32(), 0xFFFF0000u))
                             : hn::ShiftLeft<16>(word);
    return hn::BitCast(DF32(), high);
  }
  return FloatsFromF16(hn::TruncateTo(d16, hn::ShiftRight<kShift>(word)));
}

// out [count][kStride] float32: 16 lanes of each are elements [first, first +
// count) of `rows` rows of a [., stride] tensor of float32, float16 or
// bfloat16. `words` holds [ceil(count/2)][16].
template <size_t kStride = kTile>
HWY_INLINE void TurnFloats(const void* data, DType dtype, size_t row,
                           size_t rows, size_t stride, size_t first,
                           size_t count, uint32_t* HWY_RESTRICT words,
                           uint32_t* HWY_RESTRICT out) {
  const size_t size = BytesFor(dtype, 1);
  const auto* base =
      static_cast<const uint8_t*>(data) + (row * stride + first) * size;
  if (dtype == DType::kF32) {
    return TransposeWords<kStride>(base, stride * size, rows, count * size,
                                   out);
  }
  TransposeWords(base, stride * size, rows, count * size, words);
  for (size_t i = 0; i < count; i += 2) {
    for (size_t n = 0; n < kTile; n += kLanes) {
      const VU32 word = LoadWords(words + i / 2 * kTile + n);
      StoreFloats(FloatFromHalves<0>(word, dtype), out + i * kStride + n);
      if (i + 1 == count) continue;
      StoreFloats(FloatFromHalves<16>(word, dtype),
                  out + (i + 1) * kStride + n);
    }
  }
}

// c [n] = acc [n] + bias [n]: the first `columns` lanes of a tile's row.
HWY_INLINE void StoreTileRow(const uint32_t* acc, const float* bias,
                             size_t columns, float* c) {
  const DF32 df;
  if (columns == kTile) {
    for (size_t n = 0; n < kTile; n += kLanes) {
      VF32 v = LoadFloats(acc + n);
      if (bias) v = hn::Add(v, hn::LoadU(df, bias + n));
      hn::StoreU(v, df, c + n);
    }
    return;
  }
  for (size_t n = 0; n < columns; ++n) {
    float v;
    std::memcpy(&v, acc + n, sizeof v);
    c[n] = bias ? v + bias[n] : v;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
