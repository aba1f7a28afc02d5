// SPDX-License-Identifier: MIT
// Copies a strided view into contiguous memory: Transpose, Slice, Expand and
// Tile are this copy with other strides.
#ifndef SLM_OPS_STRIDED_H_
#define SLM_OPS_STRIDED_H_

#include <cstddef>
#include <cstdint>

#include "ops/op.h"

namespace slm {

// Element [i0, i1, ...] lies at offset + sum of i_k * strides[k] (elements).
struct StridedView {
  static constexpr size_t kMaxRank = 2 * Shape::kMaxRank;  // Tile doubles axes

  size_t rank = 0;
  size_t dims[kMaxRank] = {};
  int64_t strides[kMaxRank] = {};
  int64_t offset = 0;

  void Append(size_t dim, int64_t stride) {
    dims[rank] = dim;
    strides[rank] = stride;
    ++rank;
  }
};

// out[dims], contiguous, from `in`; both of `dtype`, which is movable. The
// view must lie inside of `in`.
void CopyStrided(const OpContext& context, StridedView view, DType dtype,
                 const void* in, void* out);

}  // namespace slm

#endif  // SLM_OPS_STRIDED_H_
