// SPDX-License-Identifier: MIT
// Fixed scales (quant/formats.h) of those that files hold.
#ifndef SLM_OPS_KERNELS_FIXED_SCALES_H_
#define SLM_OPS_KERNELS_FIXED_SCALES_H_

#include <cstddef>
#include <cstdint>

#include "runtime/core/dtype.h"

namespace slm {

// `scales` [rows, blocks] of kF32, kF16 or kBF16, aligned to their size, to
// `out` [rows, blocks + kFixedScaleUnit]. Of each row, in float32:
//   unit = max|scale| / 32767
//   q[i] = to the nearest int, ties to even, of scale[i] * (32767 / max|scale|)
// and a row of zeros has unit 0. A scale errs by half a unit at most, 2^-16 of
// the largest of its row. False, with anything in `out`, where that is too much
// for most of a row: more than half of its scales are not 0, but below 1/128 of
// the largest (others move by less than 2^-8.9 of themselves); or a scale is
// not finite; or a unit is below 2^-126. No target differs in a bit.
bool FixScales(DType dtype, const void* scales, size_t rows, size_t blocks,
               int16_t* out);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_FIXED_SCALES_H_
