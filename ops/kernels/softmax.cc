// SPDX-License-Identifier: MIT
#include "ops/kernels/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/softmax.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "ops/kernels/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

float RowMax(const float* x, size_t n) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V most = hn::Set(d, -std::numeric_limits<float>::infinity());
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) most = hn::Max(most, hn::LoadU(d, x + i));
  float result = hn::ReduceMax(d, most);
  for (; i < n; ++i) result = std::max(result, x[i]);
  return result;
}

// y = exp(x - m), returns the sum; y may be nullptr.
float RowExp(const float* x, float m, size_t n, float* y) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const V max = hn::Set(d, m);
  V total = hn::Zero(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const V e = Exp(d, hn::Sub(hn::LoadU(d, x + i), max));
    total = hn::Add(total, e);
    if (y) hn::StoreU(e, d, y + i);
  }
  if (i < n) {
    const V e = hn::IfThenElseZero(
        hn::FirstN(d, n - i), Exp(d, hn::Sub(hn::LoadN(d, x + i, n - i), max)));
    total = hn::Add(total, e);
    if (y) hn::StoreN(e, d, y + i, n - i);
  }
  return hn::ReduceSum(d, total);
}

// y = (x - m) * scale - shift. The maximum is taken off first: where it is
// large, adding it to the logarithm would round the logarithm away.
void RowFinish(const float* x, float m, float scale, float shift, size_t n,
               float* y) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const V vm = hn::Set(d, m);
  const V vs = hn::Set(d, scale);
  const V vt = hn::Set(d, shift);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const V v = hn::Sub(hn::LoadU(d, x + i), vm);
    hn::StoreU(hn::Sub(hn::Mul(v, vs), vt), d, y + i);
  }
  for (; i < n; ++i) y[i] = (x[i] - m) * scale - shift;
}

// Contiguous rows: inner == 1.
void SoftmaxRows(const SoftmaxCall& call, size_t begin, size_t end) {
  for (size_t row = begin; row < end; ++row) {
    const float* x = call.input + row * call.n;
    float* y = call.output + row * call.n;
    const float m = RowMax(x, call.n);
    const float total = RowExp(x, m, call.n, call.log ? nullptr : y);
    if (call.log) {
      RowFinish(x, m, 1.0f, std::log(total), call.n, y);
    } else {
      RowFinish(y, 0.0f, 1.0f / total, 0.0f, call.n, y);
    }
  }
}

// One logarithm a column of n elements: not worth vector code.
V LogEach(V x) {
  const D d;
  HWY_ALIGN float values[hn::MaxLanes(d)];
  hn::Store(x, d, values);
  for (size_t i = 0; i < hn::Lanes(d); ++i) values[i] = std::log(values[i]);
  return hn::Load(d, values);
}

// One vector of columns of x [n, inner], `count` <= Lanes of them.
void SoftmaxColumns(const SoftmaxCall& call, const float* x, size_t count,
                    float* y) {
  const D d;
  const size_t stride = call.inner;
  V most = hn::LoadN(d, x, count);
  for (size_t k = 1; k < call.n; ++k) {
    most = hn::Max(most, hn::LoadN(d, x + k * stride, count));
  }
  V total = hn::Zero(d);
  for (size_t k = 0; k < call.n; ++k) {
    const V shifted = hn::Sub(hn::LoadN(d, x + k * stride, count), most);
    const V e = Exp(d, shifted);
    total = hn::Add(total, e);
    hn::StoreN(call.log ? shifted : e, d, y + k * stride, count);
  }
  const V last = call.log ? LogEach(total) : hn::Div(hn::Set(d, 1.0f), total);
  for (size_t k = 0; k < call.n; ++k) {
    const V v = hn::LoadN(d, y + k * stride, count);
    hn::StoreN(call.log ? hn::Sub(v, last) : hn::Mul(v, last), d,
               y + k * stride, count);
  }
}

void SoftmaxStrided(const SoftmaxCall& call, size_t begin, size_t end) {
  const size_t lanes = hn::Lanes(D());
  for (size_t o = begin; o < end; ++o) {
    const size_t offset = o * call.n * call.inner;
    for (size_t i = 0; i < call.inner; i += lanes) {
      SoftmaxColumns(call, call.input + offset + i,
                     std::min(lanes, call.inner - i), call.output + offset + i);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {

HWY_EXPORT(SoftmaxRows);
HWY_EXPORT(SoftmaxStrided);

void Softmax(const SoftmaxCall& call, ThreadPool& pool) {
  if (call.outer == 0 || call.n == 0 || call.inner == 0) return;
  const auto part = call.inner == 1 ? HWY_DYNAMIC_POINTER(SoftmaxRows)
                                    : HWY_DYNAMIC_POINTER(SoftmaxStrided);
  // About 1 ns an element: 8 Ki elements are worth a thread.
  const size_t grain = std::max<size_t>(1, 8192 / (call.n * call.inner));
  ParallelFor(pool, call.outer, grain, [&](size_t begin, size_t end, size_t) {
    part(call, begin, end);
  });
}

}  // namespace slm
#endif  // HWY_ONCE
