// SPDX-License-Identifier: MIT
#include "ops/kernels/rotary.h"

#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/rotary.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "runtime/core/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

void RotateHalves(size_t half, const float* cos, const float* sin,
                  const float* x, float* y) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= half; i += lanes) {
    const auto c = hn::LoadU(d, cos + i);
    const auto s = hn::LoadU(d, sin + i);
    const auto a = hn::LoadU(d, x + i);
    const auto b = hn::LoadU(d, x + half + i);
    hn::StoreU(hn::MulSub(a, c, hn::Mul(b, s)), d, y + i);
    hn::StoreU(hn::MulAdd(b, c, hn::Mul(a, s)), d, y + half + i);
  }
  for (; i < half; ++i) {
    const float a = x[i], b = x[half + i];
    y[i] = a * cos[i] - b * sin[i];
    y[half + i] = b * cos[i] + a * sin[i];
  }
}

void RotatePairs(size_t half, const float* cos, const float* sin,
                 const float* x, float* y) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= half; i += lanes) {
    const auto c = hn::LoadU(d, cos + i);
    const auto s = hn::LoadU(d, sin + i);
    hn::Vec<decltype(d)> a, b;
    hn::LoadInterleaved2(d, x + 2 * i, a, b);
    hn::StoreInterleaved2(hn::MulSub(a, c, hn::Mul(b, s)),
                          hn::MulAdd(b, c, hn::Mul(a, s)), d, y + 2 * i);
  }
  for (; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    y[2 * i] = a * cos[i] - b * sin[i];
    y[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

void RotaryRows(const RotaryShape& shape, const float* cos, const float* sin,
                size_t tokens, int64_t first, const int64_t* positions,
                HeadRows<const float> x, HeadRows<float> y) {
  const size_t half = shape.rotary / 2;
  for (size_t t = 0; t < tokens; ++t) {
    const size_t position = static_cast<size_t>(
        positions ? positions[t] : first + static_cast<int64_t>(t));
    const float* c = cos + position * half;
    const float* s = sin + position * half;
    for (size_t h = 0; h < shape.heads; ++h) {
      const float* from = x.At(t, h);
      float* to = y.At(t, h);
      if (shape.interleaved) {
        RotatePairs(half, c, s, from, to);
      } else {
        RotateHalves(half, c, s, from, to);
      }
      if (from != to && shape.rotary < shape.head_size) {
        std::memcpy(to + shape.rotary, from + shape.rotary,
                    (shape.head_size - shape.rotary) * sizeof(float));
      }
    }
  }
}

void NormRow(size_t n, const float* weight, float epsilon, const float* x,
             float* y) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  auto squares = hn::Zero(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto v = hn::LoadU(d, x + i);
    squares = hn::MulAdd(v, v, squares);
  }
  float sum = hn::ReduceSum(d, squares);
  for (; i < n; ++i) sum += x[i] * x[i];
  const float inverse = 1.0f / std::sqrt(sum / static_cast<float>(n) + epsilon);
  const auto factor = hn::Set(d, inverse);
  for (i = 0; i + lanes <= n; i += lanes) {
    const auto v = hn::Mul(hn::LoadU(d, x + i), factor);
    hn::StoreU(hn::Mul(v, hn::LoadU(d, weight + i)), d, y + i);
  }
  for (; i < n; ++i) y[i] = x[i] * inverse * weight[i];
}

void NormRows(size_t heads, size_t head_size, const float* weight,
              float epsilon, size_t tokens, HeadRows<const float> x,
              HeadRows<float> y) {
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t h = 0; h < heads; ++h) {
      NormRow(head_size, weight, epsilon, x.At(t, h), y.At(t, h));
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {

HWY_EXPORT(RotaryRows);
HWY_EXPORT(NormRows);

void Rotary(const RotaryShape& shape, const float* cos, const float* sin,
            size_t tokens, int64_t first, const int64_t* positions,
            HeadRows<const float> x, HeadRows<float> y) {
  HWY_DYNAMIC_DISPATCH(RotaryRows)
  (shape, cos, sin, tokens, first, positions, x, y);
}

void HeadRmsNorm(size_t heads, size_t head_size, const float* weight,
                 float epsilon, size_t tokens, HeadRows<const float> x,
                 HeadRows<float> y) {
  HWY_DYNAMIC_DISPATCH(NormRows)
  (heads, head_size, weight, epsilon, tokens, x, y);
}

}  // namespace slm
#endif
