// SPDX-License-Identifier: MIT
// Scalar twins of the kernels: slow, obvious, the oracle of their tests.
#ifndef SLM_QUANT_REFERENCE_H_
#define SLM_QUANT_REFERENCE_H_

#include <cstddef>

#include "quant/formats.h"

namespace slm::reference {

// Element `i` of a float32, float16 or bfloat16 array without alignment.
double LoadFloat(const void* data, DType dtype, size_t i);
// Stored integer at [n, k].
int Quantized(const BlockQuantMatrix& b, size_t n, size_t k);
// Zero point and scale of column k's block in row n.
double ZeroPoint(const BlockQuantMatrix& b, size_t n, size_t k);
double Scale(const BlockQuantMatrix& b, size_t n, size_t k);

// out [k] = row n of b in float32.
void DequantizeRow(const BlockQuantMatrix& b, size_t n, float* out);

// y [n] = a [k] * dequant(b)^T + bias [n] (or null), all in double.
void QGemvDouble(const float* a, const BlockQuantMatrix& b, const float* bias,
                 double* y);

}  // namespace slm::reference

#endif  // SLM_QUANT_REFERENCE_H_
