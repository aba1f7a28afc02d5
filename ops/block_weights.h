// SPDX-License-Identifier: MIT
// Checks the tensors of block-quantised weights against the sizes that a node
// states, for MatMulNBits and QMoE.
#ifndef SLM_OPS_BLOCK_WEIGHTS_H_
#define SLM_OPS_BLOCK_WEIGHTS_H_

#include "quant/formats.h"
#include "runtime/core/result.h"
#include "runtime/core/tensor.h"

namespace slm {

struct BlockWeights {
  size_t n = 0;
  size_t k = 0;
  int bits = 4;
  size_t block_size = 0;
  const TensorView* data = nullptr;  // uint8 [N, K/bs, bs*bits/8]
  // float, float16, bfloat16 [N, K/bs]; `fixed_scales`: int16 as in formats.h
  const TensorView* scales = nullptr;
  const TensorView* zero_points =
      nullptr;                // packed uint8, like scales, or none
  bool fixed_scales = false;  // the plan made the scales: no file holds such
};

// The matrix that kernels read, or what does not fit. Also takes tensors
// without data (dry runs).
Result<BlockQuantMatrix> MakeBlockQuantMatrix(const BlockWeights& weights);

}  // namespace slm

#endif  // SLM_OPS_BLOCK_WEIGHTS_H_
