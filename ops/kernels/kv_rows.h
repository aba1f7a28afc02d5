// SPDX-License-Identifier: MIT
// Where keys and values lie, and writing new ones into paged memory.
#ifndef SLM_OPS_KERNELS_KV_ROWS_H_
#define SLM_OPS_KERNELS_KV_ROWS_H_

#include <cstddef>
#include <cstdint>

#include "runtime/core/dtype.h"

namespace slm {

inline constexpr size_t kKeyBlock = 64;  // rows of a page

// Where the keys (or values) of one sequence lie. Row j of kv head k:
//   plain  base + k * head_stride + j * row_stride
//   paged  pages[j / kKeyBlock - first_page] + offset + k * head_stride
//          + j % kKeyBlock * row_stride
// kI8 rows (paged only) are multiplied by float scales, kKeyBlock for each head
// at scale_offset of the page. Strides are in bytes.
struct KvRows {
  DType dtype = DType::kF32;  // kF32, kF16, kI8
  const uint8_t* base = nullptr;
  uint8_t* const* pages = nullptr;
  size_t first_page = 0;
  size_t offset = 0;
  size_t head_stride = 0;
  size_t row_stride = 0;
  size_t scale_offset = 0;

  const uint8_t* Block(size_t head, size_t block) const {
    const uint8_t* start = pages ? pages[block - first_page] + offset
                                 : base + block * kKeyBlock * row_stride;
    return start + head * head_stride;
  }
  // nullptr where rows have no scales.
  const float* Scales(size_t head, size_t block) const {
    if (dtype != DType::kI8) return nullptr;
    return reinterpret_cast<const float*>(pages[block - first_page] +
                                          scale_offset) +
           head * kKeyBlock;
  }
};

// Stores rows of x [T, K, E] as rows [first, first + count) of paged memory:
// float16 saturates to +-65504, int8 takes scale = absmax / 127 of its row.
void StoreKvRows(const KvRows& rows, size_t kv_heads, size_t head_size,
                 size_t first, size_t count, const float* x,
                 size_t token_stride);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_KV_ROWS_H_
