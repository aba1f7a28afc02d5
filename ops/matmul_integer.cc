// SPDX-License-Identifier: MIT
// Products of int8 and uint8 matrices: MatMulInteger and the forms that scale
// its int32 result. With s = sum over k of (a - a_zero) (b - b_zero):
//   MatMulInteger          y = s
//   MatMulIntegerToFloat   y = s * a_scale * b_scale + bias
//   DynamicQuantizeMatMul  the same, A quantised to uint8 as a whole first
//   QLinearMatMul          y = saturate(round(s * a_scale * b_scale / y_scale)
//                                       + y_zero)
#include "quant/matmul_integer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/families.h"
#include "ops/matmul_shape.h"

namespace slm {
namespace {

// Input numbers; 0 (A is 0 everywhere) stands for "none".
struct IntegerParams {
  size_t b = 1;
  size_t a_zero = 0, b_zero = 0;
  size_t a_scale = 0, b_scale = 0, bias = 0;
  size_t y_scale = 0, y_zero = 0;
  bool quantize_a = false;
  DType output = DType::kF32;  // kU8: that of y_zero
};

Result<OpParams> Parse(AttributeReader& a, size_t least, size_t most,
                       IntegerParams p) {
  a.CheckArity(least, most, 1);
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

Result<OpParams> ParseInteger(AttributeReader& a) {
  return Parse(a, 2, 4, {.a_zero = 2, .b_zero = 3, .output = DType::kI32});
}

Result<OpParams> ParseToFloat(AttributeReader& a) {
  return Parse(
      a, 4, 7,
      {.a_zero = 4, .b_zero = 5, .a_scale = 2, .b_scale = 3, .bias = 6});
}

Result<OpParams> ParseDynamic(AttributeReader& a) {
  return Parse(a, 3, 5,
               {.b_zero = 3, .b_scale = 2, .bias = 4, .quantize_a = true});
}

Result<OpParams> ParseQLinear(AttributeReader& a) {
  return Parse(a, 8, 8,
               {.b = 3,
                .a_zero = 2,
                .b_zero = 5,
                .a_scale = 1,
                .b_scale = 4,
                .y_scale = 6,
                .y_zero = 7,
                .output = DType::kU8});
}

bool IsByte(DType dtype) { return dtype == DType::kI8 || dtype == DType::kU8; }

bool Has(const OpContext& c, size_t i) { return i != 0 && c.HasInput(i); }

// Input i holds one value or `lines` of them, of `dtype`.
Status CheckLine(const OpContext& c, size_t i, const char* name, DType dtype,
                 size_t lines) {
  if (!Has(c, i)) return OkStatus();
  const TensorView& t = c.In(i);
  if (t.dtype == dtype && (t.Count() == 1 || t.Count() == lines)) {
    return OkStatus();
  }
  return Invalid("%s is %s %s, expected %s, one or %zu of them", name,
                 Name(t.dtype), t.shape.ToString().c_str(), Name(dtype), lines);
}

struct IntegerScratch {
  size_t a = 0;        // bytes of the quantised A
  size_t product = 0;  // bytes of int32 results of one matrix

  IntegerScratch(const OpContext& c, const IntegerParams& p,
                 const MatMulShape& s) {
    if (p.quantize_a) a = RoundUp(c.In(0).Count(), kAlignment);
    if (p.output != DType::kI32) product = s.m * s.n * sizeof(int32_t);
  }
};

Status InferInteger(OpContext& c) {
  const auto& p = c.Params<IntegerParams>();
  const DType a = c.In(0).dtype;
  const DType b = c.In(p.b).dtype;
  if (!(p.quantize_a ? a == DType::kF32 : IsByte(a)) || !IsByte(b)) {
    return Invalid("A has type %s and B %s, supported: %s and int8, uint8",
                   Name(a), Name(b), p.quantize_a ? "float" : "int8, uint8");
  }
  SLM_ASSIGN_OR_RETURN(const MatMulShape s,
                       MakeMatMulShape(c.In(0).shape, c.In(p.b).shape));
  SLM_RETURN_IF_ERROR(CheckLine(c, p.a_zero, "a_zero_point", a, s.m));
  SLM_RETURN_IF_ERROR(CheckLine(c, p.b_zero, "b_zero_point", b, s.n));
  SLM_RETURN_IF_ERROR(CheckLine(c, p.a_scale, "a_scale", DType::kF32, 1));
  SLM_RETURN_IF_ERROR(CheckLine(c, p.b_scale, "b_scale", DType::kF32, s.n));
  SLM_RETURN_IF_ERROR(CheckLine(c, p.bias, "bias", DType::kF32, s.n));
  SLM_RETURN_IF_ERROR(CheckLine(c, p.y_scale, "y_scale", DType::kF32, 1));
  DType output = p.output;
  if (p.y_zero) {
    output = c.In(p.y_zero).dtype;
    if (!IsByte(output) || c.In(p.y_zero).Count() != 1) {
      return Invalid("y_zero_point is %s %s, expected one int8 or uint8",
                     Name(output), c.In(p.y_zero).shape.ToString().c_str());
    }
  }
  c.SetOutput(0, output, s.output);
  const IntegerScratch scratch(c, p, s);
  c.scratch_bytes = scratch.a + scratch.product;
  return OkStatus();
}

int ByteAt(const TensorView& t, size_t i) {
  return t.dtype == DType::kI8 ? t.As<int8_t>()[i] : t.As<uint8_t>()[i];
}

ByteMatrix MakeMatrix(const OpContext& c, size_t zero, const void* data,
                      DType dtype, size_t stride) {
  ByteMatrix m{
      .data = data, .is_signed = dtype == DType::kI8, .stride = stride};
  if (Has(c, zero)) {
    m.zero_points = c.In(zero).data;
    m.per_line = c.In(zero).Count() > 1;
  }
  return m;
}

// What becomes of the int32 results of one matrix.
struct Finish {
  const OpContext& c;
  const IntegerParams& p;
  size_t m, n;
  float a_scale;

  float FloatAt(size_t input, size_t column) const {
    const TensorView& t = c.In(input);
    return t.As<float>()[t.Count() > 1 ? column : 0];
  }
  void ToFloat(const int32_t* from, float* y) const {
    for (size_t i = 0; i < m * n; ++i) {
      const float scale = a_scale * FloatAt(p.b_scale, i % n);
      y[i] = static_cast<float>(from[i]) * scale +
             (Has(c, p.bias) ? FloatAt(p.bias, i % n) : 0.0f);
    }
  }
  void ToBytes(const int32_t* from, uint8_t* y) const {
    const TensorView& zero = c.In(p.y_zero);
    const bool is_signed = zero.dtype == DType::kI8;
    const float low = is_signed ? -128.0f : 0.0f;
    const float offset = static_cast<float>(ByteAt(zero, 0));
    const float y_scale = c.In(p.y_scale).As<float>()[0];
    for (size_t i = 0; i < m * n; ++i) {
      const float scale = a_scale * FloatAt(p.b_scale, i % n) / y_scale;
      const float v =
          std::nearbyint(static_cast<float>(from[i]) * scale) + offset;
      // fmax and fmin turn NaN into a limit: the cast stays defined.
      const float clamped = std::fmin(std::fmax(v, low), low + 255.0f);
      y[i] = static_cast<uint8_t>(static_cast<int>(clamped));
    }
  }
};

void RunInteger(OpContext& c) {
  const auto& p = c.Params<IntegerParams>();
  // Cannot fail: infer has made it.
  const auto made = MakeMatMulShape(c.In(0).shape, c.In(p.b).shape);
  const MatMulShape& s = *made;
  if (s.output.Count() == 0) return;
  const IntegerScratch sizes(c, p, s);
  uint8_t* scratch = static_cast<uint8_t*>(c.scratch);
  const uint8_t* a = c.In(0).Raw();
  ByteMatrix left = MakeMatrix(c, p.a_zero, nullptr,
                               p.quantize_a ? DType::kU8 : c.In(0).dtype, s.k);
  DynamicQuantization made_a{1, 0};
  if (p.quantize_a) {
    made_a =
        DynamicQuantizeLinear(c.In(0).As<float>(), c.In(0).Count(), scratch);
    a = scratch;
    left.zero_points = &made_a.zero_point;
  }
  ByteMatrix right = MakeMatrix(c, p.b_zero, nullptr, c.In(p.b).dtype, s.n);
  const float a_scale =
      p.a_scale ? c.In(p.a_scale).As<float>()[0] : made_a.scale;
  const Finish finish{c, p, s.m, s.n, a_scale};
  uint8_t* y = static_cast<uint8_t*>(c.Out(0).data);
  const size_t y_bytes = s.m * s.n * BytesFor(c.Out(0).dtype, 1);
  for (size_t i = 0; i < s.BatchCount(); ++i) {
    left.data = a + s.MatrixA(i) * s.m * s.k;
    right.data = c.In(p.b).Raw() + s.MatrixB(i) * s.k * s.n;
    int32_t* product = reinterpret_cast<int32_t*>(
        sizes.product ? scratch + sizes.a : y + i * y_bytes);
    MatMulInteger(c.pool, {.m = s.m,
                           .n = s.n,
                           .k = s.k,
                           .a = left,
                           .b = right,
                           .c = product,
                           .ldc = s.n});
    if (p.y_zero) {
      finish.ToBytes(product, y + i * y_bytes);
    } else if (p.b_scale) {
      finish.ToFloat(product, reinterpret_cast<float*>(y + i * y_bytes));
    }
  }
}

// No kRowwise: the quantisation of A that comes before looks at all rows.
constexpr OpDef kOps[] = {
    {"", "MatMulInteger", 10, kLatestOpset, ParseInteger, InferInteger,
     RunInteger, kNoTraits, 0},
    {"", "QLinearMatMul", 10, kLatestOpset, ParseQLinear, InferInteger,
     RunInteger, kNoTraits, 0},
    {"com.microsoft", "DynamicQuantizeMatMul", 1, kLatestOpset, ParseDynamic,
     InferInteger, RunInteger, kNoTraits, 0},
    {"com.microsoft", "MatMulIntegerToFloat", 1, kLatestOpset, ParseToFloat,
     InferInteger, RunInteger, kNoTraits, 0},
};

}  // namespace

std::span<const OpDef> MatMulIntegerOps() { return kOps; }

}  // namespace slm
