// SPDX-License-Identifier: MIT
#include "ops/kernels/linear_attention.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/linear_attention.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "runtime/core/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

using D = hn::ScalableTag<float>;

// y += a * x
HWY_INLINE void AddScaled(float a, const float* x, size_t n, float* y) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const auto va = hn::Set(d, a);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::MulAdd(va, hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d,
               y + i);
  }
  for (; i < n; ++i) y[i] += a * x[i];
}

// row = a * row + b * x
HWY_INLINE void Mix(float a, float b, const float* x, size_t n, float* row) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const auto va = hn::Set(d, a);
  const auto vb = hn::Set(d, b);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto old = hn::Mul(va, hn::LoadU(d, row + i));
    hn::StoreU(hn::MulAdd(vb, hn::LoadU(d, x + i), old), d, row + i);
  }
  for (; i < n; ++i) row[i] = a * row[i] + b * x[i];
}

HWY_INLINE void Decays(const LinearAttentionHead& h, size_t t, float* a) {
  if (!h.decay) {
    std::fill_n(a, h.dk, 1.0f);
  } else if (h.decay_by_key) {
    for (size_t i = 0; i < h.dk; ++i) {
      a[i] = std::exp(h.decay[t * h.decay_stride + i]);
    }
  } else {
    std::fill_n(a, h.dk, std::exp(h.decay[t * h.decay_stride]));
  }
}

// S is read once for the retrieval and once more for update and read-out: it
// is 64 KiB for the usual 128 x 128, so it stays in the second-level cache.
void Head(const LinearAttentionHead& h) {
  float* a = h.scratch;              // [dk]
  float* update = h.scratch + h.dk;  // [dv]
  for (size_t t = 0; t < h.tokens; ++t) {
    const float* k = h.k + t * h.k_stride;
    const float* v = h.v + t * h.v_stride;
    float* out = h.out + t * h.out_stride;
    Decays(h, t, a);
    std::copy_n(v, h.dv, update);
    if (h.beta) {
      const float beta = h.beta[t * h.beta_stride];
      for (size_t i = 0; i < h.dk; ++i) {
        AddScaled(-a[i] * k[i], h.state + i * h.dv, h.dv, update);
      }
      for (size_t j = 0; j < h.dv; ++j) update[j] *= beta;
    }
    std::fill_n(out, h.q_heads * h.dv, 0.0f);
    for (size_t i = 0; i < h.dk; ++i) {
      float* row = h.state + i * h.dv;
      Mix(a[i], k[i], update, h.dv, row);
      for (size_t g = 0; g < h.q_heads; ++g) {
        const float q = h.q[t * h.q_stride + g * h.dk + i];
        AddScaled(q * h.scale, row, h.dv, out + g * h.dv);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {

HWY_EXPORT(Head);

void RunLinearAttentionHead(const LinearAttentionHead& head) {
  HWY_DYNAMIC_DISPATCH(Head)(head);
}

}  // namespace slm
#endif  // HWY_ONCE
