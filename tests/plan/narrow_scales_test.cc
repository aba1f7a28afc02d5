// SPDX-License-Identifier: MIT
// Which scales become float16, and that only their rounding is seen.
#include <cmath>

#include "tests/plan/graph_maker.h"

namespace slm {
namespace {

constexpr size_t kK = 64, kN = 3;

struct Product {
  std::unique_ptr<Plan> plan;
  DType scales;
};

// One MatMulNBits of accuracy level `level` with the given scales [kN, 2].
Product Make(const std::vector<float>& scales, int64_t level,
             int override_level = -1) {
  GraphMaker g;
  const ValueId x = g.Input("x", DType::kF32);
  std::vector<uint8_t> bytes(kN * kK / 2);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(i * 73 + 5);
  }
  const ValueId y = g.Node("MatMulNBits",
                           {x, g.Constant<uint8_t>({kN, 2, 16}, bytes),
                            g.Constant<float>({kN, 2}, scales)},
                           {{"K", {kK}},
                            {"N", {kN}},
                            {"bits", {4}},
                            {"block_size", {32}},
                            {"accuracy_level", {level}}},
                           1, "com.microsoft");
  PlanOptions options;
  options.accuracy_level = override_level;
  auto plan = BuildPlan(g.Finish(y, "y"), options);
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  if (!plan.ok()) return {nullptr, DType::kF32};
  const Graph& graph = *(*plan)->graph;
  const DType dtype = graph.values[graph.nodes[0].inputs[2]].constant->dtype;
  return {std::move(plan).value(), dtype};
}

TEST(NarrowScales, OnlyAccuracyLevelFourHasThem) {
  const std::vector<float> scales(kN * 2, 0.01f);
  EXPECT_EQ(Make(scales, 4).scales, DType::kF16);
  EXPECT_EQ(Make(scales, 0).scales, DType::kF32);
  EXPECT_EQ(Make(scales, 1).scales, DType::kF32);
  EXPECT_EQ(Make(scales, 4, 0).scales, DType::kF32);
  EXPECT_EQ(Make(scales, 0, 4).scales, DType::kF16);
}

TEST(NarrowScales, ScalesThatLosePrecisionStay) {
  for (float odd : {0x1p-15f, -0x1p-15f, 65536.0f, 1e-30f, INFINITY, NAN}) {
    std::vector<float> scales(kN * 2, 0.01f);
    scales[4] = odd;
    const Product p = Make(scales, 4);
    EXPECT_EQ(p.scales, DType::kF32) << odd;
    ASSERT_TRUE(p.plan);
    bool noted = false;
    for (const FusionNote& note : p.plan->notes) {
      noted |= note.fusion == std::string("narrow-scales") && !note.done;
    }
    EXPECT_TRUE(noted) << odd;
  }
  for (float fine : {0.0f, -0.0f, 0x1p-14f, -65504.0f}) {
    std::vector<float> scales(kN * 2, 0.01f);
    scales[4] = fine;
    EXPECT_EQ(Make(scales, 4).scales, DType::kF16) << fine;
  }
}

TEST(NarrowScales, TheProductMovesByTheRoundingOfTheScales) {
  std::vector<float> scales(kN * 2), rounded(kN * 2);
  for (size_t i = 0; i < scales.size(); ++i) {
    scales[i] = 0.01f + 0.00123f * static_cast<float>(i);
    // To 11 bits, by arithmetic: 2^-7 <= scale < 2^-5.
    const float unit = scales[i] < 0x1p-6f ? 0x1p-17f : 0x1p-16f;
    rounded[i] = std::nearbyint(scales[i] / unit) * unit;
  }
  std::vector<float> a(2 * kK);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<float>(i * 37 % 23) / 16 - 0.7f;
  }
  const Product wide = Make(scales, 4), exact = Make(rounded, 4);
  ASSERT_TRUE(wide.plan && exact.plan);
  EXPECT_EQ(RunPlan(*wide.plan, {2, kK}, a), RunPlan(*exact.plan, {2, kK}, a));
}

}  // namespace
}  // namespace slm
