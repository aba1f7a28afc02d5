// SPDX-License-Identifier: MIT
// Every step knows the quantised weights that are read next, and only those.
#include "tests/plan/graph_maker.h"

namespace slm {
namespace {

constexpr size_t kSize = 32;

ValueId Product(GraphMaker& g, ValueId x, bool constant) {
  const ValueId b =
      constant
          ? g.Constant<uint8_t>({kSize, 1, kSize / 2},
                                std::vector<uint8_t>(kSize * kSize / 2, 0x97))
          : g.Input("b", DType::kU8);
  const ValueId scales =
      g.Constant<float>({kSize, 1}, std::vector<float>(kSize, 0.5f));
  return g.Node(
      "MatMulNBits", {x, b, scales},
      {{"K", {kSize}}, {"N", {kSize}}, {"bits", {4}}, {"block_size", {32}}}, 1,
      "com.microsoft");
}

TEST(NextWeights, AreThoseOfTheNextProductWithConstants) {
  GraphMaker g;
  const ValueId first = Product(g, g.Input("x", DType::kF32), true);
  const ValueId fed = Product(g, g.Node("Neg", {first}), false);
  const ValueId last = Product(g, g.Node("Abs", {fed}), true);
  auto plan = BuildPlan(g.Finish(last, "y"), PlanOptions());
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  const Graph& graph = *(*plan)->graph;
  const std::vector<Step>& steps = (*plan)->steps;
  ASSERT_EQ(steps.size(), 5u);
  const Node& node = graph.nodes[steps[4].node];
  ASSERT_EQ(node.type, "MatMulNBits");
  for (size_t s = 0; s < 4; ++s) {
    EXPECT_EQ(steps[s].next_weights, node.Input(1)) << s;
    EXPECT_EQ(steps[s].next_scales, node.Input(2)) << s;
  }
  EXPECT_EQ(steps[4].next_weights, kNoValue);
  EXPECT_EQ(steps[4].next_scales, kNoValue);
}

}  // namespace
}  // namespace slm
