// SPDX-License-Identifier: MIT
// Products by AMX, on the CPU's or emulated, against those of AVX3_DL.
#include "runtime/core/amx.h"

#include <cstring>
#include <string>

#include "gtest/gtest.h"
#include "quant/qgemm.h"
#include "runtime/core/cpu.h"
#include "runtime/core/memory.h"
#include "tests/quant/amx_emulator.h"
#include "tests/quant/random_matrix.h"

namespace slm {
namespace {

constexpr QGemmMode kInt8 = QGemmMode::kInt8Activations;
constexpr ZeroPoints kZeroPoints[] = {ZeroPoints::kNone, ZeroPoints::kPacked,
                                      ZeroPoints::kFloat};

class AmxTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!CanEmulateAmx()) GTEST_SKIP() << "no AVX3_DL here";
  }

  // The product's rows, packed as many bytes as the library asks for.
  std::vector<float> Product(const std::string& target, const float* a,
                             size_t m, const BlockQuantMatrix& b,
                             const float* bias) {
    EXPECT_TRUE(ForceTarget(target).ok());
    EXPECT_EQ(CurrentTarget(), target);
    std::vector<float> c(m * b.n, 123.0f);
    AlignedBuffer scratch =
        std::move(AlignedBuffer::Allocate(
                      QGemmScratchBytes(m, b, kInt8, pool_.size()), "scratch")
                      .value());
    // What was there before must not matter.
    std::memset(scratch.data(), 0xFF, scratch.size());
    QGemm(pool_, a, b.k, m, b, bias, c.data(), b.n, kInt8, scratch.data());
    EXPECT_TRUE(ForceTarget("").ok());
    return c;
  }

  void Compare(const MatrixCase& c, size_t m) {
    const RandomMatrix b = MakeRandomMatrix(c, rng_);
    const std::vector<float> a = RandomFloats(m * c.k, -2, 2, rng_);
    const std::vector<float> bias = RandomFloats(c.n, -1, 1, rng_);
    const std::vector<float> x =
        Product("AVX3_DL", a.data(), m, b.view, bias.data());
    const std::vector<float> y =
        Product("AMX", a.data(), m, b.view, bias.data());
    ASSERT_EQ(std::memcmp(x.data(), y.data(), x.size() * sizeof x[0]), 0)
        << "m " << m << " n " << c.n << " k " << c.k << " bits " << c.bits
        << " bs " << c.block_size << " zp " << static_cast<int>(c.zero_points);
  }

  AmxForTest amx_;
  std::mt19937 rng_{4};
  ThreadPool pool_{2};
};

TEST_F(AmxTest, TilesMultiplyAsArithmeticDoes) { EXPECT_TRUE(AmxWorks()); }

TEST_F(AmxTest, IsATargetThatTheBestOfOthersReplaces) {
  EXPECT_EQ(UsableTargets().front(), "AMX");
  EXPECT_TRUE(UseAmx());
  for (const std::string& target : UsableTargets()) {
    ASSERT_TRUE(ForceTarget(target).ok());
    EXPECT_EQ(UseAmx(), target == "AMX");
    EXPECT_EQ(CurrentTarget(), target);
    ASSERT_TRUE(ForceTarget("").ok());
  }
}

TEST_F(AmxTest, GivesTheBitsOfOtherKernelsForAllRows) {
  for (size_t m = 1; m <= 50; ++m) {
    for (ZeroPoints zp : kZeroPoints) {
      Compare({33, 70, 4, 32, zp, DType::kF32}, m);
    }
    Compare({33, 192, 4, 32, ZeroPoints::kNone, DType::kI16}, m);
  }
}

TEST_F(AmxTest, GivesTheBitsOfOtherKernelsForAllKindsOfWeights) {
  constexpr size_t kColumns[] = {1, 15, 16, 17, 31, 32, 33, 64, 70};
  size_t turn = 0;
  for (int bits : {2, 4, 8}) {
    for (size_t bs : {16, 32, 64, 128, 256}) {
      for (ZeroPoints zp : kZeroPoints) {
        for (size_t k : {size_t{1}, bs - 1, bs, 2 * bs + 1, 5 * bs - 3}) {
          const DType scales = turn % 2 ? DType::kF16 : DType::kF32;
          Compare({kColumns[turn % 9], k, bits, bs, zp, scales},
                  31 + turn * 5 % 33);
          ++turn;
        }
      }
    }
  }
}

// More than one chunk, and more than one pass of rows.
TEST_F(AmxTest, GivesTheBitsOfOtherKernelsForLongRowsAndManyRows) {
  for (int bits : {2, 4, 8}) {
    for (ZeroPoints zp : kZeroPoints) {
      Compare({19, 2999, bits, 32, zp, DType::kF32}, 33);
      Compare({35, 64, bits, 32, zp, DType::kF16}, 1061);
    }
  }
  Compare({19, 3008, 4, 32, ZeroPoints::kNone, DType::kI16}, 33);
  Compare({35, 64, 4, 32, ZeroPoints::kNone, DType::kI16}, 1061);
}

}  // namespace
}  // namespace slm
