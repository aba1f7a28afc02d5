// SPDX-License-Identifier: MIT
#include "ops/kernels/norm.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/norm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "runtime/core/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// Calls body(i, n) for vectors of n == Lanes elements and one shorter tail.
template <typename Body>
HWY_INLINE void ForVectors(size_t cols, const Body& body) {
  const size_t lanes = hn::Lanes(D());
  size_t i = 0;
  for (; i + lanes <= cols; i += lanes) body(i, lanes);
  if (i < cols) body(i, cols - i);
}

// LoadN zeroes the lanes past n, so a tail adds nothing to a sum; the full
// vector gets the plain instruction.
HWY_INLINE V LoadPart(const float* from, size_t n) {
  const D d;
  return n == hn::Lanes(d) ? hn::LoadU(d, from) : hn::LoadN(d, from, n);
}

HWY_INLINE void StorePart(V v, float* to, size_t n) {
  const D d;
  if (n == hn::Lanes(d)) {
    hn::StoreU(v, d, to);
  } else {
    hn::StoreN(v, d, to, n);
  }
}

HWY_INLINE float Sum(const float* x, size_t cols) {
  V total = hn::Zero(D());
  ForVectors(cols, [&](size_t i, size_t n) HWY_ATTR {
    total = hn::Add(total, LoadPart(x + i, n));
  });
  return hn::ReduceSum(D(), total);
}

// sum((x - mean)^2)
HWY_INLINE float SquareSum(const float* x, float mean, size_t cols) {
  const D d;
  const V m = hn::Set(d, mean);
  V total = hn::Zero(d);
  ForVectors(cols, [&](size_t i, size_t n) HWY_ATTR {
    V v = hn::Sub(LoadPart(x + i, n), m);
    if (n != hn::Lanes(d)) v = hn::IfThenElseZero(hn::FirstN(d, n), v);
    total = hn::MulAdd(v, v, total);
  });
  return hn::ReduceSum(d, total);
}

// to = input + skip + bias
HWY_INLINE void AddRow(const float* input, const float* skip, const float* bias,
                       size_t cols, float* to) {
  ForVectors(cols, [&](size_t i, size_t n) HWY_ATTR {
    V v = LoadPart(input + i, n);
    if (skip) v = hn::Add(v, LoadPart(skip + i, n));
    if (bias) v = hn::Add(v, LoadPart(bias + i, n));
    StorePart(v, to + i, n);
  });
}

// y = (x - mean) * scale * gamma + beta
HWY_INLINE void ScaleRow(const float* x, float mean, float scale,
                         const NormCall& call, float* y) {
  const D d;
  const V m = hn::Set(d, mean);
  const V s = hn::Set(d, scale);
  ForVectors(call.cols, [&](size_t i, size_t n) HWY_ATTR {
    V v = hn::Mul(hn::Sub(LoadPart(x + i, n), m), s);
    if (call.gamma) v = hn::Mul(v, LoadPart(call.gamma + i, n));
    if (call.beta) v = hn::Add(v, LoadPart(call.beta + i, n));
    StorePart(v, y + i, n);
  });
}

void NormalizeRows(const NormCall& call, size_t begin, size_t end) {
  const size_t cols = call.cols;
  for (size_t row = begin; row < end; ++row) {
    const float* x = call.input + row * cols;
    float* y = call.output + row * cols;
    if (call.skip || call.bias) {
      const float* skip =
          call.skip ? call.skip + row % call.skip_rows * cols : nullptr;
      float* sum = call.sum ? call.sum + row * cols : y;
      AddRow(x, skip, call.bias, cols, sum);
      x = sum;
    } else if (call.sum) {
      std::copy_n(x, cols, call.sum + row * cols);
    }
    const float mean = call.kind == NormKind::kLayer
                           ? Sum(x, cols) / static_cast<float>(cols)
                           : 0.0f;
    const float squares = SquareSum(x, mean, cols);
    float inverse;
    if (call.kind == NormKind::kL2) {
      inverse = squares > 0 ? 1.0f / std::sqrt(squares) : 0.0f;
    } else {
      inverse =
          1.0f / std::sqrt(squares / static_cast<float>(cols) + call.epsilon);
    }
    ScaleRow(x, mean, inverse, call, y);
    if (call.mean) call.mean[row] = mean;
    if (call.inverse) call.inverse[row] = inverse;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {

HWY_EXPORT(NormalizeRows);

void Normalize(const NormCall& call, ThreadPool& pool) {
  const auto rows = HWY_DYNAMIC_POINTER(NormalizeRows);
  // About 1 ns for 4 elements of the two or three passes: 32 Ki elements are
  // worth a thread.
  const size_t grain =
      std::max<size_t>(1, 32768 / std::max<size_t>(1, call.cols));
  ParallelFor(pool, call.rows, grain, [&](size_t begin, size_t end, size_t) {
    rows(call, begin, end);
  });
}

}  // namespace slm
#endif  // HWY_ONCE
