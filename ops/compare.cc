// SPDX-License-Identifier: MIT
// Comparisons, logic and selection: Equal, Less, And, BitwiseXor, Where ...
#include <cmath>

#include "ops/binary.h"
#include "ops/families.h"

namespace slm {
namespace {

struct Equal {
  using Types = NumbersAndBool;
  template <typename T>
  static bool Apply(T a, T b) {
    return a == b;
  }
};
struct Less {
  using Types = Numbers;
  template <typename T>
  static bool Apply(T a, T b) {
    return a < b;
  }
};
struct LessOrEqual {
  using Types = Numbers;
  template <typename T>
  static bool Apply(T a, T b) {
    return a <= b;
  }
};
struct Greater {
  using Types = Numbers;
  template <typename T>
  static bool Apply(T a, T b) {
    return a > b;
  }
};
struct GreaterOrEqual {
  using Types = Numbers;
  template <typename T>
  static bool Apply(T a, T b) {
    return a >= b;
  }
};
struct And {
  using Types = TypeList<bool>;
  template <typename T>
  static bool Apply(T a, T b) {
    return a && b;
  }
};
struct Or {
  using Types = TypeList<bool>;
  template <typename T>
  static bool Apply(T a, T b) {
    return a || b;
  }
};
struct Xor {
  using Types = TypeList<bool>;
  template <typename T>
  static bool Apply(T a, T b) {
    return a != b;
  }
};

struct BitwiseAnd {
  using Types = Integers;
  template <typename T>
  static T Apply(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct BitwiseOr {
  using Types = Integers;
  template <typename T>
  static T Apply(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct BitwiseXor {
  using Types = Integers;
  template <typename T>
  static T Apply(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};

Status InferBitwiseNot(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckSameTypes<Integers>(c, 1));
  return InferSameAsInput0(c);
}

void RunBitwiseNot(OpContext& c) {
  const uint8_t* x = c.In(0).Raw();
  uint8_t* out = static_cast<uint8_t*>(c.Out(0).data);
  for (size_t i = 0; i < c.Out(0).Bytes(); ++i) {
    out[i] = static_cast<uint8_t>(~x[i]);
  }
}

Status InferNot(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckSameTypes<TypeList<bool>>(c, 1));
  return InferSameAsInput0(c);
}

void RunNot(OpContext& c) {
  const bool* x = c.In(0).As<bool>();
  bool* out = c.Out(0).Mutable<bool>();
  for (size_t i = 0; i < c.Out(0).Count(); ++i) out[i] = !x[i];
}

// --- IsNaN, IsInf

Status InferFloatPredicate(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckSameTypes<Floats>(c, 1));
  c.SetOutput(0, DType::kBool, c.In(0).shape);
  return OkStatus();
}

void RunIsNaN(OpContext& c) {
  Visit(Floats(), c.In(0).dtype, [&](auto tag) {
    const auto* x = c.In(0).As<decltype(tag)>();
    bool* out = c.Out(0).Mutable<bool>();
    for (size_t i = 0; i < c.Out(0).Count(); ++i) out[i] = std::isnan(x[i]);
  });
}

struct IsInfParams {
  bool positive = true, negative = true;
};

Result<OpParams> ParseIsInf(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  IsInfParams params;
  params.positive = attributes.Int("detect_positive", 1) != 0;
  params.negative = attributes.Int("detect_negative", 1) != 0;
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

void RunIsInf(OpContext& c) {
  const auto& params = c.Params<IsInfParams>();
  Visit(Floats(), c.In(0).dtype, [&](auto tag) {
    const auto* x = c.In(0).As<decltype(tag)>();
    bool* out = c.Out(0).Mutable<bool>();
    for (size_t i = 0; i < c.Out(0).Count(); ++i) {
      out[i] =
          std::isinf(x[i]) && (x[i] > 0 ? params.positive : params.negative);
    }
  });
}

// --- Where(condition, x, y)

Result<OpParams> ParseWhere(AttributeReader& attributes) {
  attributes.CheckArity(3, 3, 1);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return OpParams();
}

Status InferWhere(OpContext& c) {
  if (c.In(0).dtype != DType::kBool) {
    return Invalid("condition has type %s, expected bool", Name(c.In(0).dtype));
  }
  if (c.In(1).dtype != c.In(2).dtype || !IsMovable(c.In(1).dtype)) {
    return Invalid("types %s and %s: expected the same", Name(c.In(1).dtype),
                   Name(c.In(2).dtype));
  }
  SLM_ASSIGN_OR_RETURN(const Shape shape, BroadcastInputs(c, 3));
  c.SetOutput(0, c.In(1).dtype, shape);
  return OkStatus();
}

void RunWhere(OpContext& c) {
  const BroadcastLoop loop(c.Out(0).shape,
                           {&c.In(0).shape, &c.In(1).shape, &c.In(2).shape});
  const bool* condition = c.In(0).As<bool>();
  VisitWidth(c.In(1).dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* x = static_cast<const T*>(c.In(1).data);
    const T* y = static_cast<const T*>(c.In(2).data);
    T* out = static_cast<T*>(c.Out(0).data);
    ForElements(c, loop.Count(), kCheapGrain, [&](size_t begin, size_t end) {
      loop.ForRows(begin, end, [&](size_t at, size_t n, const auto& in) {
        for (size_t i = 0; i < n; ++i) {
          out[at + i] = condition[in[0] + i * loop.Step(0)]
                            ? x[in[1] + i * loop.Step(1)]
                            : y[in[2] + i * loop.Step(2)];
        }
      });
    });
  });
}

constexpr auto* kTwo = ParseTwoInputs;

template <typename F>
constexpr OpDef Compare(std::string_view type, int since) {
  return {
      "",       type, since, kLatestOpset, kTwo, InferCompare<F>, RunCompare<F>,
      kRowwise, 0};
}

template <typename F>
constexpr OpDef Bitwise(std::string_view type) {
  return {"",   type,           18,           kLatestOpset,
          kTwo, InferBinary<F>, RunBinary<F>, kRowwise | kInPlace,
          0};
}

constexpr OpDef kOps[] = {
    Compare<Equal>("Equal", 7),
    Compare<Less>("Less", 7),
    Compare<LessOrEqual>("LessOrEqual", 12),
    Compare<Greater>("Greater", 7),
    Compare<GreaterOrEqual>("GreaterOrEqual", 12),
    Compare<And>("And", 7),
    Compare<Or>("Or", 7),
    Compare<Xor>("Xor", 7),
    Bitwise<BitwiseAnd>("BitwiseAnd"),
    Bitwise<BitwiseOr>("BitwiseOr"),
    Bitwise<BitwiseXor>("BitwiseXor"),
    {"", "BitwiseNot", 18, kLatestOpset, ParseOneInput, InferBitwiseNot,
     RunBitwiseNot, kRowwise | kInPlace, 0},
    {"", "Not", 1, kLatestOpset, ParseOneInput, InferNot, RunNot,
     kRowwise | kInPlace, 0},
    {"", "IsNaN", 9, kLatestOpset, ParseOneInput, InferFloatPredicate, RunIsNaN,
     kRowwise, 0},
    {"", "IsInf", 10, kLatestOpset, ParseIsInf, InferFloatPredicate, RunIsInf,
     kRowwise, 0},
    {"", "Where", 9, kLatestOpset, ParseWhere, InferWhere, RunWhere, kRowwise,
     0},
};

}  // namespace

std::span<const OpDef> CompareOps() { return kOps; }

}  // namespace slm
