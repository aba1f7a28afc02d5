// SPDX-License-Identifier: MIT
// Shapes as values, tensors under another shape, and tensors made of a shape.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/axes.h"
#include "ops/binary.h"
#include "ops/families.h"
#include "runtime/core/half.h"

namespace slm {
namespace {

// --- Shape, Size

struct ShapeParams {
  int64_t start = 0;
  std::optional<int64_t> end;
};

Result<OpParams> ParseShape(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  ShapeParams params;
  params.start = attributes.Int("start", 0);
  if (attributes.Has("end")) params.end = attributes.Int("end", 0);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

struct AxisRange {
  size_t begin = 0, end = 0;
};

// Out-of-range bounds are clamped.
AxisRange RangeOf(const ShapeParams& params, size_t rank) {
  const int64_t r = static_cast<int64_t>(rank);
  const auto clamp = [r](int64_t v) {
    return static_cast<size_t>(std::clamp<int64_t>(v < 0 ? v + r : v, 0, r));
  };
  AxisRange range{clamp(params.start), clamp(params.end.value_or(r))};
  range.end = std::max(range.begin, range.end);
  return range;
}

Status InferShape(OpContext& c) {
  const AxisRange range =
      RangeOf(c.Params<ShapeParams>(), c.In(0).shape.rank());
  c.SetOutput(0, DType::kI64,
              Shape{static_cast<int64_t>(range.end - range.begin)});
  return OkStatus();
}

void RunShape(OpContext& c) {
  const Shape& shape = c.In(0).shape;
  const AxisRange range = RangeOf(c.Params<ShapeParams>(), shape.rank());
  for (size_t i = range.begin; i < range.end; ++i) {
    c.Out(0).Mutable<int64_t>()[i - range.begin] = shape[i];
  }
}

Status InferSize(OpContext& c) {
  c.SetOutput(0, DType::kI64, Shape());
  return OkStatus();
}

void RunSize(OpContext& c) {
  *c.Out(0).Mutable<int64_t>() = static_cast<int64_t>(c.In(0).Count());
}

// --- Reshape, Flatten, Squeeze, Unsqueeze: aliases

struct ReshapeParams {
  bool allow_zero = false;
};

Result<OpParams> ParseReshape(AttributeReader& attributes) {
  attributes.CheckArity(2, 2, 1);
  ReshapeParams params;
  params.allow_zero = attributes.Int("allowzero", 0) != 0;
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

// 0 copies a dimension (without allowzero), -1 takes what the others leave.
Result<Shape> ResolveReshape(const Shape& from, std::vector<int64_t> dims,
                             bool allow_zero) {
  std::optional<size_t> unknown;
  // Elements on both sides without the copied dimensions: those cancel, so -1
  // is known even where a copied one is 0 (no cached tokens).
  size_t from_rest = 1;
  for (size_t i = 0; i < from.rank(); ++i) {
    const bool copied = !allow_zero && i < dims.size() && dims[i] == 0;
    if (!copied) from_rest *= static_cast<size_t>(from[i]);
  }
  size_t to_rest = 1;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == -1) {
      if (unknown) return Invalid("dimensions %zu and %zu are -1", *unknown, i);
      unknown = i;
      dims[i] = 1;
    } else if (dims[i] == 0 && !allow_zero) {
      if (i >= from.rank()) {
        return Invalid("dimension %zu is 0 (copy), but the input is %s", i,
                       from.ToString().c_str());
      }
      dims[i] = from[i];
      continue;
    }
    const auto product =
        CheckedMul(to_rest, static_cast<size_t>(std::max<int64_t>(dims[i], 0)));
    if (!product) return MakeShape(dims);  // refuses
    to_rest = *product;
  }
  SLM_ASSIGN_OR_RETURN(Shape to, MakeShape(dims));
  if (unknown && to_rest > 0 && from_rest % to_rest == 0) {
    to[*unknown] = static_cast<int64_t>(from_rest / to_rest);
    to_rest = from_rest;
  }
  if (to_rest != from_rest || (unknown && to_rest == 0 && allow_zero)) {
    return Invalid("cannot reshape %s to %s%s", from.ToString().c_str(),
                   to.ToString().c_str(), unknown ? " (with -1 as 1)" : "");
  }
  return to;
}

Status InferReshape(OpContext& c) {
  SLM_ASSIGN_OR_RETURN(std::vector<int64_t> dims, c.IntValues(1));
  if (c.In(1).shape.rank() > 1) {
    return Invalid("shape input has shape %s, expected one axis",
                   c.In(1).shape.ToString().c_str());
  }
  SLM_ASSIGN_OR_RETURN(const Shape to,
                       ResolveReshape(c.In(0).shape, std::move(dims),
                                      c.Params<ReshapeParams>().allow_zero));
  c.SetOutput(0, c.In(0).dtype, to);
  return OkStatus();
}

struct FlattenParams {
  int64_t axis = 1;
};

Result<OpParams> ParseFlatten(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  FlattenParams params;
  params.axis = attributes.Int("axis", 1);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

Status InferFlatten(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const int64_t r = static_cast<int64_t>(x.rank());
  const int64_t axis = c.Params<FlattenParams>().axis;
  if (axis < -r || axis > r) {
    return Invalid("axis %lld is outside of rank %zu",
                   static_cast<long long>(axis), x.rank());
  }
  const size_t at = static_cast<size_t>(axis < 0 ? axis + r : axis);
  c.SetOutput(0, c.In(0).dtype,
              Shape{static_cast<int64_t>(x.CountOf(0, at)),
                    static_cast<int64_t>(x.CountOf(at, x.rank()))});
  return OkStatus();
}

struct AxesParams {
  std::optional<std::vector<int64_t>> axes;
};

// Opset 1-12: attribute; 13: input 1. Unsqueeze needs axes.
template <bool kFromInput, bool kRequired>
Result<OpParams> ParseAxes(AttributeReader& attributes) {
  attributes.CheckArity(kFromInput && kRequired ? 2 : 1, kFromInput ? 2 : 1, 1);
  AxesParams params;
  if (!kFromInput) {
    params.axes = AxesAttribute(attributes);
    attributes.FailUnless(params.axes.has_value() || !kRequired,
                          "attribute \"axes\" is missing");
  }
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(std::move(params));
}

Status InferSqueeze(OpContext& c) {
  const Shape& x = c.In(0).shape;
  SLM_ASSIGN_OR_RETURN(const auto values,
                       AxesValue(c, c.Params<AxesParams>().axes, 1));
  bool drop[Shape::kMaxRank] = {};
  if (values) {
    SLM_ASSIGN_OR_RETURN(const auto axes, CheckedAxes(*values, x.rank()));
    for (size_t axis : axes) {
      if (x[axis] != 1) {
        return Invalid("axis %zu of %s is not 1", axis, x.ToString().c_str());
      }
      drop[axis] = true;
    }
  } else {
    for (size_t i = 0; i < x.rank(); ++i) drop[i] = x[i] == 1;
  }
  Shape out;
  for (size_t i = 0; i < x.rank(); ++i) {
    if (!drop[i]) out.Append(x[i]);
  }
  c.SetOutput(0, c.In(0).dtype, out);
  return OkStatus();
}

Status InferUnsqueeze(OpContext& c) {
  const Shape& x = c.In(0).shape;
  SLM_ASSIGN_OR_RETURN(const auto values,
                       AxesValue(c, c.Params<AxesParams>().axes, 1));
  if (!values) return Invalid("axes are missing");
  const size_t rank = x.rank() + values->size();
  if (rank > Shape::kMaxRank) {
    return Invalid("rank %zu is above %zu", rank, Shape::kMaxRank);
  }
  SLM_ASSIGN_OR_RETURN(const auto axes, CheckedAxes(*values, rank));
  Shape out;
  for (size_t i = 0, from = 0; i < rank; ++i) {
    out.Append(std::binary_search(axes.begin(), axes.end(), i) ? 1 : x[from++]);
  }
  c.SetOutput(0, c.In(0).dtype, out);
  return OkStatus();
}

// --- ConstantOfShape

struct FillParams {
  DType dtype = DType::kF32;
  uint64_t bits = 0;  // the value in the low bytes
};

Result<OpParams> ParseConstantOfShape(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  FillParams params;
  const Attribute* value = attributes.Get("value");
  if (value) {
    const TensorView& t = value->tensor;
    if (value->type != Attribute::Type::kTensor || t.Count() != 1 ||
        !IsMovable(t.dtype)) {
      attributes.Fail("attribute \"value\" is not a tensor of one element");
    } else if (IsHalf(t.dtype)) {
      uint16_t half;
      std::memcpy(&half, t.data, sizeof half);
      const float f =
          t.dtype == DType::kF16 ? FloatFromF16(half) : FloatFromBF16(half);
      std::memcpy(&params.bits, &f, sizeof f);
    } else {
      params.dtype = t.dtype;
      std::memcpy(&params.bits, t.data, ElementBytes(t.dtype));
    }
  }
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

Status InferConstantOfShape(OpContext& c) {
  SLM_ASSIGN_OR_RETURN(const auto dims, c.IntValues(0));
  SLM_ASSIGN_OR_RETURN(const Shape shape, MakeShape(dims));
  c.SetOutput(0, c.Params<FillParams>().dtype, shape);
  return OkStatus();
}

void RunConstantOfShape(OpContext& c) {
  const auto& params = c.Params<FillParams>();
  VisitWidth(params.dtype, [&](auto tag) {
    using T = decltype(tag);
    T value;
    std::memcpy(&value, &params.bits, sizeof value);
    std::fill_n(static_cast<T*>(c.Out(0).data), c.Out(0).Count(), value);
  });
}

// --- Range(start, limit, delta)

using RangeTypes = TypeList<float, double, int16_t, int32_t, int64_t>;

// max(ceil((limit - start) / delta), 0), or a refusal.
template <typename T>
Result<int64_t> RangeCount(T start, T limit, T delta) {
  constexpr double kMost = 0x1p48;  // no memory holds more
  double count =
      std::ceil((static_cast<double>(limit) - static_cast<double>(start)) /
                static_cast<double>(delta));
  if constexpr (std::is_integral_v<T>) {
    // Exact, also where int64 does not fit a double.
    const uint64_t span =
        start < limit
            ? static_cast<uint64_t>(limit) - static_cast<uint64_t>(start)
            : static_cast<uint64_t>(start) - static_cast<uint64_t>(limit);
    const uint64_t step = delta < 0 ? 0 - static_cast<uint64_t>(delta)
                                    : static_cast<uint64_t>(delta);
    if (step == 0) return Invalid("delta is 0");
    if (start == limit || (start < limit) != (delta > 0)) return int64_t{0};
    const uint64_t exact = span / step + (span % step != 0);
    count = static_cast<double>(exact);
  } else if (!(count > -kMost)) {  // NaN too
    if (count <= -kMost) return int64_t{0};
    return Invalid("start %g, limit %g, delta %g give no number of elements",
                   static_cast<double>(start), static_cast<double>(limit),
                   static_cast<double>(delta));
  }
  if (count > kMost) {
    return Invalid("%g elements are too many", count);
  }
  return count > 0 ? static_cast<int64_t>(count) : int64_t{0};
}

Result<OpParams> ParseRange(AttributeReader& attributes) {
  attributes.CheckArity(3, 3, 1);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return OpParams();
}

Status InferRange(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckSameTypes<RangeTypes>(c, 3));
  for (size_t i = 0; i < 3; ++i) {
    if (c.In(i).Count() != 1) {
      return Invalid("input %zu has shape %s, expected one value", i,
                     c.In(i).shape.ToString().c_str());
    }
    if (!c.HasValue(i)) return OpContext::NeedsValue(i);
  }
  Result<int64_t> count = int64_t{0};
  Visit(RangeTypes(), c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    count = RangeCount(*c.In(0).As<T>(), *c.In(1).As<T>(), *c.In(2).As<T>());
  });
  SLM_RETURN_IF_ERROR(count.status());
  c.SetOutput(0, c.In(0).dtype, Shape{*count});
  return OkStatus();
}

void RunRange(OpContext& c) {
  Visit(RangeTypes(), c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    const T start = *c.In(0).As<T>(), delta = *c.In(2).As<T>();
    T* out = c.Out(0).Mutable<T>();
    for (size_t i = 0; i < c.Out(0).Count(); ++i) {
      if constexpr (std::is_integral_v<T>) {
        out[i] = static_cast<T>(static_cast<uint64_t>(start) +
                                i * static_cast<uint64_t>(delta));
      } else {
        out[i] = start + static_cast<T>(i) * delta;
      }
    }
  });
}

// --- EyeLike

struct EyeParams {
  std::optional<DType> dtype;
  int64_t k = 0;
};

Result<OpParams> ParseEyeLike(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  EyeParams params;
  params.k = attributes.Int("k", 0);
  if (attributes.Has("dtype")) {
    const int64_t code = attributes.Int("dtype", 1);
    params.dtype = DTypeFromOnnx(static_cast<int>(code));
    attributes.FailUnless(params.dtype && IsMovable(*params.dtype),
                          Format("attribute \"dtype\" = %lld is not supported",
                                 static_cast<long long>(code)));
    if (params.dtype && IsHalf(*params.dtype)) params.dtype = DType::kF32;
  }
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

Status InferEyeLike(OpContext& c) {
  if (c.In(0).shape.rank() != 2) {
    return Invalid("input has shape %s, expected a matrix",
                   c.In(0).shape.ToString().c_str());
  }
  const DType dtype = c.Params<EyeParams>().dtype.value_or(c.In(0).dtype);
  if (!Contains(NumbersAndBool(), dtype)) {
    return Invalid("type %s is not supported", Name(dtype));
  }
  c.SetOutput(0, dtype, c.In(0).shape);
  return OkStatus();
}

void RunEyeLike(OpContext& c) {
  const int64_t rows = c.Out(0).shape[0], columns = c.Out(0).shape[1];
  const int64_t k = c.Params<EyeParams>().k;
  Visit(NumbersAndBool(), c.Out(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    T* out = c.Out(0).Mutable<T>();
    std::fill_n(out, c.Out(0).Count(), T(0));
    // Row r has its one in column r + k.
    for (int64_t r = 0; r < rows; ++r) {
      if (k >= -r && k < columns - r) out[r * columns + r + k] = T(1);
    }
  });
}

constexpr OpDef kOps[] = {
    {"", "Shape", 1, kLatestOpset, ParseShape, InferShape, RunShape, kShapeOnly,
     0},
    {"", "Size", 1, kLatestOpset, ParseOneInput, InferSize, RunSize, kShapeOnly,
     0},
    {"", "Identity", 1, kLatestOpset, ParseOneInput, InferSameAsInput0, nullptr,
     kAlias, 0},
    {"", "Reshape", 5, kLatestOpset, ParseReshape, InferReshape, nullptr,
     kAlias, 0},
    {"", "Flatten", 1, kLatestOpset, ParseFlatten, InferFlatten, nullptr,
     kAlias, 0},
    {"", "Squeeze", 1, 12, ParseAxes<false, false>, InferSqueeze, nullptr,
     kAlias, 0},
    {"", "Squeeze", 13, kLatestOpset, ParseAxes<true, false>, InferSqueeze,
     nullptr, kAlias, 0},
    {"", "Unsqueeze", 1, 12, ParseAxes<false, true>, InferUnsqueeze, nullptr,
     kAlias, 0},
    {"", "Unsqueeze", 13, kLatestOpset, ParseAxes<true, true>, InferUnsqueeze,
     nullptr, kAlias, 0},
    {"", "ConstantOfShape", 9, kLatestOpset, ParseConstantOfShape,
     InferConstantOfShape, RunConstantOfShape, kNoTraits, 0},
    {"", "Range", 11, kLatestOpset, ParseRange, InferRange, RunRange, kNoTraits,
     0},
    {"", "EyeLike", 9, kLatestOpset, ParseEyeLike, InferEyeLike, RunEyeLike,
     kShapeOnly, 0},
};

}  // namespace

std::span<const OpDef> ShapeOps() { return kOps; }

}  // namespace slm
