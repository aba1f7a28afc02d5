// SPDX-License-Identifier: MIT
// TensorView borrows contiguous row-major memory; whoever made it says how
// long the memory lives.
#ifndef SLM_RUNTIME_CORE_TENSOR_H_
#define SLM_RUNTIME_CORE_TENSOR_H_

#include <span>

#include "runtime/core/check.h"
#include "runtime/core/dtype.h"
#include "runtime/core/shape.h"

namespace slm {

struct TensorView {
  void* data = nullptr;  // constants are mapped read-only: never write there
  DType dtype = DType::kF32;
  Shape shape;

  size_t Count() const { return shape.Count(); }
  size_t Bytes() const { return BytesFor(dtype, Count()); }

  // Element access as T; T must be the tensor's type.
  template <typename T>
  const T* As() const {
    SLM_DCHECK(DTypeOf<T>() == dtype);
    return static_cast<const T*>(data);
  }
  template <typename T>
  T* Mutable() const {
    SLM_DCHECK(DTypeOf<T>() == dtype);
    return static_cast<T*>(data);
  }
  template <typename T>
  std::span<const T> Span() const {
    return {As<T>(), Count()};
  }
  const uint8_t* Raw() const { return static_cast<const uint8_t*>(data); }
};

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_TENSOR_H_
