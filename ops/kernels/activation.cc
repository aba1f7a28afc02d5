// SPDX-License-Identifier: MIT
#include "ops/kernels/activation.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/activation.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "ops/kernels/exp-inl.h"
#include "runtime/core/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

// out[i] = f(x[i]) * up[i], without `up` f(x[i]). The last vector is loaded and
// stored in part: rows are not padded.
template <class F>
HWY_INLINE void Map(const float* x, const float* up, float* out, size_t n,
                    const F& f) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    auto y = f(d, hn::LoadU(d, x + i));
    if (up) y = hn::Mul(y, hn::LoadU(d, up + i));
    hn::StoreU(y, d, out + i);
  }
  if (i == n) return;
  auto y = f(d, hn::LoadN(d, x + i, n - i));
  if (up) y = hn::Mul(y, hn::LoadN(d, up + i, n - i));
  hn::StoreN(y, d, out + i, n - i);
}

void ActivateRow(Activation f, float alpha, const float* x, const float* up,
                 float* out, size_t n) {
  switch (f) {
    case Activation::kExp:
      return Map(x, up, out, n,
                 [](auto d, auto v) HWY_ATTR { return Exp(d, v); });
    case Activation::kSigmoid:
      return Map(x, up, out, n,
                 [](auto d, auto v) HWY_ATTR { return Sigmoid(d, v); });
    case Activation::kTanh:
      return Map(x, up, out, n,
                 [](auto d, auto v) HWY_ATTR { return Tanh(d, v); });
    case Activation::kErf:
      return Map(x, up, out, n,
                 [](auto d, auto v) HWY_ATTR { return Erf(d, v); });
    case Activation::kGelu:
      return Map(x, up, out, n,
                 [](auto d, auto v) HWY_ATTR { return Gelu(d, v); });
    case Activation::kGeluTanh:
      return Map(x, up, out, n,
                 [](auto d, auto v) HWY_ATTR { return GeluTanh(d, v); });
    case Activation::kSwish:
      return Map(x, up, out, n, [alpha](auto d, auto v) HWY_ATTR {
        return Swish(d, v, hn::Set(d, alpha));
      });
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {

double ActivateScalar(Activation f, double alpha, double x) {
  switch (f) {
    case Activation::kExp:
      return std::exp(x);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kErf:
      return std::erf(x);
    case Activation::kGelu:
      return 0.5 * x * std::erfc(-x * 0x1.6a09e667f3bcdp-1);
    case Activation::kGeluTanh: {
      const double u = 0x1.9884533d43651p-1 * (x + 0.044715 * x * x * x);
      return x / (1 + std::exp(-2 * u));
    }
    case Activation::kSwish:
      return x / (1 + std::exp(-alpha * x));
  }
  return 0;
}

HWY_EXPORT(ActivateRow);

void Activate(Activation f, float alpha, const float* x, float* out, size_t n) {
  HWY_DYNAMIC_DISPATCH(ActivateRow)(f, alpha, x, nullptr, out, n);
}

void ActivateGate(Activation f, float alpha, const float* gate, const float* up,
                  size_t stride, size_t rows, size_t columns, float* out,
                  size_t out_stride) {
  const auto row = HWY_DYNAMIC_POINTER(ActivateRow);
  for (size_t r = 0; r < rows; ++r) {
    row(f, alpha, gate + r * stride, up + r * stride, out + r * out_stride,
        columns);
  }
}

}  // namespace slm
#endif  // HWY_ONCE
