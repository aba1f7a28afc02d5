// SPDX-License-Identifier: MIT
// A block of keys against a few query rows in float: unpack, scores, softmax
// over a split, values. Lanes run over keys for the scores (keys lie as
// [4][E][16]) and over E for the values; every row's sums run over e and over j
// one by one, so that neighbours never change a row.
#if defined(SLM_OPS_KERNELS_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_OPS_KERNELS_ATTENTION_INL_H_
#undef SLM_OPS_KERNELS_ATTENTION_INL_H_
#else
#define SLM_OPS_KERNELS_ATTENTION_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "ops/kernels/attention.h"
#include "ops/kernels/exp-inl.h"
#include "ops/kernels/kv_rows.h"
#include "runtime/core/shape.h"
#include "runtime/core/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

// At most 16 lanes: two vectors divide kKeyBlock and kValueMultiple.
using DF = hn::CappedTag<float, 16>;
inline constexpr size_t kValueMultiple = 32;

// Asks for what lies `ahead` bytes behind p, which is read some microseconds
// later; 0: nothing. Into the second cache: the first is full of what is read
// now. Decode reads every key once, in runs of a few KiB a head, too short for
// the prefetcher of the CPU: without this it gets a quarter of the bandwidth.
HWY_INLINE void FetchAhead(const void* p, ptrdiff_t ahead) {
  if (ahead == 0) return;
  __builtin_prefetch(static_cast<const uint8_t*>(p) + ahead, /*write=*/0,
                     /*locality=*/2);
}

// Floats, from float16 exactly.
template <class D>
HWY_INLINE hn::Vec<D> LoadAs(D d, const float* p) {
  return hn::LoadU(d, p);
}
template <class D>
HWY_INLINE hn::Vec<D> LoadAs(D d, const hwy::float16_t* p) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, D>(), p));
}

// Where lanes of keys from column j on begin.
template <typename T>
HWY_INLINE T* KeyTile(T* kt, size_t head_size, size_t j) {
  return kt + j / kKvTile * kKvTile * head_size + j % kKvTile;
}

#if !HWY_HAVE_SCALABLE
// Four floats of rows j, j+4, j+8 ... in the vector's 128-bit blocks.
template <class D>
HWY_INLINE hn::Vec<D> LoadEvery4th(D d, const float* const* row, size_t e) {
  if constexpr (HWY_MAX_LANES_D(D) <= 4) {
    return hn::LoadU(d, row[0] + e);
  } else {
    const hn::Half<D> dh;
    return hn::Combine(d, LoadEvery4th(dh, row + HWY_MAX_LANES_D(D) / 2, e),
                       LoadEvery4th(dh, row, e));
  }
}
#endif

// Keys of a plain row-major block as tiles [4][E][16]; columns outside [j0, j1)
// repeat the nearest row inside (they are masked later, memory beyond may not
// exist).
void TransposeKeys(const uint8_t* block, size_t row_stride, size_t head_size,
                   size_t j0, size_t j1, float* kt) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  for (size_t j = j0 / (2 * lanes) * (2 * lanes); j < RoundUp(j1, 2 * lanes);
       j += lanes) {
    const float* row[16];
    for (size_t i = 0; i < lanes; ++i) {
      const size_t inside = HWY_MIN(HWY_MAX(j + i, j0), j1 - 1);
      row[i] = reinterpret_cast<const float*>(block + inside * row_stride);
    }
    float* to = KeyTile(kt, head_size, j);
    size_t e = 0;
#if !HWY_HAVE_SCALABLE
    for (; e + 4 <= head_size; e += 4) {
      // 4 x 4 transposition in each 128-bit block.
      const auto x0 = LoadEvery4th(d, row, e);
      const auto x1 = LoadEvery4th(d, row + 1, e);
      const auto x2 = LoadEvery4th(d, row + 2, e);
      const auto x3 = LoadEvery4th(d, row + 3, e);
      const auto a = hn::InterleaveLower(d, x0, x2);
      const auto b = hn::InterleaveLower(d, x1, x3);
      const auto c = hn::InterleaveUpper(d, x0, x2);
      const auto f = hn::InterleaveUpper(d, x1, x3);
      hn::StoreU(hn::InterleaveLower(d, a, b), d, to + e * kKvTile);
      hn::StoreU(hn::InterleaveUpper(d, a, b), d, to + (e + 1) * kKvTile);
      hn::StoreU(hn::InterleaveLower(d, c, f), d, to + (e + 2) * kKvTile);
      hn::StoreU(hn::InterleaveUpper(d, c, f), d, to + (e + 3) * kKvTile);
    }
#endif
    for (; e < head_size; ++e) {
      for (size_t i = 0; i < lanes; ++i) to[e * kKvTile + i] = row[i][e];
    }
  }
}

// Tiles of float16 keys as float: those that columns [j0, j1) lie in.
void WidenKeys(const uint8_t* block, size_t head_size, size_t j0, size_t j1,
               ptrdiff_t ahead, float* kt) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const size_t tile = head_size * kKvTile;
  const auto* from = reinterpret_cast<const hwy::float16_t*>(block);
  const size_t end = CeilDiv(j1, kKvTile) * tile;
  for (size_t i = j0 / kKvTile * tile; i < end; i += lanes) {
    FetchAhead(from + i, ahead);
    hn::StoreU(LoadAs(d, from + i), d, kt + i);
  }
}

// v[j, e] for j in [j0, j1), zeros up to the padded width.
template <typename T>
void UnpackValues(const uint8_t* block, size_t row_stride, size_t value_size,
                  size_t padded, size_t j0, size_t j1, ptrdiff_t ahead,
                  float* v) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  for (size_t j = j0; j < j1; ++j) {
    const T* row = reinterpret_cast<const T*>(block + j * row_stride);
    float* to = v + j * padded;
    size_t e = 0;
    if constexpr (!std::is_same_v<T, float>) {
      for (; e + lanes <= value_size; e += lanes) {
        FetchAhead(row + e, ahead);
        hn::StoreU(LoadAs(d, row + e), d, to + e);
      }
    }
    for (; e < value_size; ++e) to[e] = hwy::ConvertScalarTo<float>(row[e]);
    for (; e < padded; ++e) to[e] = 0;
  }
}

// float16 is widened in a tile where there is one only, which saves a quarter
// of the time of decode; for more tiles it is unpacked once.
//
// p[r, j] = sum_e q[r, e] kt[e, j] for kRows rows, j in [j0, j1) and up to
// whole pairs of vectors.
template <size_t kRows, typename T>
void ScoreTile(const float* HWY_RESTRICT q, size_t q_stride, size_t head_size,
               const T* HWY_RESTRICT kt, size_t j0, size_t j1, ptrdiff_t ahead,
               float* HWY_RESTRICT p) {
  using VF = hn::Vec<DF>;
  const DF d;
  const size_t lanes = hn::Lanes(d);
  for (size_t j = j0 / (2 * lanes) * (2 * lanes); j < j1; j += 2 * lanes) {
    const T* at0 = KeyTile(kt, head_size, j);
    const T* at1 = KeyTile(kt, head_size, j + lanes);
    VF sum[kRows][2];
    HWY_UNROLL(8)
    for (size_t r = 0; r < kRows; ++r) sum[r][0] = sum[r][1] = hn::Zero(d);
    for (size_t e = 0; e < head_size; ++e) {
      const VF k0 = LoadAs(d, at0 + e * kKvTile);
      const VF k1 = LoadAs(d, at1 + e * kKvTile);
      FetchAhead(at0 + e * kKvTile, ahead);
      FetchAhead(at1 + e * kKvTile, ahead);
      HWY_UNROLL(8)
      for (size_t r = 0; r < kRows; ++r) {
        const VF x = hn::Set(d, q[r * q_stride + e]);
        sum[r][0] = hn::MulAdd(x, k0, sum[r][0]);
        sum[r][1] = hn::MulAdd(x, k1, sum[r][1]);
      }
    }
    HWY_UNROLL(8)
    for (size_t r = 0; r < kRows; ++r) {
      hn::StoreU(sum[r][0], d, p + r * kSplitKeys + j);
      hn::StoreU(sum[r][1], d, p + r * kSplitKeys + j + lanes);
    }
  }
}

// o[r, e] += sum_j p[r, j] v[j, e], j in [j0, j1) one by one.
template <size_t kRows, typename T>
void ValueTile(const float* HWY_RESTRICT p, const T* HWY_RESTRICT v,
               size_t v_stride, size_t padded, size_t j0, size_t j1,
               ptrdiff_t ahead, float* HWY_RESTRICT o) {
  using VF = hn::Vec<DF>;
  const DF d;
  const size_t lanes = hn::Lanes(d);
  for (size_t e = 0; e < padded; e += 2 * lanes) {
    VF sum[kRows][2];
    HWY_UNROLL(8)
    for (size_t r = 0; r < kRows; ++r) {
      sum[r][0] = hn::LoadU(d, o + r * padded + e);
      sum[r][1] = hn::LoadU(d, o + r * padded + e + lanes);
    }
    for (size_t j = j0; j < j1; ++j) {
      const VF v0 = LoadAs(d, v + j * v_stride + e);
      const VF v1 = LoadAs(d, v + j * v_stride + e + lanes);
      FetchAhead(v + j * v_stride + e, ahead);
      FetchAhead(v + j * v_stride + e + lanes, ahead);
      HWY_UNROLL(8)
      for (size_t r = 0; r < kRows; ++r) {
        const VF x = hn::Set(d, p[r * kSplitKeys + j]);
        sum[r][0] = hn::MulAdd(x, v0, sum[r][0]);
        sum[r][1] = hn::MulAdd(x, v1, sum[r][1]);
      }
    }
    HWY_UNROLL(8)
    for (size_t r = 0; r < kRows; ++r) {
      hn::StoreU(sum[r][0], d, o + r * padded + e);
      hn::StoreU(sum[r][1], d, o + r * padded + e + lanes);
    }
  }
}

// x = e^x = 2^n e^r for x <= 0 as in Exp, with less around it: n is the integer
// that stays in the low bits when 2^23 is added, and one factor 2^n is enough.
// NaN stays. Below -87 the result would be a subnormal, which costs some CPUs
// 100 cycles in each product: 0 there (< 2^-125).
//
// A few vectors go through each step before the next: it waits for the step
// before, and a processor looks only some 100 operations ahead for others.
template <class D, size_t kCount>
HWY_INLINE void ExpOfNegatives(D d, hn::Vec<D> (&x)[kCount]) {
  using V = hn::Vec<D>;
  static constexpr float kP[] = {0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558aep-5f,
                                 0x1.12397cp-7f, 0x1.6a4e66p-10f};
  // 127 is the exponent's bias.
  const V big = hn::Set(d, 0x1.8p23f + 127.0f);
  V rounded[kCount], r[kCount], power[kCount];
  for (size_t i = 0; i < kCount; ++i) {
    rounded[i] = hn::MulAdd(x[i], hn::Set(d, 0x1.715476p0f), big);
  }
  for (size_t i = 0; i < kCount; ++i) {
    const V n = hn::Sub(rounded[i], big);
    r[i] = hn::NegMulAdd(n, hn::Set(d, 0x1.62e4p-1f), x[i]);
    r[i] = hn::NegMulAdd(n, hn::Set(d, 0x1.7f7d1cp-20f), r[i]);
    power[i] = hn::Set(d, kP[4]);
  }
  for (size_t k = 4; k-- > 0;) {
    for (size_t i = 0; i < kCount; ++i) {
      power[i] = hn::MulAdd(power[i], r[i], hn::Set(d, kP[k]));
    }
  }
  for (size_t i = 0; i < kCount; ++i) {
    const V tail = hn::MulAdd(hn::Mul(r[i], r[i]), power[i], r[i]);
    power[i] = hn::Add(tail, hn::Set(d, 1.0f));
  }
  for (size_t i = 0; i < kCount; ++i) {
    const hn::RebindToSigned<D> di;
    const V factor =
        hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(di, rounded[i])));
    x[i] = hn::IfThenZeroElse(hn::Lt(x[i], hn::Set(d, -87.0f)),
                              hn::Mul(power[i], factor));
  }
}

// What one row sees of a split; pointers are to the split's column 0.
struct RowMask {
  size_t lo, hi;  // visible columns
  const float* bias = nullptr;
  const uint8_t* allowed = nullptr;
};

// The scores of columns [j, j + lanes) ready for the softmax.
template <class D>
HWY_INLINE hn::Vec<D> MaskedScores(D d, float softcap, const RowMask& mask,
                                   size_t j, const float* p) {
  const size_t lanes = hn::Lanes(d);
  auto s = hn::LoadU(d, p + j);
  if (softcap != 0) {
    const auto cap = hn::Set(d, softcap);
    s = hn::Mul(cap, Tanh(d, hn::Div(s, cap)));
  }
  const auto masked = hn::Set(d, -std::numeric_limits<float>::infinity());
  if (j >= mask.hi) return masked;
  const size_t readable = HWY_MIN(lanes, mask.hi - j);
  if (mask.bias) s = hn::Add(s, hn::LoadN(d, mask.bias + j, readable));
  if (mask.allowed) {
    const hn::Rebind<uint8_t, D> d8;
    const hn::Rebind<int32_t, D> di;
    const auto bytes = hn::LoadN(d8, mask.allowed + j, readable);
    const auto flags = hn::PromoteTo(di, bytes);
    s = hn::IfThenElse(hn::RebindMask(d, hn::Eq(flags, hn::Zero(di))), masked,
                       s);
  }
  if (j < mask.lo || j + lanes > mask.hi) {
    const hn::RebindToSigned<D> di;
    const auto column = hn::Iota(di, static_cast<int32_t>(j));
    const auto low = hn::Set(di, static_cast<int32_t>(mask.lo));
    const auto high = hn::Set(di, static_cast<int32_t>(mask.hi));
    const auto visible = hn::AndNot(hn::Lt(column, low), hn::Lt(column, high));
    s = hn::IfThenElse(hn::RebindMask(d, visible), s, masked);
  }
  return s;
}

// Masks the scores p of columns [j0, j1) and returns their maximum.
HWY_INLINE float MaskRow(float softcap, const RowMask& mask, size_t j0,
                         size_t j1, float* p) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  auto highest = hn::Set(d, -std::numeric_limits<float>::infinity());
  const auto masked = [&](size_t begin, size_t end) HWY_ATTR {
    for (size_t j = begin; j < end; j += lanes) {
      const auto s = MaskedScores(d, softcap, mask, j, p);
      hn::StoreU(s, d, p + j);
      highest = hn::Max(highest, s);
    }
  };
  // Whole vectors that are seen and need no change.
  const bool plain = !mask.bias && !mask.allowed && softcap == 0;
  const size_t begin = plain ? HWY_MIN(RoundUp(mask.lo, lanes), j1) : j1;
  const size_t end = HWY_MAX(begin, mask.hi / lanes * lanes);
  masked(j0, begin);
  for (size_t j = begin; j < end; j += lanes) {
    highest = hn::Max(highest, hn::LoadU(d, p + j));
  }
  masked(end, j1);
  return hn::ReduceMax(d, highest);
}

// Calls each(j, n) for columns [j0, j1), a multiple of two vectors, in steps of
// n vectors.
template <class Each>
HWY_INLINE void ForVectors(size_t j0, size_t j1, const Each& each) {
  const size_t lanes = hn::Lanes(DF());
  size_t j = j0;
  for (; j + 4 * lanes <= j1; j += 4 * lanes) {
    each(j, std::integral_constant<size_t, 4>());
  }
  for (; j < j1; j += 2 * lanes) each(j, std::integral_constant<size_t, 2>());
}

// x = exp(p - m) of columns from j on. Nothing seen: -inf - -inf must not
// become NaN, a NaN score must stay.
template <size_t kCount>
HWY_INLINE void ExpsOf(float m, const float* p, hn::Vec<DF> (&x)[kCount]) {
  const DF d;
  const bool none = m == -std::numeric_limits<float>::infinity();
  const auto maximum = hn::Set(d, none ? 0.0f : m);
  for (size_t i = 0; i < kCount; ++i) {
    x[i] = hn::Sub(hn::LoadU(d, p + i * hn::Lanes(d)), maximum);
  }
  ExpOfNegatives(d, x);
}

// p = exp(p - m); returns the sum.
HWY_INLINE float ExpRow(float m, size_t j0, size_t j1, float* p) {
  const DF d;
  auto sum = hn::Zero(d);
  ForVectors(j0, j1, [&](size_t j, auto n) HWY_ATTR {
    hn::Vec<DF> weight[n()];
    ExpsOf(m, p + j, weight);
    for (size_t i = 0; i < n(); ++i) {
      sum = hn::Add(sum, weight[i]);
      hn::StoreU(weight[i], d, p + j + i * hn::Lanes(d));
    }
  });
  return hn::ReduceSum(d, sum);
}

// The same, then times scales of the columns; `top` is the largest product,
// infinity or NaN if one is not finite.
HWY_INLINE float ScaledExpRow(float m, const float* scales, size_t j0,
                              size_t j1, float* p, float& top) {
  const DF d;
  const hn::RebindToUnsigned<DF> bits;
  auto sum = hn::Zero(d);
  // As bits: these are ordered like the products, and NaN is above all.
  auto highest = hn::Zero(bits);
  ForVectors(j0, j1, [&](size_t j, auto n) HWY_ATTR {
    hn::Vec<DF> weight[n()];
    ExpsOf(m, p + j, weight);
    for (size_t i = 0; i < n(); ++i) {
      const size_t at = j + i * hn::Lanes(d);
      sum = hn::Add(sum, weight[i]);
      // Unless the weight is 0: what is masked may have any scale.
      const auto scaled = hn::Mul(weight[i], hn::LoadU(d, scales + at));
      const auto product =
          hn::IfThenElseZero(hn::Ne(weight[i], hn::Zero(d)), scaled);
      highest = hn::Max(highest, hn::BitCast(bits, product));
      hn::StoreU(product, d, p + at);
    }
  });
  const uint32_t most = hn::ReduceMax(bits, highest);
  std::memcpy(&top, &most, sizeof top);
  return hn::ReduceSum(d, sum);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
