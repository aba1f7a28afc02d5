// SPDX-License-Identifier: MIT
// One block of keys against a few query rows: unpack, scores, running softmax,
// values. Lanes run over keys for the scores (keys are transposed, [E, 64]) and
// over E for the values; every row's sums run over e and over j one by one, so
// that neighbours never change a row.
#if defined(SLM_OPS_KERNELS_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_OPS_KERNELS_ATTENTION_INL_H_
#undef SLM_OPS_KERNELS_ATTENTION_INL_H_
#else
#define SLM_OPS_KERNELS_ATTENTION_INL_H_
#endif

#include <cmath>
#include <cstdint>
#include <limits>

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

// `n` floats of a row of T, from float16 and int8 exactly.
template <class D>
HWY_INLINE hn::Vec<D> LoadAs(D d, const float* p) {
  return hn::LoadU(d, p);
}
template <class D>
HWY_INLINE hn::Vec<D> LoadAs(D d, const hwy::float16_t* p) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, D>(), p));
}
template <class D>
HWY_INLINE hn::Vec<D> LoadAs(D d, const int8_t* p) {
  const hn::Rebind<int32_t, D> di;
  return hn::ConvertTo(
      d, hn::PromoteTo(di, hn::LoadU(hn::Rebind<int8_t, D>(), p)));
}
HWY_INLINE float ScalarAs(float v) { return v; }
HWY_INLINE float ScalarAs(int8_t v) { return static_cast<float>(v); }
HWY_INLINE float ScalarAs(hwy::float16_t v) { return hwy::F32FromF16(v); }

#if !HWY_HAVE_SCALABLE
// Four floats of rows j, j+4, j+8 ... in the vector's 128-bit blocks.
template <class D, typename T>
HWY_INLINE hn::Vec<D> LoadEvery4th(D d, const T* const* row, size_t e) {
  if constexpr (HWY_MAX_LANES_D(D) <= 4) {
    return LoadAs(d, row[0] + e);
  } else {
    const hn::Half<D> dh;
    return hn::Combine(d, LoadEvery4th(dh, row + HWY_MAX_LANES_D(D) / 2, e),
                       LoadEvery4th(dh, row, e));
  }
}
#endif

// kt[e, j] = row j of the block, e-th element; columns outside [j0, j1) repeat
// the nearest row inside (they are masked later, memory beyond may not exist).
template <typename T>
void UnpackKeys(const uint8_t* block, size_t row_stride, size_t head_size,
                size_t j0, size_t j1, float* kt) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  for (size_t j = j0 / (2 * lanes) * (2 * lanes); j < RoundUp(j1, 2 * lanes);
       j += lanes) {
    const T* row[16];
    for (size_t i = 0; i < lanes; ++i) {
      const size_t inside = HWY_MIN(HWY_MAX(j + i, j0), j1 - 1);
      row[i] = reinterpret_cast<const T*>(block + inside * row_stride);
    }
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
      float* to = kt + e * kKeyBlock + j;
      hn::StoreU(hn::InterleaveLower(d, a, b), d, to);
      hn::StoreU(hn::InterleaveUpper(d, a, b), d, to + kKeyBlock);
      hn::StoreU(hn::InterleaveLower(d, c, f), d, to + 2 * kKeyBlock);
      hn::StoreU(hn::InterleaveUpper(d, c, f), d, to + 3 * kKeyBlock);
    }
#endif
    for (; e < head_size; ++e) {
      for (size_t i = 0; i < lanes; ++i) {
        kt[e * kKeyBlock + j + i] = ScalarAs(row[i][e]);
      }
    }
  }
}

// v[j, e] for j in [j0, j1), zeros up to the padded width.
template <typename T>
void UnpackValues(const uint8_t* block, size_t row_stride, size_t value_size,
                  size_t padded, size_t j0, size_t j1, float* v) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  for (size_t j = j0; j < j1; ++j) {
    const T* row = reinterpret_cast<const T*>(block + j * row_stride);
    float* to = v + j * padded;
    size_t e = 0;
    for (; e + lanes <= value_size; e += lanes) {
      hn::StoreU(LoadAs(d, row + e), d, to + e);
    }
    for (; e < value_size; ++e) to[e] = ScalarAs(row[e]);
    for (; e < padded; ++e) to[e] = 0;
  }
}

// p[r, j] = sum_e q[r, e] kt[e, j] for kRows rows, j in [j0, j1) and more.
// Eight sums hide the latency of the multiply-add (4 cycles, two a cycle).
template <size_t kRows>
void ScoreTile(const float* q, size_t head_size, const float* kt, size_t j0,
               size_t j1, float* p) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const float* q1 = q + (kRows > 1 ? head_size : 0);
  const float* q2 = q + (kRows > 2 ? 2 * head_size : 0);
  const float* q3 = q + (kRows > 3 ? 3 * head_size : 0);
  for (size_t j = j0 / (2 * lanes) * (2 * lanes); j < j1; j += 2 * lanes) {
    auto s00 = hn::Zero(d), s01 = hn::Zero(d), s10 = hn::Zero(d);
    auto s11 = hn::Zero(d), s20 = hn::Zero(d), s21 = hn::Zero(d);
    auto s30 = hn::Zero(d), s31 = hn::Zero(d);
    for (size_t e = 0; e < head_size; ++e) {
      const auto k0 = hn::LoadU(d, kt + e * kKeyBlock + j);
      const auto k1 = hn::LoadU(d, kt + e * kKeyBlock + j + lanes);
      const auto a = hn::Set(d, q[e]);
      s00 = hn::MulAdd(a, k0, s00);
      s01 = hn::MulAdd(a, k1, s01);
      if constexpr (kRows > 1) {
        const auto b = hn::Set(d, q1[e]);
        s10 = hn::MulAdd(b, k0, s10);
        s11 = hn::MulAdd(b, k1, s11);
      }
      if constexpr (kRows > 2) {
        const auto c = hn::Set(d, q2[e]);
        s20 = hn::MulAdd(c, k0, s20);
        s21 = hn::MulAdd(c, k1, s21);
      }
      if constexpr (kRows > 3) {
        const auto f = hn::Set(d, q3[e]);
        s30 = hn::MulAdd(f, k0, s30);
        s31 = hn::MulAdd(f, k1, s31);
      }
    }
    const auto store = [&](size_t r, auto x, auto y) HWY_ATTR {
      hn::StoreU(x, d, p + r * kKeyBlock + j);
      hn::StoreU(y, d, p + r * kKeyBlock + j + lanes);
    };
    store(0, s00, s01);
    if constexpr (kRows > 1) store(1, s10, s11);
    if constexpr (kRows > 2) store(2, s20, s21);
    if constexpr (kRows > 3) store(3, s30, s31);
  }
}

// o[r, e] += sum_j p[r, j] v[j, e], j in [j0, j1) one by one.
template <size_t kRows>
void ValueTile(const float* p, const float* v, size_t v_stride, size_t padded,
               size_t j0, size_t j1, float* o) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const float* p1 = p + (kRows > 1 ? kKeyBlock : 0);
  const float* p2 = p + (kRows > 2 ? 2 * kKeyBlock : 0);
  const float* p3 = p + (kRows > 3 ? 3 * kKeyBlock : 0);
  float* o1 = o + (kRows > 1 ? padded : 0);
  float* o2 = o + (kRows > 2 ? 2 * padded : 0);
  float* o3 = o + (kRows > 3 ? 3 * padded : 0);
  for (size_t e = 0; e < padded; e += 2 * lanes) {
    auto s00 = hn::LoadU(d, o + e), s01 = hn::LoadU(d, o + e + lanes);
    auto s10 = hn::LoadU(d, o1 + e), s11 = hn::LoadU(d, o1 + e + lanes);
    auto s20 = hn::LoadU(d, o2 + e), s21 = hn::LoadU(d, o2 + e + lanes);
    auto s30 = hn::LoadU(d, o3 + e), s31 = hn::LoadU(d, o3 + e + lanes);
    for (size_t j = j0; j < j1; ++j) {
      const auto v0 = hn::LoadU(d, v + j * v_stride + e);
      const auto v1 = hn::LoadU(d, v + j * v_stride + e + lanes);
      const auto a = hn::Set(d, p[j]);
      s00 = hn::MulAdd(a, v0, s00);
      s01 = hn::MulAdd(a, v1, s01);
      if constexpr (kRows > 1) {
        const auto b = hn::Set(d, p1[j]);
        s10 = hn::MulAdd(b, v0, s10);
        s11 = hn::MulAdd(b, v1, s11);
      }
      if constexpr (kRows > 2) {
        const auto c = hn::Set(d, p2[j]);
        s20 = hn::MulAdd(c, v0, s20);
        s21 = hn::MulAdd(c, v1, s21);
      }
      if constexpr (kRows > 3) {
        const auto f = hn::Set(d, p3[j]);
        s30 = hn::MulAdd(f, v0, s30);
        s31 = hn::MulAdd(f, v1, s31);
      }
    }
    const auto store = [&](float* to, auto x, auto y) HWY_ATTR {
      hn::StoreU(x, d, to + e);
      hn::StoreU(y, d, to + e + lanes);
    };
    store(o, s00, s01);
    if constexpr (kRows > 1) store(o1, s10, s11);
    if constexpr (kRows > 2) store(o2, s20, s21);
    if constexpr (kRows > 3) store(o3, s30, s31);
  }
}

// exp(x) for x <= 0; NaN stays. Below -87 the result would be a subnormal,
// which costs some CPUs 100 cycles in each product: 0 there (< 2^-125).
template <class D>
HWY_INLINE hn::Vec<D> ExpOfNegative(D d, hn::Vec<D> x) {
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -87.0f)), Exp(d, x));
}

// What one row sees of one block; pointers are to the block's column 0.
struct RowMask {
  size_t lo, hi;  // visible columns
  const float* bias = nullptr;
  const uint8_t* allowed = nullptr;
};

struct ScoreRules {
  float softcap;
  const float* k_scales;  // [64] or nullptr
  const float* v_scales;
};

// The scores of columns [j, j + lanes) ready for the softmax.
template <class D>
HWY_INLINE hn::Vec<D> MaskedScores(D d, const ScoreRules& rules,
                                   const RowMask& mask, size_t j,
                                   const float* p) {
  const size_t lanes = hn::Lanes(d);
  auto s = hn::LoadU(d, p + j);
  if (rules.k_scales) s = hn::Mul(s, hn::LoadU(d, rules.k_scales + j));
  if (rules.softcap != 0) {
    const auto cap = hn::Set(d, rules.softcap);
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

// Turns the row's scores p [64] into weights exp(s - m) (times v_scales) and
// keeps the running maximum m, sum l and o [padded] up to date.
void SoftmaxRow(const ScoreRules& rules, const RowMask& mask, size_t j0,
                size_t j1, size_t padded, float* p, float& m, float& l,
                float* o) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const size_t begin = j0 / lanes * lanes;
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  auto top = hn::Set(d, kNone);
  if (mask.lo < mask.hi) {
    for (size_t j = begin; j < j1; j += lanes) {
      const auto s = MaskedScores(d, rules, mask, j, p);
      hn::StoreU(s, d, p + j);
      top = hn::Max(top, s);
    }
  }
  const float m_new = HWY_MAX(m, hn::ReduceMax(d, top));
  if (mask.lo >= mask.hi) {
    for (size_t j = begin; j < j1; j += lanes) {
      hn::StoreU(hn::Zero(d), d, p + j);
    }
    return;
  }
  // Nothing seen yet: -inf - -inf must not become NaN, a NaN score must stay.
  const auto maximum = hn::Set(d, m_new == kNone ? 0.0f : m_new);
  auto sum = hn::Zero(d);
  for (size_t j = begin; j < j1; j += lanes) {
    auto weight = ExpOfNegative(d, hn::Sub(hn::LoadU(d, p + j), maximum));
    sum = hn::Add(sum, weight);
    if (rules.v_scales) {
      weight = hn::Mul(weight, hn::LoadU(d, rules.v_scales + j));
    }
    hn::StoreU(weight, d, p + j);
  }
  if (m_new != m) {
    const float shrink = std::exp(m - m_new);
    const auto factor = hn::Set(d, shrink);
    for (size_t e = 0; e < padded; e += lanes) {
      hn::StoreU(hn::Mul(factor, hn::LoadU(d, o + e)), d, o + e);
    }
    l *= shrink;
    m = m_new;
  }
  l += hn::ReduceSum(d, sum);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
