// SPDX-License-Identifier: MIT
#include "tools/convert/decode.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "ops/kernels/convert.h"

namespace slm::convert {
namespace {

// Float 8 has no more than 256 values: sign, exponent, mantissa.
float FromF8(uint8_t bits, int mantissa_bits, int bias, bool has_infinity) {
  const int exponent_bits = 7 - mantissa_bits;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const int exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const int top = (1 << exponent_bits) - 1;
  const float sign = bits & 0x80 ? -1.0f : 1.0f;
  const bool nan =
      has_infinity ? exponent == top && mantissa != 0 : (bits & 0x7F) == 0x7F;
  if (nan) return std::nanf("");
  if (has_infinity && exponent == top) return sign * INFINITY;
  const float fraction =
      static_cast<float>(mantissa) / static_cast<float>(1 << mantissa_bits);
  return exponent == 0 ? sign * std::ldexp(fraction, 1 - bias)
                       : sign * std::ldexp(1 + fraction, exponent - bias);
}

}  // namespace

bool IsFloatType(SafeType type) {
  switch (type) {
    case SafeType::kF64:
    case SafeType::kF32:
    case SafeType::kF16:
    case SafeType::kBF16:
    case SafeType::kF8E4M3:
    case SafeType::kF8E5M2:
      return true;
    default:
      return false;
  }
}

void Decode(SafeType type, const char* bytes, size_t count, float* out) {
  switch (type) {
    case SafeType::kF32:
      std::memcpy(out, bytes, count * sizeof(float));
      return;
    case SafeType::kF16:
    case SafeType::kBF16: {
      const DType dtype = type == SafeType::kF16 ? DType::kF16 : DType::kBF16;
      if (reinterpret_cast<uintptr_t>(bytes) % 2 == 0) {
        FloatsFromHalves(dtype, bytes, count, out);
        return;
      }
      uint16_t piece[256];
      for (size_t i = 0; i < count; i += 256) {
        const size_t n = std::min<size_t>(256, count - i);
        std::memcpy(piece, bytes + 2 * i, 2 * n);
        FloatsFromHalves(dtype, piece, n, out + i);
      }
      return;
    }
    case SafeType::kF64:
      for (size_t i = 0; i < count; ++i) {
        double value;
        std::memcpy(&value, bytes + 8 * i, sizeof value);
        out[i] = static_cast<float>(value);
      }
      return;
    default: {
      const bool e5m2 = type == SafeType::kF8E5M2;
      for (size_t i = 0; i < count; ++i) {
        out[i] = FromF8(static_cast<uint8_t>(bytes[i]), e5m2 ? 2 : 3,
                        e5m2 ? 15 : 7, e5m2);
      }
    }
  }
}

}  // namespace slm::convert
