// SPDX-License-Identifier: MIT
// Plain loops, which compilers vectorise for the baseline: a row of 896 columns
// is one token's embedding, against megabytes of weights for the token.
#include "quant/dequantize.h"

#include <algorithm>
#include <cstring>

#include "runtime/core/half.h"

namespace slm {
namespace {

// Fields unpacked at a time.
constexpr size_t kPiece = 256;

float LoadScale(const void* data, DType dtype, size_t i) {
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

uint8_t Field(const uint8_t* data, int bits, size_t i) {
  const size_t per_byte = 8 / static_cast<size_t>(bits);
  const int shift = static_cast<int>(i % per_byte) * bits;
  return static_cast<uint8_t>((data[i / per_byte] >> shift) &
                              ((1 << bits) - 1));
}

// out [count] = fields [first, first + count), each below 2^bits.
void Unpack(const uint8_t* data, int bits, size_t first, size_t count,
            uint8_t* out) {
  if (bits == 8) {
    std::memcpy(out, data + first, count);
    return;
  }
  size_t i = 0;
  if (bits == 4) {
    if (first % 2 && count) out[i++] = Field(data, bits, first);
    const uint8_t* bytes = data + (first + i) / 2;
    const size_t pairs = (count - i) / 2;
    for (size_t j = 0; j < pairs; ++j) {
      out[i + 2 * j] = bytes[j] & 15;
      out[i + 2 * j + 1] = bytes[j] >> 4;
    }
    i += 2 * pairs;
  }
  for (; i < count; ++i) out[i] = Field(data, bits, first + i);
}

// Value of a field: two's complement where `sign` is 2^(bits-1), not where 0.
int Value(uint8_t field, int sign) { return (field ^ sign) - sign; }

}  // namespace

void DequantizeRow(const BlockQuantTable& t, size_t row, float* out) {
  const size_t per_byte = 8 / static_cast<size_t>(t.bits);
  const size_t blocks = t.blocks();
  const auto stride = [&](size_t fields) {
    return t.one_run ? fields : (fields + per_byte - 1) / per_byte * per_byte;
  };
  const size_t first = row * stride(t.columns);
  const size_t first_zero = row * stride(blocks);
  const int sign = t.is_signed ? 1 << (t.bits - 1) : 0;
  uint8_t fields[kPiece];
  for (size_t block = 0; block < blocks; ++block) {
    const float scale =
        LoadScale(t.scales, t.scale_dtype, row * blocks + block);
    const int zero =
        t.zero_points
            ? Value(Field(t.zero_points, t.bits, first_zero + block), sign)
            : t.default_zero_point;
    const size_t end = std::min(t.columns, (block + 1) * t.block_size);
    for (size_t c = block * t.block_size; c < end; c += kPiece) {
      const size_t count = std::min(kPiece, end - c);
      Unpack(t.data, t.bits, first + c, count, fields);
      for (size_t i = 0; i < count; ++i) {
        out[c + i] = static_cast<float>(Value(fields[i], sign) - zero) * scale;
      }
    }
  }
}

}  // namespace slm
