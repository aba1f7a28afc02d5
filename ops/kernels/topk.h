// SPDX-License-Identifier: MIT
// Maxima and large entries of long rows of scores, with which selecting a token
// begins. NaN never wins.
#ifndef SLM_OPS_KERNELS_TOPK_H_
#define SLM_OPS_KERNELS_TOPK_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace slm {

// Index of the first maximum; 0 where there is no number.
size_t FirstMaximum(std::span<const float> scores);

// maxima[i] = the largest of scores [i * block, (i + 1) * block), -infinity
// without a number; for ceil(size / block) blocks.
void BlockMaxima(std::span<const float> scores, size_t block, float* maxima);

// Writes the indices of scores that are at least `least` and not at least
// `below` (NaN: without such a bound), ascending; returns how many. `places`
// has room for one a score.
size_t PlacesBetween(std::span<const float> scores, float least, float below,
                     uint32_t* places);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_TOPK_H_
