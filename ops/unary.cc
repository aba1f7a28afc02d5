// SPDX-License-Identifier: MIT
// Elementwise functions of one input: Neg, Sqrt, Round, Cos, Clip ...
#include <cmath>
#include <limits>

#include "ops/binary.h"
#include "ops/families.h"

namespace slm {
namespace {

// Each functor: Types, kCheap (vectorises or is a libm call), Apply.
struct Neg {
  using Types = TypeList<float, double, int8_t, int16_t, int32_t, int64_t>;
  static constexpr bool kCheap = true;
  template <typename T>
  static T Apply(T x) {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(0 - static_cast<uint64_t>(x));  // wraps
    } else {
      return -x;
    }
  }
};
struct Abs {
  using Types = Numbers;
  static constexpr bool kCheap = true;
  template <typename T>
  static T Apply(T x) {
    if constexpr (std::is_floating_point_v<T>)
      return std::abs(x);
    else if constexpr (std::is_signed_v<T>)
      return x < 0 ? Neg::Apply(x) : x;
    else
      return x;
  }
};
struct Sign {
  using Types = Numbers;
  static constexpr bool kCheap = true;
  template <typename T>
  static T Apply(T x) {
    if (x != x) return x;
    return static_cast<T>((x > T(0)) - (x < T(0)));
  }
};
struct Ceil {
  using Types = Floats;
  static constexpr bool kCheap = true;
  template <typename T>
  static T Apply(T x) {
    return std::ceil(x);
  }
};
struct Floor {
  using Types = Floats;
  static constexpr bool kCheap = true;
  template <typename T>
  static T Apply(T x) {
    return std::floor(x);
  }
};
struct Round {  // halves to even
  using Types = Floats;
  static constexpr bool kCheap = true;
  template <typename T>
  static T Apply(T x) {
    return std::nearbyint(x);
  }
};
struct Reciprocal {
  using Types = Floats;
  static constexpr bool kCheap = true;
  template <typename T>
  static T Apply(T x) {
    return 1 / x;
  }
};
struct Sqrt {
  using Types = Floats;
  static constexpr bool kCheap = true;
  template <typename T>
  static T Apply(T x) {
    return std::sqrt(x);
  }
};
struct Log {
  using Types = Floats;
  static constexpr bool kCheap = false;
  template <typename T>
  static T Apply(T x) {
    return std::log(x);
  }
};
struct Sin {
  using Types = Floats;
  static constexpr bool kCheap = false;
  template <typename T>
  static T Apply(T x) {
    return std::sin(x);
  }
};
struct Cos {
  using Types = Floats;
  static constexpr bool kCheap = false;
  template <typename T>
  static T Apply(T x) {
    return std::cos(x);
  }
};

template <typename F>
Status InferUnary(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckSameTypes<typename F::Types>(c, 1));
  return InferSameAsInput0(c);
}

template <typename F>
void RunUnary(OpContext& c) {
  Visit(typename F::Types(), c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = c.In(0).As<T>();
    T* out = c.Out(0).Mutable<T>();
    ForElements(c, c.In(0).Count(), F::kCheap ? kCheapGrain : kCostlyGrain,
                [&](size_t begin, size_t end) {
                  for (size_t i = begin; i < end; ++i) {
                    out[i] = F::template Apply<T>(x[i]);
                  }
                });
  });
}

// --- Clip: bounds are attributes until opset 10, inputs since 11.

struct ClipParams {
  bool has_min = false, has_max = false;
  float min = 0, max = 0;
};

Result<OpParams> ParseClip6(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  ClipParams params;
  params.has_min = attributes.Has("min");
  params.has_max = attributes.Has("max");
  params.min = attributes.Float("min", 0);
  params.max = attributes.Float("max", 0);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

Result<OpParams> ParseClip(AttributeReader& attributes) {
  attributes.CheckArity(1, 3, 1);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(ClipParams());
}

Status InferClip(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckSameTypes<Numbers>(c, 1));
  for (size_t i = 1; i < c.input_count(); ++i) {
    if (!c.HasInput(i)) continue;
    if (c.In(i).dtype != c.In(0).dtype || c.In(i).Count() != 1) {
      return Invalid("bound %zu is %s %s, expected one %s", i,
                     Name(c.In(i).dtype), c.In(i).shape.ToString().c_str(),
                     Name(c.In(0).dtype));
    }
  }
  return InferSameAsInput0(c);
}

void RunClip(OpContext& c) {
  const auto& params = c.Params<ClipParams>();
  Visit(Numbers(), c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    using Limits = std::numeric_limits<T>;
    T low = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    T high = Limits::has_infinity ? Limits::infinity() : Limits::max();
    if (params.has_min) low = static_cast<T>(params.min);
    if (params.has_max) high = static_cast<T>(params.max);
    if (c.HasInput(1)) low = *c.In(1).As<T>();
    if (c.HasInput(2)) high = *c.In(2).As<T>();
    const T* x = c.In(0).As<T>();
    T* out = c.Out(0).Mutable<T>();
    ForElements(c, c.In(0).Count(), kCheapGrain, [&](size_t i, size_t end) {
      // low > high gives high; NaN stays NaN.
      for (; i < end; ++i) {
        const T y = x[i] < low ? low : x[i];
        out[i] = high < y ? high : y;
      }
    });
  });
}

constexpr uint32_t kTraits = kRowwise | kInPlace;

template <typename F>
constexpr OpDef Unary(std::string_view type, int since) {
  return {"",           type,          since,
          kLatestOpset, ParseOneInput, InferUnary<F>,
          RunUnary<F>,  kTraits,       0};
}

constexpr OpDef kOps[] = {
    Unary<Neg>("Neg", 6),
    Unary<Abs>("Abs", 6),
    Unary<Sign>("Sign", 9),
    Unary<Ceil>("Ceil", 6),
    Unary<Floor>("Floor", 6),
    Unary<Round>("Round", 11),
    Unary<Reciprocal>("Reciprocal", 6),
    Unary<Sqrt>("Sqrt", 6),
    Unary<Log>("Log", 6),
    Unary<Sin>("Sin", 7),
    Unary<Cos>("Cos", 7),
    // Integer types came with opset 12; a float attribute bounds floats only.
    {"", "Clip", 6, 10, ParseClip6, InferUnary<Reciprocal>, RunClip, kTraits,
     0},
    {"", "Clip", 11, kLatestOpset, ParseClip, InferClip, RunClip, kTraits, 0},
};

}  // namespace

std::span<const OpDef> UnaryOps() { return kOps; }

}  // namespace slm
