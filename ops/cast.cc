// SPDX-License-Identifier: MIT
// Cast and CastLike. To float16 or bfloat16 nothing is rounded: such values
// are float32 at run time (ops/op.h).
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/binary.h"
#include "ops/families.h"
#include "ops/nibble.h"

namespace slm {
namespace {

// float to integer truncates and, where ONNX leaves it open, saturates; NaN
// gives 0. Integers keep their low bits. bool is "not zero".
template <typename O, typename T>
O Convert(T value) {
  if constexpr (std::is_same_v<O, bool>) {
    return value != T(0);
  } else if constexpr (std::is_floating_point_v<T> && std::is_integral_v<O>) {
    using Limits = std::numeric_limits<O>;
    if (std::isnan(value)) return 0;
    // 2^digits is exact in T and the first value beyond O.
    const T beyond = std::ldexp(T(1), Limits::digits);
    if (value >= beyond) return Limits::max();
    if (value <= (std::is_signed_v<O> ? -beyond : T(0))) return Limits::min();
    return static_cast<O>(value);
  } else {
    return static_cast<O>(value);
  }
}

// Out may be in, of another type: elements are loaded as bytes.
template <typename T, typename O>
void ConvertRow(const uint8_t* in, O* out, size_t begin, size_t end) {
  for (size_t i = begin; i < end; ++i) {
    T value;
    std::memcpy(&value, in + i * sizeof(T), sizeof(T));
    const O converted = Convert<O>(value);
    std::memcpy(out + i, &converted, sizeof(O));
  }
}

template <typename T>
void ToNibbles(const TensorView& in, const TensorView& out) {
  for (size_t i = 0; i < in.Count(); ++i) {
    T value;
    std::memcpy(&value, in.Raw() + i * sizeof(T), sizeof(T));
    // Truncated, then the low four bits, as ONNX's tests want it.
    SetNibble(out, i, static_cast<int>(Convert<int64_t>(value) & 0xF));
  }
}

void CastTensor(const OpContext& c, const TensorView& in,
                const TensorView& out) {
  if (in.dtype == out.dtype) {
    if (in.data != out.data && in.Bytes() > 0) {
      std::memcpy(out.data, in.data, in.Bytes());
    }
    return;
  }
  if (!IsMovable(in.dtype)) {
    for (size_t i = 0; i < in.Count(); ++i) {
      const int value = NibbleAt(in, i);
      if (!IsMovable(out.dtype)) SetNibble(out, i, value);
      Visit(NumbersAndBool(), out.dtype, [&](auto tag) {
        using O = decltype(tag);
        out.Mutable<O>()[i] = Convert<O>(value);
      });
    }
    return;
  }
  Visit(NumbersAndBool(), in.dtype, [&](auto in_tag) {
    using T = decltype(in_tag);
    if (!IsMovable(out.dtype)) return ToNibbles<T>(in, out);
    Visit(NumbersAndBool(), out.dtype, [&](auto out_tag) {
      using O = decltype(out_tag);
      ForElements(c, in.Count(), kCheapGrain, [&](size_t begin, size_t end) {
        ConvertRow<T, O>(in.Raw(), out.Mutable<O>(), begin, end);
      });
    });
  });
}

struct CastParams {
  DType to = DType::kF32;
};

void IgnoreFloat8Attributes(AttributeReader& attributes) {
  attributes.Ignore("saturate", "only for float8 targets, which are refused");
  attributes.Ignore("round_mode", "only for float8 targets");
}

Result<OpParams> ParseCast(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  const int64_t to = attributes.RequiredInt("to");
  IgnoreFloat8Attributes(attributes);
  const auto dtype =
      to >= 0 && to < 64 ? DTypeFromOnnx(static_cast<int>(to)) : std::nullopt;
  attributes.FailUnless(
      dtype.has_value(),
      Format("attribute \"to\" = %lld: that type is not supported",
             static_cast<long long>(to)));
  SLM_RETURN_IF_ERROR(attributes.Finish());
  const DType type = dtype.value_or(DType::kF32);
  return MakeParams(CastParams{IsHalf(type) ? DType::kF32 : type});
}

Status InferCast(OpContext& c) {
  c.SetOutput(0, c.Params<CastParams>().to, c.In(0).shape);
  return OkStatus();
}

void RunCast(OpContext& c) { CastTensor(c, c.In(0), c.Out(0)); }

Result<OpParams> ParseCastLike(AttributeReader& attributes) {
  attributes.CheckArity(2, 2, 1);
  IgnoreFloat8Attributes(attributes);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return OpParams();
}

Status InferCastLike(OpContext& c) {
  c.SetOutput(0, c.In(1).dtype, c.In(0).shape);
  return OkStatus();
}

constexpr OpDef kOps[] = {
    {"", "Cast", 6, kLatestOpset, ParseCast, InferCast, RunCast,
     kRowwise | kInPlace, 0},
    // Not row-wise for the plan: input 1 gives a type only.
    {"", "CastLike", 15, kLatestOpset, ParseCastLike, InferCastLike, RunCast,
     kNoTraits, 0},
};

}  // namespace

std::span<const OpDef> CastOps() { return kOps; }

}  // namespace slm
