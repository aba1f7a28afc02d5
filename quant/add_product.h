// SPDX-License-Identifier: MIT
// What add_product-inl.h takes.
#ifndef SLM_QUANT_ADD_PRODUCT_H_
#define SLM_QUANT_ADD_PRODUCT_H_

#include <cstddef>

namespace slm {

// c [rows, columns] +-= a [rows, depth] b [depth, columns]
struct AddProductArgs {
  float* c;
  size_t c_row;
  const float* a;  // element (r, p) at a[r * a_row + p * a_depth]
  size_t a_row, a_depth;
  const float* b;
  size_t b_row;
};

}  // namespace slm

#endif  // SLM_QUANT_ADD_PRODUCT_H_
