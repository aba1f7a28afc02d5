// SPDX-License-Identifier: MIT
// The shapes of a (batched) matrix product, shared by the MatMul family.
#ifndef SLM_OPS_MATMUL_SHAPE_H_
#define SLM_OPS_MATMUL_SHAPE_H_

#include <cstddef>

#include "runtime/core/result.h"
#include "runtime/core/shape.h"

namespace slm {

// Y [batch..., M, N] = A [batch..., M, K] x B [batch..., K, N], batch axes
// broadcast as numpy.matmul does.
struct MatMulShape {
  Shape output;
  Shape batch;    // broadcast batch axes
  Shape a_batch;  // batch axes of A and B as they are stored
  Shape b_batch;
  size_t m = 0, k = 0, n = 0;

  size_t BatchCount() const { return batch.Count(); }
  // B has one matrix and A all batches, so that the product is one
  // [batch * M, K] x [K, N].
  bool Folds() const {
    return b_batch.Count() == 1 && a_batch.Count() == BatchCount();
  }
  // Number of the matrix of A or B that batch entry i takes.
  size_t MatrixA(size_t i) const { return Matrix(a_batch, i); }
  size_t MatrixB(size_t i) const { return Matrix(b_batch, i); }

 private:
  size_t Matrix(const Shape& stored, size_t i) const;
};

// Transposition swaps the last two axes; one of rank 1 is left alone.
Result<MatMulShape> MakeMatMulShape(const Shape& a, const Shape& b,
                                    bool transpose_a = false,
                                    bool transpose_b = false);

}  // namespace slm

#endif  // SLM_OPS_MATMUL_SHAPE_H_
