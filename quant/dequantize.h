// SPDX-License-Identifier: MIT
// Rows of a block-quantised table (GatherBlockQuantized: embeddings).
#ifndef SLM_QUANT_DEQUANTIZE_H_
#define SLM_QUANT_DEQUANTIZE_H_

#include <cstddef>
#include <cstdint>

#include "runtime/core/dtype.h"

namespace slm {

// w[r, c] = (q[r, c] - zp[r, c/bs]) * scale[r, c/bs], fields of `bits` bits,
// low bits first. Pointers need no alignment; nothing past the end is read.
struct BlockQuantTable {
  size_t rows = 0, columns = 0;
  int bits = 4;           // 2, 4 or 8
  size_t block_size = 0;  // bs >= 1
  // Two's complement fields (ONNX int4), zero points included.
  bool is_signed = false;
  // ONNX int4/uint4 tensors are packed as one run of fields; in uint8 tensors
  // every row starts a byte. Zero points are packed as the data is.
  bool one_run = false;
  const uint8_t* data = nullptr;
  const void* scales = nullptr;     // [rows, ceil(columns/bs)]
  DType scale_dtype = DType::kF32;  // kF32, kF16 or kBF16
  const uint8_t* zero_points = nullptr;
  int default_zero_point = 0;  // where zero_points is null

  size_t blocks() const { return (columns + block_size - 1) / block_size; }
};

// out [columns] = row `row` in float32, row < rows.
void DequantizeRow(const BlockQuantTable& table, size_t row, float* out);

}  // namespace slm

#endif  // SLM_QUANT_DEQUANTIZE_H_
