// SPDX-License-Identifier: MIT
// The gated product against arithmetic in double, and what must stay apart.
#include <cmath>
#include <functional>

#include "ops/kernels/activation.h"
#include "tests/plan/graph_maker.h"

namespace slm {
namespace {

constexpr size_t kRows = 3, kK = 32, kN = 5;
constexpr float kScale = 1.0f / 64;

uint8_t Nibble(size_t seed, size_t n, size_t k) {
  return static_cast<uint8_t>((seed + n * 7 + k * 5 + n * k) % 16);
}

std::vector<float> Rows() {
  std::vector<float> a(kRows * kK);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<float>(i * 37 % 23) / 16 - 0.7f;
  }
  return a;
}

// Row r times column n of the weights that `seed` makes.
double Sum(const std::vector<float>& a, size_t seed, size_t r, size_t n) {
  double sum = 0;
  for (size_t k = 0; k < kK; ++k) {
    sum += a[r * kK + k] * (Nibble(seed, n, k) - 8.0) * kScale;
  }
  return sum;
}

ValueId Weights(GraphMaker& g, ValueId x, size_t seed, bool zeros = false) {
  std::vector<uint8_t> bytes(kN * kK / 2);
  for (size_t i = 0; i < bytes.size(); ++i) {
    const size_t n = i / (kK / 2), k = i % (kK / 2) * 2;
    bytes[i] =
        static_cast<uint8_t>(Nibble(seed, n, k) | Nibble(seed, n, k + 1) << 4);
  }
  std::vector<ValueId> inputs = {
      x, g.Constant<uint8_t>({kN, 1, kK / 2}, bytes),
      g.Constant<float>({kN, 1}, std::vector<float>(kN, kScale))};
  if (zeros) {
    inputs.push_back(g.Constant<uint8_t>({kN, 1}, std::vector<uint8_t>(kN, 7)));
  }
  return g.Node("MatMulNBits", inputs,
                {{"K", {kK}}, {"N", {kN}}, {"bits", {4}}, {"block_size", {32}}},
                1, "com.microsoft");
}

struct GateCase {
  const char* name;
  Activation f;
  std::function<ValueId(GraphMaker&, ValueId)> apply;
};

const GateCase kCases[] = {
    {"silu", Activation::kSwish,
     [](GraphMaker& g, ValueId x) {
       return g.Node("Mul", {x, g.Node("Sigmoid", {x})});
     }},
    {"silu the other way round", Activation::kSwish,
     [](GraphMaker& g, ValueId x) {
       return g.Node("Mul", {g.Node("Sigmoid", {x}), x});
     }},
    {"Gelu", Activation::kGelu,
     [](GraphMaker& g, ValueId x) { return g.Node("Gelu", {x}); }},
    {"Gelu tanh", Activation::kGeluTanh,
     [](GraphMaker& g, ValueId x) {
       const ValueId y = g.Node("Gelu", {x});
       g.String("approximate", "tanh");
       return y;
     }},
    {"Microsoft's Gelu", Activation::kGelu,
     [](GraphMaker& g, ValueId x) {
       return g.Node("Gelu", {x}, {}, 1, "com.microsoft");
     }},
    {"FastGelu", Activation::kGeluTanh,
     [](GraphMaker& g, ValueId x) {
       return g.Node("FastGelu", {x}, {}, 1, "com.microsoft");
     }},
};

std::unique_ptr<Plan> Build(std::unique_ptr<Graph> graph) {
  PlanOptions options;
  options.accuracy_level = 0;  // float32 activations
  auto plan = BuildPlan(std::move(graph), options);
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  return plan.ok() ? std::move(plan).value() : nullptr;
}

TEST(FuseGatedMatMul, GivesTheProductOfBothForEveryActivation) {
  const std::vector<float> a = Rows();
  for (const GateCase& c : kCases) {
    for (const bool up_first : {false, true}) {
      SCOPED_TRACE(c.name);
      GraphMaker g;
      const ValueId x = g.Input("x", DType::kF32);
      const ValueId gate = c.apply(g, Weights(g, x, 3));
      const ValueId up = Weights(g, x, 11);
      const ValueId y =
          up_first ? g.Node("Mul", {up, gate}) : g.Node("Mul", {gate, up});
      const auto plan = Build(g.Finish(y, "y"));
      ASSERT_TRUE(plan);
      EXPECT_EQ(CountNodes(*plan, "GatedMatMulNBits"), 1u);
      EXPECT_EQ(plan->graph->nodes.size(), 1u);
      const std::vector<float> got = RunPlan(*plan, {kRows, kK}, a);
      ASSERT_EQ(got.size(), kRows * kN);
      for (size_t i = 0; i < got.size(); ++i) {
        const double s = Sum(a, 3, i / kN, i % kN);
        const double u = Sum(a, 11, i / kN, i % kN);
        // Each sum has kK roundings of terms below 0.1; |f'| < 1.2.
        const double limit =
            (std::abs(s) + 1.2 * std::abs(u) + 1) * kK * 4 * 0x1p-24;
        EXPECT_NEAR(got[i], ActivateScalar(c.f, 1, s) * u, limit) << i;
      }
    }
  }
}

TEST(FuseGatedMatMul, LeavesApartWhatIsReadElsewhere) {
  GraphMaker g;
  const ValueId x = g.Input("x", DType::kF32);
  const ValueId gate = Weights(g, x, 3);
  const ValueId y = g.Node("Mul", {g.Node("Gelu", {gate}), Weights(g, x, 11)});
  const auto plan = Build(g.Finish(g.Node("Add", {y, gate}), "y"));
  ASSERT_TRUE(plan);
  EXPECT_EQ(CountNodes(*plan, "GatedMatMulNBits"), 0u);
  EXPECT_EQ(CountNodes(*plan, "MatMulNBits"), 2u);
}

TEST(FuseGatedMatMul, LeavesApartProductsOfDifferentKinds) {
  for (const bool other_rows : {false, true}) {
    GraphMaker g;
    const ValueId x = g.Input("x", DType::kF32);
    const ValueId rows = other_rows ? g.Node("Neg", {x}) : x;
    const ValueId y = g.Node("Mul", {g.Node("Gelu", {Weights(g, x, 3)}),
                                     Weights(g, rows, 11, !other_rows)});
    const auto plan = Build(g.Finish(y, "y"));
    ASSERT_TRUE(plan);
    EXPECT_EQ(CountNodes(*plan, "GatedMatMulNBits"), 0u);
    bool noted = false;
    for (const FusionNote& note : plan->notes) {
      noted |= note.fusion == std::string("gated-matmul") && !note.done;
    }
    EXPECT_TRUE(noted);
  }
}

}  // namespace
}  // namespace slm
