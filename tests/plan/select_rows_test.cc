// SPDX-License-Identifier: MIT
// Where rows of logits are chosen. That the logits stay the same to the bit is
// tests/runtime/session_test.cc's.
#include <set>

#include "runtime/plan/fusions.h"
#include "tests/plan/graph_maker.h"

namespace slm {
namespace {

constexpr int64_t kWidth = 8, kVocab = 9;

ValueId Floats(GraphMaker& g, const Shape& shape) {
  return g.Constant<float>(shape, std::vector<float>(shape.Count(), 0.5f));
}

// x + output projection of attention over the q, k, v of x [1, T, 8].
ValueId Layer(GraphMaker& g, ValueId x, const std::string& layer) {
  const auto project = [&](ValueId from) {
    return g.Node("MatMul", {from, Floats(g, {kWidth, kWidth})});
  };
  const ValueId past_key =
      g.Input("past_key_values." + layer + ".key", DType::kF32);
  const ValueId past_value =
      g.Input("past_key_values." + layer + ".value", DType::kF32);
  const ValueId attention =
      g.Node("GroupQueryAttention",
             {project(x), project(x), project(x), past_key, past_value,
              g.Constant<int32_t>({1}, {0}), g.Constant<int32_t>({}, {1})},
             {{"num_heads", {2}}, {"kv_num_heads", {2}}}, 1, "com.microsoft");
  return g.Node("Add", {x, project(attention)});
}

std::unique_ptr<Plan> Build(std::unique_ptr<Graph> graph) {
  const DecoderNames names;
  PlanOptions options;
  options.decoder = &names;
  auto plan = BuildPlan(std::move(graph), options);
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  if (!plan.ok()) return nullptr;
  EXPECT_TRUE((*plan)->ragged) << (*plan)->dense_reason;
  return std::move(plan).value();
}

// Names of the values that SelectRows nodes read.
std::set<std::string> Selected(const Plan& plan) {
  std::set<std::string> names;
  for (const Node& node : plan.graph->nodes) {
    if (node.type != "SelectRows") continue;
    EXPECT_EQ(node.inputs[1], plan.row_selection);
    names.insert(plan.graph->values[node.inputs[0]].name);
  }
  return names;
}

TEST(SelectRows, StandsBehindTheLastAttention) {
  GraphMaker g;
  const ValueId ids = g.Input("input_ids", DType::kI64);
  ValueId x = g.Node("Gather", {Floats(g, {kVocab, kWidth}), ids});
  x = Layer(g, x, "0");
  const ValueId residual = x;
  x = Layer(g, x, "1");
  x = g.Node("MatMul", {x, Floats(g, {kWidth, kVocab})});
  auto graph = g.Finish(x, "logits");
  std::string attention;
  for (const Node& node : graph->nodes) {
    if (node.type == "GroupQueryAttention") {
      attention = graph->values[node.outputs[0]].name;
    }
  }
  const std::string skip = graph->values[residual].name;
  const auto plan = Build(std::move(graph));
  ASSERT_NE(plan, nullptr);
  EXPECT_EQ(Selected(*plan), (std::set<std::string>{attention, skip}));
}

TEST(SelectRows, LeavesOtherOutputsWhole) {
  GraphMaker g;
  const ValueId ids = g.Input("input_ids", DType::kI64);
  ValueId x = g.Node("Gather", {Floats(g, {kVocab, kWidth}), ids});
  const ValueId hidden = Layer(g, x, "0");
  x = g.Node("MatMul", {hidden, Floats(g, {kWidth, kVocab})});
  auto graph = g.Finish(x, "logits");
  graph->values[hidden].name = "hidden_states";
  graph->outputs.push_back(hidden);
  const auto plan = Build(std::move(graph));
  ASSERT_NE(plan, nullptr);
  EXPECT_EQ(Selected(*plan), std::set<std::string>{"hidden_states"});
}

// Rows that are not [1, T, ...] stay whole: all logits are computed.
TEST(SelectRows, NeedsARowForEachToken) {
  GraphMaker g;
  const ValueId ids = g.Input("input_ids", DType::kI64);
  ValueId x = g.Node("Gather", {Floats(g, {kVocab, kWidth}), ids});
  const ValueId halves =
      g.Node("Reshape", {x, g.Constant<int64_t>({3}, {1, -1, kWidth / 2})});
  const ValueId whole =
      g.Node("Reshape", {halves, g.Constant<int64_t>({3}, {1, -1, kWidth})});
  x = Layer(g, whole, "0");
  // A second reader behind the attention of what has two rows a token.
  x = g.Node("Add", {g.Node("Reshape",
                            {x, g.Constant<int64_t>({3}, {1, -1, kWidth / 2})}),
                     halves});
  auto graph = g.Finish(x, "logits");
  const auto plan = Build(std::move(graph));
  ASSERT_NE(plan, nullptr);
  EXPECT_EQ(plan->row_selection, kNoValue);
  EXPECT_TRUE(Selected(*plan).empty());
}

}  // namespace
}  // namespace slm
