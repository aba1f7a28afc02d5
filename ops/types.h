// SPDX-License-Identifier: MIT
// Choosing code by element type at run time: lists of C++ types, and Visit.
// float16 and bfloat16 appear as float here (see ops/op.h).
#ifndef SLM_OPS_TYPES_H_
#define SLM_OPS_TYPES_H_

#include <cstdint>

#include "runtime/core/dtype.h"

namespace slm {

template <typename... Ts>
struct TypeList {};

using Floats = TypeList<float, double>;
using Integers = TypeList<int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t,
                          uint32_t, uint64_t>;
using Unsigned = TypeList<uint8_t, uint16_t, uint32_t, uint64_t>;
using Numbers = TypeList<float, double, int8_t, int16_t, int32_t, int64_t,
                         uint8_t, uint16_t, uint32_t, uint64_t>;
using NumbersAndBool =
    TypeList<float, double, int8_t, int16_t, int32_t, int64_t, uint8_t,
             uint16_t, uint32_t, uint64_t, bool>;

template <typename... Ts>
constexpr bool Contains(TypeList<Ts...>, DType dtype) {
  return ((DTypeOf<Ts>() == dtype) || ...);
}

// visit(T()) for the T of the list that is `dtype`; false if there is none.
template <typename... Ts, typename F>
bool Visit(TypeList<Ts...>, DType dtype, const F& visit) {
  return ((DTypeOf<Ts>() == dtype && (visit(Ts()), true)) || ...);
}

// visit(U()) with the unsigned integer of that many bytes: for ops that move
// elements without looking at them. Types below a byte are not moved.
template <typename F>
void VisitWidth(DType dtype, const F& visit) {
  switch (Info(dtype).bits) {
    case 8:
      return visit(uint8_t());
    case 16:
      return visit(uint16_t());
    case 32:
      return visit(uint32_t());
    case 64:
      return visit(uint64_t());
    default:
      return;
  }
}

// Whole bytes per element: not so for int4 and uint4, which only the
// dequantizing ops read.
constexpr bool IsMovable(DType dtype) { return Info(dtype).bits >= 8; }
constexpr size_t ElementBytes(DType dtype) {
  return static_cast<size_t>(Info(dtype).bits) / 8;
}

}  // namespace slm

#endif  // SLM_OPS_TYPES_H_
