// SPDX-License-Identifier: MIT
// Second moments of the rows that a matrix is multiplied with, and what GPTQ
// needs of them. Results do not depend on the number of threads or on the SIMD
// target.
#ifndef SLM_QUANT_HESSIAN_H_
#define SLM_QUANT_HESSIAN_H_

#include <cstddef>

#include "runtime/core/threads.h"

namespace slm {

// h [k, k] += x^T x for x [rows, k]: on and above the diagonal; what is below
// is left undefined. One chain of sums an element, in the order of the rows.
void AddOuterProducts(const float* x, size_t rows, size_t k, float* h,
                      ThreadPool& threads);

// In place: of H (on and above the diagonal) the upper triangular U with
// (H + d I)^-1 = U^T U, d = damping * mean of H's diagonal, zeros below the
// diagonal. False where that is not positive definite in float32; h is then
// undefined.
bool InverseFactor(size_t k, double damping, float* h, ThreadPool& threads);

}  // namespace slm

#endif  // SLM_QUANT_HESSIAN_H_
