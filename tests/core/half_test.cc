// SPDX-License-Identifier: MIT
#include "runtime/core/half.h"

#include <cmath>

#include "gtest/gtest.h"

namespace slm {
namespace {

TEST(Half, F16_EveryValueSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = FloatFromF16(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(FloatFromF16(F16FromFloat(value))));
    } else {
      EXPECT_EQ(F16FromFloat(value), bits);
    }
  }
}

TEST(Half, F16_RoundsToNearestEven) {
  EXPECT_EQ(F16FromFloat(1.0f + 0x1p-11f), 0x3C00);  // tie, down to even
  EXPECT_EQ(F16FromFloat(1.0f + 0x3p-11f), 0x3C02);  // tie, up to even
  EXPECT_EQ(F16FromFloat(65519.0f), 0x7BFF);
  EXPECT_EQ(F16FromFloat(65520.0f), 0x7C00);
  EXPECT_EQ(F16FromFloat(0x1p-25f), 0x0000);         // tie, to even zero
  EXPECT_EQ(F16FromFloat(0x1.8p-25f), 0x0001);
}

TEST(Half, BF16_EveryValueSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = FloatFromBF16(static_cast<uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(FloatFromBF16(BF16FromFloat(value))));
    } else {
      EXPECT_EQ(BF16FromFloat(value), bits);
    }
  }
  EXPECT_EQ(BF16FromFloat(1.0f + 0x1p-8f), 0x3F80);
  EXPECT_EQ(BF16FromFloat(1.0f + 0x3p-8f), 0x3F82);
}

}  // namespace
}  // namespace slm
