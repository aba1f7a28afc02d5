// SPDX-License-Identifier: MIT
#include "ops/broadcast.h"

namespace slm {

Result<Shape> BroadcastInputs(const OpContext& context, size_t count) {
  Shape shape = context.In(0).shape;
  for (size_t i = 1; i < count; ++i) {
    const auto both = Broadcast(shape, context.In(i).shape);
    if (!both) {
      return Invalid("shapes %s and %s do not broadcast",
                     shape.ToString().c_str(),
                     context.In(i).shape.ToString().c_str());
    }
    shape = *both;
  }
  return shape;
}

BroadcastLoop::BroadcastLoop(const Shape& output,
                             std::initializer_list<const Shape*> inputs)
    : count_(output.Count()) {
  SLM_DCHECK(inputs.size() <= kMaxInputs);
  // Contiguous strides of each input, 0 along the axes that it repeats.
  std::array<std::array<size_t, Shape::kMaxRank>, kMaxInputs> strides = {};
  size_t k = 0;
  for (const Shape* input : inputs) {
    size_t stride = 1;
    for (size_t i = 0; i < input->rank(); ++i) {
      const size_t dim = static_cast<size_t>(input->back(i));
      if (dim != 1) strides[k][output.rank() - 1 - i] = stride;
      stride *= dim;
    }
    ++k;
  }
  // Merge axes from the left; axes of size 1 vanish.
  size_t rank = 0;
  for (size_t d = 0; d < output.rank(); ++d) {
    const size_t dim = static_cast<size_t>(output[d]);
    if (dim == 1) continue;
    bool merge = rank > 0;
    for (k = 0; merge && k < kMaxInputs; ++k) {
      merge = strides_[k][rank - 1] == strides[k][d] * dim;
    }
    if (!merge) dims_[rank++] = 1;
    dims_[rank - 1] *= dim;
    for (k = 0; k < kMaxInputs; ++k) strides_[k][rank - 1] = strides[k][d];
  }
  if (rank > 0) {
    outer_rank_ = rank - 1;
    inner_ = std::max<size_t>(dims_[rank - 1], 1);
    for (k = 0; k < kMaxInputs; ++k) step_[k] = strides_[k][rank - 1];
  }
}

BroadcastLoop::Offsets BroadcastLoop::Seek(
    size_t row, std::array<size_t, Shape::kMaxRank>& index) const {
  Offsets offsets = {};
  for (size_t d = outer_rank_; d-- > 0;) {
    index[d] = row % dims_[d];
    row /= dims_[d];
    for (size_t k = 0; k < kMaxInputs; ++k) {
      offsets[k] += index[d] * strides_[k][d];
    }
  }
  return offsets;
}

}  // namespace slm
