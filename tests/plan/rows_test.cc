// SPDX-License-Identifier: MIT
// Which graphs may run as ragged batches. What looks across tokens must force
// dense mode: taken for row-wise it would mix sequences silently.
#include "runtime/plan/rows.h"

#include <functional>

#include "tests/plan/graph_maker.h"

namespace slm {
namespace {

constexpr int64_t kD = 4;

struct Case {
  const char* name;
  // From embeddings [1, T, 4] to the graph's output.
  std::function<ValueId(GraphMaker&, ValueId)> make;
  bool ragged;
  const char* reason;  // a part of it
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.name;
}

ValueId Ints(GraphMaker& g, std::vector<int64_t> values) {
  return g.Constant<int64_t>({static_cast<int64_t>(values.size())}, values);
}

ValueId Floats(GraphMaker& g, const Shape& shape) {
  std::vector<float> values(shape.Count());
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i) - 3;
  }
  return g.Constant<float>(shape, values);
}

const Case kCases[] = {
    {"Nothing", [](GraphMaker&, ValueId x) { return x; }, true, ""},
    {"Elementwise",
     [](GraphMaker& g, ValueId x) {
       return g.Node("Mul", {x, g.Node("Sigmoid", {x})});
     },
     true, ""},
    {"ProductWithAWeight",
     [](GraphMaker& g, ValueId x) {
       return g.Node("MatMul", {x, Floats(g, {kD, 7})});
     },
     true, ""},
    {"ConstantBesideEachToken",
     [](GraphMaker& g, ValueId x) {
       return g.Node("Add", {x, Floats(g, {1, 1, kD})});
     },
     true, ""},
    {"HeadsAndBack",
     [](GraphMaker& g, ValueId x) {
       const ValueId h = g.Node("Reshape", {x, Ints(g, {1, -1, 2, 2})});
       return g.Node("Reshape", {g.Node("Softmax", {h}, {{"axis", {-1}}}),
                                 Ints(g, {1, -1, kD})});
     },
     true, ""},
    {"SoftmaxOverFeatures",
     [](GraphMaker& g, ValueId x) {
       return g.Node("Softmax", {x}, {{"axis", {2}}});
     },
     true, ""},
    {"SoftmaxOverTokens",
     [](GraphMaker& g, ValueId x) {
       return g.Node("Softmax", {x}, {{"axis", {1}}});
     },
     false, "along the tokens"},
    // Up to opset 12 the default axis 1 and all behind it are one row.
    {"SoftmaxOfOldOpsets",
     [](GraphMaker& g, ValueId x) { return g.Node("Softmax", {x}, {}, 11); },
     false, "across tokens"},
    {"SoftmaxOverFlattenedTokens",
     [](GraphMaker& g, ValueId x) {
       const ValueId flat = g.Node("Reshape", {x, Ints(g, {1, -1})});
       return g.Node("Softmax", {flat}, {{"axis", {-1}}});
     },
     false, "along the tokens"},
    {"CumSumOverTokens",
     [](GraphMaker& g, ValueId x) {
       return g.Node("CumSum", {x, Ints(g, {1})}, {}, 14);
     },
     false, "across tokens"},
    {"MeanOverTokens",
     [](GraphMaker& g, ValueId x) {
       return g.Node("Sub",
                     {x, g.Node("ReduceMean", {x, Ints(g, {1})}, {}, 18)});
     },
     false, ""},
    {"MeanOfFeatures",
     [](GraphMaker& g, ValueId x) {
       return g.Node("Sub",
                     {x, g.Node("ReduceMean", {x, Ints(g, {-1})}, {}, 18)});
     },
     true, ""},
    {"MeanOfFeaturesByAttribute",
     [](GraphMaker& g, ValueId x) {
       const GraphMaker::Option axes{"axes", {2}, /*list=*/true};
       return g.Node("Sub", {x, g.Node("ReduceMean", {x}, {axes}, 17)});
     },
     true, ""},
    // [1, T, 1] by [1, T] is [1, T, T]: every token by every other.
    {"MaximumWithoutItsAxis",
     [](GraphMaker& g, ValueId x) {
       const ValueId features =
           g.Node("Slice", {x, Ints(g, {0}), Ints(g, {1}), Ints(g, {2})});
       return g.Node("Mul", {features, g.Node("ReduceMax", {x, Ints(g, {-1})},
                                              {{"keepdims", {0}}}, 18)});
     },
     false, ""},
    {"MeanOfEverything",
     [](GraphMaker& g, ValueId x) {
       return g.Node("Sub", {x, g.Node("ReduceMean", {x}, {}, 18)});
     },
     false, ""},
    {"SumOverTokensThatKeepsTheirNumber",
     [](GraphMaker& g, ValueId x) {
       const ValueId h = g.Node("Reshape", {x, Ints(g, {1, 1, -1, kD})});
       return g.Node("Add",
                     {x, g.Node("ReduceSum", {h, Ints(g, {2, 3})}, {}, 13)});
     },
     false, ""},
    {"RotaryByPositions",
     [](GraphMaker& g, ValueId x) {
       return g.Node("RotaryEmbedding",
                     {x, g.ids(), Floats(g, {9, 2}), Floats(g, {9, 2})}, {}, 1,
                     "com.microsoft");
     },
     true, ""},
    {"RotaryOfOnnxByPositions",
     [](GraphMaker& g, ValueId x) {
       return g.Node("RotaryEmbedding",
                     {x, Floats(g, {9, 2}), Floats(g, {9, 2}), g.ids()},
                     {{"num_heads", {1}}}, 23);
     },
     true, ""},
    {"RotaryOfOnnxByItsOwnRows",
     [](GraphMaker& g, ValueId x) {
       const ValueId cos = g.Node("Gather", {Floats(g, {9, 2}), g.ids()});
       return g.Node("RotaryEmbedding", {x, cos, cos}, {{"num_heads", {1}}},
                     23);
     },
     true, ""},
    {"RotaryFromOnePosition",
     [](GraphMaker& g, ValueId x) {
       return g.Node("RotaryEmbedding",
                     {x, Ints(g, {0}), Floats(g, {9, 2}), Floats(g, {9, 2})},
                     {}, 1, "com.microsoft");
     },
     false, "counts positions"},
    // Positions point into what other tokens brought.
    {"RotaryByRowsOfTheBatch",
     [](GraphMaker& g, ValueId x) {
       const ValueId rows = g.Node("Gather", {Floats(g, {9, 2}), g.ids()});
       const ValueId cos = g.Node("Reshape", {rows, Ints(g, {-1, 2})});
       return g.Node("RotaryEmbedding", {x, g.ids(), cos, cos}, {}, 1,
                     "com.microsoft");
     },
     false, "not by position"},
    {"RotaryOfHeadsInFront",
     [](GraphMaker& g, ValueId x) {
       const ValueId h =
           g.Node("Transpose", {g.Node("Reshape", {x, Ints(g, {1, -1, 2, 2})})},
                  {{"perm", {0, 2, 1, 3}}});
       return g.Node("RotaryEmbedding",
                     {h, g.ids(), Floats(g, {9, 1}), Floats(g, {9, 1})}, {}, 1,
                     "com.microsoft");
     },
     false, ""},
    // As many heads as tokens, the one token's position for all.
    {"RotaryOfTokensAsHeads",
     [](GraphMaker& g, ValueId x) {
       const ValueId h = g.Node("Reshape", {x, Ints(g, {1, -1, 1, kD})});
       return g.Node("RotaryEmbedding",
                     {h, Floats(g, {1, 1, 2}), Floats(g, {1, 1, 2})}, {}, 23);
     },
     false, "takes tokens for heads"},
    {"NormOverTokens",
     [](GraphMaker& g, ValueId x) {
       return g.Node("LpNormalization", {x}, {{"axis", {1}}}, 1);
     },
     false, "along the tokens"},
    {"TokensOnTheLastAxis",
     [](GraphMaker& g, ValueId x) {
       return g.Node("Transpose", {x}, {{"perm", {0, 2, 1}}});
     },
     false, ""},
    {"ProductOverTokens",
     [](GraphMaker& g, ValueId x) {
       const ValueId t = g.Node("Transpose", {x}, {{"perm", {0, 2, 1}}});
       return g.Node("MatMul", {x, g.Node("MatMul", {t, x})});
     },
     false, ""},
    {"ProductOfTwoActivations",
     [](GraphMaker& g, ValueId x) {
       const ValueId s = g.Node("Reshape", {x, Ints(g, {1, -1, 2, 2})});
       return g.Node("MatMul", {s, s});
     },
     false, "not constant"},
    {"TokensBesideThemselves",
     [](GraphMaker& g, ValueId x) {
       return g.Node("Concat", {x, x}, {{"axis", {1}}});
     },
     false, "along the tokens"},
    {"FeaturesBesideThemselves",
     [](GraphMaker& g, ValueId x) {
       return g.Node("Concat", {x, x}, {{"axis", {2}}});
     },
     true, ""},
    {"TokensReversed",
     [](GraphMaker& g, ValueId x) {
       return g.Node("Slice", {x, Ints(g, {-1}), Ints(g, {-1000}), Ints(g, {1}),
                               Ints(g, {-1})});
     },
     false, "reverse"},
    {"TheFirstToken",
     [](GraphMaker& g, ValueId x) {
       return g.Node("Gather", {x, Ints(g, {0})}, {{"axis", {1}}});
     },
     false, ""},
    {"TheFirstTokenAddedToAll",
     [](GraphMaker& g, ValueId x) {
       const ValueId first =
           g.Node("Slice", {x, Ints(g, {0}), Ints(g, {1}), Ints(g, {1})});
       return g.Node("Add", {x, first});
     },
     false, ""},
    {"AllButTheLastToken",
     [](GraphMaker& g, ValueId x) {
       return g.Node("Slice", {x, Ints(g, {0}), Ints(g, {-1}), Ints(g, {1})});
     },
     false, ""},
    {"AConvolutionOverTokens",
     [](GraphMaker& g, ValueId x) {
       const ValueId t = g.Node("Transpose", {x}, {{"perm", {0, 2, 1}}});
       const ValueId y =
           g.Node("Conv", {t, Floats(g, {kD, kD, 3})}, {{"pads", {1, 1}}}, 11);
       return g.Node("Transpose", {y}, {{"perm", {0, 2, 1}}});
     },
     false, ""},
};

class RowProof : public testing::TestWithParam<Case> {};

TEST_P(RowProof, DecidesBetweenRaggedAndDense) {
  GraphMaker g;
  const ValueId ids = g.Input("input_ids", DType::kI64);
  const ValueId x = g.Node("Gather", {Floats(g, {9, kD}), ids});
  auto graph = g.Finish(GetParam().make(g, x), "logits");
  const auto plan = BuildPlan(std::move(graph), PlanOptions());
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  const auto reason = WhyNotRowwise(**plan, (*plan)->graph->inputs);
  // A graph whose shapes do not even fit other numbers of tokens is refused,
  // too.
  const std::string why = reason.ok() ? *reason : reason.status().message();
  EXPECT_EQ(why.empty(), GetParam().ragged) << why;
  EXPECT_NE(why.find(GetParam().reason), std::string::npos) << why;
}

INSTANTIATE_TEST_SUITE_P(All, RowProof, testing::ValuesIn(kCases),
                         [](const testing::TestParamInfo<Case>& c) {
                           return c.param.name;
                         });

}  // namespace
}  // namespace slm
