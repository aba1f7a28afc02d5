// SPDX-License-Identifier: MIT
// Random block-quantised matrices and activations for tests and benchmarks.
#ifndef SLM_TESTS_QUANT_RANDOM_MATRIX_H_
#define SLM_TESTS_QUANT_RANDOM_MATRIX_H_

#include <cstring>
#include <random>
#include <vector>

#include "quant/formats.h"
#include "runtime/core/half.h"
#include "tests/quant/guarded_bytes.h"

namespace slm {

struct MatrixCase {
  size_t n, k;
  int bits;
  size_t block_size;
  ZeroPoints zero_points;
  DType scale_dtype;
};

// Owns the bytes that `view` describes.
struct RandomMatrix {
  GuardedBytes b, scales, zero_points;
  BlockQuantMatrix view;
};

inline std::vector<uint8_t> RandomBytes(size_t size, std::mt19937& rng) {
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng());
  return bytes;
}

inline std::vector<float> RandomFloats(size_t size, float low, float high,
                                       std::mt19937& rng) {
  std::uniform_real_distribution<float> uniform(low, high);
  std::vector<float> values(size);
  for (float& value : values) value = uniform(rng);
  return values;
}

inline GuardedBytes GuardAs(DType dtype, const std::vector<float>& values) {
  if (dtype == DType::kF32) return Guard(values);
  std::vector<uint16_t> halves(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    halves[i] = dtype == DType::kF16 ? F16FromFloat(values[i])
                                     : BF16FromFloat(values[i]);
  }
  return Guard(halves);
}

// Rows of fixed scales: the integers, then their unit.
inline GuardedBytes RandomFixedScales(const BlockQuantMatrix& b,
                                      std::mt19937& rng) {
  std::uniform_int_distribution<int> integers(-32767, 32767);
  std::uniform_real_distribution<float> units(1e-7f, 3e-6f);
  std::vector<uint8_t> bytes(b.n * b.scale_row_bytes());
  for (size_t n = 0; n < b.n; ++n) {
    uint8_t* row = bytes.data() + n * b.scale_row_bytes();
    for (size_t i = 0; i < b.blocks(); ++i) {
      const auto q = static_cast<int16_t>(integers(rng));
      std::memcpy(row + i * sizeof q, &q, sizeof q);
    }
    const float unit = units(rng);
    std::memcpy(row + b.blocks() * sizeof(int16_t), &unit, sizeof unit);
  }
  return GuardedBytes(bytes);
}

// Bytes, padding included, are random; scales have both signs.
inline RandomMatrix MakeRandomMatrix(const MatrixCase& c, std::mt19937& rng) {
  RandomMatrix m;
  m.view = {.n = c.n,
            .k = c.k,
            .bits = c.bits,
            .block_size = c.block_size,
            .scale_dtype = c.scale_dtype,
            .zero_point_kind = c.zero_points};
  m.b = GuardedBytes(RandomBytes(c.n * m.view.row_bytes(), rng));
  m.scales = m.view.fixed_scales()
                 ? RandomFixedScales(m.view, rng)
                 : GuardAs(c.scale_dtype, RandomFloats(c.n * m.view.blocks(),
                                                       -0.1f, 0.1f, rng));
  const size_t zero_bytes = c.n * m.view.zero_point_row_bytes();
  if (c.zero_points == ZeroPoints::kPacked) {
    m.zero_points = GuardedBytes(RandomBytes(zero_bytes, rng));
  } else if (c.zero_points == ZeroPoints::kFloat) {
    const float most = static_cast<float>((1 << c.bits) - 1);
    m.zero_points = GuardAs(c.scale_dtype,
                            RandomFloats(c.n * m.view.blocks(), 0, most, rng));
  }
  m.view.b = m.b.data();
  m.view.scales = m.scales.data();
  m.view.zero_points = m.zero_points.data();
  return m;
}

}  // namespace slm

#endif  // SLM_TESTS_QUANT_RANDOM_MATRIX_H_
