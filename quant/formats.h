// SPDX-License-Identifier: MIT
// Block-quantised weights as the model files hold them, described in place:
// nothing is copied, and no kernel reads past the last byte of a tensor, which
// may be the last byte of a mapped file. Pointers need no alignment.
// Start with qgemm.h for products, dequantize.h for rows of a table.
#ifndef SLM_QUANT_FORMATS_H_
#define SLM_QUANT_FORMATS_H_

#include <cstddef>
#include <cstdint>

#include "runtime/core/dtype.h"

namespace slm {

enum class ZeroPoints : uint8_t {
  kNone,    // 2^(bits-1) for all
  kPacked,  // `bits` bits each, low bits first, every row starts a byte
  kFloat,   // element type of the scales
};

// com.microsoft MatMulNBits: w[n, k] = (q[n, k] - zp[n, k/bs]) * scale[n, k/bs]
struct BlockQuantMatrix {
  size_t n = 0;           // rows, >= 1
  size_t k = 0;           // columns, >= 1
  int bits = 4;           // 2, 4 or 8
  size_t block_size = 0;  // bs: power of two, 16..256
  // [n, ceil(k/bs), bs*bits/8], low bits first; the columns from k to the end
  // of the last block are there and may hold anything.
  const uint8_t* b = nullptr;
  const void* scales = nullptr;     // [n, ceil(k/bs)] of scale_dtype
  DType scale_dtype = DType::kF32;  // kF32, kF16 or kBF16
  ZeroPoints zero_point_kind = ZeroPoints::kNone;
  // kPacked [n, ceil(ceil(k/bs)*bits/8)], kFloat [n, ceil(k/bs)]
  const void* zero_points = nullptr;

  size_t blocks() const { return (k + block_size - 1) / block_size; }
  size_t block_bytes() const { return block_size * bits / 8; }
  size_t row_bytes() const { return blocks() * block_bytes(); }
  size_t scale_row_bytes() const { return BytesFor(scale_dtype, blocks()); }
  size_t zero_point_row_bytes() const {
    return zero_point_kind == ZeroPoints::kPacked
               ? (blocks() * bits + 7) / 8
               : blocks() * BytesFor(scale_dtype, 1);
  }
  int default_zero_point() const { return 1 << (bits - 1); }

  // What every kernel relies on; loaders refuse files where it is false.
  bool Valid() const {
    const bool block = block_size >= 16 && block_size <= 256 &&
                       (block_size & (block_size - 1)) == 0;
    return n > 0 && k > 0 && (bits == 2 || bits == 4 || bits == 8) && block &&
           b && scales && (scale_dtype == DType::kF32 || IsHalf(scale_dtype)) &&
           (zero_point_kind == ZeroPoints::kNone || zero_points);
  }
};

}  // namespace slm

#endif  // SLM_QUANT_FORMATS_H_
