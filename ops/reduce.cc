// SPDX-License-Identifier: MIT
// ReduceSum, ReduceMean ... over any axes. Where the axes are not the last
// ones the input is first permuted into rows; sums of floats are in double.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/axes.h"
#include "ops/families.h"
#include "ops/parallel.h"
#include "ops/strided.h"
#include "ops/types.h"

namespace slm {
namespace {

// double for floats; integers wrap in 64 bits.
template <typename T>
using Sum = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;

// Sum of map(x[i]). Eight sums side by side: they do not wait for each other
// and vectorise; the order is fixed, whatever the machine.
template <typename T, typename Map>
Sum<T> SumOf(const T* x, size_t n, const Map& map) {
  constexpr size_t kLanes = 8;
  Sum<T> sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k) sums[k] += map(x[i + k]);
  }
  Sum<T> sum = 0;
  for (; i < n; ++i) sum += map(x[i]);
  for (Sum<T> s : sums) sum += s;
  return sum;
}

template <typename T>
Sum<T> Wide(T x) {
  return static_cast<Sum<T>>(x);
}

// Each kind: Types, and the result of a row of n elements (n may be 0).
using SumTypes = TypeList<float, double, int32_t, int64_t, uint32_t, uint64_t>;

struct ReduceSum {
  using Types = SumTypes;
  template <typename T>
  static T Row(const T* x, size_t n) {
    return static_cast<T>(SumOf(x, n, Wide<T>));
  }
};
struct ReduceMean {
  using Types = SumTypes;
  template <typename T>
  static T Row(const T* x, size_t n) {
    if constexpr (std::is_floating_point_v<T>) {
      return static_cast<T>(SumOf(x, n, Wide<T>) / static_cast<double>(n));
    } else {
      // Rounds towards zero; the mean of nothing is 0.
      using Signed = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
      const auto sum = static_cast<Signed>(SumOf(x, n, Wide<T>));
      return n ? static_cast<T>(sum / static_cast<Signed>(n)) : T(0);
    }
  }
};
struct ReduceProd {
  using Types = SumTypes;
  template <typename T>
  static T Row(const T* x, size_t n) {
    Sum<T> product = 1;
    for (size_t i = 0; i < n; ++i) product *= Wide(x[i]);
    return static_cast<T>(product);
  }
};
template <typename T>
Sum<T> Magnitude(T x) {
  return x < T(0) ? Sum<T>(0) - Wide(x) : Wide(x);
}
struct ReduceL1 {
  using Types = SumTypes;
  template <typename T>
  static T Row(const T* x, size_t n) {
    return static_cast<T>(SumOf(x, n, Magnitude<T>));
  }
};
struct ReduceSumSquare {
  using Types = SumTypes;
  template <typename T>
  static T Row(const T* x, size_t n) {
    return static_cast<T>(SumOf(x, n, [](T v) { return Wide(v) * Wide(v); }));
  }
};
// Of integers too: the result is truncated.
template <typename T>
T Truncated(double value) {
  if constexpr (std::is_floating_point_v<T>) return static_cast<T>(value);
  constexpr double kBeyond = 0x1p63;
  return value > -kBeyond && value < kBeyond
             ? static_cast<T>(static_cast<int64_t>(value))
             : T(0);
}
struct ReduceL2 {
  using Types = SumTypes;
  template <typename T>
  static T Row(const T* x, size_t n) {
    return Truncated<T>(std::sqrt(static_cast<double>(
        SumOf(x, n, [](T v) { return Wide(v) * Wide(v); }))));
  }
};
struct ReduceLogSum {
  using Types = SumTypes;
  template <typename T>
  static T Row(const T* x, size_t n) {
    return Truncated<T>(std::log(static_cast<double>(SumOf(x, n, Wide<T>))));
  }
};
// max + log(sum e^(x - max)), so that no term overflows.
struct ReduceLogSumExp {
  using Types = SumTypes;
  template <typename T>
  static T Row(const T* x, size_t n) {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    double max = -kInf;
    for (size_t i = 0; i < n; ++i) {
      const double v = static_cast<double>(x[i]);
      max = v > max || v != v ? v : max;
    }
    if (max == kInf || max == -kInf) return Truncated<T>(max);
    double sum = 0;
    for (size_t i = 0; i < n; ++i) {
      sum += std::exp(static_cast<double>(x[i]) - max);
    }
    return Truncated<T>(max + std::log(sum));
  }
};
// NaN wins, as in NumPy. Nothing: the least value of the type.
struct ReduceMax {
  using Types = NumbersAndBool;
  template <typename T>
  static T Row(const T* x, size_t n) {
    using Limits = std::numeric_limits<T>;
    T max = Limits::has_infinity ? T(-Limits::infinity()) : Limits::lowest();
    for (size_t i = 0; i < n; ++i) {
      max = max < x[i] || x[i] != x[i] ? x[i] : max;
    }
    return max;
  }
};
struct ReduceMin {
  using Types = NumbersAndBool;
  template <typename T>
  static T Row(const T* x, size_t n) {
    using Limits = std::numeric_limits<T>;
    T min = Limits::has_infinity ? Limits::infinity() : Limits::max();
    for (size_t i = 0; i < n; ++i) {
      min = x[i] < min || x[i] != x[i] ? x[i] : min;
    }
    return min;
  }
};

struct ReduceParams {
  std::optional<std::vector<int64_t>> axes;
  bool keep_dims = true;
  bool noop_if_empty = false;
};

// kInput: axes are input 1 (ReduceSum since opset 13, the others since 18).
template <bool kInput>
Result<OpParams> ParseReduce(AttributeReader& attributes) {
  attributes.CheckArity(1, kInput ? 2 : 1, 1);
  ReduceParams params;
  if (kInput) {
    params.noop_if_empty = attributes.Int("noop_with_empty_axes", 0) != 0;
  } else {
    params.axes = AxesAttribute(attributes);
  }
  params.keep_dims = attributes.Int("keepdims", 1) != 0;
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(std::move(params));
}

struct ReducedAxes {
  bool reduced[Shape::kMaxRank] = {};
};

Result<ReducedAxes> ResolveAxes(const OpContext& c) {
  const auto& params = c.Params<ReduceParams>();
  const size_t rank = c.In(0).shape.rank();
  SLM_ASSIGN_OR_RETURN(const auto values, AxesValue(c, params.axes, 1));
  ReducedAxes result;
  if (values && !values->empty()) {
    SLM_ASSIGN_OR_RETURN(const auto axes, CheckedAxes(*values, rank));
    for (size_t axis : axes) result.reduced[axis] = true;
  } else if (!params.noop_if_empty) {
    for (size_t i = 0; i < rank; ++i) result.reduced[i] = true;
  }
  return result;
}

// True if the reduced axes are the last ones: rows lie in memory as they are.
bool AreRows(const ReducedAxes& axes, size_t rank) {
  for (size_t i = 1; i < rank; ++i) {
    if (axes.reduced[i - 1] && !axes.reduced[i]) return false;
  }
  return true;
}

template <typename F>
Status InferReduce(OpContext& c) {
  const Shape& x = c.In(0).shape;
  if (!Contains(typename F::Types(), c.In(0).dtype)) {
    return Invalid("type %s is not supported", Name(c.In(0).dtype));
  }
  SLM_ASSIGN_OR_RETURN(const ReducedAxes axes, ResolveAxes(c));
  Shape out;
  for (size_t i = 0; i < x.rank(); ++i) {
    if (!axes.reduced[i]) out.Append(x[i]);
    if (axes.reduced[i] && c.Params<ReduceParams>().keep_dims) out.Append(1);
  }
  if (!AreRows(axes, x.rank())) c.scratch_bytes = c.In(0).Bytes();
  c.SetOutput(0, c.In(0).dtype, out);
  return OkStatus();
}

// Kept axes first, reduced ones last, into scratch.
void Permute(const OpContext& c, const ReducedAxes& axes) {
  const Shape& x = c.In(0).shape;
  StridedView view;
  for (bool reduced : {false, true}) {
    for (size_t i = 0; i < x.rank(); ++i) {
      if (axes.reduced[i] != reduced) continue;
      view.Append(static_cast<size_t>(x[i]),
                  static_cast<int64_t>(x.CountOf(i + 1, x.rank())));
    }
  }
  CopyStrided(c, view, c.In(0).dtype, c.In(0).data, c.scratch);
}

template <typename F>
void RunReduce(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const auto axes = ResolveAxes(c);
  if (!axes.ok()) return;  // infer has resolved the same values
  size_t n = 1;
  for (size_t i = 0; i < x.rank(); ++i) {
    if (axes->reduced[i]) n *= static_cast<size_t>(x[i]);
  }
  const void* rows = c.In(0).data;
  if (!AreRows(*axes, x.rank())) {
    Permute(c, *axes);
    rows = c.scratch;
  }
  Visit(typename F::Types(), c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* from = static_cast<const T*>(rows);
    T* out = c.Out(0).Mutable<T>();
    const size_t grain =
        std::max<size_t>(kCheapGrain / std::max<size_t>(n, 1), 1);
    ForElements(c, c.Out(0).Count(), grain, [&](size_t row, size_t end) {
      for (; row < end; ++row) out[row] = F::Row(from + row * n, n);
    });
  });
}

template <typename F>
constexpr OpDef ByAttribute(std::string_view type, int until) {
  return {"",           type,     1, until, ParseReduce<false>, InferReduce<F>,
          RunReduce<F>, kRowwise, 0};
}
template <typename F>
constexpr OpDef ByInput(std::string_view type, int since) {
  return {"",
          type,
          since,
          kLatestOpset,
          ParseReduce<true>,
          InferReduce<F>,
          RunReduce<F>,
          kRowwise,
          0};
}

constexpr OpDef kOps[] = {
    ByAttribute<ReduceSum>("ReduceSum", 12),
    ByInput<ReduceSum>("ReduceSum", 13),
    ByAttribute<ReduceMean>("ReduceMean", 17),
    ByInput<ReduceMean>("ReduceMean", 18),
    ByAttribute<ReduceMax>("ReduceMax", 17),
    ByInput<ReduceMax>("ReduceMax", 18),
    ByAttribute<ReduceMin>("ReduceMin", 17),
    ByInput<ReduceMin>("ReduceMin", 18),
    ByAttribute<ReduceProd>("ReduceProd", 17),
    ByInput<ReduceProd>("ReduceProd", 18),
    ByAttribute<ReduceL1>("ReduceL1", 17),
    ByInput<ReduceL1>("ReduceL1", 18),
    ByAttribute<ReduceL2>("ReduceL2", 17),
    ByInput<ReduceL2>("ReduceL2", 18),
    ByAttribute<ReduceSumSquare>("ReduceSumSquare", 17),
    ByInput<ReduceSumSquare>("ReduceSumSquare", 18),
    ByAttribute<ReduceLogSum>("ReduceLogSum", 17),
    ByInput<ReduceLogSum>("ReduceLogSum", 18),
    ByAttribute<ReduceLogSumExp>("ReduceLogSumExp", 17),
    ByInput<ReduceLogSumExp>("ReduceLogSumExp", 18),
};

}  // namespace

std::span<const OpDef> ReduceOps() { return kOps; }

}  // namespace slm
