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

// Scales as integers of 16 bits, which a kernel multiplies two at a time: a row
// is int16 [k/bs], no less than -32767, then the float32 unit that they are
// multiples of. The plan makes them (narrow_scales.cc), no file holds them, and
// only for blocks that go in pairs:
inline bool CanHaveFixedScales(size_t k, int bits, size_t block_size,
                               ZeroPoints zero_points) {
  return bits == 4 && block_size == 32 && k % 64 == 0 &&
         zero_points == ZeroPoints::kNone;
}
inline constexpr size_t kFixedScaleUnit = sizeof(float) / sizeof(int16_t);

// com.microsoft MatMulNBits: w[n, k] = (q[n, k] - zp[n, k/bs]) * scale[n, k/bs]
struct BlockQuantMatrix {
  size_t n = 0;           // rows, >= 1
  size_t k = 0;           // columns, >= 1
  int bits = 4;           // 2, 4 or 8
  size_t block_size = 0;  // bs: power of two, 16..256
  // [n, ceil(k/bs), bs*bits/8], low bits first; the columns from k to the end
  // of the last block are there and may hold anything.
  const uint8_t* b = nullptr;
  const void* scales = nullptr;  // [n, ceil(k/bs)] of scale_dtype
  // kF32, kF16, kBF16, or kI16: fixed scales, rows of kFixedScaleUnit more
  DType scale_dtype = DType::kF32;
  ZeroPoints zero_point_kind = ZeroPoints::kNone;
  // kPacked [n, ceil(ceil(k/bs)*bits/8)], kFloat [n, ceil(k/bs)]
  const void* zero_points = nullptr;

  size_t blocks() const { return (k + block_size - 1) / block_size; }
  size_t block_bytes() const { return block_size * bits / 8; }
  size_t row_bytes() const { return blocks() * block_bytes(); }
  bool fixed_scales() const { return scale_dtype == DType::kI16; }
  // Elements of a row of scales.
  size_t scale_columns() const {
    return blocks() + (fixed_scales() ? kFixedScaleUnit : 0);
  }
  size_t scale_row_bytes() const {
    return BytesFor(scale_dtype, scale_columns());
  }
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
           b && scales &&
           (fixed_scales()
                ? CanHaveFixedScales(k, bits, block_size, zero_point_kind)
                : scale_dtype == DType::kF32 || IsHalf(scale_dtype)) &&
           (zero_point_kind == ZeroPoints::kNone || zero_points);
  }
};

}  // namespace slm

#endif  // SLM_QUANT_FORMATS_H_
