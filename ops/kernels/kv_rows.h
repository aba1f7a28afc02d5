// SPDX-License-Identifier: MIT
// Where keys and values lie, and writing new ones into paged memory.
//
// Pages lie as the kernels of attention read them, vector by vector:
//   keys       [4][E][16 rows], so that lanes are rows without a transposition
//              (which cost a quarter of a decode step's attention)
//   values     [64 rows][E]
//   int8 keys  [4][E / 4][16 rows][4], plus 128 as unsigned bytes, and
//   int8 values [E / 16][16][16 elements][4 rows]: four products that are
//              summed into one lane (VPDPBUSD) lie in one dword.
// E of int8 pages is rounded up to a multiple of 16.
#ifndef SLM_OPS_KERNELS_KV_ROWS_H_
#define SLM_OPS_KERNELS_KV_ROWS_H_

#include <cstddef>
#include <cstdint>

#include "runtime/core/dtype.h"

namespace slm {

inline constexpr size_t kKeyBlock = 64;  // rows of a page
inline constexpr size_t kKvTile = 16;    // rows or elements side by side
inline constexpr int kKeyBias = 128;     // of the bytes of int8 keys

enum class KvLayout { kRows, kKeyTiles, kValueTiles };

// Where the keys (or values) of one sequence lie. The rows of kv head k:
//   plain  base + k * head_stride: float rows, row_stride apart
//   paged  pages[j / kKeyBlock - first_page] + offset + k * head_stride:
//          kKeyBlock rows by `layout`, row_stride being the bytes of a row
// kI8 rows (paged only) are multiplied by float scales, kKeyBlock for each head
// at scale_offset of the page. Strides are in bytes.
struct KvRows {
  DType dtype = DType::kF32;  // kF32, kF16, kI8
  KvLayout layout = KvLayout::kRows;
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
  // The byte in a block where element e of row j is.
  size_t At(size_t j, size_t e) const {
    const size_t size = BytesFor(dtype, 1);
    const size_t tile = kKvTile * row_stride;  // of 16 rows
    if (layout == KvLayout::kRows) return j * row_stride + e * size;
    if (layout == KvLayout::kValueTiles) {
      return e / kKvTile * kKvTile * kKeyBlock + j / 4 * 4 * kKvTile +
             e % kKvTile * 4 + j % 4;
    }
    const size_t row = j % kKvTile;
    if (dtype == DType::kI8) {
      return j / kKvTile * tile + (e / 4 * kKvTile + row) * 4 + e % 4;
    }
    return j / kKvTile * tile + (e * kKvTile + row) * size;
  }
};

// Bytes of a row of E elements in a page.
size_t PagedRowBytes(DType dtype, size_t head_size);

// The layout of keys or values in pages.
KvLayout PagedLayout(DType dtype, bool values);

// Stores rows of x [T, K, E] as rows [first, first + count) of paged memory:
// float16 saturates to +-65504, int8 takes scale = absmax / 127 of its row.
// Touches the bytes of these rows only.
void StoreKvRows(const KvRows& rows, size_t kv_heads, size_t head_size,
                 size_t first, size_t count, const float* x,
                 size_t token_stride);

// Asks for the lines that StoreKvRows of this row will write: a row of keys
// lies in up to a line for each two elements.
void FetchKvRow(const KvRows& rows, size_t kv_heads, size_t head_size,
                size_t row);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_KV_ROWS_H_
