// SPDX-License-Identifier: MIT
#include "quant/gptq.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "quant/hessian.h"
#include "quant/quantize_block.h"
#include "quant/reference.h"
#include "runtime/core/cpu.h"

namespace slm {
namespace {

using Doubles = std::vector<double>;

// Inputs that depend on each other, as activations do: a few directions and
// noise. [rows, k]
std::vector<float> Inputs(size_t rows, size_t k, uint32_t seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  const size_t directions = 1 + k / 4;
  std::vector<float> mix(directions * k), x(rows * k);
  for (float& v : mix) v = normal(rng);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t d = 0; d < directions; ++d) {
      const float a = normal(rng);
      for (size_t c = 0; c < k; ++c) x[r * k + c] += a * mix[d * k + c];
    }
    for (size_t c = 0; c < k; ++c) x[r * k + c] += normal(rng);
  }
  return x;
}

std::vector<float> Weights(size_t n, size_t k, uint32_t seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.0f, 0.05f);
  std::vector<float> w(n * k);
  for (float& v : w) v = normal(rng);
  return w;
}

// x^T x, whole, in double.
Doubles Moments(const std::vector<float>& x, size_t k) {
  Doubles h(k * k);
  for (size_t r = 0; r < x.size() / k; ++r) {
    for (size_t i = 0; i < k; ++i) {
      for (size_t j = 0; j < k; ++j) {
        h[i * k + j] += double{x[r * k + i]} * double{x[r * k + j]};
      }
    }
  }
  return h;
}

std::vector<float> Hessian(const std::vector<float>& x, size_t k,
                           size_t threads = 1) {
  ThreadPool pool(threads);
  std::vector<float> h(k * k);
  AddOuterProducts(x.data(), x.size() / k, k, h.data(), pool);
  return h;
}

// Upper U with (h + d I)^-1 = U^T U by the textbook: Gauss-Jordan, then
// Cholesky.
Doubles PlainFactor(Doubles h, size_t k, double damping) {
  double trace = 0;
  for (size_t i = 0; i < k; ++i) trace += h[i * k + i];
  for (size_t i = 0; i < k; ++i) {
    h[i * k + i] += damping * trace / static_cast<double>(k);
  }
  Doubles inverse(k * k);
  for (size_t i = 0; i < k; ++i) inverse[i * k + i] = 1;
  for (size_t p = 0; p < k; ++p) {
    const double pivot = h[p * k + p];
    for (size_t j = 0; j < k; ++j) {
      h[p * k + j] /= pivot;
      inverse[p * k + j] /= pivot;
    }
    for (size_t i = 0; i < k; ++i) {
      const double factor = h[i * k + p];
      for (size_t j = 0; i != p && j < k; ++j) {
        h[i * k + j] -= factor * h[p * k + j];
        inverse[i * k + j] -= factor * inverse[p * k + j];
      }
    }
  }
  Doubles u(k * k);
  for (size_t i = 0; i < k; ++i) {
    for (size_t j = i; j < k; ++j) {
      double sum = inverse[i * k + j];
      for (size_t p = 0; p < i; ++p) sum -= u[p * k + i] * u[p * k + j];
      u[i * k + j] = i == j ? std::sqrt(sum) : sum / u[i * k + i];
    }
  }
  return u;
}

// GPTQ by the book for one row: column after column, no blocks of columns.
// Grids are the search's on the values as they are then.
void PlainGptq(const QuantizeOptions& o, const Doubles& u,
               const std::vector<float>& importance, const float* row, size_t k,
               Doubles* values, std::vector<int>* codes) {
  Doubles w(row, row + k);
  values->resize(k);
  codes->resize(k);
  const int most = (1 << o.bits) - 1;
  Block block = {};
  for (size_t j = 0; j < k; ++j) {
    if (j % o.block_size == 0) {
      block.size = o.block_size;
      block.length = std::min(block.size, k - j);
      std::memset(block.x, 0, sizeof block.x);
      for (size_t i = 0; i < block.length; ++i) {
        block.x[i] = static_cast<float>(w[j + i]);
        block.weight[i] = importance[j + i];
      }
      SearchBlock(o, &block);
    }
    const double scale = double{block.scale};
    const double code = std::clamp(
        std::nearbyint(w[j] / scale) + block.zero_point, 0.0, double(most));
    (*codes)[j] = static_cast<int>(code);
    (*values)[j] = (code - block.zero_point) * scale;
    const double error = (w[j] - (*values)[j]) / u[j * k + j];
    for (size_t i = j + 1; i < k; ++i) w[i] -= error * u[j * k + i];
  }
}

double WeightedError(const Doubles& h, const float* row, const double* values,
                     size_t k) {
  Doubles d(k);
  for (size_t i = 0; i < k; ++i) d[i] = double{row[i]} - values[i];
  double sum = 0;
  for (size_t i = 0; i < k; ++i) {
    for (size_t j = 0; j < k; ++j) sum += d[i] * d[j] * h[i * k + j];
  }
  return sum;
}

struct Quantized {
  std::vector<uint8_t> codes, zeros;
  std::vector<float> scales;
  std::vector<float> values;  // w after GptqRows
};

Quantized Gptq(const QuantizeOptions& o, const std::vector<float>& u,
               const std::vector<float>& importance, std::vector<float> w,
               size_t k, size_t threads = 1) {
  const size_t n = w.size() / k;
  Quantized q{std::vector<uint8_t>(n * o.CodeRowBytes(k), 0xEE),
              std::vector<uint8_t>(n * o.ZeroPointRowBytes(k), 0xEE),
              std::vector<float>(n * o.Blocks(k)),
              {}};
  ThreadPool pool(threads);
  GptqRows(o, u.data(), importance.data(), w.data(), n, k, pool,
           {q.codes.data(), q.scales.data(), q.zeros.data()});
  q.values = std::move(w);
  return q;
}

std::vector<float> Diagonal(const Doubles& h, size_t k) {
  std::vector<float> d;
  for (size_t i = 0; i < k; ++i) d.push_back(static_cast<float>(h[i * k + i]));
  return d;
}

// Sizes around the factor's panel of 64 and the lazy blocks of 128.
constexpr size_t kSizes[] = {1, 2, 16, 63, 64, 65, 130, 193};

TEST(HessianTest, SumsAreThoseOfDoubles) {
  for (const size_t k : kSizes) {
    const size_t rows = 2 * k + 5;
    const std::vector<float> x = Inputs(rows, k, 1);
    const std::vector<float> h = Hessian(x, k);
    const Doubles exact = Moments(x, k);
    for (size_t i = 0; i < k; ++i) {
      for (size_t j = i; j < k; ++j) {
        // rows products and sums in float32, each off by 2^-24 of at most
        // sum |x_i x_j| <= sqrt(h_ii h_jj).
        const double bound = static_cast<double>(rows + 1) * 0x1p-24 *
                             std::sqrt(exact[i * k + i] * exact[j * k + j]);
        ASSERT_NEAR(h[i * k + j], exact[i * k + j], bound) << k;
      }
    }
  }
}

TEST(HessianTest, TheFactorIsThatOfTheDampedInverse) {
  for (const size_t k : kSizes) {
    const std::vector<float> x = Inputs(2 * k + 5, k, 2);
    std::vector<float> u = Hessian(x, k);
    ThreadPool pool(2);
    ASSERT_TRUE(InverseFactor(k, 0.01, u.data(), pool));
    const Doubles exact = PlainFactor(Moments(x, k), k, 0.01);
    // Backward stability: off by about k 2^-24 times the condition, which
    // damping keeps below trace / (0.01 trace / k) = 100 k.
    double most = 0;
    for (const double v : exact) most = std::max(most, std::abs(v));
    const double bound =
        static_cast<double>(k) * 0x1p-24 * 100 * static_cast<double>(k) * most;
    for (size_t i = 0; i < k; ++i) {
      for (size_t j = 0; j < k; ++j) {
        ASSERT_NEAR(u[i * k + j], exact[i * k + j], bound)
            << k << " " << i << " " << j;
      }
    }
  }
}

TEST(HessianTest, WhatIsNotPositiveDefiniteIsRefused) {
  ThreadPool pool(1);
  std::vector<float> zeros(16 * 16);
  EXPECT_FALSE(InverseFactor(16, 0.01, zeros.data(), pool));
  std::vector<float> huge(16 * 16, INFINITY);
  EXPECT_FALSE(InverseFactor(16, 0.01, huge.data(), pool));
  std::vector<float> flat(16 * 16, 1.0f);  // rank 1, not damped
  EXPECT_FALSE(InverseFactor(16, 0.0, flat.data(), pool));
}

struct Format4 {
  int bits;
  size_t block;
  bool symmetric;
};
constexpr Format4 kFormats[] = {{4, 16, true},  {4, 32, true},   {4, 32, false},
                                {4, 128, true}, {4, 256, false}, {8, 32, true},
                                {8, 64, false}};

// Where float32 and double round a column to different codes, all behind it
// goes another way: the results are as good as the plain ones, not equal. The
// first column's codes see no such difference.
TEST(GptqTest, IsAsGoodAsThePlainOneAndBeginsLikeIt) {
  const size_t n = 16;
  for (const Format4& f : kFormats) {
    for (const size_t k : {size_t{48}, f.block == 256 ? 300 : size_t{150}}) {
      const QuantizeOptions o{QuantAlgorithm::kSearch, f.bits, f.block,
                              f.symmetric};
      const std::vector<float> x = Inputs(3 * k, k, 3);
      const std::vector<float> w = Weights(n, k, 4);
      const Doubles h = Moments(x, k);
      const Doubles plain_u = PlainFactor(h, k, 0.01);
      std::vector<float> u = Hessian(x, k);
      ThreadPool pool(1);
      ASSERT_TRUE(InverseFactor(k, 0.01, u.data(), pool));
      const std::vector<float> importance = Diagonal(h, k);
      const Quantized q = Gptq(o, u, importance, w, k);
      double ours = 0, plain = 0;
      size_t same = 0;
      for (size_t r = 0; r < n; ++r) {
        Doubles values;
        std::vector<int> codes;
        PlainGptq(o, plain_u, importance, &w[r * k], k, &values, &codes);
        plain += WeightedError(h, &w[r * k], values.data(), k);
        const Doubles got(q.values.begin() + static_cast<ptrdiff_t>(r * k),
                          q.values.begin() + static_cast<ptrdiff_t>(r * k + k));
        ours += WeightedError(h, &w[r * k], got.data(), k);
        const uint8_t byte = q.codes[r * o.CodeRowBytes(k)];
        EXPECT_EQ(o.bits == 4 ? byte & 0xF : byte, codes[0]);
        same += std::abs(got[k - 1] - values[k - 1]) < 1e-6;
      }
      SCOPED_TRACE(testing::Message() << f.bits << " bits, block " << f.block
                                      << (f.symmetric ? "" : ", zero points")
                                      << ", " << k << " columns");
      // A step aside costs as often as it gains: sums over 16 rows differ by
      // less than the rows do among each other.
      EXPECT_NEAR(ours / plain, 1.0, 0.05);
      // Few rows have a value so near the middle between two codes.
      EXPECT_GE(same, n / 2);
    }
  }
}

TEST(GptqTest, ErrorsOfProductsAreBelowTheSearchsWithTheSameWeights) {
  const size_t n = 16, k = 160;
  for (const Format4& f : kFormats) {
    const QuantizeOptions o{QuantAlgorithm::kSearch, f.bits, f.block,
                            f.symmetric};
    const std::vector<float> x = Inputs(4 * k, k, 5);
    const std::vector<float> w = Weights(n, k, 6);
    const Doubles h = Moments(x, k);
    std::vector<float> u = Hessian(x, k);
    ThreadPool pool(1);
    ASSERT_TRUE(InverseFactor(k, 0.01, u.data(), pool));
    const std::vector<float> importance = Diagonal(h, k);
    const Quantized q = Gptq(o, u, importance, w, k);
    Quantized s = q;
    QuantizeRows(o, w.data(), n, k, importance.data(), pool,
                 {s.codes.data(), s.scales.data(), s.zeros.data()});
    double gptq = 0, search = 0;
    std::vector<float> row(k);
    for (size_t r = 0; r < n; ++r) {
      for (const bool searched : {false, true}) {
        const Quantized& from = searched ? s : q;
        const BlockQuantMatrix view{
            .n = n,
            .k = k,
            .bits = o.bits,
            .block_size = o.block_size,
            .b = from.codes.data(),
            .scales = from.scales.data(),
            .zero_point_kind =
                o.symmetric ? ZeroPoints::kNone : ZeroPoints::kPacked,
            .zero_points = from.zeros.data()};
        reference::DequantizeRow(view, r, row.data());
        if (!searched) {  // the bytes say what w became
          for (size_t c = 0; c < k; ++c) {
            ASSERT_EQ(row[c], q.values[r * k + c]) << r << " " << c;
          }
        }
        const Doubles values(row.begin(), row.end());
        (searched ? search : gptq) +=
            WeightedError(h, &w[r * k], values.data(), k);
      }
    }
    EXPECT_LT(gptq, search) << f.bits << " " << f.block;
  }
}

// Each row's error with columns that do not depend on each other is the
// search's: there is nothing to pass on.
TEST(GptqTest, IsTheSearchWhereColumnsAreIndependent) {
  const size_t n = 8, k = 96;
  const QuantizeOptions o{};
  std::vector<float> h(k * k);
  for (size_t i = 0; i < k; ++i) {
    h[i * k + i] = static_cast<float>(1 + i % 7);
  }
  const std::vector<float> importance(k, 1.0f);
  ThreadPool pool(1);
  ASSERT_TRUE(InverseFactor(k, 0.01, h.data(), pool));
  const std::vector<float> w = Weights(n, k, 7);
  const Quantized q = Gptq(o, h, importance, w, k);
  std::vector<uint8_t> codes(q.codes.size());
  std::vector<float> scales(q.scales.size());
  QuantizeRows(o, w.data(), n, k, importance.data(), pool,
               {codes.data(), scales.data(), nullptr});
  EXPECT_EQ(scales, q.scales);
  // The search rounds with the scale that it tried, gptq with the one that
  // fitted best, so that no value is further from its own.
  for (size_t i = 0; i < n * k; ++i) {
    const float scale = scales[i / 32];
    const int code = codes[i / 2] >> (i % 2 * 4) & 0xF;
    const float searched = static_cast<float>(code - 8) * scale;
    EXPECT_LE(std::abs(q.values[i] - w[i]),
              std::abs(searched - w[i]) * (1 + 0x1p-20f) + 1e-9f);
  }
}

TEST(GptqTest, ThreadsAndTargetsChangeNothing) {
  const size_t n = 70, k = 150;
  const std::vector<float> x = Inputs(400, k, 8);
  const std::vector<float> w = Weights(n, k, 9);
  const QuantizeOptions o{QuantAlgorithm::kSearch, 4, 32, false};
  std::vector<uint8_t> first;
  for (const std::string& target : UsableTargets()) {
    ASSERT_TRUE(ForceTarget(target).ok());
    for (const size_t threads : {size_t{1}, size_t{3}}) {
      std::vector<float> u = Hessian(x, k, threads);
      const std::vector<float> importance(k, 1.0f);
      ThreadPool pool(threads);
      ASSERT_TRUE(InverseFactor(k, 0.01, u.data(), pool));
      const Quantized q = Gptq(o, u, importance, w, k, threads);
      std::vector<uint8_t> bytes(q.codes);
      bytes.insert(bytes.end(), q.zeros.begin(), q.zeros.end());
      const auto* scales = reinterpret_cast<const uint8_t*>(q.scales.data());
      bytes.insert(bytes.end(), scales,
                   scales + q.scales.size() * sizeof(float));
      if (first.empty()) first = bytes;
      EXPECT_EQ(bytes, first) << target << ", " << threads << " threads";
    }
  }
  ASSERT_TRUE(ForceTarget("").ok());
}

}  // namespace
}  // namespace slm
