// SPDX-License-Identifier: MIT
// Fixed scales beside a scalar twin, bit for bit, and what is refused.
#include "ops/kernels/fixed_scales.h"

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "gtest/gtest.h"
#include "quant/formats.h"
#include "runtime/core/cpu.h"
#include "runtime/core/half.h"
#include "tests/quant/random_matrix.h"

namespace slm {
namespace {

constexpr size_t kBlocks[] = {2, 4, 14, 16, 18, 28, 34, 152};
constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

class FixedScalesTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ASSERT_TRUE(ForceTarget(GetParam()).ok()); }
  void TearDown() override { ASSERT_TRUE(ForceTarget("").ok()); }
};

float Rounded(DType dtype, float value) {
  if (dtype == DType::kF16) return FloatFromF16(F16FromFloat(value));
  if (dtype == DType::kBF16) return FloatFromBF16(BF16FromFloat(value));
  return value;
}

// The definition in fixed_scales.h, row by row.
std::vector<int16_t> Twin(const std::vector<float>& scales, size_t blocks) {
  std::vector<int16_t> out;
  for (size_t first = 0; first < scales.size(); first += blocks) {
    float most = 0;
    for (size_t i = 0; i < blocks; ++i) {
      most = std::max(most, std::fabs(scales[first + i]));
    }
    for (size_t i = 0; i < blocks; ++i) {
      const float q =
          most == 0 ? 0 : std::nearbyint(scales[first + i] * (32767 / most));
      out.push_back(static_cast<int16_t>(q));
    }
    const auto unit = std::bit_cast<std::array<int16_t, 2>>(most / 32767);
    out.insert(out.end(), unit.begin(), unit.end());
  }
  return out;
}

bool Fix(DType dtype, const std::vector<float>& scales, size_t blocks,
         std::vector<int16_t>* out) {
  const GuardedBytes in = GuardAs(dtype, scales);
  const size_t rows = scales.size() / blocks;
  out->assign(rows * (blocks + kFixedScaleUnit) + 1, 77);
  const bool done = FixScales(dtype, in.data(), rows, blocks, out->data());
  EXPECT_EQ(out->back(), 77) << "written behind the end";
  out->pop_back();
  return done;
}

// Random scales of both signs, at least 1/100 of the largest of the row.
std::vector<float> Scales(DType dtype, size_t count, float size,
                          std::mt19937& rng) {
  std::vector<float> scales = RandomFloats(count, 0.01f, 1, rng);
  for (float& s : scales) s = Rounded(dtype, rng() % 2 ? s * size : -s * size);
  return scales;
}

TEST_P(FixedScalesTest, AreThoseOfTheScalarTwin) {
  std::mt19937 rng(11);
  for (DType dtype : kTypes) {
    for (size_t blocks : kBlocks) {
      for (float size : {0.02f, 0x1p-4f, 3e4f}) {
        for (size_t rows : {1, 3}) {
          auto scales = Scales(dtype, rows * blocks, size, rng);
          scales[rng() % scales.size()] = -0.0f;
          std::vector<int16_t> got;
          EXPECT_TRUE(Fix(dtype, scales, blocks, &got));
          EXPECT_EQ(got, Twin(scales, blocks)) << Name(dtype) << " " << blocks;
        }
      }
    }
  }
}

// |q unit - scale| is at most half a unit, but for the rounding of the unit,
// its inverse and the product, 2^-24 each of at most 32767 units: 0.006 units.
TEST_P(FixedScalesTest, ErrByHalfAUnit) {
  std::mt19937 rng(12);
  const size_t blocks = 152;
  const auto scales = Scales(DType::kF32, blocks, 0.02f, rng);
  std::vector<int16_t> fixed;
  ASSERT_TRUE(Fix(DType::kF32, scales, blocks, &fixed));
  float unit;
  std::memcpy(&unit, &fixed[blocks], sizeof unit);
  for (size_t i = 0; i < blocks; ++i) {
    EXPECT_LE(std::fabs(fixed[i] * double{unit} - scales[i]), 0.506 * unit);
  }
}

// Where 32767 / max is 1: halves go to the even neighbour, on every lane.
TEST_P(FixedScalesTest, RoundTiesToEven) {
  for (size_t blocks : kBlocks) {
    std::vector<float> scales(blocks);
    std::vector<int16_t> want(blocks), got;
    for (size_t i = 0; i < blocks; ++i) {
      const float whole = 300.0f + static_cast<float>(i);
      scales[i] = i % 3 ? whole + 0.5f : -(whole + 0.5f);
      const auto even = static_cast<int16_t>(i % 2 ? whole + 1 : whole);
      want[i] = static_cast<int16_t>(i % 3 ? even : -even);
    }
    scales[blocks / 2] = -32767;
    want[blocks / 2] = -32767;
    const auto unit = std::bit_cast<std::array<int16_t, 2>>(1.0f);
    want.insert(want.end(), unit.begin(), unit.end());
    EXPECT_TRUE(Fix(DType::kF32, scales, blocks, &got));
    EXPECT_EQ(got, want) << blocks;
  }
}

TEST_P(FixedScalesTest, LargestIsAlways32767) {
  std::mt19937 rng(13);
  for (int i = 0; i < 2000; ++i) {
    // 2^-110 to 2^127: the unit is a normal number.
    const float most = std::ldexp(RandomFloats(1, 1, 2, rng)[0],
                                  static_cast<int>(rng() % 237) - 110);
    std::vector<int16_t> got;
    EXPECT_TRUE(Fix(DType::kF32, {-most, most}, 2, &got)) << most;
    EXPECT_EQ(got, Twin({-most, most}, 2));
    EXPECT_EQ(got[0], -32767) << most;
    EXPECT_EQ(got[1], 32767) << most;
  }
}

TEST_P(FixedScalesTest, OfARowOfZerosAreZeros) {
  for (DType dtype : kTypes) {
    for (size_t blocks : kBlocks) {
      std::vector<float> scales(3 * blocks, 0.5f);
      for (size_t i = blocks; i < 2 * blocks; ++i) {
        scales[i] = i % 2 ? 0.0f : -0.0f;
      }
      std::vector<int16_t> got;
      EXPECT_TRUE(Fix(dtype, scales, blocks, &got));
      EXPECT_EQ(got, Twin(scales, blocks));
    }
  }
}

// One odd scale anywhere, in any row.
TEST_P(FixedScalesTest, RefuseWhatIsNotFinite) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (DType dtype : kTypes) {
    for (size_t blocks : kBlocks) {
      for (size_t at : {size_t{0}, blocks - 1, 3 * blocks / 2}) {
        std::vector<float> scales(3 * blocks, 0.5f);
        std::vector<int16_t> got;
        for (float fine : {0.5f / 128, 0x1p-24f, -0x1p-24f, 0.0f, 64.0f}) {
          scales[at] = fine;
          EXPECT_TRUE(Fix(dtype, scales, blocks, &got)) << fine;
          EXPECT_EQ(got, Twin(scales, blocks));
        }
        for (float odd : {inf, -inf, nan, -nan}) {
          scales[at] = odd;
          EXPECT_FALSE(Fix(dtype, scales, blocks, &got)) << odd;
        }
      }
    }
  }
}

// Half of a row may be small, one more may not; zeros are not small.
TEST_P(FixedScalesTest, RefuseRowsThatMostlyLosePrecision) {
  for (DType dtype : kTypes) {
    for (size_t blocks : kBlocks) {
      for (size_t row : {0, 2}) {
        // Just below 2^-7 as bfloat16, of both signs.
        for (float low : {0x1.FEp-8f, -0x1.FEp-8f, 0x1p-24f}) {
          std::vector<float> scales(3 * blocks, 1.0f);
          std::vector<int16_t> got;
          float* const first = &scales[row * blocks];
          std::fill_n(first, blocks / 2, low);
          EXPECT_TRUE(Fix(dtype, scales, blocks, &got)) << low;
          EXPECT_EQ(got, Twin(scales, blocks));
          first[blocks / 2] = 0x1p-7f;
          EXPECT_TRUE(Fix(dtype, scales, blocks, &got)) << low;
          if (blocks == 2) continue;  // nothing is larger
          first[blocks / 2] = low;
          EXPECT_FALSE(Fix(dtype, scales, blocks, &got)) << low;
          first[0] = 0;
          EXPECT_TRUE(Fix(dtype, scales, blocks, &got)) << low;
        }
      }
    }
  }
}

TEST_P(FixedScalesTest, RefuseUnitsThatAreNoNormalNumbers) {
  const float least = 0x1p-126f * 32767;
  std::vector<int16_t> got;
  EXPECT_TRUE(Fix(DType::kF32, {least, -least}, 2, &got));
  EXPECT_EQ(got, Twin({least, -least}, 2));
  for (float odd : {0x1p-112f, 0x1p-126f, 1e-40f, 0x1p-149f}) {
    EXPECT_FALSE(Fix(DType::kF32, {odd, odd}, 2, &got)) << odd;
  }
  // Beside others a subnormal is but a small one.
  EXPECT_TRUE(Fix(DType::kF32, {1, 0x1p-149f}, 2, &got));
  EXPECT_TRUE(Fix(DType::kBF16, {1, 0x1p-133f}, 2, &got));
}

INSTANTIATE_TEST_SUITE_P(Targets, FixedScalesTest,
                         testing::ValuesIn(UsableTargets()),
                         [](const auto& target) { return target.param; });

}  // namespace
}  // namespace slm
