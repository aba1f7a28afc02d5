// SPDX-License-Identifier: MIT
// What onnxruntime's CPU kernels do not have: fc3, concatenated swiglu, the
// sparse mixer. Expected values are the formulas in double.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>

#include "ops/moe_routing.h"
#include "tests/ops/op_test_util.h"

namespace slm {
namespace {

constexpr size_t kTokens = 3, kModel = 8, kInner = 4, kExperts = 3;

std::vector<float> Random(size_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0f, 0.5f);
  std::vector<float> values(count);
  for (float& v : values) v = normal(engine);
  return values;
}

double Dot(const float* a, const float* b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

struct Weights {
  std::vector<float> x = Random(kTokens * kModel, 1);
  std::vector<float> logits = Random(kTokens * kExperts, 2);
  std::vector<float> gate = Random(kExperts * kInner * kModel, 3);
  std::vector<float> linear = Random(kExperts * kInner * kModel, 4);
  std::vector<float> down = Random(kExperts * kModel * kInner, 5);
};

// One expert a token, weight 1 (normalised): y = down (act(gate x, linear x)).
std::vector<double> Expected(const Weights& w,
                             const std::function<double(double, double)>& act) {
  std::vector<double> y;
  for (size_t t = 0; t < kTokens; ++t) {
    size_t e = 0;
    for (size_t i = 1; i < kExperts; ++i) {
      if (w.logits[t * kExperts + i] > w.logits[t * kExperts + e]) e = i;
    }
    std::vector<double> inner;
    for (size_t i = 0; i < kInner; ++i) {
      const size_t row = (e * kInner + i) * kModel;
      inner.push_back(act(Dot(&w.gate[row], &w.x[t * kModel], kModel),
                          Dot(&w.linear[row], &w.x[t * kModel], kModel)));
    }
    for (size_t j = 0; j < kModel; ++j) {
      double sum = 0;
      for (size_t i = 0; i < kInner; ++i) {
        sum += w.down[(e * kModel + j) * kInner + i] * inner[i];
      }
      y.push_back(sum);
    }
  }
  return y;
}

void Check(OpTest& test, const std::vector<double>& expected) {
  test.Int("k", 1).Int("normalize_routing_weights", 1);
  const auto result = test.Run();
  ASSERT_TRUE(result.ok()) << result.status().message();
  for (size_t i = 0; i < expected.size(); ++i) {
    // Sums of 8 and 4 terms of magnitudes below 4, an activation between: 30
    // roundings of less than 16.
    ASSERT_NEAR((*result)[0].At<float>(i), expected[i], 30 * 16 * 0x1p-24);
  }
}

double Silu(double g) { return g / (1 + std::exp(-g)); }

TEST(Moe, MultipliesTheActivationByFc3) {
  const Weights w;
  const Shape up{kExperts, kInner, kModel}, down{kExperts, kModel, kInner};
  OpTest test("com.microsoft", "MoE", 1);
  test.Input(MakeTensor({kTokens, kModel}, w.x))
      .Input(MakeTensor({kTokens, kExperts}, w.logits))
      .Constant(MakeTensor(up, w.gate))
      .NoInput()
      .Constant(MakeTensor(down, w.down))
      .NoInput()
      .Constant(MakeTensor(up, w.linear))
      .String("activation_type", "silu");
  Check(test, Expected(w, [](double g, double l) { return Silu(g) * l; }));
}

TEST(Moe, GatesSwigluByFc3WithClampAndShift) {
  const Weights w;
  const Shape up{kExperts, kInner, kModel}, down{kExperts, kModel, kInner};
  OpTest test("com.microsoft", "MoE", 1);
  test.Input(MakeTensor({kTokens, kModel}, w.x))
      .Input(MakeTensor({kTokens, kExperts}, w.logits))
      .Constant(MakeTensor(up, w.gate))
      .NoInput()
      .Constant(MakeTensor(down, w.down))
      .NoInput()
      .Constant(MakeTensor(up, w.linear))
      .String("activation_type", "swiglu")
      .Float("activation_alpha", 1.5f)
      .Float("activation_beta", 1.0f)
      .Float("swiglu_limit", 0.25f);
  Check(test, Expected(w, [](double g, double l) {
          g = std::min(g, 0.25);
          l = std::min(std::max(l, -0.25), 0.25);
          return g / (1 + std::exp(-1.5 * g)) * (l + 1);
        }));
}

TEST(Moe, TakesSwigluHalvesOneBehindTheOther) {
  const Weights w;
  std::vector<float> fused;
  for (size_t e = 0; e < kExperts; ++e) {
    for (const auto* half : {&w.gate, &w.linear}) {
      const auto from =
          half->begin() + static_cast<ptrdiff_t>(e * kInner * kModel);
      fused.insert(fused.end(), from, from + kInner * kModel);
    }
  }
  OpTest test("com.microsoft", "MoE", 1);
  test.Input(MakeTensor({kTokens, kModel}, w.x))
      .Input(MakeTensor({kTokens, kExperts}, w.logits))
      .Constant(MakeTensor({kExperts, 2 * kInner, kModel}, fused))
      .NoInput()
      .Constant(MakeTensor({kExperts, kModel, kInner}, w.down))
      .String("activation_type", "swiglu")
      .Int("swiglu_fusion", 2);
  Check(test, Expected(w, [](double g, double l) { return Silu(g) * l; }));
}

TEST(MoeRouting, SparseMixerComparesOnlyExpertsCloseToTheChoice) {
  // Of 4: 4.00 wins; within 2 % of it lies 3.95. Of the rest 3.95 wins; within
  // 2 % of it lies nothing (3.80 is 3.8 % below).
  const float logits[] = {3.80f, 4.00f, 3.95f, -1.0f};
  int32_t chosen[2];
  float weights[2];
  RouteToken(Routing::kSparseMixer, logits, nullptr, 4, 2, chosen, weights);
  EXPECT_EQ(chosen[0], 1);
  EXPECT_EQ(chosen[1], 2);
  EXPECT_NEAR(weights[0], 1 / (1 + std::exp(-0.05)), 1e-6);
  EXPECT_EQ(weights[1], 1.0f);
}

TEST(MoeRouting, NamesKDifferentExpertsWhateverTheLogits) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<std::vector<float>> cases = {
      {nan, nan, nan}, {nan, 1, 2}, {1, nan, inf}, {-inf, -inf, -inf}};
  for (const auto& logits : cases) {
    int32_t chosen[3];
    float weights[3];
    RouteToken(Routing::kTopOfSoftmax, logits.data(), nullptr, 3, 3, chosen,
               weights);
    EXPECT_EQ(chosen[0] + chosen[1] + chosen[2], 3);
    EXPECT_EQ(chosen[0] * chosen[1] * chosen[2], 0);
  }
}

struct Refusal {
  const char* what;
  std::function<void(OpTest&)> change;
  const char* message;
};

TEST(Moe, RefusesWhatItDoesNotCompute) {
  const Refusal kRefusals[] = {
      {"prepacked", [](OpTest& t) { t.Int("weights_prepacked", 1); },
       "weights_prepacked = 1"},
      {"fp4", [](OpTest& t) { t.String("quant_type", "fp4"); }, "\"fp4\""},
      {"bits", [](OpTest& t) { t.Int("expert_weight_bits", 3); },
       "expert_weight_bits = 3"},
      {"block", [](OpTest& t) { t.Int("block_size", 24); }, "block_size = 24"},
      {"activation", [](OpTest& t) { t.String("activation_type", "tanh"); },
       "\"tanh\""},
      {"k", [](OpTest& t) { t.Int("k", 4); }, "k = 4, but there are 2"},
      {"mixer", [](OpTest& t) { t.Int("use_sparse_mixer", 1); }, "k = 2"},
      {"unknown", [](OpTest& t) { t.Int("colour", 1); }, "\"colour\""},
      {"swiglu", [](OpTest& t) { t.String("activation_type", "swiglu"); },
       "swiglu_fusion = 0 and no fc3"},
  };
  for (const Refusal& r : kRefusals) {
    SCOPED_TRACE(r.what);
    OpTest test("com.microsoft", "QMoE", 1);
    const std::vector<uint8_t> bytes(2 * 16 * 8);
    const std::vector<float> scales(2 * 16, 1);
    test.Input(MakeTensor({1, 16}, std::vector<float>(16, 1)))
        .Input(MakeTensor({1, 2}, std::vector<float>(2, 1)))
        .Constant(MakeTensor({2, 16, 8}, bytes))
        .Constant(MakeTensor({2, 16}, scales))
        .NoInput()
        .Constant(MakeTensor({2, 16, 8}, bytes))
        .Constant(MakeTensor({2, 16}, scales));
    r.change(test);
    const auto result = test.Run();
    ASSERT_FALSE(result.ok());
    EXPECT_NE(result.status().message().find(r.message), std::string::npos)
        << result.status().message();
  }
}

// Of whatever shape: MatMulNBits has such, of the plan's making.
TEST(Moe, RefusesScalesOfInt16) {
  for (const int64_t columns : {2, 4}) {
    const std::vector<uint8_t> bytes(2 * 16 * 32);
    const TestTensor scales =
        MakeTensor(Shape{2, 16, columns},
                   std::vector<int16_t>(static_cast<size_t>(32 * columns), 1));
    OpTest test("com.microsoft", "QMoE", 1);
    test.Int("block_size", 32)
        .Input(MakeTensor({1, 64}, std::vector<float>(64, 1)))
        .Input(MakeTensor({1, 2}, std::vector<float>(2, 1)))
        .Constant(MakeTensor({2, 16, 32}, bytes))
        .Constant(scales)
        .NoInput()
        .Constant(MakeTensor({2, 64, 8}, bytes))
        .Constant(MakeTensor({2, 64}, std::vector<float>(2 * 64, 1)));
    const auto result = test.Run();
    ASSERT_FALSE(result.ok());
    EXPECT_NE(result.status().message().find(
                  "input 3 (scales) has type int16, supported: float"),
              std::string::npos)
        << result.status().message();
  }
}

}  // namespace
}  // namespace slm
