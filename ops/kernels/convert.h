// SPDX-License-Identifier: MIT
// Rows of float16 and bfloat16 to and from float32: the bulk form of
// runtime/core/half.h, with the same results (a NaN's payload aside).
#ifndef SLM_OPS_KERNELS_CONVERT_H_
#define SLM_OPS_KERNELS_CONVERT_H_

#include <cstddef>

#include "runtime/core/dtype.h"

namespace slm {

// `dtype` is kF16 or kBF16. Pointers to 16-bit values need only their own
// alignment; exactly `count` values are read and written.
void FloatsFromHalves(DType dtype, const void* in, size_t count, float* out);
// Rounds to nearest, ties to even; float16 overflows to infinity.
void HalvesFromFloats(DType dtype, const float* in, size_t count, void* out);

// Whether float16 holds every value to its full precision, 2^-11 of the value:
// each is 0 or has a magnitude in [2^-14, 65504].
bool KeepPrecisionAsF16(const float* in, size_t count);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_CONVERT_H_
