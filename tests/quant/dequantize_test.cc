// SPDX-License-Identifier: MIT
#include "quant/dequantize.h"

#include "gtest/gtest.h"
#include "quant/reference.h"
#include "tests/quant/random_matrix.h"

namespace slm {
namespace {

// Field `i` of a run of fields, the slow way: bit by bit.
int Field(const GuardedBytes& data, int bits, bool is_signed, size_t i) {
  int value = 0;
  for (int bit = 0; bit < bits; ++bit) {
    const size_t at = i * bits + bit;
    value |= (data.data()[at / 8] >> (at % 8) & 1) << bit;
  }
  return is_signed && value >> (bits - 1) ? value - (1 << bits) : value;
}

struct Case {
  int bits;
  bool is_signed, one_run, zero_points;
  size_t columns, block_size;
  DType scale_dtype;
};

void Check(const Case& c, std::mt19937& rng) {
  const size_t rows = 3, per_byte = 8 / c.bits;
  const size_t blocks = (c.columns + c.block_size - 1) / c.block_size;
  const auto row_fields = [&](size_t count) {
    return c.one_run ? count : (count + per_byte - 1) / per_byte * per_byte;
  };
  const auto bytes = [&](size_t count) {
    return (rows * row_fields(count) + per_byte - 1) / per_byte;
  };
  const GuardedBytes data(RandomBytes(bytes(c.columns), rng));
  const GuardedBytes zeros(RandomBytes(bytes(blocks), rng));
  const GuardedBytes scales =
      GuardAs(c.scale_dtype, RandomFloats(rows * blocks, -1, 1, rng));
  const BlockQuantTable table = {
      .rows = rows,
      .columns = c.columns,
      .bits = c.bits,
      .block_size = c.block_size,
      .is_signed = c.is_signed,
      .one_run = c.one_run,
      .data = data.data(),
      .scales = scales.data(),
      .scale_dtype = c.scale_dtype,
      .zero_points = c.zero_points ? zeros.data() : nullptr,
      .default_zero_point = 5};
  for (size_t row = 0; row < rows; ++row) {
    std::vector<float> out(c.columns);
    DequantizeRow(table, row, out.data());
    for (size_t i = 0; i < c.columns; ++i) {
      const size_t block = i / c.block_size;
      const int q =
          Field(data, c.bits, c.is_signed, row * row_fields(c.columns) + i);
      const int zero = c.zero_points ? Field(zeros, c.bits, c.is_signed,
                                             row * row_fields(blocks) + block)
                                     : 5;
      // Both factors are exact: one rounding, the same one.
      const float scale = static_cast<float>(reference::LoadFloat(
          scales.data(), c.scale_dtype, row * blocks + block));
      ASSERT_EQ(out[i], static_cast<float>(q - zero) * scale)
          << "bits " << c.bits << " columns " << c.columns << " row " << row
          << " column " << i;
    }
  }
}

TEST(DequantizeRow, MatchesTheFormulaForAllPackings) {
  std::mt19937 rng(3);
  for (int bits : {2, 4, 8}) {
    for (bool is_signed : {false, true}) {
      for (bool one_run : {false, true}) {
        for (bool zero_points : {false, true}) {
          for (size_t columns : {1, 15, 16, 31, 33, 100, 897}) {
            for (size_t block_size : {16, 32, 512}) {
              for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
                Check({bits, is_signed, one_run, zero_points, columns,
                       block_size, dtype},
                      rng);
                if (testing::Test::HasFatalFailure()) return;
              }
            }
          }
        }
      }
    }
  }
}

// The embedding of a tied model is the lm_head's weights.
TEST(DequantizeRow, AgreesWithTheMatrixOfMatMulNBits) {
  std::mt19937 rng(4);
  const RandomMatrix m =
      MakeRandomMatrix({5, 96, 4, 32, ZeroPoints::kPacked, DType::kF32}, rng);
  const BlockQuantTable table = {
      .rows = 5,
      .columns = 96,
      .bits = 4,
      .block_size = 32,
      .data = m.view.b,
      .scales = m.view.scales,
      .zero_points = static_cast<const uint8_t*>(m.view.zero_points)};
  for (size_t row = 0; row < 5; ++row) {
    std::vector<float> got(96), want(96);
    DequantizeRow(table, row, got.data());
    reference::DequantizeRow(m.view, row, want.data());
    EXPECT_EQ(got, want);
  }
}

}  // namespace
}  // namespace slm
