// SPDX-License-Identifier: MIT
// Values of GGUF's blocks, bit for bit those of the format's own reference
// (the quants of the gguf package): products in float32, none of them fused.
#ifndef SLM_LOADER_GGUF_BLOCKS_H_
#define SLM_LOADER_GGUF_BLOCKS_H_

#include <cstddef>
#include <cstdint>

#include "loader/gguf.h"

namespace slm {

// out [count]; count is a multiple of the block. `bytes` need no alignment.
void DequantizeGguf(GgufType type, const char* bytes, size_t count, float* out);

// Types whose values are (code - zero) * scale with whole codes, as those of
// MatMulNBits without zero points are.
struct GgufGrid {
  unsigned bits = 0;  // of the codes; 0: no such grid
  size_t block = 0;   // values that share a scale
  int zero = 0;       // the code of 0
};
GgufGrid GridOf(GgufType type);

// codes [count] and scales [count / grid.block] of such a type.
void GgufCodes(GgufType type, const char* bytes, size_t count, uint8_t* codes,
               float* scales);

}  // namespace slm

#endif  // SLM_LOADER_GGUF_BLOCKS_H_
