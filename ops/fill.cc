// SPDX-License-Identifier: MIT
// Tensors made of a shape or of bounds: ConstantOfShape, Range, EyeLike.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/axes.h"
#include "ops/binary.h"
#include "ops/families.h"
#include "runtime/core/half.h"

namespace slm {
namespace {

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
    {"", "ConstantOfShape", 9, kLatestOpset, ParseConstantOfShape,
     InferConstantOfShape, RunConstantOfShape, kNoTraits, 0},
    {"", "Range", 11, kLatestOpset, ParseRange, InferRange, RunRange, kNoTraits,
     0},
    {"", "EyeLike", 9, kLatestOpset, ParseEyeLike, InferEyeLike, RunEyeLike,
     kShapeOnly, 0},
};

}  // namespace

std::span<const OpDef> FillOps() { return kOps; }

}  // namespace slm
