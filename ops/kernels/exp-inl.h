// SPDX-License-Identifier: MIT
// exp, sigmoid, tanh and erf of float vectors. Coefficients are minimax fits
// by tools/dev/fit_activations.py; tests/kernels/activation_test.cc measures
// the errors on every target.
#if defined(SLM_OPS_KERNELS_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_OPS_KERNELS_EXP_INL_H_
#undef SLM_OPS_KERNELS_EXP_INL_H_
#else
#define SLM_OPS_KERNELS_EXP_INL_H_
#endif

#include "runtime/core/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

// Horner's scheme, lowest coefficient first.
template <class D, class V = hn::Vec<D>, size_t N>
HWY_INLINE V Polynomial(D d, V x, const float (&c)[N]) {
  V sum = hn::Set(d, c[N - 1]);
  for (size_t i = N - 1; i-- > 0;) sum = hn::MulAdd(sum, x, hn::Set(d, c[i]));
  return sum;
}

// e^x = 2^n * e^r,  n = round(x / ln 2),  |r| <= ln 2 / 2,
// e^r = 1 + r + r^2 P(r).
// Exact 0 below -104 (attention masks), infinity above 89, NaN stays NaN,
// subnormal results are kept.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Exp(D d, V x) {
  static constexpr float kP[] = {0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558aep-5f,
                                 0x1.12397cp-7f, 0x1.6a4e66p-10f};
  // x stands second: an x86 processor then hands its NaN on.
  const V in_range =
      hn::Min(hn::Set(d, 89.0f), hn::Max(hn::Set(d, -104.0f), x));
  const V n = hn::Round(hn::Mul(in_range, hn::Set(d, 0x1.715476p0f)));
  // ln 2 in two parts; the high one has 15 bits, so n * high is exact even
  // without FMA.
  V r = hn::NegMulAdd(n, hn::Set(d, 0x1.62e4p-1f), in_range);
  r = hn::NegMulAdd(n, hn::Set(d, 0x1.7f7d1cp-20f), r);
  const V tail = hn::MulAdd(hn::Mul(r, r), Polynomial(d, r, kP), r);
  const V power = hn::Add(tail, hn::Set(d, 1.0f));
#if HWY_TARGET <= HWY_AVX3
  // One instruction for the ten below.
  if constexpr (HWY_MAX_LANES_D(D) == 16) {
    return V{_mm512_scalef_ps(power.raw, n.raw)};
  }
#endif
  // 2^n as two factors: n = -150 or 128 does not fit one exponent.
  const hn::RebindToSigned<D> di;
  const auto ni = hn::ConvertTo(di, n);
  const auto half = hn::ShiftRight<1>(ni);
  const auto bias = hn::Set(di, 127);
  const V s0 = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
  const V s1 =
      hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(ni, half), bias)));
  const V result = hn::Mul(hn::Mul(power, s0), s1);
  // Min and Max lose NaN on other targets.
  return hn::IfThenElse(hn::IsNaN(x), x, result);
}

// 1 / (1 + e^-x)
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, Exp(d, hn::Neg(x))));
}

// |x| < 0.625: x + x s P(s) with s = x^2; beyond: 1 - 2 / (e^2|x| + 1), which
// cancels only where tanh is small.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Tanh(D d, V x) {
  static constexpr float kP[] = {-0x1.555554p-2f, 0x1.111076p-3f,
                                 -0x1.b9f046p-5f, 0x1.639406p-6f,
                                 -0x1.0bfc64p-7f, 0x1.189a76p-9f};
  const V magnitude = hn::Abs(x);
  const V s = hn::Mul(x, x);
  const V small = hn::MulAdd(hn::Mul(x, s), Polynomial(d, s, kP), x);
  const V one = hn::Set(d, 1.0f);
  const V e = Exp(d, hn::Add(magnitude, magnitude));
  const V large = hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(e, one)));
  return hn::IfThenElse(hn::Lt(magnitude, hn::Set(d, 0.625f)), small,
                        hn::CopySign(large, x));
}

// For |x| < 1: erf(x) = x + x P(x^2).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ErfSmall(D d, V x) {
  static constexpr float kP[] = {
      0x1.06eba8p-3f, -0x1.812740p-2f,  0x1.ce2d74p-4f,  -0x1.b8044cp-6f,
      0x1.5482d0p-8f, -0x1.a995d0p-11f, 0x1.6999ecp-14f, -0x1.2281e0p-19f};
  return hn::MulAdd(x, Polynomial(d, hn::Mul(x, x), kP), x);
}

// For x >= 1: 1 - erf(x) = e^(-x^2) Q(t), t = 1 / (1 + x / 2). Its relative
// error grows as x^2 with the rounding of x^2; beyond x = 4.2, where it is
// below 3e-9, Q is extrapolated.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ErfcLarge(D d, V x) {
  static constexpr float kQ[] = {
      -0x1.8812dcp-14f, 0x1.22ae92p-2f,  0x1.11e344p-2f,
      0x1.427dd6p-2f,   -0x1.200a0ap-6f, 0x1.ae81f2p-2f,
      -0x1.4c0778p-2f,  0x1.143258p-5f,  0x1.629e7ap-6f};
  const V one = hn::Set(d, 1.0f);
  const V t = hn::Div(one, hn::MulAdd(x, hn::Set(d, 0.5f), one));
  const V e = Exp(d, hn::Neg(hn::Mul(x, x)));
  return hn::Mul(e, Polynomial(d, t, kQ));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Erf(D d, V x) {
  const V magnitude = hn::Abs(x);
  const V one = hn::Set(d, 1.0f);
  const V large = hn::Sub(one, ErfcLarge(d, magnitude));
  return hn::IfThenElse(hn::Lt(magnitude, one), ErfSmall(d, x),
                        hn::CopySign(large, x));
}

// x Phi(x) = x / 2 (1 + erf(x / sqrt 2)); 1 + erf is taken as erfc(-x / sqrt 2)
// where the sum would cancel.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Gelu(D d, V x) {
  const V z = hn::Mul(x, hn::Set(d, 0x1.6a09e6p-1f));
  const V magnitude = hn::Abs(z);
  const V one = hn::Set(d, 1.0f);
  const V tail = ErfcLarge(d, magnitude);
  const V large = hn::IfThenElse(hn::Lt(z, hn::Zero(d)), tail,
                                 hn::Sub(hn::Set(d, 2.0f), tail));
  const V sum = hn::IfThenElse(hn::Lt(magnitude, one),
                               hn::Add(one, ErfSmall(d, z)), large);
  const V result = hn::Mul(hn::Mul(hn::Set(d, 0.5f), x), sum);
  // -inf * 0 would be NaN.
  const V lowest = hn::Set(d, -3e38f);
  return hn::IfThenElse(hn::Lt(x, lowest), hn::Set(d, -0.0f), result);
}

// x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) = x sigmoid(2 u).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V GeluTanh(D d, V x) {
  const V cubic =
      hn::MulAdd(hn::Mul(x, x), hn::Set(d, 0.044715f), hn::Set(d, 1.0f));
  const V u2 = hn::Mul(hn::Mul(x, cubic), hn::Set(d, 1.5957691216f));
  const V lowest = hn::Set(d, -3e38f);
  return hn::IfThenElse(hn::Lt(x, lowest), hn::Set(d, -0.0f),
                        hn::Mul(x, Sigmoid(d, u2)));
}

// x sigmoid(alpha x)
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Swish(D d, V x, V alpha) {
  const V result = hn::Mul(x, Sigmoid(d, hn::Mul(alpha, x)));
  // -inf * 0 would be NaN; the limit is -0 for alpha > 0.
  const auto to_zero =
      hn::And(hn::Lt(x, hn::Set(d, -3e38f)), hn::Gt(alpha, hn::Zero(d)));
  return hn::IfThenElse(to_zero, hn::Set(d, -0.0f), result);
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif  // include guard toggled per target
