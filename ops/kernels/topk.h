// SPDX-License-Identifier: MIT
// Maxima of long rows of scores, which is where selecting a token begins.
// NaN never wins.
#ifndef SLM_OPS_KERNELS_TOPK_H_
#define SLM_OPS_KERNELS_TOPK_H_

#include <cstddef>
#include <span>

namespace slm {

// Index of the first maximum; 0 where there is no number.
size_t FirstMaximum(std::span<const float> scores);

// maxima[i] = the largest of scores [i * block, (i + 1) * block), -infinity
// without a number; for ceil(size / block) blocks.
void BlockMaxima(std::span<const float> scores, size_t block, float* maxima);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_TOPK_H_
