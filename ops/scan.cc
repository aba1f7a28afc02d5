// SPDX-License-Identifier: MIT
// Operators that walk along one axis or the whole tensor in order: ArgMax,
// ArgMin, CumSum, TopK, NonZero, OneHot.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/axes.h"
#include "ops/binary.h"
#include "ops/families.h"

namespace slm {
namespace {

// A tensor as [outer, n, inner] around one axis.
struct AxisView {
  size_t outer, n, inner;

  AxisView(const Shape& shape, size_t axis)
      : outer(shape.CountOf(0, axis)),
        n(static_cast<size_t>(shape[axis])),
        inner(shape.CountOf(axis + 1, shape.rank())) {}
};

// --- ArgMax, ArgMin

struct ArgParams {
  int64_t axis = 0;
  bool keep_dims = true, last = false;
};

Result<OpParams> ParseArg(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  ArgParams params;
  params.axis = attributes.Int("axis", 0);
  params.keep_dims = attributes.Int("keepdims", 1) != 0;
  params.last = attributes.Int("select_last_index", 0) != 0;
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

Status InferArg(OpContext& c) {
  const auto& params = c.Params<ArgParams>();
  const Shape& x = c.In(0).shape;
  SLM_RETURN_IF_ERROR(CheckSameTypes<Numbers>(c, 1));
  SLM_ASSIGN_OR_RETURN(const size_t axis, CheckedAxis(params.axis, x.rank()));
  Shape out;
  for (size_t i = 0; i < x.rank(); ++i) {
    if (i != axis) out.Append(x[i]);
    if (i == axis && params.keep_dims) out.Append(1);
  }
  if (x[axis] == 0 && out.Count() > 0) {
    return Invalid("axis %zu of %s is empty", axis, x.ToString().c_str());
  }
  c.SetOutput(0, DType::kI64, out);
  return OkStatus();
}

// The first NaN wins, as in NumPy.
template <bool kMax, typename T>
bool Beats(T challenger, T best) {
  if (best != best) return false;
  if (challenger != challenger) return true;
  return kMax ? challenger > best : challenger < best;
}

template <bool kMax>
void RunArg(OpContext& c) {
  const auto& params = c.Params<ArgParams>();
  const Shape& x = c.In(0).shape;
  const AxisView v(x, *NormalizeAxis(params.axis, x.rank()));
  int64_t* out = c.Out(0).Mutable<int64_t>();
  Visit(Numbers(), c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* from = c.In(0).As<T>();
    for (size_t row = 0; row < v.outer * v.inner; ++row) {
      const T* p = from + row / v.inner * v.n * v.inner + row % v.inner;
      size_t best = 0;
      for (size_t i = 1; i < v.n; ++i) {
        const T a = p[i * v.inner], b = p[best * v.inner];
        if (Beats<kMax>(a, b) || (params.last && a == b)) best = i;
      }
      out[row] = static_cast<int64_t>(best);
    }
  });
}

// --- CumSum

struct CumSumParams {
  bool exclusive = false, reverse = false;
};

using CumSumTypes =
    TypeList<float, double, int32_t, int64_t, uint32_t, uint64_t>;

Result<OpParams> ParseCumSum(AttributeReader& attributes) {
  attributes.CheckArity(2, 2, 1);
  CumSumParams params;
  params.exclusive = attributes.Int("exclusive", 0) != 0;
  params.reverse = attributes.Int("reverse", 0) != 0;
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

Status InferCumSum(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckSameTypes<CumSumTypes>(c, 1));
  SLM_RETURN_IF_ERROR(CheckIndexType(c, 1));
  if (c.In(1).Count() != 1) {
    return Invalid("axis has shape %s, expected one value",
                   c.In(1).shape.ToString().c_str());
  }
  if (c.HasValue(1)) {
    SLM_RETURN_IF_ERROR(
        CheckedAxis(IntegerAt(c.In(1), 0), c.In(0).shape.rank()).status());
  }
  return InferSameAsInput0(c);
}

void RunCumSum(OpContext& c) {
  const auto& params = c.Params<CumSumParams>();
  const Shape& x = c.In(0).shape;
  const auto axis = NormalizeAxis(IntegerAt(c.In(1), 0), x.rank());
  if (!axis) return;  // refused by infer
  const AxisView v(x, *axis);
  Visit(CumSumTypes(), c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    using Sum = std::conditional_t<std::is_floating_point_v<T>, T, uint64_t>;
    const T* from = c.In(0).As<T>();
    T* out = c.Out(0).Mutable<T>();
    for (size_t row = 0; row < v.outer * v.inner; ++row) {
      const size_t first = row / v.inner * v.n * v.inner + row % v.inner;
      Sum sum = 0;
      for (size_t i = 0; i < v.n; ++i) {
        const size_t at = first + (params.reverse ? v.n - 1 - i : i) * v.inner;
        const Sum before = sum;
        sum += static_cast<Sum>(from[at]);
        out[at] = static_cast<T>(params.exclusive ? before : sum);
      }
    }
  });
}

// --- TopK: equal values in the order of their indices. The result is always
// sorted, which `sorted` = 0 allows.

struct TopKParams {
  int64_t axis = -1;
  bool largest = true;
};

Result<OpParams> ParseTopK(AttributeReader& attributes) {
  attributes.CheckArity(2, 2, 2);
  TopKParams params;
  params.axis = attributes.Int("axis", -1);
  if (attributes.node().version >= 11) {
    params.largest = attributes.Int("largest", 1) != 0;
    attributes.Ignore("sorted", "0 allows any order, sorted is one");
  }
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

Status InferTopK(OpContext& c) {
  const Shape& x = c.In(0).shape;
  SLM_RETURN_IF_ERROR(CheckSameTypes<Numbers>(c, 1));
  SLM_ASSIGN_OR_RETURN(const size_t axis,
                       CheckedAxis(c.Params<TopKParams>().axis, x.rank()));
  SLM_ASSIGN_OR_RETURN(const auto k, c.IntValues(1));
  if (k.size() != 1 || k[0] < 0 || k[0] > x[axis]) {
    return Invalid("k = %lld (of %zu values), the axis has %lld",
                   static_cast<long long>(k.empty() ? -1 : k[0]), k.size(),
                   static_cast<long long>(x[axis]));
  }
  Shape out = x;
  out[axis] = k[0];
  c.SetOutput(0, c.In(0).dtype, out);
  if (c.outputs.size() > 1) c.SetOutput(1, DType::kI64, out);
  c.scratch_bytes = static_cast<size_t>(x[axis]) * sizeof(int64_t);
  return OkStatus();
}

template <typename T>
void TopKRows(OpContext& c, const AxisView& v, size_t k) {
  const bool largest = c.Params<TopKParams>().largest;
  int64_t* order = static_cast<int64_t*>(c.scratch);
  T* values = c.Out(0).Mutable<T>();
  int64_t* indices = c.Wants(1) ? c.Out(1).Mutable<int64_t>() : nullptr;
  for (size_t row = 0; row < v.outer * v.inner; ++row) {
    const T* p =
        c.In(0).As<T>() + row / v.inner * v.n * v.inner + row % v.inner;
    const auto before = [&](int64_t a, int64_t b) {
      const T x = p[static_cast<size_t>(a) * v.inner];
      const T y = p[static_cast<size_t>(b) * v.inner];
      // NaN counts as the largest value.
      const bool greater = x > y || (x != x && y == y);
      const bool less = x < y || (y != y && x == x);
      if (greater != less) return largest ? greater : less;
      return a < b;
    };
    for (size_t i = 0; i < v.n; ++i) order[i] = static_cast<int64_t>(i);
    std::partial_sort(order, order + k, order + v.n, before);
    const size_t first = row / v.inner * k * v.inner + row % v.inner;
    for (size_t i = 0; i < k; ++i) {
      values[first + i * v.inner] = p[static_cast<size_t>(order[i]) * v.inner];
      if (indices) indices[first + i * v.inner] = order[i];
    }
  }
}

void RunTopK(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const size_t axis = *NormalizeAxis(c.Params<TopKParams>().axis, x.rank());
  const AxisView v(x, axis);
  const size_t k = static_cast<size_t>(c.Out(0).shape[axis]);
  Visit(Numbers(), c.In(0).dtype,
        [&](auto tag) { TopKRows<decltype(tag)>(c, v, k); });
}

// --- NonZero: [rank, count] positions in row-major order.

size_t CountNonZero(const TensorView& x) {
  size_t count = 0;
  Visit(NumbersAndBool(), x.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (T v : x.Span<T>()) count += v != T(0);
  });
  return count;
}

Status InferNonZero(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckSameTypes<NumbersAndBool>(c, 1));
  if (!c.HasValue(0) && c.In(0).Count() > 0) return OpContext::NeedsValue(0);
  c.SetOutput(0, DType::kI64,
              Shape{static_cast<int64_t>(c.In(0).shape.rank()),
                    static_cast<int64_t>(CountNonZero(c.In(0)))});
  return OkStatus();
}

void RunNonZero(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const size_t count = static_cast<size_t>(c.Out(0).shape[1]);
  int64_t* out = c.Out(0).Mutable<int64_t>();
  size_t found = 0;
  Visit(NumbersAndBool(), c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* from = c.In(0).As<T>();
    for (size_t i = 0; i < c.In(0).Count() && found < count; ++i) {
      if (from[i] == T(0)) continue;
      size_t rest = i;
      for (size_t d = x.rank(); d-- > 0;) {
        const size_t dim = static_cast<size_t>(x[d]);
        out[d * count + found] = static_cast<int64_t>(rest % dim);
        rest /= dim;
      }
      ++found;
    }
  });
}

// --- OneHot(indices, depth, values [off, on])

struct OneHotParams {
  int64_t axis = -1;
};

Result<OpParams> ParseOneHot(AttributeReader& attributes) {
  attributes.CheckArity(3, 3, 1);
  OneHotParams params;
  params.axis = attributes.Int("axis", -1);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

// Indices and depth may be of any numeric type.
double NumberAt(const TensorView& t, size_t i) {
  double value = 0;
  Visit(Numbers(), t.dtype, [&](auto tag) {
    value = static_cast<double>(t.As<decltype(tag)>()[i]);
  });
  return value;
}

Status InferOneHot(OpContext& c) {
  const Shape& indices = c.In(0).shape;
  if (!Contains(Numbers(), c.In(0).dtype) ||
      !Contains(Numbers(), c.In(1).dtype) || !IsMovable(c.In(2).dtype) ||
      c.In(1).Count() != 1 || c.In(2).Count() != 2) {
    return Invalid(
        "indices %s, depth %s %s, values %s %s: expected numbers, "
        "one and two",
        Name(c.In(0).dtype), Name(c.In(1).dtype),
        c.In(1).shape.ToString().c_str(), Name(c.In(2).dtype),
        c.In(2).shape.ToString().c_str());
  }
  if (!c.HasValue(1)) return OpContext::NeedsValue(1);
  const double depth = NumberAt(c.In(1), 0);
  if (!(depth >= 0 && depth < 0x1p48)) return Invalid("depth is %g", depth);
  SLM_ASSIGN_OR_RETURN(
      const size_t axis,
      CheckedAxis(c.Params<OneHotParams>().axis, indices.rank() + 1));
  std::vector<int64_t> dims(indices.dims().begin(), indices.dims().end());
  dims.insert(dims.begin() + static_cast<int64_t>(axis),
              static_cast<int64_t>(depth));
  SLM_ASSIGN_OR_RETURN(const Shape out, MakeShape(dims));
  c.SetOutput(0, c.In(2).dtype, out);
  return OkStatus();
}

void RunOneHot(OpContext& c) {
  const Shape& out_shape = c.Out(0).shape;
  const AxisView v(out_shape, *NormalizeAxis(c.Params<OneHotParams>().axis,
                                             out_shape.rank()));
  VisitWidth(c.In(2).dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* values = static_cast<const T*>(c.In(2).data);
    T* out = static_cast<T*>(c.Out(0).data);
    std::fill_n(out, c.Out(0).Count(), values[0]);
    for (size_t i = 0; i < c.In(0).Count(); ++i) {
      double index = std::trunc(NumberAt(c.In(0), i));
      if (index < 0) index += static_cast<double>(v.n);
      // Out of range (or NaN): all off.
      if (!(index >= 0 && index < static_cast<double>(v.n))) continue;
      const size_t at = (i / v.inner * v.n + static_cast<size_t>(index));
      out[at * v.inner + i % v.inner] = values[1];
    }
  });
}

constexpr OpDef kOps[] = {
    {"", "ArgMax", 1, kLatestOpset, ParseArg, InferArg, RunArg<true>, kNoTraits,
     0},
    {"", "ArgMin", 1, kLatestOpset, ParseArg, InferArg, RunArg<false>,
     kNoTraits, 0},
    {"", "CumSum", 11, kLatestOpset, ParseCumSum, InferCumSum, RunCumSum,
     kNoTraits, 0},
    {"", "TopK", 10, kLatestOpset, ParseTopK, InferTopK, RunTopK, kNoTraits, 0},
    {"", "NonZero", 9, kLatestOpset, ParseOneInput, InferNonZero, RunNonZero,
     kNoTraits, 0},
    {"", "OneHot", 9, kLatestOpset, ParseOneHot, InferOneHot, RunOneHot,
     kNoTraits, 0},
};

}  // namespace

std::span<const OpDef> ScanOps() { return kOps; }

}  // namespace slm
