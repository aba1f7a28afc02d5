// SPDX-License-Identifier: MIT
// Fusions of products and tables against arithmetic in double: what the graph
// says before the fusion is what must come out after it.
#include <cmath>
#include <optional>

#include "tests/plan/graph_maker.h"

namespace slm {
namespace {

constexpr size_t kRows = 3;

double Pattern(size_t i) { return static_cast<double>(i * 37 % 23) / 8 - 1.3; }

std::vector<float> SomeFloats(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(Pattern(i));
  return values;
}

// a [rows, k] times w(k, n).
template <typename Weight>
std::vector<double> Product(const std::vector<float>& a, size_t k, size_t n,
                            const Weight& w) {
  std::vector<double> y(a.size() / k * n, 0);
  for (size_t r = 0; r < a.size() / k; ++r) {
    for (size_t j = 0; j < n; ++j) {
      for (size_t i = 0; i < k; ++i) y[r * n + j] += a[r * k + i] * w(i, j);
    }
  }
  return y;
}

// Sums of k products below 2 * 16 each: k * 32 * 2^-24 of float32 rounding.
void ExpectNear(const std::vector<float>& got, const std::vector<double>& want,
                size_t k) {
  ASSERT_EQ(got.size(), want.size());
  const double limit = static_cast<double>(k) * 32 * 0x1p-24;
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], want[i], limit) << i;
  }
}

std::unique_ptr<Plan> Build(std::unique_ptr<Graph> graph) {
  PlanOptions options;
  options.accuracy_level = 0;  // float32 activations
  auto plan = BuildPlan(std::move(graph), options);
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  return plan.ok() ? std::move(plan).value() : nullptr;
}

bool Noted(const Plan& plan, const std::string& fusion, bool done) {
  for (const FusionNote& note : plan.notes) {
    if (note.fusion == fusion && note.done == done) return true;
  }
  return false;
}

TEST(FuseTransposedMatMul, ReadsTheWeightAsItLies) {
  constexpr size_t kK = 5, kN = 7;
  const auto w = SomeFloats(kN * kK), a = SomeFloats(kRows * kK);
  GraphMaker g;
  const ValueId x = g.Input("x", DType::kF32);
  const ValueId t =
      g.Node("Transpose", {g.Constant<float>({kN, kK}, w)}, {{"perm", {1, 0}}});
  const auto plan = Build(g.Finish(g.Node("MatMul", {x, t}), "y"));
  ASSERT_TRUE(plan);
  EXPECT_EQ(CountNodes(*plan, "FusedMatMul"), 1u);
  EXPECT_EQ(CountNodes(*plan, "Transpose"), 0u);
  ExpectNear(
      RunPlan(*plan, {kRows, kK}, a),
      Product(a, kK, kN, [&](size_t i, size_t j) { return w[j * kK + i]; }),
      kK);
}

TEST(FuseTransposedMatMul, LeavesActivationsAlone) {
  GraphMaker g;
  const ValueId x = g.Input("x", DType::kF32);
  const ValueId t = g.Node("Transpose", {x}, {{"perm", {1, 0}}});
  const auto plan = Build(g.Finish(g.Node("MatMul", {x, t}), "y"));
  ASSERT_TRUE(plan);
  EXPECT_EQ(CountNodes(*plan, "FusedMatMul"), 0u);
  const auto a = SomeFloats(2 * 3);
  ExpectNear(RunPlan(*plan, {2, 3}, a),
             Product(a, 3, 2, [&](size_t i, size_t j) { return a[j * 3 + i]; }),
             3);
}

// ---- DequantizeLinear -------------------------------------------------------

enum class Scales { kOne, kColumn, kBlock };
enum class Layout { kAsIs, kTransposeAfter, kFusedTransB };

struct QuantCase {
  const char* name;
  DType dtype;
  Scales scales;
  bool zero;
  Layout layout;
  size_t k, n, block;
  bool fuses;
};

std::ostream& operator<<(std::ostream& out, const QuantCase& c) {
  return out << c.name;
}

constexpr QuantCase kQuantCases[] = {
    {"Int8OneScale", DType::kI8, Scales::kOne, false, Layout::kAsIs, 40, 6, 0,
     true},
    {"Uint8ColumnZero", DType::kU8, Scales::kColumn, true, Layout::kAsIs, 160,
     5, 0, true},
    {"Int8ColumnZeroTransposed", DType::kI8, Scales::kColumn, true,
     Layout::kTransposeAfter, 160, 5, 0, true},
    {"Int4Blocks", DType::kI4, Scales::kBlock, false, Layout::kAsIs, 64, 6, 32,
     true},
    {"Uint4BlocksZero", DType::kU4, Scales::kBlock, true, Layout::kAsIs, 64, 6,
     16, true},
    {"Uint4BlocksZeroTransposed", DType::kU4, Scales::kBlock, true,
     Layout::kTransposeAfter, 96, 3, 32, true},
    {"Int4BlocksFused", DType::kI4, Scales::kBlock, false, Layout::kFusedTransB,
     64, 5, 32, true},
    {"Uint4OddBlocks", DType::kU4, Scales::kBlock, true, Layout::kAsIs, 48, 3,
     16, true},
    {"BlocksOfEightStay", DType::kI4, Scales::kBlock, false, Layout::kAsIs, 64,
     4, 8, false},
};

struct Quantized {
  std::vector<uint8_t> q, zero;  // elements, not packed; zero: like scale
  std::vector<float> scale;
  size_t rows, cols;  // as stored
  size_t k_axis;
};

// The integer that a raw element stands for.
int Meaning(uint8_t raw, DType dtype) {
  switch (dtype) {
    case DType::kI8:
      return static_cast<int8_t>(raw);
    case DType::kI4:
      return raw < 8 ? raw : raw - 16;
    default:
      return raw;
  }
}

std::vector<uint8_t> PackedElements(const std::vector<uint8_t>& raw,
                                    DType dtype) {
  if (Info(dtype).bits == 8) return raw;
  std::vector<uint8_t> packed((raw.size() + 1) / 2);
  for (size_t i = 0; i < raw.size(); ++i) {
    packed[i / 2] |= static_cast<uint8_t>(raw[i] << (i % 2 * 4));
  }
  return packed;
}

Quantized MakeQuantized(const QuantCase& c) {
  Quantized w;
  w.k_axis = c.layout == Layout::kAsIs ? 0 : 1;
  w.rows = w.k_axis == 0 ? c.k : c.n;
  w.cols = w.k_axis == 0 ? c.n : c.k;
  const unsigned mask = (1u << Info(c.dtype).bits) - 1;
  for (size_t i = 0; i < c.k * c.n; ++i) {
    w.q.push_back(static_cast<uint8_t>(i * 89 + i / 7) & mask);
  }
  const size_t scales = c.scales == Scales::kOne      ? 1
                        : c.scales == Scales::kColumn ? c.n
                                                      : c.k / c.block * c.n;
  // So that weights stay below 2: 8 bits by 1/128, 4 bits by 1/8.
  const float unit = Info(c.dtype).bits == 8 ? 0x1p-7f : 0x1p-3f;
  for (size_t i = 0; i < scales; ++i) {
    w.scale.push_back(unit * (1 + static_cast<float>(i % 5) / 8));
    w.zero.push_back(static_cast<uint8_t>(c.zero ? i * 5 + 3 : 0) & mask);
  }
  return w;
}

class QuantizedMatMul : public testing::TestWithParam<QuantCase> {
 protected:
  // The file's meaning of element (k, n) by ONNX's DequantizeLinear.
  static double Value(const QuantCase& c, const Quantized& w, size_t k,
                      size_t n) {
    const size_t row = w.k_axis == 0 ? k : n, col = w.k_axis == 0 ? n : k;
    size_t s = 0;
    if (c.scales == Scales::kColumn) s = n;
    if (c.scales == Scales::kBlock) {
      s = w.k_axis == 0 ? row / c.block * w.cols + col
                        : row * (w.cols / c.block) + col / c.block;
    }
    return double{w.scale[s]} * (Meaning(w.q[row * w.cols + col], c.dtype) -
                                 (c.zero ? Meaning(w.zero[s], c.dtype) : 0));
  }

  static ValueId AddWeight(GraphMaker& g, const QuantCase& c,
                           const Quantized& w) {
    const auto dim = [](size_t n) { return static_cast<int64_t>(n); };
    const Shape shape{dim(w.rows), dim(w.cols)};
    Shape scale_shape;
    if (c.scales == Scales::kColumn) scale_shape = Shape{dim(c.n)};
    if (c.scales == Scales::kBlock) {
      scale_shape = w.k_axis == 0 ? Shape{dim(c.k / c.block), dim(c.n)}
                                  : Shape{dim(c.n), dim(c.k / c.block)};
    }
    const auto q = PackedElements(w.q, c.dtype);
    std::vector<ValueId> inputs = {g.Bytes(c.dtype, shape, q.data(), q.size()),
                                   g.Constant<float>(scale_shape, w.scale)};
    if (c.zero) {
      const auto zero = PackedElements(w.zero, c.dtype);
      inputs.push_back(g.Bytes(c.dtype, scale_shape, zero.data(), zero.size()));
    }
    const int64_t axis =
        c.scales == Scales::kBlock ? dim(w.k_axis) : dim(1 - w.k_axis);
    std::vector<GraphMaker::Option> options = {{"axis", {axis}}};
    if (c.block) options.push_back({"block_size", {dim(c.block)}});
    return g.Node("DequantizeLinear", inputs, options);
  }
};

TEST_P(QuantizedMatMul, ComputesWhatTheGraphSays) {
  const QuantCase& c = GetParam();
  const Quantized w = MakeQuantized(c);
  GraphMaker g;
  const ValueId x = g.Input("x", DType::kF32);
  ValueId b = AddWeight(g, c, w);
  ValueId y;
  if (c.layout == Layout::kFusedTransB) {
    y = g.Node("FusedMatMul", {x, b}, {{"transB", {1}}}, 1, "com.microsoft");
  } else {
    if (c.layout == Layout::kTransposeAfter) {
      b = g.Node("Transpose", {b}, {{"perm", {1, 0}}});
    }
    y = g.Node("MatMul", {x, b});
  }
  const auto plan = Build(g.Finish(y, "y"));
  ASSERT_TRUE(plan);
  EXPECT_EQ(CountNodes(*plan, "MatMulNBits"), c.fuses ? 1u : 0u);
  EXPECT_TRUE(Noted(*plan, "quantized-matmul", c.fuses));
  const auto a = SomeFloats(kRows * c.k);
  ExpectNear(RunPlan(*plan, {kRows, static_cast<int64_t>(c.k)}, a),
             Product(a, c.k, c.n,
                     [&](size_t k, size_t n) { return Value(c, w, k, n); }),
             c.k);
}

INSTANTIATE_TEST_SUITE_P(All, QuantizedMatMul, testing::ValuesIn(kQuantCases),
                         [](const testing::TestParamInfo<QuantCase>& c) {
                           return c.param.name;
                         });

// FusedMatMul has more attributes than MatMulNBits can say.
TEST(FuseQuantizedMatMul, KeepsAlphaAndTransA) {
  constexpr size_t kK = 32, kN = 3;
  std::vector<int8_t> q(kN * kK);
  for (size_t i = 0; i < q.size(); ++i) q[i] = static_cast<int8_t>(i * 7);
  const auto a = SomeFloats(kK * kK);
  for (const bool trans_a : {false, true}) {
    GraphMaker g;
    const ValueId x = g.Input("x", DType::kF32);
    const ValueId b = g.Node(
        "DequantizeLinear",
        {g.Constant<int8_t>({kN, kK}, q), g.Constant<float>({}, {0x1p-7f})});
    const ValueId y =
        g.Node("FusedMatMul", {x, b}, {{"transB", {1}}, {"transA", {trans_a}}},
               1, "com.microsoft");
    g.Float("alpha", 0.5f);
    const auto plan = Build(g.Finish(y, "y"));
    ASSERT_TRUE(plan);
    std::vector<float> rows(a.size());
    for (size_t i = 0; i < kK; ++i) {
      for (size_t j = 0; j < kK; ++j) {
        rows[i * kK + j] = trans_a ? a[j * kK + i] : a[i * kK + j];
      }
    }
    ExpectNear(RunPlan(*plan, {kK, kK}, a),
               Product(rows, kK, kN,
                       [&](size_t k, size_t n) {
                         return 0.5 * 0x1p-7 * q[n * kK + k];
                       }),
               kK);
  }
}

// ---- tables -----------------------------------------------------------------

TEST(FuseTransposedGather, TakesColumnsOfTheStoredTable) {
  const auto w = SomeFloats(4 * 6);  // [D, V]
  GraphMaker g;
  const ValueId ids = g.Input("ids", DType::kI64);
  const ValueId table =
      g.Node("Transpose", {g.Constant<float>({4, 6}, w)}, {{"perm", {1, 0}}});
  const auto plan = Build(g.Finish(g.Node("Gather", {table, ids}), "y"));
  ASSERT_TRUE(plan);
  EXPECT_EQ(CountNodes(*plan, "GatherColumns"), 1u);
  const std::vector<int64_t> which = {5, 0, -1, 2};
  const auto rows = RunPlan(*plan, {1, 4}, which);
  ASSERT_EQ(rows.size(), 16u);
  for (size_t t = 0; t < 4; ++t) {
    for (size_t d = 0; d < 4; ++d) {
      const size_t column = static_cast<size_t>(which[t] + (which[t] < 0) * 6);
      EXPECT_EQ(rows[t * 4 + d], w[d * 6 + column]);
    }
  }
}

TEST(FuseTransposedGather, DequantisesOnlyTheRowsTaken) {
  std::vector<int8_t> q(6 * 4);
  for (size_t i = 0; i < q.size(); ++i) q[i] = static_cast<int8_t>(i * 11 - 99);
  GraphMaker g;
  const ValueId ids = g.Input("ids", DType::kI64);
  const ValueId table =
      g.Node("DequantizeLinear",
             {g.Constant<int8_t>({6, 4}, q), g.Constant<float>({}, {0.25f}),
              g.Constant<int8_t>({}, {3})});
  const auto plan = Build(g.Finish(g.Node("Gather", {table, ids}), "y"));
  ASSERT_TRUE(plan);
  EXPECT_TRUE(Noted(*plan, "transposed-gather", true));
  const auto rows = RunPlan(*plan, {2}, std::vector<int64_t>{4, 1});
  ASSERT_EQ(rows.size(), 8u);
  for (size_t d = 0; d < 4; ++d) {
    EXPECT_EQ(rows[d], 0.25f * static_cast<float>(q[4 * 4 + d] - 3));
    EXPECT_EQ(rows[4 + d], 0.25f * static_cast<float>(q[1 * 4 + d] - 3));
  }
}

// Three blocks a row: of 4 and 2 bits the last byte of a row is not full.
TEST(DropDefaultZeroPoints, DropsThoseThatAreAllTheDefault) {
  struct Row {
    int64_t bits;
    std::vector<uint8_t> zeros;  // of one of two rows
    bool dropped;
  };
  const Row kRows[] = {
      {4, {0x88, 0xF8}, true},
      {4, {0x88, 0xF9}, false},
      {4, {0x98, 0x08}, false},
      {8, {0x80, 0x80, 0x80}, true},
      {8, {0x80, 0x80, 0x81}, false},
      {8, {0x81, 0x80, 0x80}, false},
      {2, {0xEA}, true},
      {2, {0xDA}, false},
      {4, {0x88, 0x08, 0x88}, false},  // of another size: left to the operator
  };
  for (const Row& row : kRows) {
    GraphMaker g;
    const ValueId x = g.Input("x", DType::kF32);
    std::vector<uint8_t> zeros = row.zeros;
    zeros.insert(zeros.end(), row.zeros.begin(), row.zeros.end());
    const auto bytes = static_cast<size_t>(2 * 96 * row.bits / 8);
    const ValueId y = g.Node(
        "MatMulNBits",
        {x,
         g.Constant<uint8_t>({2, 3, 4 * row.bits},
                             std::vector<uint8_t>(bytes, 0x53)),
         g.Constant<float>({2, 3}, std::vector<float>(6, 0.1f)),
         g.Constant<uint8_t>({2, static_cast<int64_t>(row.zeros.size())},
                             zeros)},
        {{"K", {96}}, {"N", {2}}, {"bits", {row.bits}}, {"block_size", {32}}},
        1, "com.microsoft");
    const auto plan = Build(g.Finish(y, "y"));
    ASSERT_TRUE(plan);
    EXPECT_EQ(plan->graph->nodes[0].Input(3) == kNoValue, row.dropped)
        << row.bits << " " << int{row.zeros[0]};
    EXPECT_EQ(Noted(*plan, "default-zero-points", true), row.dropped);
  }
}

}  // namespace
}  // namespace slm
