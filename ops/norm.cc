// SPDX-License-Identifier: MIT
// Normalisations: computed in float32 whatever the model declares.
#include "ops/kernels/norm.h"

#include <cmath>

#include "ops/families.h"

namespace slm {
namespace {

struct NormParams {
  NormKind kind;
  int64_t axis = -1;
  float epsilon = 0;
  // Input numbers; 0 (the data itself) stands for "none".
  size_t skip = 0, gamma = 0, beta = 0, bias = 0;
  // Output numbers; 0 stands for "none".
  size_t mean = 0, inverse = 0, sum = 0;
};

void ReadEpsilon(AttributeReader& a, float fallback, NormParams& p) {
  p.epsilon = a.Float("epsilon", fallback);
  a.FailUnless(std::isfinite(p.epsilon) && p.epsilon >= 0,
               Format("epsilon = %g is not a number >= 0", p.epsilon));
}

// Opset 17 and the simplified form that onnxruntime registers in domain "".
Result<OpParams> ParseLayerNorm(AttributeReader& a) {
  NormParams p{
      .kind = NormKind::kLayer, .gamma = 1, .beta = 2, .mean = 1, .inverse = 2};
  a.CheckArity(2, 3, 3);
  p.axis = a.Int("axis", -1);
  ReadEpsilon(a, 1e-5f, p);
  a.OnlyInt("stash_type", 1);  // statistics in float32, as computed here
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

Result<OpParams> ParseRmsNorm(AttributeReader& a) {
  NormParams p{.kind = NormKind::kRms, .gamma = 1, .inverse = 1};
  a.CheckArity(2, 2, a.node().type == "RMSNormalization" ? 1 : 2);
  p.axis = a.Int("axis", -1);
  ReadEpsilon(a, 1e-5f, p);
  a.OnlyInt("stash_type", 1);
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

Result<OpParams> ParseSkip(AttributeReader& a, NormParams p, size_t inputs) {
  a.CheckArity(3, inputs, 4);
  for (size_t i : {1, 2}) {
    a.FailUnless(!a.HasOutput(i),
                 Format("output %zu (for training) is not supported", i));
  }
  // onnxruntime's default is 1e-12; exporters write the attribute.
  ReadEpsilon(a, 1e-12f, p);
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

Result<OpParams> ParseSkipLayerNorm(AttributeReader& a) {
  return ParseSkip(a,
                   {.kind = NormKind::kLayer,
                    .skip = 1,
                    .gamma = 2,
                    .beta = 3,
                    .bias = 4,
                    .sum = 3},
                   5);
}

Result<OpParams> ParseSkipRmsNorm(AttributeReader& a) {
  return ParseSkip(
      a, {.kind = NormKind::kRms, .skip = 1, .gamma = 2, .bias = 3, .sum = 3},
      4);
}

Status CheckFloat(const OpContext& c) {
  for (size_t i = 0; i < c.input_count(); ++i) {
    if (c.HasInput(i) && c.In(i).dtype != DType::kF32) {
      return Invalid("input %zu has type %s, supported: float", i,
                     Name(c.In(i).dtype));
    }
  }
  return OkStatus();
}

// gamma, beta and bias hold one row; leading ones are allowed.
Status CheckRowInput(const OpContext& c, size_t i, const char* name,
                     const Shape& x, size_t axis) {
  if (i == 0 || !c.HasInput(i)) return OkStatus();
  const Shape& s = c.In(i).shape;
  const size_t inner = x.rank() - axis;
  bool fits = s.rank() <= x.rank();
  for (size_t k = 0; fits && k < s.rank(); ++k) {
    fits = s.back(k) == (k < inner ? x.back(k) : 1);
  }
  // A shorter shape would repeat along the normalised axes.
  fits = fits && s.Count() == x.CountOf(axis, x.rank());
  if (fits) return OkStatus();
  return Invalid("%s %s does not match the axes of input %s from axis %zu on",
                 name, s.ToString().c_str(), x.ToString().c_str(), axis);
}

// As input, or without its leading axes (one residual for all batch rows).
Status CheckSkip(const OpContext& c, size_t i, const Shape& x) {
  if (i == 0 || !c.HasInput(i)) return OkStatus();
  const Shape& s = c.In(i).shape;
  bool fits = s.rank() >= 1 && s.rank() <= x.rank();
  bool ones = false;  // past a broadcast axis only ones may follow
  for (size_t k = 0; fits && k < s.rank(); ++k) {
    ones = ones || (k > 0 && s.back(k) == 1 && x.back(k) != 1);
    fits = s.back(k) == (ones ? 1 : x.back(k));
  }
  if (fits) return OkStatus();
  return Invalid("skip %s does not match input %s", s.ToString().c_str(),
                 x.ToString().c_str());
}

Status InferNorm(OpContext& c) {
  const auto& p = c.Params<NormParams>();
  SLM_RETURN_IF_ERROR(CheckFloat(c));
  const Shape& x = c.In(0).shape;
  const auto axis = NormalizeAxis(p.axis, x.rank());
  if (!axis) {
    return Invalid("axis %lld is outside of input %s",
                   static_cast<long long>(p.axis), x.ToString().c_str());
  }
  SLM_RETURN_IF_ERROR(CheckRowInput(c, p.gamma, "scale", x, *axis));
  SLM_RETURN_IF_ERROR(CheckRowInput(c, p.beta, "shift", x, *axis));
  SLM_RETURN_IF_ERROR(CheckRowInput(c, p.bias, "bias", x, *axis));
  SLM_RETURN_IF_ERROR(CheckSkip(c, p.skip, x));
  c.SetOutput(0, DType::kF32, x);
  if (p.sum && c.Wants(p.sum)) c.SetOutput(p.sum, DType::kF32, x);
  Shape statistics = x;
  for (size_t k = *axis; k < x.rank(); ++k) statistics[k] = 1;
  for (size_t i : {p.mean, p.inverse}) {
    if (i && c.Wants(i)) c.SetOutput(i, DType::kF32, statistics);
  }
  return OkStatus();
}

const float* RowInput(const OpContext& c, size_t i) {
  return i && c.HasInput(i) ? c.In(i).As<float>() : nullptr;
}

float* WantedOutput(const OpContext& c, size_t i) {
  return i && c.Wants(i) ? c.Out(i).Mutable<float>() : nullptr;
}

void RunNorm(OpContext& c) {
  const auto& p = c.Params<NormParams>();
  const Shape& x = c.In(0).shape;
  const size_t axis = *NormalizeAxis(p.axis, x.rank());
  NormCall call{.kind = p.kind,
                .rows = x.CountOf(0, axis),
                .cols = x.CountOf(axis, x.rank()),
                .epsilon = p.epsilon};
  if (call.rows == 0 || call.cols == 0) return;
  call.input = c.In(0).As<float>();
  call.skip = RowInput(c, p.skip);
  if (call.skip) call.skip_rows = c.In(p.skip).Count() / call.cols;
  call.bias = RowInput(c, p.bias);
  call.gamma = RowInput(c, p.gamma);
  call.beta = RowInput(c, p.beta);
  call.output = c.Out(0).Mutable<float>();
  call.sum = WantedOutput(c, p.sum);
  call.mean = WantedOutput(c, p.mean);
  call.inverse = WantedOutput(c, p.inverse);
  Normalize(call, *c.pool);
}

// ---- LpNormalization

struct LpParams {
  int64_t axis = -1;
  int64_t p = 2;
};

Result<OpParams> ParseLp(AttributeReader& a) {
  LpParams p;
  a.CheckArity(1, 1, 1);
  p.axis = a.Int("axis", -1);
  p.p = a.Int("p", 2);
  a.FailUnless(p.p == 1 || p.p == 2, Format("p = %lld, supported: 1, 2",
                                            static_cast<long long>(p.p)));
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

Status InferLp(OpContext& c) {
  const auto& p = c.Params<LpParams>();
  SLM_RETURN_IF_ERROR(CheckFloat(c));
  if (!NormalizeAxis(p.axis, c.In(0).shape.rank())) {
    return Invalid("axis %lld is outside of input %s",
                   static_cast<long long>(p.axis),
                   c.In(0).shape.ToString().c_str());
  }
  return InferSameAsInput0(c);
}

// y = x / (sum |x|^p)^(1/p) along one line of n elements, 0 for a zero line.
void NormalizeLine(const float* x, size_t n, size_t stride, int64_t p,
                   float* y) {
  double total = 0;
  for (size_t k = 0; k < n; ++k) {
    const double v = x[k * stride];
    total += p == 1 ? std::fabs(v) : v * v;
  }
  const double norm = p == 1 ? total : std::sqrt(total);
  for (size_t k = 0; k < n; ++k) {
    y[k * stride] = norm == 0 ? 0.0f : static_cast<float>(x[k * stride] / norm);
  }
}

void RunLp(OpContext& c) {
  const auto& p = c.Params<LpParams>();
  const Shape& s = c.In(0).shape;
  const size_t axis = *NormalizeAxis(p.axis, s.rank());
  const size_t n = static_cast<size_t>(s[axis]);
  const size_t inner = s.CountOf(axis + 1, s.rank());
  const size_t lines = s.CountOf(0, axis) * inner;
  if (lines == 0 || n == 0) return;
  const float* x = c.In(0).As<float>();
  float* y = c.Out(0).Mutable<float>();
  if (inner == 1 && p.p == 2) {
    Normalize({.kind = NormKind::kL2,
               .rows = lines,
               .cols = n,
               .input = x,
               .output = y},
              *c.pool);
    return;
  }
  // About 2 ns an element: 8 Ki elements are worth a thread.
  ParallelFor(*c.pool, lines, 8192 / n + 1,
              [&](size_t begin, size_t end, size_t) {
                for (size_t i = begin; i < end; ++i) {
                  const size_t offset = i / inner * n * inner + i % inner;
                  NormalizeLine(x + offset, n, inner, p.p, y + offset);
                }
              });
}

constexpr uint32_t kNorm = kRowwise | kInPlace;

constexpr OpDef kOps[] = {
    // Before opset 17 onnxruntime knew it under version 1.
    {"", "LayerNormalization", 1, kLatestOpset, ParseLayerNorm, InferNorm,
     RunNorm, kNorm, 0},
    {"", "LpNormalization", 1, kLatestOpset, ParseLp, InferLp, RunLp, kNorm, 0},
    {"", "RMSNormalization", 23, kLatestOpset, ParseRmsNorm, InferNorm, RunNorm,
     kNorm, 0},
    // Not in ONNX: onnxruntime's own, version 1, in the domain of ONNX.
    {"", "SimplifiedLayerNormalization", 1, kLatestOpset, ParseRmsNorm,
     InferNorm, RunNorm, kNorm, 0},
    {"com.microsoft", "SimplifiedLayerNormalization", 1, kLatestOpset,
     ParseRmsNorm, InferNorm, RunNorm, kNorm, 0},
    {"com.microsoft", "SkipLayerNormalization", 1, kLatestOpset,
     ParseSkipLayerNorm, InferNorm, RunNorm, kNorm, 0},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", 1, kLatestOpset,
     ParseSkipRmsNorm, InferNorm, RunNorm, kNorm, 0},
};

}  // namespace

std::span<const OpDef> NormOps() { return kOps; }

}  // namespace slm
