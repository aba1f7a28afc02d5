// SPDX-License-Identifier: MIT
#include "quant/reference.h"

#include <cstring>

#include "runtime/core/half.h"

namespace slm::reference {
namespace {

// Field `i` of `bits` bits, low bits first.
int UnpackBits(const uint8_t* data, int bits, size_t i) {
  const size_t per_byte = 8 / bits;
  const int shift = static_cast<int>(i % per_byte) * bits;
  return (data[i / per_byte] >> shift) & ((1 << bits) - 1);
}

}  // namespace

double LoadFloat(const void* data, DType dtype, size_t i) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  if (dtype == DType::kF32) {
    float value;
    std::memcpy(&value, bytes + i * sizeof value, sizeof value);
    return value;
  }
  uint16_t half;
  std::memcpy(&half, bytes + i * sizeof half, sizeof half);
  return dtype == DType::kF16 ? FloatFromF16(half) : FloatFromBF16(half);
}

int Quantized(const BlockQuantMatrix& b, size_t n, size_t k) {
  return UnpackBits(b.b + n * b.row_bytes(), b.bits, k);
}

double ZeroPoint(const BlockQuantMatrix& b, size_t n, size_t k) {
  const size_t block = k / b.block_size;
  switch (b.zero_point_kind) {
    case ZeroPoints::kNone:
      break;
    case ZeroPoints::kPacked:
      return UnpackBits(static_cast<const uint8_t*>(b.zero_points) +
                            n * b.zero_point_row_bytes(),
                        b.bits, block);
    case ZeroPoints::kFloat:
      return LoadFloat(b.zero_points, b.scale_dtype, n * b.blocks() + block);
  }
  return b.default_zero_point();
}

double Scale(const BlockQuantMatrix& b, size_t n, size_t k) {
  if (b.fixed_scales()) {
    const auto* row =
        static_cast<const uint8_t*>(b.scales) + n * b.scale_row_bytes();
    int16_t q;
    std::memcpy(&q, row + k / b.block_size * sizeof q, sizeof q);
    return q * LoadFloat(row + b.blocks() * sizeof q, DType::kF32, 0);
  }
  return LoadFloat(b.scales, b.scale_dtype, n * b.blocks() + k / b.block_size);
}

void DequantizeRow(const BlockQuantMatrix& b, size_t n, float* out) {
  for (size_t k = 0; k < b.k; ++k) {
    const float q = static_cast<float>(Quantized(b, n, k));
    out[k] = (q - static_cast<float>(ZeroPoint(b, n, k))) *
             static_cast<float>(Scale(b, n, k));
  }
}

void QGemvDouble(const float* a, const BlockQuantMatrix& b, const float* bias,
                 double* y) {
  for (size_t n = 0; n < b.n; ++n) {
    double sum = bias ? bias[n] : 0;
    for (size_t k = 0; k < b.k; ++k) {
      sum += a[k] * (Quantized(b, n, k) - ZeroPoint(b, n, k)) * Scale(b, n, k);
    }
    y[n] = sum;
  }
}

}  // namespace slm::reference
