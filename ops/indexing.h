// SPDX-License-Identifier: MIT
// Indices from tensors: checked in infer, and never trusted in run.
#ifndef SLM_OPS_INDEXING_H_
#define SLM_OPS_INDEXING_H_

#include <cstdint>

#include "ops/op.h"

namespace slm {

// Negative indices count from the end; -1 for one that is out of range, which
// infer has refused where it knew the values.
inline int64_t WrapIndex(int64_t index, int64_t dim) {
  if (index < -dim || index >= dim) return -1;
  return index < 0 ? index + dim : index;
}

// Refuses indices of input i outside [-dim, dim), if their values are known.
Status CheckIndices(const OpContext& context, size_t input, int64_t dim);

// The same for index tuples along the last axis: element k of a tuple indexes
// axis first + k of `shape`.
Status CheckIndexTuples(const OpContext& context, size_t input,
                        const Shape& shape, size_t first);

}  // namespace slm

#endif  // SLM_OPS_INDEXING_H_
