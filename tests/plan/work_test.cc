// SPDX-License-Identifier: MIT
// What slm-bench holds times against, from arithmetic; the whole of a decoder
// is in tests/tools/bench_test.py.
#include "runtime/plan/work.h"

#include "tests/plan/graph_maker.h"

namespace slm {
namespace {

constexpr int64_t kD = 4, kN = 7, kVocab = 10, kTokens = 3;

ValueId Floats(GraphMaker& g, const Shape& shape) {
  return g.Constant<float>(shape, std::vector<float>(shape.Count(), 0.5f));
}

// The profile of one run on ids [3].
Profile ProfileOf(GraphMaker& g, ValueId output) {
  auto plan = BuildPlan(g.Finish(output, "y"), {});
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  ThreadPool pool(1);
  Executor executor(**plan, pool);
  auto ids = executor.NewTensor(DType::kI64, {kTokens});
  EXPECT_TRUE(ids.ok());
  const std::vector<int64_t> values = {1, 2, 9};
  std::memcpy(ids->view.data, values.data(), sizeof(int64_t) * 3);
  executor.Feed((*plan)->graph->inputs[0], std::move(ids).value());
  Profile profile;
  executor.SetProfile(&profile);
  const Status status = executor.Run();
  EXPECT_TRUE(status.ok()) << status.message();
  executor.SetProfile(nullptr);
  EXPECT_TRUE(executor.Run().ok());  // adds nothing
  return profile;
}

TEST(Work, OfATableCountsTheRowsGathered) {
  GraphMaker g;
  const ValueId ids = g.Input("ids", DType::kI64);
  const Profile p =
      ProfileOf(g, g.Node("Gather", {Floats(g, {kVocab, kD}), ids}));
  ASSERT_EQ(p.rows().size(), 1u);
  EXPECT_EQ(p.rows()[0].name, "Gather");
  EXPECT_EQ(p.rows()[0].shape, "[3, 4]");
  EXPECT_EQ(p.rows()[0].calls, 1u);
  EXPECT_EQ(p.rows()[0].work.weight_bytes, kTokens * kD * sizeof(float));
  EXPECT_EQ(p.rows()[0].work.activation_bytes,
            kTokens * sizeof(int64_t) + kTokens * kD * sizeof(float));
  EXPECT_EQ(p.rows()[0].work.product_macs, 0u);
}

TEST(Work, OfAProductIsTheWeightOnceAndMNK) {
  GraphMaker g;
  const ValueId ids = g.Input("ids", DType::kI64);
  const ValueId x = g.Node("Gather", {Floats(g, {kVocab, kD}), ids});
  const ValueId w = Floats(g, {kD, kN});
  const Profile p = ProfileOf(g, g.Node("MatMul", {x, w}));
  ASSERT_EQ(p.rows().size(), 2u);
  const ProfileRow& row = p.rows()[1];
  EXPECT_EQ(row.name, "MatMul");
  EXPECT_EQ(row.shape, "[3, 4] x [4, 7] float");
  EXPECT_EQ(row.work.weight_bytes, kD * kN * sizeof(float));
  EXPECT_EQ(row.work.product_macs, static_cast<uint64_t>(kTokens * kD * kN));
  EXPECT_EQ(p.Total().MustRead(), (kD * kN + kTokens * kD) * sizeof(float));
}

TEST(Profile, JoinsEqualShapesAndKeepsOthersApart) {
  GraphMaker g;
  const ValueId ids = g.Input("ids", DType::kI64);
  const ValueId x = g.Node("Gather", {Floats(g, {kVocab, kD}), ids});
  const ValueId square = Floats(g, {kD, kD}), wide = Floats(g, {kD, kN});
  const ValueId twice =
      g.Node("MatMul", {g.Node("MatMul", {x, square}), square});
  const Profile p = ProfileOf(g, g.Node("MatMul", {twice, wide}));
  ASSERT_EQ(p.rows().size(), 3u);
  EXPECT_EQ(p.rows()[1].calls, 2u);
  EXPECT_EQ(p.rows()[1].shape, "[3, 4] x [4, 4] float");
  EXPECT_EQ(p.rows()[2].calls, 1u);
  EXPECT_GT(p.own_seconds(), 0);
}

TEST(Profile, TimeOutsideHasRowsOfItsOwn) {
  Profile p;
  p.AddOutside("a", 1);
  p.AddOutside("b", 2);
  p.AddOutside("a", 3);
  ASSERT_EQ(p.rows().size(), 2u);
  EXPECT_EQ(p.rows()[0].calls, 2u);
  EXPECT_EQ(p.rows()[0].seconds, 4);
  EXPECT_EQ(p.rows()[1].name, "b");
}

}  // namespace
}  // namespace slm
