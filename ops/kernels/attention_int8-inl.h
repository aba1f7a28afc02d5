// SPDX-License-Identifier: MIT
// Attention over int8 keys and values by integer dot products, whose sums are
// exact. Queries and weights become integers of 15 bits, weights of 16 bits
// with VNNI:
//
//   q_e ~ x_e scale_q,          |x| <= 127 * 128
//   s_j = scale_q scale_j sum_e x_e k_je
//   p_j scale_j ~ y_j scale_p,  0 <= y < 2^15 or 2^16
//   o_e = scale_p sum_j y_j v_je
//
// with scale_q by row and scale_p by row and split. So x is exact to 2^-15 of
// the largest |q| and y to 2^-16 of the largest weight, where the stored keys
// and values themselves are to 2^-8 of the largest element.
#if defined(SLM_OPS_KERNELS_ATTENTION_INT8_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_OPS_KERNELS_ATTENTION_INT8_INL_H_
#undef SLM_OPS_KERNELS_ATTENTION_INT8_INL_H_
#else
#define SLM_OPS_KERNELS_ATTENTION_INT8_INL_H_
#endif

#include <cstdint>
#include <type_traits>

#include "ops/kernels/attention-inl.h"
#include "ops/kernels/attention.h"
#include "ops/kernels/attention_task.h"
#include "ops/kernels/kv_rows.h"
#include "runtime/core/shape.h"
#include "runtime/core/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

// The integers are held in two planes of dwords, four integers x0..x3 a dword
// of each plane, as the dot product of the target wants them:
//   VNNI    plane 0: bytes of x >> kShift, plane 1: bytes of what is below;
//           a sum over plane 0 counts 2^kShift times
//   others  plane 0: 16-bit x0, x2, plane 1: x1, x3
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
inline constexpr bool kVnni = true;
#else
inline constexpr bool kVnni = false;
#endif

inline constexpr float kQueryMax = 127 * 128;
inline constexpr float kWeightMax = kVnni ? 65535 : 32767;
inline constexpr int kQueryShift = 7;   // x is signed and so is its high byte
inline constexpr int kWeightShift = 8;  // y is not

using DI = hn::CappedTag<int32_t, 16>;
using DFloat = hn::Rebind<float, DI>;
using VI = hn::Vec<DI>;

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
// Bytes 1 of the lanes of a and b to `to`, bytes 0 to `to + plane`.
HWY_INLINE void StoreLowBytes(VI a, VI b, int32_t* to, size_t plane) {
  const hn::Repartition<uint8_t, DI> d8;
  alignas(64) static constexpr uint8_t kBytes[64] = {
      1,  5,  9,  13, 17, 21, 25, 29, 33, 37,  41,  45,  49,  53,  57,  61,
      65, 69, 73, 77, 81, 85, 89, 93, 97, 101, 105, 109, 113, 117, 121, 125,
      0,  4,  8,  12, 16, 20, 24, 28, 32, 36,  40,  44,  48,  52,  56,  60,
      64, 68, 72, 76, 80, 84, 88, 92, 96, 100, 104, 108, 112, 116, 120, 124};
  const auto bytes =
      hn::TwoTablesLookupLanes(d8, hn::BitCast(d8, a), hn::BitCast(d8, b),
                               hn::IndicesFromVec(d8, hn::Load(d8, kBytes)));
  const hn::Half<decltype(d8)> half;
  hn::StoreU(hn::LowerHalf(half, bytes), half, reinterpret_cast<uint8_t*>(to));
  hn::StoreU(hn::UpperHalf(half, bytes), half,
             reinterpret_cast<uint8_t*>(to + plane));
}
#else
HWY_INLINE void StoreLowBytes(VI, VI, int32_t*, size_t) {}
#endif

// Integers a and b of 2 lanes to planes at `to` and `to + plane`.
HWY_INLINE void StorePlanes(VI a, VI b, int32_t* to, size_t plane) {
  const DI d;
  const hn::Repartition<int16_t, DI> d16;
  if constexpr (kVnni) {
    // Bits from kQueryShift on to the second byte.
    const auto split = [&](VI x) HWY_ATTR {
      return hn::Add(x, hn::AndNot(hn::Set(d, 127), x));
    };
    StoreLowBytes(split(a), split(b), to, plane);
  } else {
    const hn::Half<decltype(d16)> half;
    const auto store = [&](VI v, int32_t* at) HWY_ATTR {
      hn::StoreU(hn::DemoteTo(half, v), half, reinterpret_cast<int16_t*>(at));
    };
    store(hn::ConcatEven(d, b, a), to);
    store(hn::ConcatOdd(d, b, a), to + plane);
  }
}

// A row of queries x [n], n a multiple of 2 lanes; all integers 0 where the
// row is not finite (its scale is then NaN) or too small for an inverse.
HWY_INLINE void PackQuery(const float* x, size_t n, int32_t* to, float& scale,
                          int32_t& total) {
  const DI d;
  const DFloat df;
  const size_t lanes = hn::Lanes(d);
  auto top = hn::Zero(df), nans = hn::Zero(df);
  for (size_t i = 0; i < n; i += lanes) {
    const auto v = hn::LoadU(df, x + i);
    top = hn::Max(top, hn::Abs(v));
    nans = hn::Add(nans, hn::Sub(v, v));
  }
  const float most = hn::ReduceMax(df, top) + hn::ReduceSum(df, nans);
  // Keeps sums of E products with bytes below 2^31.
  const float limit =
      HWY_MIN(kQueryMax, static_cast<float>(0x7FFFFFFF / 128 / n));
  const bool usable = most > 1e-30f && most < 1e38f;
  const auto inverse = hn::Set(df, usable ? limit / most : 0.0f);
  VI sum = hn::Zero(d);
  const auto integers = [&](const float* at) HWY_ATTR {
    const auto v = usable ? hn::LoadU(df, at) : hn::Zero(df);
    return hn::NearestInt(hn::Mul(v, inverse));
  };
  for (size_t i = 0; i < n; i += 2 * lanes) {
    const VI a = integers(x + i), b = integers(x + i + lanes);
    sum = hn::Add(sum, hn::Add(a, b));
    StorePlanes(a, b, to + i / 4, n / 4);
  }
  scale = most / limit;
  total = hn::ReduceSum(d, sum);
}

// Weights p [n] times `inverse`, n a multiple of 2 lanes, 0 <= p * inverse
// <= kWeightMax.
HWY_INLINE void PackWeights(const float* p, size_t n, float inverse,
                            int32_t* to) {
  const DI d;
  const DFloat df;
  const size_t lanes = hn::Lanes(d);
  const auto factor = hn::Set(df, inverse);
  // Added to 2^23, the nearest integer stays in the low bits.
  const auto big = hn::Set(df, kVnni ? 0x1p23f : 0.5f);
  for (size_t i = 0; i < n; i += 2 * lanes) {
    const auto a = hn::MulAdd(hn::LoadU(df, p + i), factor, big);
    const auto b = hn::MulAdd(hn::LoadU(df, p + i + lanes), factor, big);
    if constexpr (kVnni) {
      StoreLowBytes(hn::BitCast(d, a), hn::BitCast(d, b), to + i / 4,
                    kSplitKeys / 4);
    } else {
      StorePlanes(hn::ConvertInRangeTo(d, a), hn::ConvertInRangeTo(d, b),
                  to + i / 4, kSplitKeys / 4);
    }
  }
}

// Four bytes of each lane, split for the dot product: as they are for VNNI,
// else as 16-bit numbers of even and of odd bytes.
template <bool kKeys>
struct Quads {
  using D8 = std::conditional_t<kKeys, hn::Repartition<uint8_t, DI>,
                                hn::Repartition<int8_t, DI>>;
  VI even, odd;

  HWY_INLINE explicit Quads(const uint8_t* p) {
    const DI d;
    even = hn::LoadU(d, reinterpret_cast<const int32_t*>(p));
    odd = even;
    if constexpr (kVnni) return;
    const hn::Repartition<int16_t, DI> d16;
    const hn::RebindToUnsigned<decltype(d16)> du16;
    if constexpr (kKeys) {  // unsigned bytes
      odd = hn::BitCast(d, hn::ShiftRight<8>(hn::BitCast(du16, even)));
      even = hn::And(even, hn::Set(d, 0x00FF00FF));
    } else {
      const auto low = hn::ShiftLeft<8>(hn::BitCast(d16, even));
      odd = hn::BitCast(d, hn::ShiftRight<8>(hn::BitCast(d16, even)));
      even = hn::BitCast(d, hn::ShiftRight<8>(low));
    }
  }
};

// sum + the four products of bytes of each lane; those of u are unsigned. Not
// the intrinsic: g++ 12 copies every sum twice in a loop of them.
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
HWY_INLINE VI AddQuads(VI u, VI i, VI sum) {
#if defined(_MSC_VER) && !defined(__clang__)
  return VI{_mm512_dpbusd_epi32(sum.raw, u.raw, i.raw)};
#else
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(u.raw), "v"(i.raw));
  return sum;
#endif
}
#else
HWY_INLINE VI AddQuads(VI, VI, VI sum) { return sum; }
#endif

// Adds to the two sums of a lane, over the planes. (An array: members of a
// struct would be made by functions that g++ compiles for the baseline.)
template <bool kKeys>
HWY_INLINE void DotQuads(const Quads<kKeys>& bytes, VI x0, VI x1,
                         VI (&sums)[2]) {
  const DI d;
  if constexpr (kVnni) {
    if constexpr (kKeys) {
      sums[0] = AddQuads(bytes.even, x0, sums[0]);
      sums[1] = AddQuads(bytes.even, x1, sums[1]);
    } else {
      sums[0] = AddQuads(x0, bytes.even, sums[0]);
      sums[1] = AddQuads(x1, bytes.even, sums[1]);
    }
  } else {
    const hn::Repartition<int16_t, DI> d16;
    const auto dot = [&](VI x, VI of) HWY_ATTR {
      return hn::WidenMulPairwiseAdd(d, hn::BitCast(d16, x),
                                     hn::BitCast(d16, of));
    };
    const VI both = hn::Add(dot(x0, bytes.even), dot(x1, bytes.odd));
    sums[0] = hn::Add(sums[0], both);
  }
}

template <int kShift>
HWY_INLINE VI Total(const VI (&sums)[2]) {
  if constexpr (!kVnni) return sums[0];
  return hn::Add(hn::ShiftLeft<kShift>(sums[0]), sums[1]);
}

// Integers of query rows, planes [rows][2][plane].
struct QueryRows {
  const int32_t* planes;
  size_t plane;
  size_t quads;         // E / 4 as stored
  const int32_t* sums;  // of each row's integers
  const float* scales;
};

// p[r, j] = scale_q scale_j sum_e x[r, e] (k[j, e] - 128) for rows
// r0 + [0, kRows), j in [j0, j1) and up to whole pairs of vectors.
template <size_t kRows>
void Int8ScoreTile(const QueryRows& q, size_t r0, const uint8_t* keys,
                   const float* key_scales, size_t j0, size_t j1,
                   ptrdiff_t ahead, float* HWY_RESTRICT p) {
  const DI d;
  const DFloat df;
  const size_t lanes = hn::Lanes(d), quads = q.quads, plane = q.plane;
  const int32_t* x = q.planes + r0 * 2 * plane;
  for (size_t j = j0 / (2 * lanes) * (2 * lanes); j < j1; j += 2 * lanes) {
    const uint8_t* at[2];
    for (size_t v = 0; v < 2; ++v) {
      const size_t column = j + v * lanes;
      at[v] =
          keys + (column / kKvTile * kKvTile * quads + column % kKvTile) * 4;
    }
    VI sum[kRows][2][2];
    HWY_UNROLL(8)
    for (size_t r = 0; r < kRows; ++r) {
      const VI bias = hn::Set(d, -kKeyBias * q.sums[r0 + r]);
      sum[r][0][0] = sum[r][1][0] = kVnni ? hn::Zero(d) : bias;
      sum[r][0][1] = sum[r][1][1] = bias;
    }
    for (size_t g = 0; g < quads; ++g) {
      const Quads<true> k0(at[0] + g * 4 * kKvTile);
      const Quads<true> k1(at[1] + g * 4 * kKvTile);
      FetchAhead(at[0] + g * 4 * kKvTile, ahead);
      FetchAhead(at[1] + g * 4 * kKvTile, ahead);
      HWY_UNROLL(8)
      for (size_t r = 0; r < kRows; ++r) {
        const VI x0 = hn::Set(d, x[2 * r * plane + g]);
        const VI x1 = hn::Set(d, x[(2 * r + 1) * plane + g]);
        DotQuads(k0, x0, x1, sum[r][0]);
        DotQuads(k1, x0, x1, sum[r][1]);
      }
    }
    HWY_UNROLL(8)
    for (size_t r = 0; r < kRows; ++r) {
      const auto row_scale = hn::Set(df, q.scales[r0 + r]);
      float* to = p + (r0 + r) * kSplitKeys + j;
      for (size_t v = 0; v < 2; ++v) {
        const auto scales = hn::LoadU(df, key_scales + j + v * lanes);
        const auto s = hn::ConvertTo(df, Total<kQueryShift>(sum[r][v]));
        hn::StoreU(hn::Mul(hn::Mul(s, row_scale), scales), df, to + v * lanes);
      }
    }
  }
}

// Integers of the weights of a split, planes [rows][2][kSplitKeys / 4].
struct WeightRows {
  const int32_t* planes;
  const float* scales;
};

// o[r, e] = scale_p sum_j y[r, j] v[j, e] over columns [j0, j1) of a split,
// multiples of 4; `width` is E as stored. |sum| <= 256 * 65535 * 127 < 2^31.
template <size_t kRows>
void Int8ValueTile(const WeightRows& w, size_t r0, const SplitBlocks& blocks,
                   size_t width, size_t j0, size_t j1, size_t padded,
                   float* HWY_RESTRICT o) {
  constexpr size_t kQuads = kSplitKeys / 4, kBlockQuads = kKeyBlock / 4;
  const DI d;
  const DFloat df;
  const size_t lanes = hn::Lanes(d);
  const int32_t* y = w.planes + r0 * 2 * kQuads;
  for (size_t e = 0; e < width; e += 2 * lanes) {
    VI sum[kRows][2][2];
    HWY_UNROLL(8)
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < 2; ++v) {
        sum[r][v][0] = sum[r][v][1] = hn::Zero(d);
      }
    }
    // The second vector may lie behind E: then both are the first.
    const size_t next = e + lanes < width ? e + lanes : e;
    const auto offset = [](size_t element) {
      return element / kKvTile * kKvTile * kKeyBlock + element % kKvTile * 4;
    };
    for (size_t g = j0 / 4; g < j1 / 4;) {
      const uint8_t* block = blocks.at[g / kBlockQuads];
      const ptrdiff_t ahead = r0 == 0 ? blocks.ahead[g / kBlockQuads] : 0;
      const size_t end = HWY_MIN(RoundUp(g + 1, kBlockQuads), j1 / 4);
      for (; g < end; ++g) {
        const uint8_t* at = block + g % kBlockQuads * 4 * kKvTile;
        const Quads<false> v0(at + offset(e));
        const Quads<false> v1(at + offset(next));
        FetchAhead(at + offset(e), ahead);
        FetchAhead(at + offset(next), ahead);
        HWY_UNROLL(8)
        for (size_t r = 0; r < kRows; ++r) {
          const VI y0 = hn::Set(d, y[2 * r * kQuads + g]);
          const VI y1 = hn::Set(d, y[(2 * r + 1) * kQuads + g]);
          DotQuads(v0, y0, y1, sum[r][0]);
          DotQuads(v1, y0, y1, sum[r][1]);
        }
      }
    }
    HWY_UNROLL(8)
    for (size_t r = 0; r < kRows; ++r) {
      const auto scale = hn::Set(df, w.scales[r0 + r]);
      for (size_t v = 0; v < 2; ++v) {
        const auto s = hn::ConvertTo(df, Total<kWeightShift>(sum[r][v]));
        hn::StoreU(hn::Mul(s, scale), df,
                   o + (r0 + r) * padded + e + v * lanes);
      }
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif  // include guard toggled per target
