// SPDX-License-Identifier: MIT
// Norms, softmax and linear attention against scalar twins in double, on every
// target. Bounds count roundings (2^-24 each) of the float32 computation.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "ops/kernels/linear_attention.h"
#include "ops/kernels/norm.h"
#include "ops/kernels/softmax.h"
#include "runtime/core/cpu.h"

namespace slm {
namespace {

constexpr double kEps = 0x1p-24;
constexpr size_t kSizes[] = {1, 2, 7, 8, 15, 16, 17, 33, 100, 896};

std::vector<float> Random(size_t count, float scale, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(count);
  for (float& v : values) v = normal(engine);
  return values;
}

template <typename Body>
void OnEveryTarget(const Body& body) {
  for (const std::string& target : UsableTargets()) {
    ASSERT_TRUE(ForceTarget(target).ok());
    SCOPED_TRACE(target);
    body();
  }
  ASSERT_TRUE(ForceTarget("").ok());
}

struct Row {
  std::vector<double> y, sum;
};

Row NormTwin(const NormCall& c, size_t row) {
  Row r;
  double mean = 0, squares = 0;
  for (size_t i = 0; i < c.cols; ++i) {
    double s = c.input[row * c.cols + i];
    if (c.skip) s += c.skip[row % c.skip_rows * c.cols + i];
    if (c.bias) s += c.bias[i];
    r.sum.push_back(s);
    mean += s / static_cast<double>(c.cols);
  }
  if (c.kind != NormKind::kLayer) mean = 0;
  for (double s : r.sum) squares += (s - mean) * (s - mean);
  const double inverse =
      c.kind == NormKind::kL2
          ? (squares > 0 ? 1 / std::sqrt(squares) : 0)
          : 1 / std::sqrt(squares / static_cast<double>(c.cols) + c.epsilon);
  for (size_t i = 0; i < c.cols; ++i) {
    r.y.push_back((r.sum[i] - mean) * inverse * (c.gamma ? c.gamma[i] : 1) +
                  (c.beta ? c.beta[i] : 0));
  }
  return r;
}

// Largest magnitude before the shift is added: what roundings scale with.
double Peak(const NormCall& c, const Row& r) {
  double peak = 0;
  for (size_t i = 0; i < c.cols; ++i) {
    const double beta = c.beta ? c.beta[i] : 0;
    peak = std::max(peak, std::fabs(r.y[i] - beta) + std::fabs(beta));
  }
  return peak;
}

TEST(Normalize, AgreesWithTheFormulaInDouble) {
  constexpr size_t kRows = 5;
  ThreadPool pool(3);
  OnEveryTarget([&] {
    for (size_t cols : kSizes) {
      const auto x = Random(kRows * cols, 1, 1), skip = Random(cols, 1, 2),
                 gamma = Random(cols, 1, 3), beta = Random(cols, 1, 4),
                 bias = Random(cols, 1, 5);
      for (NormKind kind : {NormKind::kRms, NormKind::kLayer, NormKind::kL2}) {
        for (bool fused : {false, true}) {
          std::vector<float> y(kRows * cols), sum(kRows * cols);
          NormCall call{.kind = kind,
                        .rows = kRows,
                        .cols = cols,
                        .epsilon = 1e-5f,
                        .input = x.data(),
                        .output = y.data()};
          if (fused) {
            call.skip = skip.data();
            call.bias = bias.data();
            call.gamma = gamma.data();
            call.beta = beta.data();
            call.sum = sum.data();
          }
          Normalize(call, pool);
          for (size_t row = 0; row < kRows; ++row) {
            const Row want = NormTwin(call, row);
            // The sum of squares and the mean take at most cols roundings,
            // each result six more. A mean that cancels (one column: fully)
            // leaves errors of the inputs' size times 1/sqrt(epsilon).
            const double amplified =
                kind == NormKind::kLayer && cols < 8 ? 1 / std::sqrt(1e-5) : 1;
            const double bound = (static_cast<double>(cols) + 10) * kEps *
                                 (Peak(call, want) + 8) * amplified;
            for (size_t i = 0; i < cols; ++i) {
              ASSERT_NEAR(y[row * cols + i], want.y[i], bound)
                  << "kind " << static_cast<int>(kind) << " cols " << cols;
              if (fused) {
                ASSERT_NEAR(sum[row * cols + i], want.sum[i], 30 * kEps);
              }
            }
          }
        }
      }
    }
  });
}

TEST(Normalize, GivesARowTheSameBitsInPlaceAloneAndInAnyPool) {
  constexpr size_t kRows = 97, kCols = 133;
  const auto x = Random(kRows * kCols, 1, 6), gamma = Random(kCols, 1, 7);
  ThreadPool one(1), three(3);
  OnEveryTarget([&] {
    std::vector<float> many(kRows * kCols), in_place = x, single(kCols);
    NormCall call{.rows = kRows,
                  .cols = kCols,
                  .epsilon = 1e-6f,
                  .input = x.data(),
                  .gamma = gamma.data(),
                  .output = many.data()};
    Normalize(call, three);
    call.input = call.output = in_place.data();
    Normalize(call, one);
    EXPECT_EQ(many, in_place);
    call.rows = 1;
    call.input = x.data() + 50 * kCols;
    call.output = single.data();
    Normalize(call, one);
    EXPECT_TRUE(
        std::equal(single.begin(), single.end(), many.begin() + 50 * kCols));
  });
}

TEST(Softmax, AgreesWithTheFormulaInDouble) {
  ThreadPool pool(3);
  OnEveryTarget([&] {
    for (size_t n : kSizes) {
      for (size_t inner : {1, 3, 17}) {
        const size_t outer = 3;
        auto x = Random(outer * n * inner, 5, 8);
        if (n > 2) x[inner] = -std::numeric_limits<float>::infinity();
        for (bool log : {false, true}) {
          std::vector<float> y(x.size());
          Softmax({x.data(), y.data(), outer, n, inner, log}, pool);
          for (size_t line = 0; line < outer * inner; ++line) {
            const size_t at = line / inner * n * inner + line % inner;
            double top = -1e30, total = 0;
            for (size_t k = 0; k < n; ++k) {
              top = std::max<double>(top, x[at + k * inner]);
            }
            for (size_t k = 0; k < n; ++k) {
              total += std::exp(x[at + k * inner] - top);
            }
            for (size_t k = 0; k < n; ++k) {
              const double shifted = x[at + k * inner] - top;
              const double want =
                  log ? shifted - std::log(total) : std::exp(shifted) / total;
              if (std::isinf(shifted)) {  // exactly 0 or -inf
                ASSERT_EQ(y[at + k * inner], want);
                continue;
              }
              // The sum takes n roundings at most, exp 3 ulps and the rounded
              // difference (|x| * eps), which exp turns into a relative error.
              const double relative =
                  (static_cast<double>(n) + 8 + 2 * std::fabs(shifted)) * kEps;
              ASSERT_NEAR(y[at + k * inner], want,
                          relative * (log ? 1 + std::fabs(want) : want))
                  << "n " << n << " inner " << inner << " log " << log;
            }
          }
        }
      }
    }
  });
}

TEST(Softmax, OfALargeOffsetKeepsTheLogarithm) {
  // log softmax of {1000, 1000} is -log 2: adding log 2 to 1000 first would
  // leave an error of 3e-5.
  ThreadPool pool(1);
  OnEveryTarget([&] {
    std::vector<float> x = {1000, 1000};
    Softmax({x.data(), x.data(), 1, 2, 1, true}, pool);
    EXPECT_NEAR(x[0], -std::log(2.0), 2 * kEps);
  });
}

TEST(LinearAttention, AgreesWithTheRecurrenceInDouble) {
  struct Size {
    size_t dk, dv;
  };
  OnEveryTarget([&] {
    for (const Size& s : {Size{1, 1}, Size{5, 17}, Size{16, 16}, Size{9, 31}}) {
      constexpr size_t kTokens = 4, kHeads = 2;
      const auto q = Random(kTokens * kHeads * s.dk, 1, 9),
                 k = Random(kTokens * s.dk, 0.3f, 10),
                 v = Random(kTokens * s.dv, 1, 11);
      const std::vector<float> decay = {-0.1f, -0.5f, 0.0f, -2.0f},
                               beta = {0.5f, 1.0f, 0.0f, 0.25f};
      auto state = Random(s.dk * s.dv, 1, 12);
      std::vector<double> twin(state.begin(), state.end());
      std::vector<float> out(kTokens * kHeads * s.dv), scratch(s.dk + s.dv);
      RunLinearAttentionHead({.tokens = kTokens,
                              .dk = s.dk,
                              .dv = s.dv,
                              .q_heads = kHeads,
                              .scale = 0.5f,
                              .q = q.data(),
                              .q_stride = kHeads * s.dk,
                              .k = k.data(),
                              .k_stride = s.dk,
                              .v = v.data(),
                              .v_stride = s.dv,
                              .decay = decay.data(),
                              .decay_stride = 1,
                              .beta = beta.data(),
                              .beta_stride = 1,
                              .out = out.data(),
                              .out_stride = kHeads * s.dv,
                              .state = state.data(),
                              .scratch = scratch.data()});
      // dk + 6 roundings of sums below 20 a token, carried on by factors that
      // stay below |k|^2 beta + 1 < 3 for keys of this size.
      const double bound =
          std::pow(3.0, kTokens) * static_cast<double>(s.dk + 6) * 20 * kEps;
      for (size_t t = 0; t < kTokens; ++t) {
        const double a = std::exp(static_cast<double>(decay[t]));
        for (size_t j = 0; j < s.dv; ++j) {
          double old = 0;
          for (size_t i = 0; i < s.dk; ++i) {
            twin[i * s.dv + j] *= a;
            old += twin[i * s.dv + j] * k[t * s.dk + i];
          }
          const double delta = beta[t] * (v[t * s.dv + j] - old);
          for (size_t i = 0; i < s.dk; ++i) {
            twin[i * s.dv + j] += k[t * s.dk + i] * delta;
          }
          for (size_t g = 0; g < kHeads; ++g) {
            double read = 0;
            for (size_t i = 0; i < s.dk; ++i) {
              read += 0.5 * q[(t * kHeads + g) * s.dk + i] * twin[i * s.dv + j];
            }
            ASSERT_NEAR(out[(t * kHeads + g) * s.dv + j], read,
                        bound * static_cast<double>(s.dk));
          }
        }
      }
      for (size_t i = 0; i < state.size(); ++i) {
        ASSERT_NEAR(state[i], twin[i], bound);
      }
    }
  });
}

}  // namespace
}  // namespace slm
