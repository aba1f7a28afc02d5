// SPDX-License-Identifier: MIT
#include "ops/kernels/gemm.h"

#include <cmath>
#include <string>

#include "gtest/gtest.h"
#include "quant/reference.h"
#include "runtime/core/cpu.h"
#include "tests/quant/random_matrix.h"

namespace slm {
namespace {

constexpr double kUnit = 0x1p-24;  // unit roundoff of float32

struct Case {
  size_t m, n, k;
  DType dtype;
  bool transposed;
};

std::vector<float> Product(ThreadPool& pool, const float* a, size_t lda,
                           size_t m, const GemmB& b, const float* bias) {
  const size_t ldc = b.n + 2;
  std::vector<float> c(m * ldc, 123.0f);
  GemmF32(&pool, a, lda, m, b, bias, c.data(), ldc);
  std::vector<float> packed;
  for (size_t r = 0; r < m; ++r) {
    for (size_t n = 0; n < b.n; ++n) packed.push_back(c[r * ldc + n]);
    for (size_t n = b.n; n < ldc; ++n) EXPECT_EQ(c[r * ldc + n], 123.0f);
  }
  return packed;
}

class GemmTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { ASSERT_TRUE(ForceTarget(GetParam()).ok()); }
  void TearDown() override { ASSERT_TRUE(ForceTarget("").ok()); }

  // An output passes a product's and an addition's rounding (without FMA) for
  // each k of a chunk of 256, an addition a chunk and bias.
  void CheckRow(const Case& c, const float* a, const GemmB& b,
                const float* bias, const float* y) {
    const double roundings = std::min<double>(static_cast<double>(c.k), 256) +
                             static_cast<double>(c.k) / 256 + 3;
    for (size_t n = 0; n < c.n; ++n) {
      double sum = 0, magnitude = 0;
      for (size_t k = 0; k < c.k; ++k) {
        const size_t at = c.transposed ? n * b.stride + k : k * b.stride + n;
        const double x = a[k] * reference::LoadFloat(b.data, b.dtype, at);
        sum += x;
        magnitude += std::abs(x);
      }
      const double offset = bias ? double{bias[n]} : 0.0;
      const double bound =
          roundings * kUnit * (1 + 1e-3) * (magnitude + std::abs(offset));
      ASSERT_NEAR(y[n], sum + offset, bound) << "column " << n;
    }
  }

  void CheckCase(const Case& c) {
    SCOPED_TRACE(testing::Message()
                 << "m " << c.m << " n " << c.n << " k " << c.k << " "
                 << Name(c.dtype) << (c.transposed ? " [N, K]" : " [K, N]"));
    const size_t rows = c.transposed ? c.n : c.k;
    const size_t columns = c.transposed ? c.k : c.n;
    const size_t stride = columns + rng_() % 3;
    const GuardedBytes data = GuardAs(
        c.dtype, RandomFloats((rows - 1) * stride + columns, -1, 1, rng_));
    const GemmB b = {.data = data.data(),
                     .dtype = c.dtype,
                     .transposed = c.transposed,
                     .n = c.n,
                     .k = c.k,
                     .stride = stride};
    const size_t lda = c.k + 1;
    const GuardedBytes memory =
        Guard(RandomFloats((c.m - 1) * lda + c.k, -2, 2, rng_));
    const auto* a = reinterpret_cast<const float*>(memory.data());
    const std::vector<float> bias = RandomFloats(c.n, -1, 1, rng_);
    const float* add = rng_() % 2 ? bias.data() : nullptr;
    const std::vector<float> y = Product(one_, a, lda, c.m, b, add);
    EXPECT_EQ(y, Product(three_, a, lda, c.m, b, add)) << "3 threads";
    for (size_t r = 0; r < c.m; r += 1 + c.m / 3) {
      CheckRow(c, a + r * lda, b, add, y.data() + r * c.n);
      if (HasFatalFailure()) return;
      const size_t some = std::min<size_t>(c.m - r, 1 + rng_() % 9);
      for (size_t m : {size_t{1}, some}) {
        const std::vector<float> part =
            Product(one_, a + r * lda, lda, m, b, add);
        EXPECT_EQ(std::memcmp(part.data(), y.data() + r * c.n,
                              part.size() * sizeof(float)),
                  0)
            << m << " rows from " << r;
      }
    }
  }

  std::mt19937 rng_{21};
  ThreadPool one_{1}, three_{3};
};

constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

TEST_P(GemmTest, AgreesWithDoubleWithinItsRoundings) {
  constexpr size_t kSizes[] = {1, 2, 3, 15, 16, 17, 33};
  for (DType dtype : kTypes) {
    for (bool transposed : {false, true}) {
      for (size_t k : {1, 2, 7, 64, 65}) {
        for (size_t m : kSizes) {
          for (size_t n : kSizes) {
            CheckCase({m, n, k, dtype, transposed});
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

// Several chunks of k, blocks of rows and strips of columns.
TEST_P(GemmTest, LargeSizesAgreeToo) {
  for (DType dtype : kTypes) {
    for (bool transposed : {false, true}) {
      CheckCase({1, 77, 700, dtype, transposed});
      CheckCase({5, 50, 4867, dtype, transposed});
      CheckCase({261, 40, 300, dtype, transposed});
      CheckCase({2, 2500, 33, dtype, transposed});
    }
  }
}

TEST_P(GemmTest, NoKIsTheBias) {
  const std::vector<float> bias = {1, 2, 3};
  const GemmB b = {.n = 3, .k = 0};
  for (size_t m : {1, 4}) {
    const std::vector<float> y =
        Product(one_, bias.data(), 0, m, b, bias.data());
    for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], bias[i % 3]);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, GemmTest, testing::ValuesIn(UsableTargets()),
                         [](const auto& target) { return target.param; });

}  // namespace
}  // namespace slm
