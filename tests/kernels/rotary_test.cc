// SPDX-License-Identifier: MIT
#include "ops/kernels/rotary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "runtime/core/cpu.h"

namespace slm {
namespace {

std::vector<float> Normal(size_t n, std::mt19937& rng) {
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& v : values) v = normal(rng);
  return values;
}

struct Case {
  RotaryShape shape;
  bool positions;
};

constexpr Case kCases[] = {
    {{.heads = 2, .head_size = 64, .rotary = 64}, false},
    {{.heads = 3, .head_size = 80, .rotary = 32}, true},
    {{.heads = 1, .head_size = 6, .rotary = 6, .interleaved = true}, false},
    {{.heads = 2, .head_size = 64, .rotary = 40, .interleaved = true}, true},
    {{.heads = 2, .head_size = 9, .rotary = 2}, true},
};

TEST(Rotary, TurnsPairsByTheAngleOfTheirPositionOnEveryTarget) {
  constexpr size_t kTokens = 3, kPositions = 9;
  constexpr int64_t kGiven[kTokens] = {8, 0, 5};
  std::mt19937 rng(1);
  for (const std::string& target : UsableTargets()) {
    ASSERT_TRUE(ForceTarget(target).ok());
    for (const Case& c : kCases) {
      SCOPED_TRACE(target);
      const size_t e = c.shape.head_size, half = c.shape.rotary / 2;
      const size_t width = c.shape.heads * e;
      const auto cos = Normal(kPositions * half, rng);
      const auto sin = Normal(kPositions * half, rng);
      const auto x = Normal(kTokens * width, rng);
      std::vector<float> y(x.size(), NAN), in_place = x;
      const int64_t* positions = c.positions ? kGiven : nullptr;
      Rotary(c.shape, cos.data(), sin.data(), kTokens, 4, positions,
             {x.data(), width, e}, {y.data(), width, e});
      Rotary(c.shape, cos.data(), sin.data(), kTokens, 4, positions,
             {in_place.data(), width, e}, {in_place.data(), width, e});
      EXPECT_EQ(in_place, y);
      for (size_t i = 0; i < x.size(); ++i) {
        const size_t t = i / width, at = i % e, start = i - at;
        const size_t position =
            positions ? static_cast<size_t>(positions[t]) : 4 + t;
        if (at >= c.shape.rotary) {
          EXPECT_EQ(y[i], x[i]);
          continue;
        }
        const bool real = c.shape.interleaved ? at % 2 == 0 : at < half;
        const size_t pair = c.shape.interleaved ? at / 2 : at % half;
        const size_t a = start + (c.shape.interleaved ? 2 * pair : pair);
        const size_t b = a + (c.shape.interleaved ? 1 : half);
        const double s = sin[position * half + pair];
        const double k = cos[position * half + pair];
        const double want = real ? x[a] * k - x[b] * s : x[b] * k + x[a] * s;
        // Two products and a sum: three roundings.
        const double size = std::abs(x[a]) + std::abs(x[b]);
        EXPECT_NEAR(y[i], want,
                    3 * 0x1p-24 * size * (std::abs(s) + std::abs(k)));
      }
    }
    ASSERT_TRUE(ForceTarget("").ok());
  }
}

TEST(HeadRmsNorm, ScalesHeadsToUnitSizeOnEveryTarget) {
  std::mt19937 rng(2);
  for (const std::string& target : UsableTargets()) {
    ASSERT_TRUE(ForceTarget(target).ok());
    for (size_t e : {2, 16, 33, 64, 128}) {
      const auto x = Normal(6 * e, rng), w = Normal(e, rng);
      std::vector<float> y(x.size());
      HeadRmsNorm(2, e, w.data(), 1e-3f, 3, {x.data(), 2 * e, e},
                  {y.data(), 2 * e, e});
      for (size_t row = 0; row < 6; ++row) {
        double sum = 0;
        for (size_t i = 0; i < e; ++i) {
          sum += double{x[row * e + i]} * x[row * e + i];
        }
        const double root =
            std::sqrt(sum / static_cast<double>(e) + double{1e-3f});
        for (size_t i = 0; i < e; ++i) {
          const double want = x[row * e + i] / root * w[i];
          // Under the root e + 3 roundings, halved by it; then four more.
          const double u = (static_cast<double>(e) + 3) / 2 + 4;
          EXPECT_NEAR(y[row * e + i], want, u * 0x1p-24 * std::abs(want));
        }
      }
    }
    ASSERT_TRUE(ForceTarget("").ok());
  }
}

}  // namespace
}  // namespace slm
