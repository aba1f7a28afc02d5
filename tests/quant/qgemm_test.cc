// SPDX-License-Identifier: MIT
#include "quant/qgemm.h"

#include <cmath>
#include <limits>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "quant/reference.h"
#include "runtime/core/cpu.h"
#include "runtime/core/memory.h"
#include "tests/quant/amx_emulator.h"
#include "tests/quant/random_matrix.h"

namespace slm {
namespace {

constexpr double kUnit = 0x1p-24;  // unit roundoff of float32

// y [n] and the sum of the magnitudes that its roundings are relative to.
struct Expected {
  std::vector<double> y, magnitude;
};

// Activations of block `block` as kInt8Activations defines them.
float QuantizeBlock(const float* a, const BlockQuantMatrix& b, size_t block,
                    std::vector<int>* q) {
  const size_t begin = block * b.block_size;
  const size_t end = std::min(b.k, begin + b.block_size);
  float most = 0;
  for (size_t k = begin; k < end; ++k) most = std::max(most, std::abs(a[k]));
  const float scale = most / 127.0f;
  const float inverse = scale == 0 ? 0 : 1 / scale;
  for (size_t k = begin; k < end; ++k) {
    (*q)[k] = static_cast<int>(std::nearbyint(a[k] * inverse));
  }
  return scale;
}

// The mode's definition in double.
Expected Oracle(const float* a, const BlockQuantMatrix& b, QGemmMode mode) {
  std::vector<int> q(b.k);
  std::vector<float> scales(b.blocks());
  for (size_t i = 0; i < b.blocks(); ++i) {
    scales[i] = QuantizeBlock(a, b, i, &q);
  }
  const bool int8 = mode == QGemmMode::kInt8Activations;
  Expected e{std::vector<double>(b.n), std::vector<double>(b.n)};
  for (size_t n = 0; n < b.n; ++n) {
    for (size_t k = 0; k < b.k; ++k) {
      const double x = int8 ? double{scales[k / b.block_size]} * q[k] : a[k];
      const double w = reference::Quantized(b, n, k);
      const double zp = reference::ZeroPoint(b, n, k);
      const double scale = reference::Scale(b, n, k);
      e.y[n] += x * (w - zp) * scale;
      // Only a float zero point makes w - zp inexact.
      const bool exact = b.zero_point_kind != ZeroPoints::kFloat;
      e.magnitude[n] +=
          std::abs(x * scale) * (exact ? std::abs(w - zp) : w + zp);
    }
  }
  return e;
}

// What a row's blocks in pairs (quant/pairs-inl.h) lose beside float32, where p
// has an error of a half for itself and at most 32512/32768 for m: 1.5 * 2^e
// times the scale of b, and 2^e is at most twice the larger scale of a.
double PairLoss(const float* a, const BlockQuantMatrix& b, size_t n) {
  std::vector<int> q(b.k);
  double loss = 0;
  for (size_t i = 0; i < b.blocks(); i += 2) {
    const float most =
        std::max(QuantizeBlock(a, b, i, &q), QuantizeBlock(a, b, i + 1, &q));
    for (size_t k : {i * b.block_size, (i + 1) * b.block_size}) {
      loss += 1.5 * 2 * most * std::abs(reference::Scale(b, n, k));
    }
  }
  return loss;
}

// The scalar twin of blocks in pairs: c [n] without bias.
std::vector<float> PairTwin(const float* a, const BlockQuantMatrix& b) {
  std::vector<int> q(b.k);
  std::vector<float> scales(b.blocks());
  for (size_t i = 0; i < b.blocks(); ++i) {
    scales[i] = QuantizeBlock(a, b, i, &q);
  }
  std::vector<float> c(b.n);
  for (size_t n = 0; n < b.n; ++n) {
    const auto* row =
        static_cast<const uint8_t*>(b.scales) + n * b.scale_row_bytes();
    for (size_t i = 0; i < b.blocks(); i += 2) {
      int e;
      std::frexp(std::max(scales[i], scales[i + 1]), &e);
      int32_t sum = 0;
      for (size_t block : {i, i + 1}) {
        int32_t s = 0;
        for (size_t k = block * 32; k < block * 32 + 32; ++k) {
          s += (reference::Quantized(b, n, k) - 8) * q[k];
        }
        const float exact = std::nearbyint(std::ldexp(scales[block], 15 - e));
        const int32_t m = std::min(static_cast<int32_t>(exact), 32767);
        int16_t w;
        std::memcpy(&w, row + block * sizeof w, sizeof w);
        sum += ((s * m + (1 << 14)) >> 15) * w;
      }
      c[n] += std::ldexp(static_cast<float>(sum), e);
    }
    float unit;
    std::memcpy(&unit, row + b.blocks() * sizeof(int16_t), sizeof unit);
    c[n] *= unit;
  }
  return c;
}

// Roundings that one output passes, each of at most kUnit of the magnitude:
// int8: zero point (2), a's scale, b's scale (2 where it is fixed), one
// addition a block.
// float: zero point, product and addition of each k of a block, b's scale (3),
// one addition a block. Targets without FMA round products apart.
double RoundingCount(const BlockQuantMatrix& b, QGemmMode mode) {
  const double blocks = static_cast<double>(b.blocks());
  const double bs = static_cast<double>(std::min(b.k, b.block_size));
  return mode == QGemmMode::kInt8Activations ? blocks + 6 : blocks + bs + 6;
}

std::vector<float> Product(ThreadPool& pool, const float* a, size_t lda,
                           size_t m, const BlockQuantMatrix& b,
                           const float* bias, QGemmMode mode,
                           const QGemmGate* gate = nullptr) {
  const size_t ldc = b.n + 3;
  std::vector<float> c(m * ldc, 123.0f);
  AlignedBuffer scratch =
      std::move(AlignedBuffer::Allocate(
                    QGemmScratchBytes(m, b, mode, pool.size()), "scratch")
                    .value());
  QGemm(pool, a, lda, m, b, bias, c.data(), ldc, mode, scratch.data(), gate);
  std::vector<float> packed;
  for (size_t r = 0; r < m; ++r) {
    for (size_t n = 0; n < b.n; ++n) packed.push_back(c[r * ldc + n]);
    for (size_t n = b.n; n < ldc; ++n) EXPECT_EQ(c[r * ldc + n], 123.0f);
  }
  return packed;
}

bool SameBits(const float* x, const float* y, size_t count) {
  return std::memcmp(x, y, count * sizeof *x) == 0;
}

class QGemmTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "AMX") amx_ = std::make_unique<AmxForTest>();
    ASSERT_TRUE(ForceTarget(GetParam()).ok());
  }
  void TearDown() override { ASSERT_TRUE(ForceTarget("").ok()); }

  bool GoesInPairs(const BlockQuantMatrix& b, QGemmMode mode) const {
    return b.fixed_scales() && mode == QGemmMode::kInt8Activations &&
           (GetParam() == "AVX3_DL" || GetParam() == "AMX");
  }

  void CheckCase(const MatrixCase& c, size_t m, QGemmMode mode) {
    SCOPED_TRACE(testing::Message()
                 << "n " << c.n << " k " << c.k << " bits " << c.bits << " bs "
                 << c.block_size << " zp " << static_cast<int>(c.zero_points)
                 << " scales " << Name(c.scale_dtype) << " m " << m << " mode "
                 << static_cast<int>(mode));
    RandomMatrix b = MakeRandomMatrix(c, rng_);
    const size_t lda = c.k + 1;
    // Exactly up to the last element: reading lda * m would be too far.
    const GuardedBytes memory =
        Guard(RandomFloats((m - 1) * lda + c.k, -2, 2, rng_));
    const auto* a = reinterpret_cast<const float*>(memory.data());
    const std::vector<float> bias = RandomFloats(c.n, -1, 1, rng_);
    const bool with_bias = rng_() % 2;
    const float* add = with_bias ? bias.data() : nullptr;
    const std::vector<float> y = Product(one_, a, lda, m, b.view, add, mode);
    for (size_t r = 0; r < m; r += 1 + m / 3) {
      const Expected e = Oracle(a + r * lda, b.view, mode);
      for (size_t n = 0; n < c.n; ++n) {
        const double offset = add ? double{add[n]} : 0.0;
        double bound = (RoundingCount(b.view, mode) + 1) * kUnit *
                       (e.magnitude[n] + std::abs(offset)) * (1 + 1e-3);
        if (GoesInPairs(b.view, mode)) {
          bound += PairLoss(a + r * lda, b.view, n);
        }
        ASSERT_NEAR(y[r * c.n + n], e.y[n] + offset, bound)
            << "row " << r << " column " << n;
      }
    }
    EXPECT_EQ(y, Product(three_, a, lda, m, b.view, add, mode)) << "3 threads";
    for (size_t r = 0; r < m; r += 1 + m / 2) {
      // Of one row the order of lines decides on the kernel, too.
      for (bool past_second_cache : {true, false}) {
        SetFetchesPastSecondCacheForTest(past_second_cache);
        const std::vector<float> row =
            Product(three_, a + r * lda, lda, 1, b.view, add, mode);
        EXPECT_TRUE(SameBits(row.data(), y.data() + r * c.n, c.n))
            << "alone, past_second_cache " << past_second_cache;
      }
      SetFetchesPastSecondCacheForTest(past_);
      const size_t some = std::min<size_t>(m - r, 1 + rng_() % 9);
      const std::vector<float> rows =
          Product(three_, a + r * lda, lda, some, b.view, add, mode);
      EXPECT_TRUE(SameBits(rows.data(), y.data() + r * c.n, rows.size()))
          << some << " rows";
    }
  }

  std::unique_ptr<AmxForTest> amx_;
  const bool past_ = FetchesPastSecondCache();
  std::mt19937 rng_{20};
  ThreadPool one_{1}, three_{3};
};

std::vector<std::string> TargetsWithAmx() {
  std::vector<std::string> targets = UsableTargets();
  if (CanEmulateAmx() && targets.front() != "AMX") targets.push_back("AMX");
  return targets;
}

constexpr QGemmMode kModes[] = {QGemmMode::kFloat32Activations,
                                QGemmMode::kInt8Activations};
constexpr ZeroPoints kZeroPoints[] = {ZeroPoints::kNone, ZeroPoints::kPacked,
                                      ZeroPoints::kFloat};
constexpr DType kScaleTypes[] = {DType::kF32, DType::kF16, DType::kBF16};

TEST_P(QGemmTest, AgreesWithTheOracleWithinItsRoundings) {
  constexpr size_t kSizes[] = {1, 2, 3, 15, 16, 17, 33};
  size_t turn = 0;
  for (int bits : {2, 4, 8}) {
    for (size_t bs : {16, 32, 64, 128, 256}) {
      for (ZeroPoints zp : kZeroPoints) {
        for (DType dtype : kScaleTypes) {
          for (size_t k : {size_t{1}, bs - 1, bs, 2 * bs + 1, 5 * bs - 3}) {
            for (QGemmMode mode : kModes) {
              // Steps that are coprime to 7: all pairs of sizes occur.
              const size_t n = kSizes[turn % 7];
              const size_t m = kSizes[turn / 7 * 3 % 7];
              ++turn;
              CheckCase({n, k, bits, bs, zp, dtype}, m, mode);
              if (HasFatalFailure()) return;
            }
          }
        }
      }
    }
  }
}

// More than one chunk of 256 words, more than one block of 128 rows.
TEST_P(QGemmTest, LongRowsAndManyRowsAgreeToo) {
  for (int bits : {2, 4, 8}) {
    for (QGemmMode mode : kModes) {
      for (ZeroPoints zp : kZeroPoints) {
        CheckCase({19, 4999, bits, 32, zp, DType::kF32}, 5, mode);
      }
      // Rows by 4096 bytes, which is where ways of caches repeat.
      CheckCase({35, size_t{4096} * 8 / bits, bits, 128, ZeroPoints::kNone,
                 DType::kF16},
                9, mode);
      CheckCase({35, 200, bits, 32, ZeroPoints::kPacked, DType::kF16}, 261,
                mode);
      CheckCase({200, 4864, bits, 16, ZeroPoints::kPacked, DType::kBF16}, 1,
                mode);
    }
  }
}

// The widest values: any saturation of an int16 or int8 step would show.
TEST_P(QGemmTest, ExtremeValuesDoNotSaturate) {
  const size_t n = 16, k = 256, m = 40;
  const auto check = [&](int bits, size_t bs, uint8_t byte, float value) {
    const std::vector<uint8_t> bytes(n * k * bits / 8, byte);
    const std::vector<float> scales(n * k / bs, 1.0f);
    const std::vector<float> a(m * k, value);
    const BlockQuantMatrix b = {.n = n,
                                .k = k,
                                .bits = bits,
                                .block_size = bs,
                                .b = bytes.data(),
                                .scales = scales.data()};
    const Expected e = Oracle(a.data(), b, QGemmMode::kInt8Activations);
    // Each number of rows has kernels of its own. All integers here are
    // below 2^24: the result is exact.
    for (size_t rows : {size_t{1}, size_t{5}, size_t{8}, m}) {
      const std::vector<float> y = Product(one_, a.data(), k, rows, b, nullptr,
                                           QGemmMode::kInt8Activations);
      for (size_t i = 0; i < rows * n; ++i) EXPECT_EQ(y[i], e.y[i % n]);
    }
  };
  for (int bits : {2, 4, 8}) {
    for (size_t bs : {32, 256}) {
      for (uint8_t byte : {0x00, 0xFF, 0x80, 0x7F}) {
        for (float value : {127.0f, -127.0f}) check(bits, bs, byte, value);
      }
    }
  }
}

// Numbers of columns and rows around those of every kernel; rows of b of one
// chunk and of several.
TEST_P(QGemmTest, FixedScalesAgreeToo) {
  constexpr size_t kColumns[] = {1, 15, 16, 17, 31, 32, 33, 70};
  constexpr size_t kDepths[] = {64, 128, 192, 576, 1024, 1088, 2112};
  constexpr size_t kRows[] = {1,  2,  3,  5,  6,  7,  8,  9,  13, 15,
                              16, 17, 23, 24, 25, 29, 31, 32, 47};
  size_t turn = 0;
  for (size_t n : kColumns) {
    for (size_t k : kDepths) {
      for (QGemmMode mode : kModes) {
        // A step that is coprime to 19: all numbers of rows occur.
        const size_t m = kRows[turn++ * 5 % 19];
        CheckCase({n, k, 4, 32, ZeroPoints::kNone, DType::kI16}, m, mode);
        if (HasFatalFailure()) return;
      }
    }
  }
  CheckCase({19, 4864, 4, 32, ZeroPoints::kNone, DType::kI16}, 535,
            QGemmMode::kInt8Activations);
}

TEST_P(QGemmTest, BlocksInPairsHaveTheBitsOfTheirTwin) {
  const QGemmMode mode = QGemmMode::kInt8Activations;
  for (size_t k : {64, 192, 1152}) {
    for (size_t n : {7, 33}) {
      for (size_t m : {1, 4, 8, 16, 17, 22, 33}) {
        const RandomMatrix b = MakeRandomMatrix(
            {n, k, 4, 32, ZeroPoints::kNone, DType::kI16}, rng_);
        if (!GoesInPairs(b.view, mode)) GTEST_SKIP() << "not on this target";
        // Blocks of all sizes side by side, and of zeros.
        std::vector<float> a = RandomFloats(m * k, -2, 2, rng_);
        for (size_t i = 0; i < a.size(); ++i) {
          a[i] = std::ldexp(a[i], static_cast<int>(i / 32 * 7 % 23) - 11);
          if (i / 32 % 5 == 3) a[i] = 0;
        }
        const std::vector<float> y =
            Product(three_, a.data(), k, m, b.view, nullptr, mode);
        for (size_t r = 0; r < m; ++r) {
          const std::vector<float> twin = PairTwin(a.data() + r * k, b.view);
          ASSERT_TRUE(SameBits(twin.data(), y.data() + r * n, n))
              << "k " << k << " n " << n << " row " << r << " of " << m;
        }
      }
    }
  }
}

// The widest sums of blocks times the widest scales.
TEST_P(QGemmTest, ExtremePairsDoNotOverflow) {
  const QGemmMode mode = QGemmMode::kInt8Activations;
  const size_t n = 16, k = 64;
  for (uint8_t byte : {0x00, 0xFF}) {
    for (int16_t w : {32767, -32767}) {
      // A scale just below a power of two is the largest m.
      for (float value : {127.0f, 126.99f, -126.99f}) {
        const std::vector<uint8_t> bytes(n * k / 2, byte);
        std::vector<int16_t> scales(n * 4, w);
        const float unit = 1;
        for (size_t i = 0; i < n; ++i) {
          std::memcpy(&scales[i * 4 + 2], &unit, sizeof unit);
        }
        const BlockQuantMatrix b = {.n = n,
                                    .k = k,
                                    .bits = 4,
                                    .block_size = 32,
                                    .b = bytes.data(),
                                    .scales = scales.data(),
                                    .scale_dtype = DType::kI16};
        for (size_t m : {size_t{1}, size_t{8}, size_t{40}}) {
          const std::vector<float> a(m * k, value);
          const Expected e = Oracle(a.data(), b, mode);
          const std::vector<float> y =
              Product(one_, a.data(), k, m, b, nullptr, mode);
          const double bound = PairLoss(a.data(), b, 0) +
                               RoundingCount(b, mode) * kUnit * e.magnitude[0];
          for (float v : y) ASSERT_NEAR(v, e.y[0], bound);
        }
      }
    }
  }
}

TEST_P(QGemmTest, NonFiniteActivationsStayVisibleInTheirRowOnly) {
  for (DType dtype : {DType::kF32, DType::kI16}) {
    const size_t k = dtype == DType::kF32 ? 70 : 128;
    RandomMatrix b =
        MakeRandomMatrix({17, k, 4, 32, ZeroPoints::kNone, dtype}, rng_);
    for (float bad : {std::numeric_limits<float>::infinity(),
                      -std::numeric_limits<float>::infinity(),
                      std::numeric_limits<float>::quiet_NaN()}) {
      for (QGemmMode mode : kModes) {
        for (size_t m : {3, 20}) {
          std::vector<float> a = RandomFloats(m * k, -1, 1, rng_);
          a[k + 40] = bad;
          const std::vector<float> y =
              Product(one_, a.data(), k, m, b.view, nullptr, mode);
          for (size_t i = 0; i < y.size(); ++i) {
            // 0 * inf is NaN, w * inf is infinite: no finite answer either way.
            EXPECT_EQ(std::isfinite(y[i]), i / 17 != 1) << i << " of " << m;
          }
        }
      }
    }
  }
}

TEST_P(QGemmTest, TinyAndZeroBlocksGiveFiniteResults) {
  for (DType dtype : {DType::kF32, DType::kI16}) {
    RandomMatrix b =
        MakeRandomMatrix({16, 64, 4, 32, ZeroPoints::kNone, dtype}, rng_);
    for (float value : {0.0f, 1e-45f, 1e-38f, 3e-37f, 1e-30f}) {
      const std::vector<float> a(64, value);
      const std::vector<float> y = Product(
          one_, a.data(), 64, 1, b.view, nullptr, QGemmMode::kInt8Activations);
      // At most 64 columns of |w| <= 8 * 0.1 each.
      for (float v : y) EXPECT_LE(std::abs(v), value * 64 * 0.8);
    }
  }
}

// Sum and difference show both halves, biases and places of every element.
TEST_P(QGemmTest, AGateGetsTheBitsOfBothProducts) {
  const auto f = [](const void*, const GateTile& t) {
    for (size_t r = 0; r < t.rows; ++r) {
      for (size_t n = 0; n < t.columns; ++n) {
        t.c[r * t.ldc + n] =
            t.gate[r * t.stride + n] - 2 * t.up[r * t.stride + n];
      }
    }
  };
  for (ZeroPoints zp : {ZeroPoints::kNone, ZeroPoints::kPacked}) {
    for (size_t n : {1, 16, 31, 32, 70, 129}) {
      for (size_t m : {1, 2, 3, 8, 9, 16, 29}) {
        for (QGemmMode mode : kModes) {
          const size_t k = 200;
          const MatrixCase c = {n, k, 4, 32, zp, DType::kF32};
          RandomMatrix b = MakeRandomMatrix(c, rng_);
          RandomMatrix up = MakeRandomMatrix(c, rng_);
          const std::vector<float> a = RandomFloats(m * k, -1, 1, rng_);
          const std::vector<float> bias = RandomFloats(n, -1, 1, rng_);
          const QGemmGate gate = {
              .up = &up.view, .up_bias = bias.data(), .f = f};
          const std::vector<float> x =
              Product(one_, a.data(), k, m, b.view, nullptr, mode);
          const std::vector<float> y =
              Product(one_, a.data(), k, m, up.view, bias.data(), mode);
          const std::vector<float> gated =
              Product(three_, a.data(), k, m, b.view, nullptr, mode, &gate);
          for (size_t i = 0; i < x.size(); ++i) {
            ASSERT_EQ(gated[i], x[i] - 2 * y[i]) << n << " " << m << " " << i;
          }
        }
      }
    }
  }
}

// x |u|: what a sign or a place is lost in shows.
void TimesMagnitude(const void*, const GateTile& t) {
  for (size_t r = 0; r < t.rows; ++r) {
    for (size_t n = 0; n < t.columns; ++n) {
      const float x = t.gate[r * t.stride + n];
      t.c[r * t.ldc + n] = x * std::abs(t.up[r * t.stride + n]);
    }
  }
}

// The products one after the other, and together.
struct MlpResults {
  std::vector<float> apart, together;
};

MlpResults RunMlp(ThreadPool& pool, const MatrixCase& first,
                  const MatrixCase& last, size_t m, std::mt19937& rng) {
  const QGemmMode mode = QGemmMode::kInt8Activations;
  const RandomMatrix b = MakeRandomMatrix(first, rng);
  const RandomMatrix up = MakeRandomMatrix(first, rng);
  const RandomMatrix down = MakeRandomMatrix(last, rng);
  std::vector<float> a = RandomFloats(m * first.k, -1, 1, rng);
  if (m > 3) a[3 * first.k] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> bias = RandomFloats(first.n, -1, 1, rng);
  const std::vector<float> down_bias = RandomFloats(last.n, -1, 1, rng);
  const GatedMlp mlp = {
      .b = &b.view,
      .bias = bias.data(),
      .gate = {.up = &up.view, .up_bias = nullptr, .f = TimesMagnitude},
      .down = &down.view,
      .down_bias = down_bias.data()};
  EXPECT_TRUE(CanFeed(b.view, down.view));
  const std::vector<float> c =
      Product(pool, a.data(), first.k, m, b.view, bias.data(), mode, &mlp.gate);
  MlpResults r;
  r.apart =
      Product(pool, c.data(), last.k, m, down.view, down_bias.data(), mode);
  r.together.resize(m * last.n);
  AlignedBuffer scratch = std::move(
      AlignedBuffer::Allocate(
          QGatedMlpScratchBytes(m, b.view, down.view, pool.size()), "scratch")
          .value());
  QGatedMlp(pool, a.data(), first.k, m, mlp, r.together.data(), last.n,
            scratch.data());
  return r;
}

// c rounded to int8 where it comes about is c rounded from memory.
TEST_P(QGemmTest, AGatedMlpGivesTheBitsOfItsProductsOneAfterTheOther) {
  constexpr size_t kRows[] = {1,  2,  3,  8,  9,  15, 16,
                              17, 23, 24, 25, 33, 50, 600};
  constexpr size_t kHidden[] = {1, 16, 31, 33, 70, 128, 200};
  size_t turn = 0;
  for (int bits : {2, 4, 8}) {
    for (int down_bits : {2, 4, 8}) {
      for (size_t bs : {16, 32}) {
        for (ZeroPoints zp : kZeroPoints) {
          for (size_t m : kRows) {
            // Steps that are coprime to 7.
            const size_t n = kHidden[turn % 7], d = kHidden[turn / 7 * 3 % 7];
            const size_t first_bs = size_t{16} << turn % 5;
            ++turn;
            // An instruction takes microseconds where it is emulated: all rows
            // and kinds still occur.
            if (GetParam() == "AMX" && turn % (m == 600 ? 702 : 3) != 0) {
              continue;
            }
            const MlpResults r =
                RunMlp(three_, {n, 40, bits, first_bs, zp, DType::kF16},
                       {d, n, down_bits, bs, zp, DType::kF32}, m, rng_);
            ASSERT_TRUE(
                SameBits(r.apart.data(), r.together.data(), r.apart.size()))
                << "bits " << bits << " " << down_bits << " bs " << bs << " zp "
                << static_cast<int>(zp) << " m " << m << " n " << n << " d "
                << d;
          }
        }
      }
    }
  }
}

// Both or one of the matrices with fixed scales: c goes into pairs a block at a
// time, from several threads.
TEST_P(QGemmTest, AGatedMlpWithFixedScalesDoesToo) {
  constexpr size_t kRows[] = {1,  2,  3,  8,  9,  15, 16,
                              17, 23, 24, 25, 33, 50, 600};
  for (size_t m : kRows) {
    for (size_t n : {64, 192}) {
      for (const auto& [first, last] : {std::pair{DType::kI16, DType::kI16},
                                        std::pair{DType::kF16, DType::kI16},
                                        std::pair{DType::kI16, DType::kF16}}) {
        if (GetParam() == "AMX" && m == 600 && n == 192) continue;  // seconds
        const MlpResults r =
            RunMlp(three_, {n, 128, 4, 32, ZeroPoints::kNone, first},
                   {40, n, 4, 32, ZeroPoints::kNone, last}, m, rng_);
        ASSERT_TRUE(SameBits(r.apart.data(), r.together.data(), r.apart.size()))
            << "m " << m << " n " << n;
      }
    }
  }
}

TEST(QGemm, FeedsOnlyProductsWhoseBlocksATileFills) {
  std::mt19937 rng(3);
  const auto make = [&](size_t n, size_t k, size_t bs) {
    return MakeRandomMatrix({n, k, 4, bs, ZeroPoints::kNone, DType::kF32}, rng);
  };
  const RandomMatrix b = make(64, 32, 128);
  EXPECT_TRUE(CanFeed(b.view, make(8, 64, 16).view));
  EXPECT_TRUE(CanFeed(b.view, make(8, 64, 32).view));
  EXPECT_FALSE(CanFeed(b.view, make(8, 64, 64).view));
  EXPECT_FALSE(CanFeed(b.view, make(8, 63, 32).view));
}

// A caller that allocates for its most rows calls with fewer, too.
TEST(QGemm, ScratchForManyRowsHoldsFewer) {
  std::mt19937 rng(2);
  for (int bits : {2, 4, 8}) {
    for (size_t k : {16, 32, 70, 896}) {
      RandomMatrix b = MakeRandomMatrix(
          {16, k, bits, 32, ZeroPoints::kNone, DType::kF32}, rng);
      for (QGemmMode mode : kModes) {
        for (size_t m = 1; m < 30; ++m) {
          EXPECT_LE(QGemmScratchBytes(m, b.view, mode, 2),
                    QGemmScratchBytes(m + 1, b.view, mode, 2))
              << bits << " bits, k " << k << ", " << m << " rows";
        }
      }
    }
  }
}

TEST(QGemm, NoRowsIsNoWork) {
  ThreadPool pool(2);
  std::mt19937 rng(1);
  RandomMatrix b =
      MakeRandomMatrix({16, 64, 4, 32, ZeroPoints::kNone, DType::kF32}, rng);
  QGemm(pool, nullptr, 64, 0, b.view, nullptr, nullptr, 16,
        QGemmMode::kInt8Activations, nullptr);
}

INSTANTIATE_TEST_SUITE_P(Targets, QGemmTest,
                         testing::ValuesIn(TargetsWithAmx()),
                         [](const auto& target) { return target.param; });

}  // namespace
}  // namespace slm
