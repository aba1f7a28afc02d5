// SPDX-License-Identifier: MIT
// Rows of float32 weights into the blocks of MatMulNBits (quant/formats.h).
// Results do not depend on the number of threads or on the SIMD target.
#ifndef SLM_QUANT_QUANTIZE_H_
#define SLM_QUANT_QUANTIZE_H_

#include <cstddef>
#include <cstdint>

#include "runtime/core/threads.h"

namespace slm {

enum class QuantAlgorithm : uint8_t {
  // ONNX Runtime's own quantizer, byte for byte. Symmetric: the element of
  // largest magnitude becomes code 0, so a scale may be negative. Else the
  // range
  // of the block with 0 in it.
  kDefault = 0,
  // "rtn" of ONNX Runtime's neural_compressor: symmetric scales are
  // 2 max|w| / (2^bits - 1), asymmetric ranges need not hold 0.
  kRtn = 1,
  // "k_quant" of neural_compressor, byte for byte; never symmetric.
  kKQuant = 2,
  // What the default quantizer does for DequantizeLinear, where it rounds
  // before the zero point is added, and in numpy for Gather's tables.
  kDefaultQdq = 3,
  kDefaultGather = 4,
  // Scale and integer zero point of least squared error, found by search.
  kSearch = 5,
};

struct QuantizeOptions {
  QuantAlgorithm algorithm = QuantAlgorithm::kSearch;
  int bits = 4;            // 4 or 8
  size_t block_size = 32;  // power of two, 16..256
  bool symmetric = true;   // no zero points: 2^(bits-1) for all

  size_t Blocks(size_t k) const { return (k + block_size - 1) / block_size; }
  size_t CodeRowBytes(size_t k) const {
    return Blocks(k) * (block_size * static_cast<size_t>(bits) / 8);
  }
  size_t ZeroPointRowBytes(size_t k) const {
    return (Blocks(k) * static_cast<size_t>(bits) + 7) / 8;
  }
};

struct QuantizedRows {
  uint8_t* codes;        // [rows, CodeRowBytes(k)]
  float* scales;         // [rows, Blocks(k)]
  uint8_t* zero_points;  // [rows, ZeroPointRowBytes(k)]; not used if symmetric
};

// w [rows, k], finite. kSearch weighs the squared error of column i with
// importance[i] >= 0, or all alike where it is null; the others ignore it.
void QuantizeRows(const QuantizeOptions& options, const float* w, size_t rows,
                  size_t k, const float* importance, ThreadPool& threads,
                  const QuantizedRows& out);

}  // namespace slm

#endif  // SLM_QUANT_QUANTIZE_H_
