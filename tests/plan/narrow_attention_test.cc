// SPDX-License-Identifier: MIT
// Which attention may multiply 16-bit integers: what products of accuracy level
// 4 alone read.
#include "tests/plan/graph_maker.h"

namespace slm {
namespace {

constexpr int64_t kWidth = 32;

enum class Reader { kProduct, kSelectedRows, kAlsoAnother };

// Whether the plan lets attention before one product take integers.
bool TakesIntegers(int64_t level, Reader reader, int override_level = -1) {
  GraphMaker g;
  const ValueId x = g.Input("x", DType::kF32);
  ValueId y =
      g.Node("GroupQueryAttention", {x, x, x},
             {{"num_heads", {2}}, {"kv_num_heads", {2}}, {"layer_slot", {0}}},
             1, "slm");
  if (reader == Reader::kSelectedRows) {
    y = g.Node("SelectRows", {y, g.Constant<int64_t>({1}, {0})}, {}, 1, "slm");
  }
  const ValueId product =
      g.Node("MatMulNBits",
             {y, g.Constant<uint8_t>({1, 1, 16}, std::vector<uint8_t>(16, 1)),
              g.Constant<float>({1, 1}, {0.5f})},
             {{"K", {kWidth}},
              {"N", {1}},
              {"bits", {4}},
              {"block_size", {32}},
              {"accuracy_level", {level}}},
             1, "com.microsoft");
  const ValueId out = reader == Reader::kAlsoAnother
                          ? g.Node("Mul", {product, y}, {}, 14)
                          : product;
  PlanOptions options;
  options.accuracy_level = override_level;
  auto plan = BuildPlan(g.Finish(out, "y"), options);
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  if (!plan.ok()) return false;
  for (const Node& node : (*plan)->graph->nodes) {
    if (node.type != "GroupQueryAttention") continue;
    const Attribute* int16 = node.Find("int16");
    return int16 && int16->i == 1;
  }
  ADD_FAILURE() << "no attention";
  return false;
}

TEST(NarrowAttention, OnlyBeforeProductsOfAccuracyLevelFour) {
  EXPECT_TRUE(TakesIntegers(4, Reader::kProduct));
  EXPECT_TRUE(TakesIntegers(4, Reader::kSelectedRows));
  EXPECT_FALSE(TakesIntegers(4, Reader::kAlsoAnother));
  EXPECT_FALSE(TakesIntegers(0, Reader::kProduct));
  EXPECT_FALSE(TakesIntegers(0, Reader::kSelectedRows));
  EXPECT_FALSE(TakesIntegers(4, Reader::kProduct, 0));
  EXPECT_TRUE(TakesIntegers(0, Reader::kProduct, 4));
}

}  // namespace
}  // namespace slm
