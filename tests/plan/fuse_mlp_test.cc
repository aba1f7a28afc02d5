// SPDX-License-Identifier: MIT
// When a gated product and the one that reads it become one step, and that its
// bits are those of the two.
#include <algorithm>
#include <functional>

#include "tests/plan/graph_maker.h"

namespace slm {
namespace {

// x [.., 32] -> [.., 40] -> [.., 6].
struct MlpCase {
  int64_t level = 4, down_level = 4;
  int64_t down_block = 32;
  int64_t down_bits = 4;
  bool zeros = false;
  bool read_twice = false;  // the gated product is an output, too
};
constexpr int64_t kK = 32, kN = 40, kD = 6;

ValueId Product(GraphMaker& g, ValueId x, int64_t n, int64_t k, int64_t block,
                int64_t bits, int64_t level, bool zeros) {
  const int64_t blocks = (k + block - 1) / block, bytes = block * bits / 8;
  std::vector<uint8_t> codes(static_cast<size_t>(n * blocks * bytes));
  for (size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<uint8_t>(i * 73 + i / 7 + static_cast<size_t>(n));
  }
  std::vector<float> scales(static_cast<size_t>(n * blocks));
  for (size_t i = 0; i < scales.size(); ++i) {
    scales[i] = 0.01f + 0.001f * static_cast<float>(i % 9);
  }
  std::vector<ValueId> inputs = {x,
                                 g.Constant<uint8_t>({n, blocks, bytes}, codes),
                                 g.Constant<float>({n, blocks}, scales),
                                 kNoValue,
                                 kNoValue,
                                 kNoValue};
  if (zeros) {
    const int64_t row = (blocks * bits + 7) / 8;
    inputs[3] = g.Constant<uint8_t>(
        {n, row}, std::vector<uint8_t>(static_cast<size_t>(n * row), 0x79));
  }
  inputs[5] = g.Constant<float>(
      {n}, std::vector<float>(static_cast<size_t>(n), 0.125f));
  return g.Node("MatMulNBits", inputs,
                {{"K", {k}},
                 {"N", {n}},
                 {"bits", {bits}},
                 {"block_size", {block}},
                 {"accuracy_level", {level}}},
                1, "com.microsoft");
}

std::unique_ptr<Plan> Build(const MlpCase& c, int override_level = -1) {
  GraphMaker g;
  const ValueId x = g.Input("x", DType::kF32);
  const ValueId gate = Product(g, x, kN, kK, 16, 4, c.level, c.zeros);
  const ValueId up = Product(g, x, kN, kK, 16, 4, c.level, c.zeros);
  const ValueId gated = g.Node("Mul", {g.Node("Gelu", {gate}), up});
  const ValueId y = Product(g, gated, kD, kN, c.down_block, c.down_bits,
                            c.down_level, c.zeros);
  auto graph = g.Finish(y, "y");
  if (c.read_twice) graph->outputs.push_back(gated);
  PlanOptions options;
  options.accuracy_level = override_level;
  auto plan = BuildPlan(std::move(graph), options);
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  return plan.ok() ? std::move(plan).value() : nullptr;
}

bool IsFused(const Plan& plan) {
  const size_t fused = CountNodes(plan, "GatedMlpNBits");
  EXPECT_EQ(CountNodes(plan, "GatedMatMulNBits"), 1 - fused);
  EXPECT_EQ(CountNodes(plan, "MatMulNBits"), 1 - fused);
  return fused == 1;
}

TEST(FuseGatedMlp, GivesTheBitsOfItsProducts) {
  for (const int64_t rows : {1, 2, 3, 23, 24, 25, 50}) {
    for (const int64_t block : {16, 32}) {
      for (const int64_t bits : {2, 4, 8}) {
        for (const bool zeros : {false, true}) {
          MlpCase c;
          c.down_block = block;
          c.down_bits = bits;
          c.zeros = zeros;
          const auto fused = Build(c);
          c.read_twice = true;
          const auto apart = Build(c);
          ASSERT_TRUE(fused && apart);
          EXPECT_TRUE(IsFused(*fused));
          EXPECT_FALSE(IsFused(*apart));
          std::vector<float> x(static_cast<size_t>(rows * kK));
          for (size_t i = 0; i < x.size(); ++i) {
            x[i] = static_cast<float>(i * 37 % 101) / 16 - 3;
          }
          const std::vector<float> y = RunPlan(*fused, {1, rows, kK}, x);
          ASSERT_EQ(y.size(), static_cast<size_t>(rows * kD));
          EXPECT_EQ(y, RunPlan(*apart, {1, rows, kK}, x)) << rows << " rows";
        }
      }
    }
  }
}

TEST(FuseGatedMlp, LeavesApartWhatIsNoneOrNotInt8) {
  struct Row {
    const char* why;
    MlpCase c;
    bool fused;
  };
  const Row rows[] = {
      {"blocks of 32", {}, true},
      {"blocks of 64", {.down_block = 64}, false},
      {"blocks of 256", {.down_block = 256}, false},
      {"floats first", {.level = 0}, false},
      {"floats behind", {.down_level = 1}, false},
      {"another reader", {.read_twice = true}, false},
  };
  for (const Row& row : rows) {
    const auto plan = Build(row.c);
    ASSERT_TRUE(plan);
    EXPECT_EQ(IsFused(*plan), row.fused) << row.why;
    const auto note = std::find_if(
        plan->notes.begin(), plan->notes.end(), [](const FusionNote& n) {
          return n.fusion == std::string("gated-mlp");
        });
    ASSERT_NE(note, plan->notes.end()) << row.why;
    EXPECT_EQ(note->done, row.fused) << note->outcome;
  }
}

TEST(FuseGatedMlp, HeedsTheLevelThatTheCallerChose) {
  const auto floats = Build({}, 0);
  const auto int8 = Build({.level = 0, .down_level = 1}, 4);
  ASSERT_TRUE(floats && int8);
  EXPECT_FALSE(IsFused(*floats));
  EXPECT_TRUE(IsFused(*int8));
}

TEST(FuseGatedMlp, KeepsScalesAsHalves) {
  const auto plan = Build({});
  ASSERT_TRUE(plan);
  ASSERT_TRUE(IsFused(*plan));
  const Node& node = plan->graph->nodes[0];
  for (const size_t scales : {2, 7, 12}) {
    EXPECT_EQ(plan->graph->values[node.inputs[scales]].constant->dtype,
              DType::kF16);
  }
}

TEST(FuseGatedMlp, CountsTheWorkOfThreeProducts) {
  const auto plan = Build({.down_bits = 8});
  ASSERT_TRUE(plan);
  ThreadPool pool(1);
  Executor executor(*plan, pool);
  const int64_t rows = 7;
  auto x = executor.NewTensor(DType::kF32, {rows, kK});
  ASSERT_TRUE(x.ok());
  std::memset(x->view.data, 0, x->view.Bytes());
  executor.Feed(plan->graph->inputs[0], std::move(x).value());
  Profile profile;
  executor.SetProfile(&profile);
  ASSERT_TRUE(executor.Run().ok());
  ASSERT_EQ(profile.rows().size(), 1u);
  const ProfileRow& row = profile.rows()[0];
  EXPECT_EQ(row.shape, "[7, 32] x 2 [32, 40] int4/16 x [40, 6] int8/32");
  EXPECT_EQ(row.work.product_macs,
            static_cast<uint64_t>(rows * (2 * kN * kK + kD * kN)));
  // Codes, float16 scales and float biases; K of the last is padded to 64.
  const int64_t two = 2 * kN * (kK / 2 + kK / 16 * 2 + 4);
  EXPECT_EQ(row.work.weight_bytes,
            static_cast<uint64_t>(two + kD * (64 + 2 * 2 + 4)));
}

}  // namespace
}  // namespace slm
