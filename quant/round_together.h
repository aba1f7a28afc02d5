// SPDX-License-Identifier: MIT
// Codes of a block rounded together, not each for itself.
#ifndef SLM_QUANT_ROUND_TOGETHER_H_
#define SLM_QUANT_ROUND_TOGETHER_H_

#include <cstddef>

#include "quant/quantize.h"
#include "runtime/core/threads.h"

namespace slm {

// Columns whose second moments are known together.
inline constexpr size_t kMomentColumns = 32;

// Rounding two columns that are large together the same way adds their errors,
// rounding them opposite ways cancels them. For w [rows, k] and codes, scales
// and zero points of it in `out`, changes codes so that for every group of
// kMomentColumns columns
//   e^T M e,   e = w - (q - z) s,
// falls: each code in turn to its best value while the others stay, three times
// over. Scales and zero points stay. moments [k, kMomentColumns]: row c is M's
// of the group of c, the mean of x_c x_j for its columns j; finite. Results do
// not depend on the number of threads.
void RoundTogether(const QuantizeOptions& options, const float* w, size_t rows,
                   size_t k, const float* moments, ThreadPool& threads,
                   const QuantizedRows& out);

}  // namespace slm

#endif  // SLM_QUANT_ROUND_TOGETHER_H_
