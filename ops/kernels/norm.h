// SPDX-License-Identifier: MIT
// Normalisation of rows, with the residual additions that decoders fuse in.
#ifndef SLM_OPS_KERNELS_NORM_H_
#define SLM_OPS_KERNELS_NORM_H_

#include <cstddef>

#include "runtime/core/threads.h"

namespace slm {

// With s = input + skip + bias (the last two where given), c = cols:
//   kRms      y = s * r * gamma + beta,          r = 1/sqrt(sum(s^2)/c + eps)
//   kLayer    y = (s - m) * r * gamma + beta,    m = sum(s)/c,
//                                   r = 1/sqrt(sum((s - m)^2)/c + eps)
//   kL2       y = s / sqrt(sum(s^2)), 0 where that root is 0
// gamma counts as 1 and beta as 0 where they are nullptr.
enum class NormKind { kRms, kLayer, kL2 };

struct NormCall {
  NormKind kind = NormKind::kRms;
  size_t rows = 0;
  size_t cols = 0;
  float epsilon = 0;
  const float* input = nullptr;  // [rows, cols]
  const float* skip = nullptr;   // [skip_rows, cols]: row r % skip_rows
  size_t skip_rows = 1;
  const float* bias = nullptr;   // [cols]
  const float* gamma = nullptr;  // [cols]
  const float* beta = nullptr;   // [cols]
  float* output = nullptr;       // [rows, cols], may be `input`
  float* sum = nullptr;          // [rows, cols]: s, if wanted
  float* mean = nullptr;         // [rows]: m, if wanted
  float* inverse = nullptr;      // [rows]: r, if wanted
};

// A row's result depends on that row only, whatever the pool and the row's
// neighbours.
void Normalize(const NormCall& call, ThreadPool& pool);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_NORM_H_
