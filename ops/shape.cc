// SPDX-License-Identifier: MIT
// Shapes as values, and tensors under another shape.
#include <algorithm>

#include "ops/axes.h"
#include "ops/binary.h"
#include "ops/families.h"

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
};

}  // namespace

std::span<const OpDef> ShapeOps() { return kOps; }

}  // namespace slm
