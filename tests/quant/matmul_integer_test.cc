// SPDX-License-Identifier: MIT
#include "quant/matmul_integer.h"

#include <cmath>
#include <string>

#include "gtest/gtest.h"
#include "runtime/core/cpu.h"
#include "tests/quant/random_matrix.h"

namespace slm {
namespace {

class MatMulIntegerTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ASSERT_TRUE(ForceTarget(GetParam()).ok()); }
  void TearDown() override { ASSERT_TRUE(ForceTarget("").ok()); }

  static int64_t At(const ByteMatrix& m, const void* data, size_t i) {
    return m.is_signed ? static_cast<const int8_t*>(data)[i]
                       : static_cast<const uint8_t*>(data)[i];
  }
  static int64_t Zero(const ByteMatrix& m, size_t line) {
    if (!m.zero_points) return 0;
    return At(m, m.zero_points, m.per_line ? line : 0);
  }

  void Check(size_t m, size_t n, size_t k, bool a_signed, bool b_signed,
             int zero_points) {
    const GuardedBytes a(RandomBytes(m * k, rng_));
    const GuardedBytes b(RandomBytes(k * n, rng_));
    const GuardedBytes a_zero(RandomBytes(m, rng_));
    const GuardedBytes b_zero(RandomBytes(n, rng_));
    const bool per_line = zero_points == 2;
    std::vector<int32_t> c(m * (n + 1), 7);
    const MatMulIntegerArgs args = {
        .m = m,
        .n = n,
        .k = k,
        .a = {a.data(), a_signed, k, zero_points ? a_zero.data() : nullptr,
              per_line},
        .b = {b.data(), b_signed, n, zero_points ? b_zero.data() : nullptr,
              per_line},
        .c = c.data(),
        .ldc = n + 1};
    MatMulInteger(rng_() % 2 ? &pool_ : nullptr, args);
    for (size_t r = 0; r < m; ++r) {
      EXPECT_EQ(c[r * (n + 1) + n], 7);
      for (size_t j = 0; j < n; ++j) {
        int64_t sum = 0;
        for (size_t i = 0; i < k; ++i) {
          sum += (At(args.a, a.data(), r * k + i) - Zero(args.a, r)) *
                 (At(args.b, b.data(), i * n + j) - Zero(args.b, j));
        }
        ASSERT_EQ(c[r * (n + 1) + j], sum)
            << m << " x " << n << " x " << k << " at " << r << ", " << j;
      }
    }
  }

  std::mt19937 rng_{5};
  ThreadPool pool_{3};
};

TEST_P(MatMulIntegerTest, IsExactForAllTypesAndSizes) {
  constexpr size_t kSizes[] = {1, 2, 3, 15, 16, 17, 33};
  size_t turn = 0;
  for (size_t k : {0, 1, 2, 3, 64, 65, 1100}) {
    for (size_t m : kSizes) {
      for (size_t n : kSizes) {
        const size_t kind = turn++ % 12;
        Check(m, n, k, kind % 2, kind / 2 % 2, static_cast<int>(kind / 4));
        if (HasFatalFailure()) return;
      }
    }
  }
}

// The formula of ONNX's DynamicQuantizeLinear in scalar float32.
TEST_P(MatMulIntegerTest, DynamicQuantizeLinearFollowsItsFormula) {
  for (size_t count : {0, 1, 2, 15, 16, 17, 100}) {
    for (const auto& [low, high] :
         {std::pair{-2.0f, 1.0f}, {0.5f, 3.0f}, {-3.0f, -1.0f}, {0.0f, 0.0f}}) {
      const GuardedBytes memory = Guard(RandomFloats(count, low, high, rng_));
      const auto* x = reinterpret_cast<const float*>(memory.data());
      std::vector<uint8_t> y(count + 1, 9);
      const DynamicQuantization got = DynamicQuantizeLinear(x, count, y.data());
      float most = 0, least = 0;
      for (size_t i = 0; i < count; ++i) {
        most = std::max(most, x[i]);
        least = std::min(least, x[i]);
      }
      const float scale = most == least ? 1.0f : (most - least) / 255.0f;
      const float zero =
          std::min(255.0f, std::max(0.0f, std::nearbyint(-least / scale)));
      EXPECT_EQ(got.scale, scale);
      EXPECT_EQ(got.zero_point, zero);
      for (size_t i = 0; i < count; ++i) {
        const float q = std::nearbyint(x[i] / scale) + zero;
        EXPECT_EQ(y[i], std::min(255.0f, std::max(0.0f, q)));
      }
      EXPECT_EQ(y[count], 9);
    }
  }
}

// Examples of the ONNX operator documentation.
TEST(MatMulInteger, MatchesTheExamplesOfOnnx) {
  const uint8_t a[] = {11, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4, 0}, a_zero = 12;
  const uint8_t b[] = {1, 4, 2, 5, 3, 6}, b_zero = 0;
  int32_t c[8];
  MatMulInteger(nullptr, {.m = 4,
                          .n = 2,
                          .k = 3,
                          .a = {a, false, 3, &a_zero, false},
                          .b = {b, false, 2, &b_zero, false},
                          .c = c,
                          .ldc = 2});
  const int32_t want[] = {-38, -83, -44, -98, -50, -113, -56, -128};
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(c[i], want[i]);

  const float x[] = {0, 2, -3, -2.5f, 1.34f, 0.5f};
  uint8_t y[6];
  const DynamicQuantization q = DynamicQuantizeLinear(x, 6, y);
  const uint8_t bytes[] = {153, 255, 0, 26, 221, 179};
  EXPECT_EQ(q.zero_point, 153);
  // The example prints 0.0196078438 for 5 / 255.
  EXPECT_EQ(q.scale, 0.0196078438f);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(y[i], bytes[i]);
}

INSTANTIATE_TEST_SUITE_P(Targets, MatMulIntegerTest,
                         testing::ValuesIn(UsableTargets()),
                         [](const auto& target) { return target.param; });

}  // namespace
}  // namespace slm
