// SPDX-License-Identifier: MIT
// Elementwise operators over two inputs that broadcast: a functor F with
//   using Types = TypeList<...>;           element types that ONNX allows
//   template <typename T> static O Apply(T a, T b);
// gives infer and run.
#ifndef SLM_OPS_BINARY_H_
#define SLM_OPS_BINARY_H_

#include <type_traits>

#include "ops/broadcast.h"
#include "ops/op.h"
#include "ops/parallel.h"
#include "ops/types.h"

namespace slm {

// Refuses types that differ or are not in the list.
template <typename Types>
Status CheckSameTypes(const OpContext& c, size_t count) {
  for (size_t i = 1; i < count; ++i) {
    if (c.In(i).dtype != c.In(0).dtype) {
      return Invalid("types differ: %s and %s", Name(c.In(0).dtype),
                     Name(c.In(i).dtype));
    }
  }
  if (!Contains(Types(), c.In(0).dtype)) {
    return Invalid("type %s is not supported", Name(c.In(0).dtype));
  }
  return OkStatus();
}

// out[i] = Apply(a[i], b[i]); steps are 0 (one value) or 1. out may be a or b.
// float rows get a loop for each combination, which vectorises; the others,
// which are short sums over shapes and masks, one loop for all.
template <typename F, typename T, typename O>
void BinaryRow(const T* a, size_t a_step, const T* b, size_t b_step, O* out,
               size_t n) {
  if constexpr (std::is_same_v<T, float>) {
    if (a_step && b_step) {
      for (size_t i = 0; i < n; ++i) out[i] = F::template Apply<T>(a[i], b[i]);
      return;
    }
    if (a_step) {
      const T y = *b;
      for (size_t i = 0; i < n; ++i) out[i] = F::template Apply<T>(a[i], y);
      return;
    }
    if (b_step) {
      const T x = *a;
      for (size_t i = 0; i < n; ++i) out[i] = F::template Apply<T>(x, b[i]);
      return;
    }
  }
  for (size_t i = 0; i < n; ++i) {
    out[i] = F::template Apply<T>(a[i * a_step], b[i * b_step]);
  }
}

template <typename F, typename T, typename O>
void BinaryInto(const OpContext& c, const TensorView& a, const TensorView& b,
                const TensorView& out) {
  const BroadcastLoop loop(out.shape, {&a.shape, &b.shape});
  const T* pa = a.As<T>();
  const T* pb = b.As<T>();
  O* po = out.Mutable<O>();
  ForElements(c, loop.Count(), kCheapGrain, [&](size_t begin, size_t end) {
    loop.ForRows(begin, end, [&](size_t at, size_t n, const auto& in) {
      BinaryRow<F, T, O>(pa + in[0], loop.Step(0), pb + in[1], loop.Step(1),
                         po + at, n);
    });
  });
}

template <typename F>
Status InferBinary(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckSameTypes<typename F::Types>(c, 2));
  SLM_ASSIGN_OR_RETURN(const Shape shape, BroadcastInputs(c, 2));
  c.SetOutput(0, c.In(0).dtype, shape);
  return OkStatus();
}

template <typename F>
void RunBinary(OpContext& c) {
  Visit(typename F::Types(), c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    BinaryInto<F, T, T>(c, c.In(0), c.In(1), c.Out(0));
  });
}

// Comparisons: the same with a bool output.
template <typename F>
Status InferCompare(OpContext& c) {
  SLM_RETURN_IF_ERROR(InferBinary<F>(c));
  c.Out(0).dtype = DType::kBool;
  return OkStatus();
}

template <typename F>
void RunCompare(OpContext& c) {
  Visit(typename F::Types(), c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    BinaryInto<F, T, bool>(c, c.In(0), c.In(1), c.Out(0));
  });
}

// No attributes, exactly two inputs.
inline Result<OpParams> ParseTwoInputs(AttributeReader& attributes) {
  attributes.CheckArity(2, 2, 1);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return OpParams();
}

// No attributes, exactly one input.
inline Result<OpParams> ParseOneInput(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return OpParams();
}

}  // namespace slm

#endif  // SLM_OPS_BINARY_H_
