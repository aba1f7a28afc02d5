// SPDX-License-Identifier: MIT
#include "ops/kernels/convert.h"

#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "gtest/gtest.h"
#include "runtime/core/cpu.h"
#include "runtime/core/half.h"
#include "tests/quant/random_matrix.h"

namespace slm {
namespace {

class ConvertTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ASSERT_TRUE(ForceTarget(GetParam()).ok()); }
  void TearDown() override { ASSERT_TRUE(ForceTarget("").ok()); }
};

float ScalarFloat(DType dtype, uint16_t half) {
  return dtype == DType::kF16 ? FloatFromF16(half) : FloatFromBF16(half);
}
uint16_t ScalarHalf(DType dtype, float value) {
  return dtype == DType::kF16 ? F16FromFloat(value) : BF16FromFloat(value);
}

TEST_P(ConvertTest, All16BitValuesBecomeTheirFloat) {
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    std::vector<uint16_t> halves(65536);
    for (size_t i = 0; i < 65536; ++i) halves[i] = static_cast<uint16_t>(i);
    std::vector<float> floats(65536);
    FloatsFromHalves(dtype, halves.data(), 65536, floats.data());
    for (size_t i = 0; i < 65536; ++i) {
      const float want = ScalarFloat(dtype, halves[i]);
      if (std::isnan(want)) {
        EXPECT_TRUE(std::isnan(floats[i])) << i;
      } else {
        EXPECT_EQ(std::bit_cast<uint32_t>(floats[i]),
                  std::bit_cast<uint32_t>(want))
            << Name(dtype) << " " << i;
      }
    }
  }
}

// Around each 16-bit value: its neighbours, halfway and next to halfway.
TEST_P(ConvertTest, FloatsRoundToTheNearestEven) {
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    std::vector<float> floats;
    for (uint32_t half = 0; half < 65536; ++half) {
      const uint32_t bits = std::bit_cast<uint32_t>(
          ScalarFloat(dtype, static_cast<uint16_t>(half)));
      for (uint32_t more :
           {0u, 1u, 0xFFFu, 0x1000u, 0x1001u, 0x7FFFu, 0x8000u, 0x8001u}) {
        floats.push_back(std::bit_cast<float>(bits + more));
      }
    }
    std::mt19937 rng(6);
    for (int i = 0; i < 300000; ++i) {
      floats.push_back(std::bit_cast<float>(static_cast<uint32_t>(rng())));
    }
    std::vector<uint16_t> halves(floats.size());
    HalvesFromFloats(dtype, floats.data(), floats.size(), halves.data());
    for (size_t i = 0; i < floats.size(); ++i) {
      if (std::isnan(floats[i])) {
        EXPECT_TRUE(std::isnan(ScalarFloat(dtype, halves[i])));
      } else {
        ASSERT_EQ(halves[i], ScalarHalf(dtype, floats[i]))
            << Name(dtype) << " " << floats[i];
      }
    }
  }
}

TEST_P(ConvertTest, ReadsAndWritesExactlyCountValues) {
  std::mt19937 rng(7);
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    for (size_t count : {0, 1, 2, 7, 15, 16, 17, 33}) {
      const std::vector<float> values = RandomFloats(count, -1, 1, rng);
      const GuardedBytes floats = Guard(values);
      std::vector<uint16_t> halves(count + 1, 77);
      HalvesFromFloats(dtype, reinterpret_cast<const float*>(floats.data()),
                       count, halves.data());
      EXPECT_EQ(halves[count], 77);
      halves.pop_back();
      const GuardedBytes guarded = Guard(halves);
      std::vector<float> back(count + 1, 77);
      FloatsFromHalves(dtype, guarded.data(), count, back.data());
      EXPECT_EQ(back[count], 77);
      for (size_t i = 0; i < count; ++i) {
        EXPECT_EQ(halves[i], ScalarHalf(dtype, values[i]));
        EXPECT_EQ(back[i], ScalarFloat(dtype, halves[i]));
      }
    }
  }
}

// One odd value anywhere among fitting ones, at each size around a vector.
TEST_P(ConvertTest, PrecisionIsKeptInTheNormalRangeOnly) {
  for (size_t count : {1, 2, 15, 16, 17, 33}) {
    for (size_t at : {size_t{0}, count / 2, count - 1}) {
      std::vector<float> values(count, 0.5f);
      EXPECT_TRUE(KeepPrecisionAsF16(values.data(), count));
      for (float fine : {0.0f, -0.0f, 0x1p-14f, -65504.0f}) {
        values[at] = fine;
        EXPECT_TRUE(KeepPrecisionAsF16(values.data(), count)) << fine;
      }
      for (float odd : {std::nextafter(0x1p-14f, 0.0f), -1e-40f, 65505.0f,
                        std::numeric_limits<float>::infinity(),
                        -std::numeric_limits<float>::quiet_NaN()}) {
        values[at] = odd;
        EXPECT_FALSE(KeepPrecisionAsF16(values.data(), count)) << odd;
      }
    }
  }
  EXPECT_TRUE(KeepPrecisionAsF16(nullptr, 0));
}

INSTANTIATE_TEST_SUITE_P(Targets, ConvertTest,
                         testing::ValuesIn(UsableTargets()),
                         [](const auto& target) { return target.param; });

}  // namespace
}  // namespace slm
