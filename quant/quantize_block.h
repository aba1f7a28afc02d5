// SPDX-License-Identifier: MIT
// What the algorithms of quantize.cc share.
#ifndef SLM_QUANT_QUANTIZE_BLOCK_H_
#define SLM_QUANT_QUANTIZE_BLOCK_H_

#include <cstddef>
#include <cstdint>

#include "quant/quantize.h"

namespace slm {

inline constexpr size_t kMostBlock = 256;

// One block on its way: values and weights are zero behind the last column.
struct Block {
  size_t size;    // block_size
  size_t length;  // columns that exist
  alignas(64) float x[kMostBlock];
  alignas(64) float weight[kMostBlock];
  // What was found.
  alignas(64) uint8_t codes[kMostBlock];
  float scale;
  int zero_point;
};

// Scale, zero point and codes of one block as kSearch finds them.
void SearchBlock(const QuantizeOptions& options, Block* block);

}  // namespace slm

#endif  // SLM_QUANT_QUANTIZE_BLOCK_H_
