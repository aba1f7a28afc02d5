// SPDX-License-Identifier: MIT
#ifndef SLM_OPS_KERNELS_SOFTMAX_H_
#define SLM_OPS_KERNELS_SOFTMAX_H_

#include <cstddef>

#include "runtime/core/threads.h"

namespace slm {

// Over the middle axis of x [outer, n, inner], with m = max(x):
//   softmax      y = exp(x - m) / sum(exp(x - m))
//   log softmax  y = x - m - log(sum(exp(x - m)))
struct SoftmaxCall {
  const float* input = nullptr;
  float* output = nullptr;  // may be `input`
  size_t outer = 1;
  size_t n = 1;
  size_t inner = 1;
  bool log = false;
};

// Each result depends on its own row only, whatever the pool.
void Softmax(const SoftmaxCall& call, ThreadPool& pool);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_SOFTMAX_H_
