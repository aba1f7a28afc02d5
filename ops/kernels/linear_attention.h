// SPDX-License-Identifier: MIT
#ifndef SLM_OPS_KERNELS_LINEAR_ATTENTION_H_
#define SLM_OPS_KERNELS_LINEAR_ATTENTION_H_

#include <cstddef>

namespace slm {

// The recurrence of one state S [dk, dv] over `tokens` tokens, with
// a = exp(decay) (1 without decay; one value or one a row of S):
//   delta rule    S = a S + k (x) beta (v - (a S)^T k)
//   else          S = a S + k (x) v
//   out_g = scale * S^T q_g       for each of the q heads that read S
// Strides are floats from token to token.
struct LinearAttentionHead {
  size_t tokens = 0;
  size_t dk = 0;
  size_t dv = 0;
  size_t q_heads = 1;  // adjacent in q and out
  float scale = 1;
  const float* q = nullptr;  // [q_heads, dk]
  size_t q_stride = 0;
  const float* k = nullptr;  // [dk]
  size_t k_stride = 0;
  const float* v = nullptr;  // [dv]
  size_t v_stride = 0;
  const float* decay = nullptr;  // nullptr, [1] or [dk]
  size_t decay_stride = 0;
  bool decay_by_key = false;
  const float* beta = nullptr;  // [1]; nullptr: no delta rule
  size_t beta_stride = 0;
  float* out = nullptr;  // [q_heads, dv]
  size_t out_stride = 0;
  float* state = nullptr;    // [dk, dv], read and written
  float* scratch = nullptr;  // [dk + dv]
};

void RunLinearAttentionHead(const LinearAttentionHead& head);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_LINEAR_ATTENTION_H_
