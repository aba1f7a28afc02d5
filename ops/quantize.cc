// SPDX-License-Identifier: MIT
// DequantizeLinear   y = (x - zero_point) * scale
// QuantizeLinear     y = saturate(round_half_even(x / scale) + zero_point)
// DynamicQuantizeLinear: QuantizeLinear to uint8 with the tensor's own range.
// Scale and zero point are one value, one for each position of an axis, or
// one for each block of block_size positions of that axis.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/axes.h"
#include "ops/families.h"
#include "ops/nibble.h"
#include "ops/parallel.h"
#include "ops/types.h"

namespace slm {
namespace {

struct LinearParams {
  int64_t axis = 1;
  int64_t block_size = 0;
  std::optional<DType> output;
};

void ReadOutputType(AttributeReader& attributes, LinearParams* params) {
  const int64_t code = attributes.Int("output_dtype", 0);
  if (code == 0) return;
  params->output = code > 0 && code < 64 ? DTypeFromOnnx(static_cast<int>(code))
                                         : std::nullopt;
  attributes.FailUnless(params->output.has_value(),
                        Format("attribute \"output_dtype\" = %lld: that type "
                               "is not supported",
                               static_cast<long long>(code)));
}

Result<OpParams> ParseLinear(AttributeReader& attributes) {
  attributes.CheckArity(2, 3, 1);
  LinearParams params;
  params.axis = attributes.Int("axis", 1);
  params.block_size = attributes.Int("block_size", 0);
  attributes.FailUnless(params.block_size >= 0,
                        Format("attribute \"block_size\" = %lld is negative",
                               static_cast<long long>(params.block_size)));
  ReadOutputType(attributes, &params);
  attributes.Ignore("saturate", "only for float8 targets, which are refused");
  attributes.Ignore("precision", "float32 or better is always used");
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

// Where the scale of a position lies: x as [outer, n, inner] around the axis.
struct Grid {
  size_t n = 1, inner = 1;  // n = 1 and inner = 1: one scale for all
  size_t block = 0;         // positions of the axis that share a scale
  size_t blocks = 1;
  bool single = true;

  size_t At(size_t i) const {
    if (single) return 0;
    const size_t position = i / inner % n;
    if (block == 0) return position;  // per axis
    return (i / inner / n * blocks + position / block) * inner + i % inner;
  }
};

Result<Grid> Describe(const OpContext& c) {
  const auto& params = c.Params<LinearParams>();
  const Shape& x = c.In(0).shape;
  const Shape& scale = c.In(1).shape;
  Grid grid;
  const auto is_one = [](const Shape& s) {
    return s.Count() == 1 && s.rank() <= 1;
  };
  if (c.HasInput(2) && !(c.In(2).shape == scale) &&
      !(is_one(c.In(2).shape) && is_one(scale))) {
    return Invalid("zero point has shape %s, the scale %s",
                   c.In(2).shape.ToString().c_str(), scale.ToString().c_str());
  }
  if (params.block_size == 0 && is_one(scale)) return grid;
  SLM_ASSIGN_OR_RETURN(const size_t axis, CheckedAxis(params.axis, x.rank()));
  grid.single = false;
  grid.n = static_cast<size_t>(x[axis]);
  grid.inner = x.CountOf(axis + 1, x.rank());
  bool fits;
  if (params.block_size == 0) {
    fits = scale.rank() == 1 && scale[0] == x[axis];
  } else {
    grid.block = static_cast<size_t>(params.block_size);
    grid.blocks = CeilDiv(grid.n, grid.block);
    Shape want = x;
    want[axis] = static_cast<int64_t>(grid.blocks);
    fits = scale == want;
  }
  if (!fits) {
    return Invalid(
        "scale has shape %s, the input %s, axis %zu, block_size "
        "%lld",
        scale.ToString().c_str(), x.ToString().c_str(), axis,
        static_cast<long long>(params.block_size));
  }
  return grid;
}

using Quantized =
    TypeList<int8_t, uint8_t, int16_t, uint16_t, int32_t>;  // and int4, uint4

bool IsQuantized(DType dtype) {
  return Contains(Quantized(), dtype) || !IsMovable(dtype);
}

int32_t QuantizedAt(const TensorView& t, size_t i) {
  if (!IsMovable(t.dtype)) return NibbleAt(t, i);
  int32_t value = 0;
  Visit(Quantized(), t.dtype,
        [&](auto tag) { value = t.As<decltype(tag)>()[i]; });
  return value;
}

// --- DequantizeLinear

Status InferDequantize(OpContext& c) {
  const auto& params = c.Params<LinearParams>();
  if (!IsQuantized(c.In(0).dtype) || c.In(1).dtype != DType::kF32 ||
      (c.HasInput(2) && c.In(2).dtype != c.In(0).dtype)) {
    return Invalid("types %s, scale %s, zero point %s are not supported",
                   Name(c.In(0).dtype), Name(c.In(1).dtype),
                   c.HasInput(2) ? Name(c.In(2).dtype) : "none");
  }
  if (params.output && *params.output != DType::kF32 &&
      !IsHalf(*params.output)) {
    return Invalid("attribute \"output_dtype\" = %s, expected a float type",
                   Name(*params.output));
  }
  SLM_RETURN_IF_ERROR(Describe(c).status());
  c.SetOutput(0, DType::kF32, c.In(0).shape);
  return OkStatus();
}

template <typename Load>
void DequantizeRange(const OpContext& c, const Grid& grid, size_t begin,
                     size_t end, const Load& load) {
  const float* scales = c.In(1).As<float>();
  float* out = c.Out(0).Mutable<float>();
  for (size_t i = begin; i < end; ++i) {
    const size_t at = grid.At(i);
    const int64_t zero = c.HasInput(2) ? QuantizedAt(c.In(2), at) : 0;
    out[i] = static_cast<float>(load(i) - zero) * scales[at];
  }
}

void RunDequantize(OpContext& c) {
  const auto grid = Describe(c);
  if (!grid.ok()) return;  // infer has described the same
  const TensorView& x = c.In(0);
  ForElements(c, x.Count(), kCostlyGrain, [&](size_t begin, size_t end) {
    if (!IsMovable(x.dtype)) {
      DequantizeRange(c, *grid, begin, end,
                      [&](size_t i) -> int64_t { return NibbleAt(x, i); });
      return;
    }
    Visit(Quantized(), x.dtype, [&](auto tag) {
      const auto* data = x.As<decltype(tag)>();
      DequantizeRange(c, *grid, begin, end,
                      [&](size_t i) -> int64_t { return data[i]; });
    });
  });
}

// --- QuantizeLinear

struct Bounds {
  float low, high;
};

Bounds BoundsOf(DType dtype) {
  if (dtype == DType::kI4) return {-8, 7};
  if (dtype == DType::kU4) return {0, 15};
  Bounds bounds = {0, 0};
  Visit(Quantized(), dtype, [&](auto tag) {
    using Limits = std::numeric_limits<decltype(tag)>;
    bounds = {static_cast<float>(Limits::lowest()),
              static_cast<float>(Limits::max())};
  });
  return bounds;
}

Status InferQuantize(OpContext& c) {
  const auto& params = c.Params<LinearParams>();
  const DType zero =
      c.HasInput(2) ? c.In(2).dtype : params.output.value_or(DType::kU8);
  if ((c.In(0).dtype != DType::kF32 && c.In(0).dtype != DType::kI32) ||
      c.In(1).dtype != DType::kF32 || !IsQuantized(zero) ||
      zero == DType::kI32) {
    return Invalid("types %s, scale %s, zero point %s are not supported",
                   Name(c.In(0).dtype), Name(c.In(1).dtype), Name(zero));
  }
  if (params.output && *params.output != zero) {
    return Invalid("attribute \"output_dtype\" = %s, the zero point is %s",
                   Name(*params.output), Name(zero));
  }
  SLM_RETURN_IF_ERROR(Describe(c).status());
  c.SetOutput(0, zero, c.In(0).shape);
  return OkStatus();
}

int32_t Quantize(float x, float scale, int32_t zero, Bounds bounds) {
  const float q = std::nearbyint(x / scale) + static_cast<float>(zero);
  if (!(q == q)) return zero;  // NaN
  return static_cast<int32_t>(std::clamp(q, bounds.low, bounds.high));
}

void StoreQuantized(const TensorView& out, size_t i, int32_t value) {
  if (!IsMovable(out.dtype)) return SetNibble(out, i, value);
  Visit(Quantized(), out.dtype, [&](auto tag) {
    using T = decltype(tag);
    out.Mutable<T>()[i] = static_cast<T>(value);
  });
}

void RunQuantize(OpContext& c) {
  const auto grid = Describe(c);
  if (!grid.ok()) return;  // infer has described the same
  const TensorView& x = c.In(0);
  const TensorView& out = c.Out(0);
  const Bounds bounds = BoundsOf(out.dtype);
  const float* scales = c.In(1).As<float>();
  // Pairs of nibbles share a byte: the grain is even.
  ForElements(c, x.Count(), kCostlyGrain, [&](size_t i, size_t end) {
    for (; i < end; ++i) {
      const size_t at = grid->At(i);
      const float value = x.dtype == DType::kF32
                              ? x.As<float>()[i]
                              : static_cast<float>(x.As<int32_t>()[i]);
      const int32_t zero = c.HasInput(2) ? QuantizedAt(c.In(2), at) : 0;
      StoreQuantized(out, i, Quantize(value, scales[at], zero, bounds));
    }
  });
}

// --- DynamicQuantizeLinear: scale = (max - min) / 255 with 0 in the range.

Result<OpParams> ParseDynamic(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 3);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return OpParams();
}

Status InferDynamic(OpContext& c) {
  if (c.In(0).dtype != DType::kF32) {
    return Invalid("type %s is not supported, expected float",
                   Name(c.In(0).dtype));
  }
  c.SetOutput(0, DType::kU8, c.In(0).shape);
  if (c.outputs.size() > 1) c.SetOutput(1, DType::kF32, Shape());
  if (c.outputs.size() > 2) c.SetOutput(2, DType::kU8, Shape());
  return OkStatus();
}

void RunDynamic(OpContext& c) {
  float low = 0, high = 0;
  for (float v : c.In(0).Span<float>()) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  // All zeros: any scale is right but 0.
  const float scale = high == low ? 1.0f : (high - low) / 255.0f;
  const Bounds bounds = {0, 255};
  const int32_t zero = Quantize(-low, scale, 0, bounds);
  const float* x = c.In(0).As<float>();
  uint8_t* out = c.Out(0).Mutable<uint8_t>();
  ForElements(c, c.In(0).Count(), kCheapGrain, [&](size_t i, size_t end) {
    for (; i < end; ++i) {
      out[i] = static_cast<uint8_t>(Quantize(x[i], scale, zero, bounds));
    }
  });
  if (c.Wants(1)) *c.Out(1).Mutable<float>() = scale;
  if (c.Wants(2)) *c.Out(2).Mutable<uint8_t>() = static_cast<uint8_t>(zero);
}

constexpr OpDef kOps[] = {
    {"", "DequantizeLinear", 10, kLatestOpset, ParseLinear, InferDequantize,
     RunDequantize, kRowwise, 0},
    {"", "QuantizeLinear", 10, kLatestOpset, ParseLinear, InferQuantize,
     RunQuantize, kRowwise, 0},
    // Looks across all rows for the range.
    {"", "DynamicQuantizeLinear", 11, kLatestOpset, ParseDynamic, InferDynamic,
     RunDynamic, kNoTraits, 0},
};

}  // namespace

std::span<const OpDef> QuantizeOps() { return kOps; }

}  // namespace slm
