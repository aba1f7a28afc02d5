// SPDX-License-Identifier: MIT
// The product under all of GPTQ's algebra. Results do not depend on the SIMD
// target: each element is one chain of products and sums in the order of
// `depth`, each rounded by itself (compile with -ffp-contract=off).
#if defined(SLM_QUANT_ADD_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_ADD_PRODUCT_INL_H_
#undef SLM_QUANT_ADD_PRODUCT_INL_H_
#else
#define SLM_QUANT_ADD_PRODUCT_INL_H_
#endif

#include <algorithm>
#include <cstddef>

#include "quant/add_product.h"
#include "runtime/core/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

// kRows rows and two vectors of columns stay in registers over all of depth.
template <size_t kRows, bool subtract, class D>
HWY_INLINE void AddProductTile(D d, const AddProductArgs& g, size_t r, size_t j,
                               size_t depth, size_t lanes_left) {
  using V = hn::Vec<D>;
  const size_t lanes = hn::Lanes(d);
  const size_t first = std::min(lanes, lanes_left);
  const size_t second = lanes_left - first;
  V x[kRows], y[kRows];
  for (size_t i = 0; i < kRows; ++i) {
    const float* c = g.c + (r + i) * g.c_row + j;
    x[i] = hn::LoadN(d, c, first);
    y[i] = hn::LoadN(d, c + first, second);
  }
  for (size_t p = 0; p < depth; ++p) {
    const float* b = g.b + p * g.b_row + j;
    const bool whole = second == lanes;
    const V b0 = whole ? hn::LoadU(d, b) : hn::LoadN(d, b, first);
    const V b1 =
        whole ? hn::LoadU(d, b + lanes) : hn::LoadN(d, b + first, second);
    for (size_t i = 0; i < kRows; ++i) {
      const V a = hn::Set(d, g.a[(r + i) * g.a_row + p * g.a_depth]);
      if constexpr (subtract) {
        x[i] = hn::Sub(x[i], hn::Mul(a, b0));
        y[i] = hn::Sub(y[i], hn::Mul(a, b1));
      } else {
        x[i] = hn::Add(x[i], hn::Mul(a, b0));
        y[i] = hn::Add(y[i], hn::Mul(a, b1));
      }
    }
  }
  for (size_t i = 0; i < kRows; ++i) {
    float* c = g.c + (r + i) * g.c_row + j;
    hn::StoreN(x[i], d, c, first);
    hn::StoreN(y[i], d, c + first, second);
  }
}

template <bool subtract>
HWY_INLINE void AddProduct(const AddProductArgs& g, size_t rows, size_t columns,
                           size_t depth) {
  const hn::CappedTag<float, 16> d;
  const size_t step = 2 * hn::Lanes(d);
  // A strip of b [depth, 512] stays in the second cache while rows pass.
  constexpr size_t kStrip = 512;
  for (size_t j0 = 0; j0 < columns; j0 += kStrip) {
    const size_t j1 = std::min(columns, j0 + kStrip);
    size_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      for (size_t j = j0; j < j1; j += step) {
        AddProductTile<4, subtract>(d, g, r, j, depth, std::min(step, j1 - j));
      }
    }
    for (; r < rows; ++r) {
      for (size_t j = j0; j < j1; j += step) {
        AddProductTile<1, subtract>(d, g, r, j, depth, std::min(step, j1 - j));
      }
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
