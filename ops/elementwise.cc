// SPDX-License-Identifier: MIT
// Arithmetic with ONNX's broadcasting: Add, Mul, Pow, Mod, Min, Max, Sum ...
// Integers wrap around; division by zero gives 0 (ONNX leaves it undefined).
#include <cmath>
#include <cstring>

#include "ops/binary.h"
#include "ops/families.h"

namespace slm {
namespace {

// Arithmetic of integers in uint64_t, where overflow is defined.
template <typename T>
constexpr uint64_t Bits(T value) {
  return static_cast<uint64_t>(value);
}

struct Add {
  using Types = Numbers;
  template <typename T>
  static T Apply(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
      return a + b;
    else
      return static_cast<T>(Bits(a) + Bits(b));
  }
};

struct Sub {
  using Types = Numbers;
  template <typename T>
  static T Apply(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
      return a - b;
    else
      return static_cast<T>(Bits(a) - Bits(b));
  }
};

struct Mul {
  using Types = Numbers;
  template <typename T>
  static T Apply(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
      return a * b;
    else
      return static_cast<T>(Bits(a) * Bits(b));
  }
};

struct Div {
  using Types = Numbers;
  template <typename T>
  static T Apply(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      return a / b;
    } else {
      if (b == 0) return 0;
      // The least integer / -1 overflows in C++; it wraps to itself.
      if constexpr (std::is_signed_v<T>) {
        if (b == T(-1)) return static_cast<T>(0 - Bits(a));
      }
      return static_cast<T>(a / b);
    }
  }
};

// Remainder with the sign of the divisor (Python's %).
struct Mod {
  using Types = Integers;
  template <typename T>
  static T Apply(T a, T b) {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
      if (b == T(-1)) return 0;
      const T r = static_cast<T>(a % b);
      return r != 0 && (r < 0) != (b < 0) ? static_cast<T>(r + b) : r;
    } else {
      return static_cast<T>(a % b);
    }
  }
};

// Remainder with the sign of the dividend (C's % and fmod).
struct Fmod {
  using Types = Numbers;
  template <typename T>
  static T Apply(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      return std::fmod(a, b);
    } else {
      if (b == 0) return 0;
      if constexpr (std::is_signed_v<T>) {
        if (b == T(-1)) return 0;
      }
      return static_cast<T>(a % b);
    }
  }
};

// A NaN on either side wins, as in NumPy and ONNX Runtime.
struct Min {
  using Types = Numbers;
  template <typename T>
  static T Apply(T a, T b) {
    return b < a || b != b ? b : a;
  }
};

struct Max {
  using Types = Numbers;
  template <typename T>
  static T Apply(T a, T b) {
    return a < b || b != b ? b : a;
  }
};

// slope * x for negative x.
struct PRelu {
  using Types = Numbers;
  template <typename T>
  static T Apply(T x, T slope) {
    return x < T(0) ? Mul::Apply<T>(x, slope) : x;
  }
};

struct ModParams {
  bool fmod = false;
};

Result<OpParams> ParseMod(AttributeReader& attributes) {
  attributes.CheckArity(2, 2, 1);
  ModParams params;
  params.fmod = attributes.Int("fmod", 0) != 0;
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

Status InferMod(OpContext& c) {
  if (IsFloat(c.In(0).dtype) && !c.Params<ModParams>().fmod) {
    return Invalid("attribute \"fmod\" is 0, type %s needs 1",
                   Name(c.In(0).dtype));
  }
  return InferBinary<Fmod>(c);
}

void RunMod(OpContext& c) {
  return c.Params<ModParams>().fmod ? RunBinary<Fmod>(c) : RunBinary<Mod>(c);
}

// --- Pow: base and exponent have types of their own.

using PowBases = TypeList<float, double, int32_t, int64_t>;

double NumberAt(const TensorView& t, size_t i) {
  double value = 0;
  Visit(Numbers(), t.dtype, [&](auto tag) {
    value = static_cast<double>(t.As<decltype(tag)>()[i]);
  });
  return value;
}

// By repeated squaring, wrapping; a negative exponent rounds towards zero.
template <typename T>
T IntegerPower(T base, int64_t exponent) {
  if (exponent < 0) {
    if (base == T(-1)) return exponent % 2 ? T(-1) : T(1);
    return base == T(1) ? T(1) : T(0);
  }
  uint64_t result = 1, square = Bits(base);
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result *= square;
    square *= square;
  }
  return static_cast<T>(result);
}

template <typename T>
T Power(T base, double exponent) {
  if constexpr (std::is_integral_v<T>) {
    // Exponents are whole and small wherever an integer base makes sense.
    if (exponent == std::floor(exponent) && std::abs(exponent) < 0x1p53) {
      return IntegerPower(base, static_cast<int64_t>(exponent));
    }
    const double value = std::pow(static_cast<double>(base), exponent);
    // A double beyond T has no defined conversion; NaN neither.
    constexpr double kLimit = sizeof(T) == 4 ? 0x1p31 : 0x1p63;
    return value > -kLimit && value < kLimit ? static_cast<T>(value) : T(0);
  } else {
    return std::pow(base, static_cast<T>(exponent));
  }
}

Status InferPow(OpContext& c) {
  SLM_ASSIGN_OR_RETURN(const Shape shape, BroadcastInputs(c, 2));
  if (!Contains(PowBases(), c.In(0).dtype) ||
      !Contains(Numbers(), c.In(1).dtype)) {
    return Invalid("types %s ^ %s are not supported", Name(c.In(0).dtype),
                   Name(c.In(1).dtype));
  }
  c.SetOutput(0, c.In(0).dtype, shape);
  return OkStatus();
}

// x^2 (squared ReLU, variances), x^3 and x^0.5 by arithmetic: pow costs 20 ns.
template <typename T>
bool RunFixedPower(const OpContext& c, const T* x, double e, T* out) {
  if constexpr (std::is_floating_point_v<T>) {
    if (e != 2 && e != 3 && e != 0.5) return false;
    ForElements(c, c.Out(0).Count(), kCheapGrain, [&](size_t i, size_t end) {
      if (e == 2) {
        for (; i < end; ++i) out[i] = x[i] * x[i];
      } else if (e == 3) {
        for (; i < end; ++i) out[i] = x[i] * x[i] * x[i];
      } else {
        // pow(-inf, 0.5) is +inf, sqrt(-inf) NaN: keep pow's answer.
        for (; i < end; ++i) {
          out[i] = std::isinf(x[i]) ? std::abs(x[i]) : std::sqrt(x[i]);
        }
      }
    });
    return true;
  }
  return false;
}

void RunPow(OpContext& c) {
  Visit(PowBases(), c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = c.In(0).As<T>();
    T* out = c.Out(0).Mutable<T>();
    const TensorView& e = c.In(1);
    if (e.Count() == 1 && c.Out(0).Count() == c.In(0).Count() &&
        RunFixedPower(c, x, NumberAt(e, 0), out)) {
      return;
    }
    const BroadcastLoop loop(c.Out(0).shape, {&c.In(0).shape, &e.shape});
    ForElements(c, loop.Count(), kCostlyGrain, [&](size_t begin, size_t end) {
      loop.ForRows(begin, end, [&](size_t at, size_t n, const auto& in) {
        for (size_t i = 0; i < n; ++i) {
          out[at + i] = Power(x[in[0] + i * loop.Step(0)],
                              NumberAt(e, in[1] + i * loop.Step(1)));
        }
      });
    });
  });
}

// --- Min, Max, Sum, Mean of any number of inputs: out = f(out, input k).

constexpr size_t kMaxVariadic = 64;

Result<OpParams> ParseVariadic(AttributeReader& attributes) {
  attributes.CheckArity(1, kMaxVariadic, 1);
  for (size_t i = 0; i < attributes.node().inputs.size(); ++i) {
    attributes.FailUnless(attributes.HasInput(i),
                          Format("input %zu is missing", i));
  }
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return OpParams();
}

template <typename Types>
Status InferVariadic(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckSameTypes<Types>(c, c.input_count()));
  SLM_ASSIGN_OR_RETURN(const Shape shape, BroadcastInputs(c, c.input_count()));
  c.SetOutput(0, c.In(0).dtype, shape);
  return OkStatus();
}

struct First {
  template <typename T>
  static T Apply(T a, T) {
    return a;
  }
};

template <typename F, typename T>
void Accumulate(OpContext& c) {
  const TensorView& out = c.Out(0);
  if (c.input_count() == 1) {
    BinaryInto<First, T, T>(c, c.In(0), c.In(0), out);
    return;
  }
  // The first two inputs may be smaller than the output: both broadcast.
  BinaryInto<F, T, T>(c, c.In(0), c.In(1), out);
  for (size_t i = 2; i < c.input_count(); ++i) {
    BinaryInto<F, T, T>(c, out, c.In(i), out);
  }
}

template <typename F>
void RunVariadic(OpContext& c) {
  Visit(Numbers(), c.In(0).dtype,
        [&](auto tag) { Accumulate<F, decltype(tag)>(c); });
}

void RunMean(OpContext& c) {
  Visit(Floats(), c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    Accumulate<Add, T>(c);
    T* out = c.Out(0).Mutable<T>();
    const T count = static_cast<T>(c.input_count());
    for (size_t i = 0; i < c.Out(0).Count(); ++i) out[i] /= count;
  });
}

// --- BitShift

struct ShiftLeft {
  using Types = Unsigned;
  template <typename T>
  static T Apply(T a, T b) {
    return b < sizeof(T) * 8 ? static_cast<T>(Bits(a) << b) : T(0);
  }
};

struct ShiftRight {
  using Types = Unsigned;
  template <typename T>
  static T Apply(T a, T b) {
    return b < sizeof(T) * 8 ? static_cast<T>(a >> b) : T(0);
  }
};

struct ShiftParams {
  bool left = false;
};

Result<OpParams> ParseBitShift(AttributeReader& attributes) {
  attributes.CheckArity(2, 2, 1);
  const std::string direction = attributes.String("direction", "");
  attributes.FailUnless(
      direction == "LEFT" || direction == "RIGHT",
      Format("attribute \"direction\" = \"%s\", expected LEFT or RIGHT",
             Printable(direction).c_str()));
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(ShiftParams{direction == "LEFT"});
}

void RunBitShift(OpContext& c) {
  return c.Params<ShiftParams>().left ? RunBinary<ShiftLeft>(c)
                                      : RunBinary<ShiftRight>(c);
}

// Not in place with more inputs: in Sum(x, y, x) the third is read after the
// first sum was written.
constexpr uint32_t kTraits = kRowwise | kInPlace;
constexpr auto* kTwo = ParseTwoInputs;
constexpr auto* kAny = ParseVariadic;

constexpr OpDef kOps[] = {
    {"", "Add", 7, kLatestOpset, kTwo, InferBinary<Add>, RunBinary<Add>,
     kTraits, 0},
    {"", "Sub", 7, kLatestOpset, kTwo, InferBinary<Sub>, RunBinary<Sub>,
     kTraits, 0},
    {"", "Mul", 7, kLatestOpset, kTwo, InferBinary<Mul>, RunBinary<Mul>,
     kTraits, 0},
    {"", "Div", 7, kLatestOpset, kTwo, InferBinary<Div>, RunBinary<Div>,
     kTraits, 0},
    {"", "Mod", 10, kLatestOpset, ParseMod, InferMod, RunMod, kTraits, 0},
    {"", "Pow", 7, kLatestOpset, kTwo, InferPow, RunPow, kTraits, 0},
    {"", "PRelu", 9, kLatestOpset, kTwo, InferBinary<PRelu>, RunBinary<PRelu>,
     kTraits, 0},
    {"", "Min", 8, kLatestOpset, kAny, InferVariadic<Numbers>, RunVariadic<Min>,
     kRowwise, 0},
    {"", "Max", 8, kLatestOpset, kAny, InferVariadic<Numbers>, RunVariadic<Max>,
     kRowwise, 0},
    {"", "Sum", 8, kLatestOpset, kAny, InferVariadic<Floats>, RunVariadic<Add>,
     kRowwise, 0},
    {"", "Mean", 8, kLatestOpset, kAny, InferVariadic<Floats>, RunMean,
     kRowwise, 0},
    {"", "BitShift", 11, kLatestOpset, ParseBitShift, InferBinary<ShiftLeft>,
     RunBitShift, kTraits, 0},
};

}  // namespace

std::span<const OpDef> ElementwiseOps() { return kOps; }

}  // namespace slm
