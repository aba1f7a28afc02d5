// SPDX-License-Identifier: MIT
#include "ops/kernels/topk.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "runtime/core/cpu.h"
#include "tests/quant/guarded_bytes.h"

namespace slm {
namespace {

float MaximumOf(std::span<const float> x) {
  float most = -INFINITY;
  for (const float v : x) most = v > most ? v : most;
  return most;
}

size_t FirstOf(std::span<const float> x) {
  const float most = MaximumOf(x);
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i] == most) return i;
  }
  return 0;
}

void Check(const std::vector<float>& x) {
  std::vector<uint8_t> bytes(x.size() * sizeof(float));
  if (!x.empty()) std::memcpy(bytes.data(), x.data(), bytes.size());
  const GuardedBytes guarded(bytes);
  const std::span<const float> scores(
      reinterpret_cast<const float*>(guarded.data()), x.size());
  ASSERT_EQ(FirstMaximum(scores), FirstOf(x));
  for (size_t block : {7, 64}) {
    std::vector<float> maxima((x.size() + block - 1) / block, NAN);
    BlockMaxima(scores, block, maxima.data());
    for (size_t i = 0; i < maxima.size(); ++i) {
      const size_t begin = i * block;
      const size_t count = std::min(block, x.size() - begin);
      ASSERT_EQ(maxima[i], MaximumOf(scores.subspan(begin, count))) << i;
    }
  }
  // Bounds that are entries, that no entry reaches, and that all or none do.
  for (const auto& [least, below] :
       {std::pair{-60.0f, -30.0f}, std::pair{-45.5f, NAN},
        std::pair{-INFINITY, INFINITY}, std::pair{-INFINITY, NAN},
        std::pair{-30.0f, -30.0f}, std::pair{INFINITY, NAN}}) {
    std::vector<uint32_t> expected;
    for (size_t i = 0; i < x.size(); ++i) {
      if (x[i] >= least && !(x[i] >= below)) {
        expected.push_back(static_cast<uint32_t>(i));
      }
    }
    std::vector<uint32_t> places(x.size());
    places.resize(PlacesBetween(scores, least, below, places.data()));
    ASSERT_EQ(places, expected) << least << " to " << below;
  }
}

TEST(TopK, FindsMaximaOnEveryTarget) {
  std::mt19937 rng(1);
  for (const std::string& target : UsableTargets()) {
    ASSERT_TRUE(ForceTarget(target).ok());
    for (size_t n : {0, 1, 2, 15, 16, 17, 63, 64, 65, 1023, 1025, 5000}) {
      SCOPED_TRACE(target + ", " + std::to_string(n));
      std::vector<float> x(n);
      // Few values: the first of many equal maxima counts.
      for (float& v : x) v = static_cast<float>(rng() % 50) - 70;
      Check(x);
      for (size_t i = 0; i < n; i += 3) x[i] = NAN;
      Check(x);
      std::fill(x.begin(), x.end(), NAN);
      Check(x);
      if (n > 0) x[n - 1] = -INFINITY;
      Check(x);
      if (n > 0) x[n / 2] = INFINITY;
      Check(x);
    }
  }
  EXPECT_TRUE(ForceTarget("").ok());
}

}  // namespace
}  // namespace slm
