// SPDX-License-Identifier: MIT
#include "ops/matmul_shape.h"

namespace slm {

size_t MatMulShape::Matrix(const Shape& stored, size_t i) const {
  size_t index = 0;
  size_t stride = 1;
  for (size_t axis = 0; axis < batch.rank(); ++axis) {  // last axis first
    const size_t dim = static_cast<size_t>(batch.back(axis));
    if (axis < stored.rank() && stored.back(axis) != 1) {
      index += i % dim * stride;
      stride *= static_cast<size_t>(stored.back(axis));
    }
    i /= dim;
  }
  return index;
}

Result<MatMulShape> MakeMatMulShape(const Shape& a, const Shape& b,
                                    bool transpose_a, bool transpose_b) {
  if (a.rank() == 0 || b.rank() == 0) {
    return Invalid("a scalar has no matrix product: A %s x B %s",
                   a.ToString().c_str(), b.ToString().c_str());
  }
  const bool row = a.rank() == 1;     // A is one row, Y has no M axis
  const bool column = b.rank() == 1;  // B is one column, Y has no N axis
  transpose_a = transpose_a && !row;
  transpose_b = transpose_b && !column;
  MatMulShape s;
  const int64_t m = row ? 1 : a.back(transpose_a ? 0 : 1);
  const int64_t k = row ? a[0] : a.back(transpose_a ? 1 : 0);
  const int64_t k_of_b = column ? b[0] : b.back(transpose_b ? 0 : 1);
  const int64_t n = column ? 1 : b.back(transpose_b ? 1 : 0);
  if (k != k_of_b) {
    return Invalid("inner sizes differ: A %s%s x B %s%s", a.ToString().c_str(),
                   transpose_a ? " transposed" : "", b.ToString().c_str(),
                   transpose_b ? " transposed" : "");
  }
  if (!row) s.a_batch = Shape(a.dims().first(a.rank() - 2));
  if (!column) s.b_batch = Shape(b.dims().first(b.rank() - 2));
  const auto batch = Broadcast(s.a_batch, s.b_batch);
  if (!batch) {
    return Invalid("batch axes do not broadcast: A %s x B %s",
                   a.ToString().c_str(), b.ToString().c_str());
  }
  s.batch = *batch;
  Shape dims = *batch;  // rank <= kMaxRank: batch axes are two fewer
  if (!row) dims.Append(m);
  if (!column) dims.Append(n);
  const auto output = Shape::Make(dims.dims());
  if (!output) {
    return Invalid("product of A %s x B %s is too large", a.ToString().c_str(),
                   b.ToString().c_str());
  }
  s.output = *output;
  s.m = static_cast<size_t>(m);
  s.k = static_cast<size_t>(k);
  s.n = static_cast<size_t>(n);
  return s;
}

}  // namespace slm
