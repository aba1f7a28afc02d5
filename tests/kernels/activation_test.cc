// SPDX-License-Identifier: MIT
#include "ops/kernels/activation.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/core/cpu.h"

namespace slm {
namespace {

constexpr float kLeastNormal = std::numeric_limits<float>::min();
constexpr float kInf = std::numeric_limits<float>::infinity();

// Distance of `got` from `want` in units in the last place of `scale`.
double UlpsOf(double got, double want, double scale) {
  int exponent;
  std::frexp(scale, &exponent);  // |scale| in [2^(e-1), 2^e): ulp = 2^(e-24)
  return std::abs(got - want) / std::ldexp(1.0, std::max(exponent, -125) - 24);
}

struct Case {
  const char* name;
  Activation f;
  float alpha;
  bool ulp_of_x;  // otherwise of the result
  double bound;   // with activation.h
};

constexpr Case kCases[] = {
    {"exp", Activation::kExp, 1, false, 1.5},
    {"sigmoid", Activation::kSigmoid, 1, false, 3},
    {"tanh", Activation::kTanh, 1, false, 3},
    {"erf", Activation::kErf, 1, false, 2},
    {"gelu", Activation::kGelu, 1, true, 3},
    {"gelu tanh", Activation::kGeluTanh, 1, true, 3},
    {"swish", Activation::kSwish, 1, true, 3},
    {"swish 1.702", Activation::kSwish, 1.702f, true, 3},
};

class EveryTarget : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_TRUE(ForceTarget("").ok()); }
};

// Every 2039th float (a prime, so that mantissas vary): 2 million values of
// all exponents and both signs.
std::vector<float> AllMagnitudes() {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 2039) {
    const float v = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (std::isfinite(v)) x.push_back(v);
  }
  return x;
}

TEST_F(EveryTarget, ErrorStaysWithinTheStatedUlps) {
  const std::vector<float> x = AllMagnitudes();
  std::vector<float> got(x.size());
  for (const Case& c : kCases) {
    std::vector<double> want(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      want[i] = ActivateScalar(c.f, c.alpha, x[i]);
    }
    for (const std::string& target : UsableTargets()) {
      ASSERT_TRUE(ForceTarget(target).ok());
      Activate(c.f, c.alpha, x.data(), got.data(), x.size());
      double worst = 0;
      float at = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        // Beyond float's range the answer is infinity, see below.
        if (std::abs(want[i]) > std::numeric_limits<float>::max()) continue;
        if (!c.ulp_of_x && std::abs(want[i]) < kLeastNormal) {
          // Subnormal results may be flushed to zero.
          EXPECT_LE(std::abs(got[i]), kLeastNormal) << x[i];
          continue;
        }
        const double scale = c.ulp_of_x ? x[i] : want[i];
        const double ulps = UlpsOf(got[i], want[i], scale);
        if (!(ulps <= worst)) worst = ulps, at = x[i];
      }
      EXPECT_LE(worst, c.bound) << c.name << " on " << target << " at " << at;
      RecordProperty(std::string(c.name) + " " + target, std::to_string(worst));
      std::printf("%-12s %-10s %.3f ulp at %g\n", c.name, target.c_str(), worst,
                  at);
      ASSERT_TRUE(ForceTarget("").ok());
    }
  }
}

TEST_F(EveryTarget, LimitsAndNaNComeOutRight) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const struct {
    Activation f;
    float at_minus_inf, at_inf;
  } kLimits[] = {
      {Activation::kExp, 0, kInf},   {Activation::kSigmoid, 0, 1},
      {Activation::kTanh, -1, 1},    {Activation::kErf, -1, 1},
      {Activation::kGelu, 0, kInf},  {Activation::kGeluTanh, 0, kInf},
      {Activation::kSwish, 0, kInf},
  };
  for (const std::string& target : UsableTargets()) {
    ASSERT_TRUE(ForceTarget(target).ok());
    for (const auto& limit : kLimits) {
      const float x[] = {-kInf, kInf, nan};
      float out[3];
      Activate(limit.f, 1, x, out, 3);
      EXPECT_EQ(out[0], limit.at_minus_inf) << target;
      EXPECT_EQ(out[1], limit.at_inf) << target;
      EXPECT_TRUE(std::isnan(out[2])) << target;
    }
    const float x[] = {89, -104, -88};
    float out[3];
    Activate(Activation::kExp, 1, x, out, 3);
    EXPECT_EQ(out[0], kInf);
    EXPECT_EQ(out[1], 0);
    EXPECT_GT(out[2], 0) << "subnormal results are kept";
    ASSERT_TRUE(ForceTarget("").ok());
  }
}

TEST_F(EveryTarget, EveryLengthGivesTheSameValuesAndWritesNoFurther) {
  std::vector<float> x(70);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 0.37f * float(i) - 11;
  for (const std::string& target : UsableTargets()) {
    ASSERT_TRUE(ForceTarget(target).ok());
    std::vector<float> whole(x.size());
    Activate(Activation::kSwish, 1, x.data(), whole.data(), x.size());
    for (size_t n = 0; n < x.size(); ++n) {
      std::vector<float> out(x.size(), -7);
      Activate(Activation::kSwish, 1, x.data(), out.data(), n);
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(out[i], i < n ? whole[i] : -7) << target << " n " << n;
      }
    }
    ASSERT_TRUE(ForceTarget("").ok());
  }
}

}  // namespace
}  // namespace slm
