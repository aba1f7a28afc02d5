// SPDX-License-Identifier: MIT
// Rotary position embedding and the RMS norm of single heads before it.
#ifndef SLM_OPS_KERNELS_ROTARY_H_
#define SLM_OPS_KERNELS_ROTARY_H_

#include <cstddef>
#include <cstdint>

namespace slm {

// Heads of tokens: x[t, h, :] is at data + t * token_stride + h * head_stride.
template <typename T>
struct HeadRows {
  T* data = nullptr;
  size_t token_stride = 0;
  size_t head_stride = 0;

  T* At(size_t t, size_t h) const {
    return data + t * token_stride + h * head_stride;
  }
};

struct RotaryShape {
  size_t heads = 0;      // H
  size_t head_size = 0;  // E
  size_t rotary = 0;     // even, <= E: the rest of a head passes through
  bool interleaved = false;
};

// Rotates pairs (a, b) of a head by the angles of the token's position:
//   a' = a cos - b sin;  b' = b cos + a sin
// pair i is (x[i], x[i + rotary/2]), interleaved (x[2i], x[2i+1]).
// cos and sin are [positions, rotary/2]; token t takes row positions[t], or
// first + t without positions. y may be x.
void Rotary(const RotaryShape& shape, const float* cos, const float* sin,
            size_t tokens, int64_t first, const int64_t* positions,
            HeadRows<const float> x, HeadRows<float> y);

// y = x / sqrt(mean(x^2) + epsilon) * weight over each head; weight [E].
// y may be x.
void HeadRmsNorm(size_t heads, size_t head_size, const float* weight,
                 float epsilon, size_t tokens, HeadRows<const float> x,
                 HeadRows<float> y);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_ROTARY_H_
