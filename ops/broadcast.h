// SPDX-License-Identifier: MIT
// ONNX's multidirectional broadcasting as one loop: rows of elements that are
// contiguous (step 1) or constant (step 0) in each input.
#ifndef SLM_OPS_BROADCAST_H_
#define SLM_OPS_BROADCAST_H_

#include <algorithm>
#include <array>
#include <initializer_list>

#include "ops/op.h"
#include "runtime/core/shape.h"

namespace slm {

// Shape of all inputs [0, count) broadcast together, or a refusal with both.
Result<Shape> BroadcastInputs(const OpContext& context, size_t count);

class BroadcastLoop {
 public:
  static constexpr size_t kMaxInputs = 3;

  // The inputs broadcast to `output`. Neighbouring axes that are contiguous in
  // every input are merged: [T, D] + [T, D] is one row, [T, D] + [D] T rows.
  BroadcastLoop(const Shape& output,
                std::initializer_list<const Shape*> inputs);

  // 1 or 0: how input k advances within a row.
  size_t Step(size_t k) const { return step_[k]; }
  size_t Count() const { return count_; }

  // Elements [begin, end) of the output as pieces of rows:
  // body(output offset, number of elements, offsets of the inputs).
  template <typename Body>
  void ForRows(size_t begin, size_t end, const Body& body) const {
    if (begin >= end) return;
    size_t row = begin / inner_, column = begin % inner_;
    std::array<size_t, Shape::kMaxRank> index = {};
    Offsets base = Seek(row, index);
    while (begin < end) {
      const size_t n = std::min(inner_ - column, end - begin);
      Offsets at = base;
      for (size_t k = 0; k < kMaxInputs; ++k) at[k] += column * step_[k];
      body(begin, n, at);
      begin += n;
      column = 0;
      Advance(index, base);
    }
  }

 private:
  using Offsets = std::array<size_t, kMaxInputs>;

  Offsets Seek(size_t row, std::array<size_t, Shape::kMaxRank>& index) const;
  void Advance(std::array<size_t, Shape::kMaxRank>& index,
               Offsets& offsets) const {
    for (size_t d = outer_rank_; d-- > 0;) {
      if (++index[d] < dims_[d]) {
        for (size_t k = 0; k < kMaxInputs; ++k) offsets[k] += strides_[k][d];
        return;
      }
      index[d] = 0;
      for (size_t k = 0; k < kMaxInputs; ++k) {
        offsets[k] -= strides_[k][d] * (dims_[d] - 1);
      }
    }
  }

  size_t count_ = 0;
  size_t inner_ = 1;       // length of a row
  size_t outer_rank_ = 0;  // axes that count rows
  std::array<size_t, Shape::kMaxRank> dims_ = {};
  std::array<std::array<size_t, Shape::kMaxRank>, kMaxInputs> strides_ = {};
  Offsets step_ = {};
};

}  // namespace slm

#endif  // SLM_OPS_BROADCAST_H_
