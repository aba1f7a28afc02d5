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

// out [rows, n] = f(x) * up, without `up` f(x). The last vector of a row is
// loaded and stored in part: rows are not padded.
template <class F>
HWY_INLINE void Map(const ActivationTile& t, const F& f) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d), n = t.columns;
  for (size_t r = 0; r < t.rows; ++r) {
    const float* x = t.x + r * t.stride;
    const float* up = t.up ? t.up + r * t.stride : nullptr;
    float* out = t.out + r * t.out_stride;
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
      auto y = f(d, hn::LoadU(d, x + i));
      if (up) y = hn::Mul(y, hn::LoadU(d, up + i));
      hn::StoreU(y, d, out + i);
    }
    if (i == n) continue;
    auto y = f(d, hn::LoadN(d, x + i, n - i));
    if (up) y = hn::Mul(y, hn::LoadN(d, up + i, n - i));
    hn::StoreN(y, d, out + i, n - i);
  }
}

// All rows in one call: a dozen constants are loaded once, not for each row of
// 32 columns.
void TileRows(Activation f, float alpha, const ActivationTile& t) {
  switch (f) {
    case Activation::kExp:
      return Map(t, [](auto d, auto v) HWY_ATTR { return Exp(d, v); });
    case Activation::kSigmoid:
      return Map(t, [](auto d, auto v) HWY_ATTR { return Sigmoid(d, v); });
    case Activation::kTanh:
      return Map(t, [](auto d, auto v) HWY_ATTR { return Tanh(d, v); });
    case Activation::kErf:
      return Map(t, [](auto d, auto v) HWY_ATTR { return Erf(d, v); });
    case Activation::kGelu:
      return Map(t, [](auto d, auto v) HWY_ATTR { return Gelu(d, v); });
    case Activation::kGeluTanh:
      return Map(t, [](auto d, auto v) HWY_ATTR { return GeluTanh(d, v); });
    case Activation::kSwish:
      return Map(t, [alpha](auto d, auto v)
                        HWY_ATTR { return Swish(d, v, hn::Set(d, alpha)); });
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

HWY_EXPORT(TileRows);

void Activate(Activation f, float alpha, const float* x, float* out, size_t n) {
  ActivateTile(f, alpha, {.x = x, .out = out, .rows = 1, .columns = n});
}

void ActivateTile(Activation f, float alpha, const ActivationTile& tile) {
  HWY_DYNAMIC_DISPATCH(TileRows)(f, alpha, tile);
}

}  // namespace slm
#endif  // HWY_ONCE
