// SPDX-License-Identifier: MIT
// Activation functions: Sigmoid, Tanh, Gelu, Swish ... on the vector kernels of
// ops/kernels/activation.h, and piecewise or rare ones as plain loops.
#include "ops/kernels/activation.h"

#include <cmath>

#include "ops/binary.h"
#include "ops/families.h"

namespace slm {
namespace {

struct ActivationParams {
  Activation f = Activation::kExp;
  float alpha = 1;
};

// 3-10 us for kCheapGrain elements with AVX2, whichever the function.
void RunVector(const OpContext& c, const ActivationParams& p,
               const TensorView& x) {
  ForElements(c, x.Count(), kCheapGrain, [&](size_t begin, size_t end) {
    if (x.dtype == DType::kF32) {
      Activate(p.f, p.alpha, x.As<float>() + begin,
               c.Out(0).Mutable<float>() + begin, end - begin);
      return;
    }
    const double* in = x.As<double>();
    double* out = c.Out(0).Mutable<double>();
    for (size_t i = begin; i < end; ++i) {
      out[i] = ActivateScalar(p.f, p.alpha, in[i]);
    }
  });
}

Status InferFloats(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckSameTypes<Floats>(c, 1));
  return InferSameAsInput0(c);
}

void RunActivation(OpContext& c) {
  RunVector(c, c.Params<ActivationParams>(), c.In(0));
}

Result<OpParams> Finish(AttributeReader& attributes, ActivationParams params) {
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

template <Activation kF>
Result<OpParams> ParsePlain(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  return Finish(attributes, {.f = kF});
}

// Swish (opset 24): alpha 1; com.microsoft QuickGelu: alpha 1.702.
Result<OpParams> ParseSwish(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  const float alpha = attributes.Float("alpha", 1.0f);
  return Finish(attributes, {.f = Activation::kSwish, .alpha = alpha});
}

Result<OpParams> ParseQuickGelu(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  const float alpha = attributes.Float("alpha", 1.702f);
  return Finish(attributes, {.f = Activation::kSwish, .alpha = alpha});
}

Result<OpParams> ParseGelu(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  const std::string kind = attributes.String("approximate", "none");
  attributes.FailUnless(
      kind == "none" || kind == "tanh",
      Format("attribute \"approximate\" = \"%s\", expected none or tanh",
             Printable(kind).c_str()));
  return Finish(attributes, {.f = kind == "tanh" ? Activation::kGeluTanh
                                                 : Activation::kGelu});
}

// --- FastGelu and BiasGelu: y = gelu(x + bias), bias [D] over the last axis.

Result<OpParams> ParseFastGelu(AttributeReader& attributes) {
  attributes.CheckArity(1, 2, 1);
  return Finish(attributes, {.f = Activation::kGeluTanh});
}

Result<OpParams> ParseBiasGelu(AttributeReader& attributes) {
  attributes.CheckArity(2, 2, 1);
  return Finish(attributes, {.f = Activation::kGelu});
}

struct AddBias {
  template <typename T>
  static T Apply(T a, T b) {
    return a + b;
  }
};

Status InferBiased(OpContext& c) {
  const size_t count = c.HasInput(1) ? 2 : 1;
  SLM_RETURN_IF_ERROR(CheckSameTypes<Floats>(c, count));
  if (count == 2) {
    const Shape& x = c.In(0).shape;
    const Shape& bias = c.In(1).shape;
    if (x.rank() == 0 || bias.rank() != 1 || bias[0] != x.back()) {
      return Invalid("bias has shape %s, expected the last axis of %s",
                     bias.ToString().c_str(), x.ToString().c_str());
    }
  }
  return InferSameAsInput0(c);
}

void RunBiased(OpContext& c) {
  const auto& params = c.Params<ActivationParams>();
  if (!c.HasInput(1)) return RunVector(c, params, c.In(0));
  Visit(Floats(), c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    BinaryInto<AddBias, T, T>(c, c.In(0), c.In(1), c.Out(0));
  });
  RunVector(c, params, c.Out(0));
}

// --- Plain loops: a functor F with Apply(x, alpha, beta).

struct CurveParams {
  float alpha = 0, beta = 0;
};

struct Relu {
  using Types = Numbers;
  static constexpr bool kCheap = true;
  // NaN stays NaN.
  template <typename T>
  static T Apply(T x, float, float) {
    return x < T(0) ? T(0) : x;
  }
};
struct LeakyRelu {
  using Types = Floats;
  static constexpr bool kCheap = true;
  template <typename T>
  static T Apply(T x, float alpha, float) {
    return x < 0 ? alpha * x : x;
  }
};
struct Elu {
  using Types = Floats;
  static constexpr bool kCheap = false;
  template <typename T>
  static T Apply(T x, float alpha, float) {
    return x < 0 ? alpha * std::expm1(x) : x;
  }
};
struct HardSigmoid {
  using Types = Floats;
  static constexpr bool kCheap = true;
  template <typename T>
  static T Apply(T x, float alpha, float beta) {
    const T y = alpha * x + beta;
    return y < 0 ? T(0) : y > 1 ? T(1) : y;
  }
};
struct HardSwish {
  using Types = Floats;
  static constexpr bool kCheap = true;
  template <typename T>
  static T Apply(T x, float, float) {
    const T y = x / 6 + T(0.5);
    return x * (y < 0 ? T(0) : y > 1 ? T(1) : y);
  }
};
// log(1 + e^x), written so that e^x neither overflows nor is rounded away.
struct Softplus {
  using Types = Floats;
  static constexpr bool kCheap = false;
  template <typename T>
  static T Apply(T x, float, float) {
    return (x > 0 ? x : T(0)) + std::log1p(std::exp(-std::abs(x)));
  }
};
struct Softsign {
  using Types = Floats;
  static constexpr bool kCheap = true;
  template <typename T>
  static T Apply(T x, float, float) {
    return x / (1 + std::abs(x));
  }
};
struct Mish {
  using Types = Floats;
  static constexpr bool kCheap = false;
  template <typename T>
  static T Apply(T x, float, float) {
    return x * std::tanh(Softplus::Apply(x, 0, 0));
  }
};

// Defaults are ONNX's; an op without the attribute refuses it.
struct CurveDefaults {
  const char* type;
  bool has_alpha, has_beta;
  float alpha, beta;
};
constexpr CurveDefaults kCurveDefaults[] = {
    {"LeakyRelu", true, false, 0.01f, 0},
    {"Elu", true, false, 1.0f, 0},
    {"HardSigmoid", true, true, 0.2f, 0.5f},
};

Result<OpParams> ParseCurve(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  CurveParams params;
  for (const CurveDefaults& d : kCurveDefaults) {
    if (attributes.node().type != d.type) continue;
    if (d.has_alpha) params.alpha = attributes.Float("alpha", d.alpha);
    if (d.has_beta) params.beta = attributes.Float("beta", d.beta);
  }
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

template <typename F>
Status InferCurve(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckSameTypes<typename F::Types>(c, 1));
  return InferSameAsInput0(c);
}

template <typename F>
void RunCurve(OpContext& c) {
  const CurveParams p = c.Params<CurveParams>();
  Visit(typename F::Types(), c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = c.In(0).As<T>();
    T* out = c.Out(0).Mutable<T>();
    ForElements(c, c.In(0).Count(), F::kCheap ? kCheapGrain : kCostlyGrain,
                [&](size_t begin, size_t end) {
                  for (size_t i = begin; i < end; ++i) {
                    out[i] = F::template Apply<T>(x[i], p.alpha, p.beta);
                  }
                });
  });
}

constexpr uint32_t kTraits = kRowwise | kInPlace;
constexpr const char* kMs = "com.microsoft";

constexpr OpDef Vector(std::string_view domain, std::string_view type,
                       int since, Result<OpParams> (*parse)(AttributeReader&)) {
  return {domain,        type,    since, kLatestOpset, parse, InferFloats,
          RunActivation, kTraits, 0};
}

template <typename F>
constexpr OpDef Plain(std::string_view type, int since) {
  return {"",          type,    since, kLatestOpset, ParseCurve, InferCurve<F>,
          RunCurve<F>, kTraits, 0};
}

constexpr OpDef kOps[] = {
    Vector("", "Exp", 6, ParsePlain<Activation::kExp>),
    Vector("", "Erf", 9, ParsePlain<Activation::kErf>),
    Vector("", "Sigmoid", 6, ParsePlain<Activation::kSigmoid>),
    Vector("", "Tanh", 6, ParsePlain<Activation::kTanh>),
    Vector("", "Gelu", 20, ParseGelu),
    Vector("", "Swish", 24, ParseSwish),
    Vector(kMs, "Gelu", 1, ParsePlain<Activation::kGelu>),
    Vector(kMs, "QuickGelu", 1, ParseQuickGelu),
    {kMs, "FastGelu", 1, kLatestOpset, ParseFastGelu, InferBiased, RunBiased,
     kTraits, 0},
    {kMs, "BiasGelu", 1, kLatestOpset, ParseBiasGelu, InferBiased, RunBiased,
     kTraits, 0},
    Plain<Relu>("Relu", 6),
    Plain<LeakyRelu>("LeakyRelu", 6),
    Plain<Elu>("Elu", 6),
    Plain<HardSigmoid>("HardSigmoid", 6),
    Plain<HardSwish>("HardSwish", 14),
    Plain<Softplus>("Softplus", 1),
    Plain<Softsign>("Softsign", 1),
    Plain<Mish>("Mish", 18),
};

}  // namespace

std::span<const OpDef> ActivationOps() { return kOps; }

}  // namespace slm
