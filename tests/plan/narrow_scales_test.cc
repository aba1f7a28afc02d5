// SPDX-License-Identifier: MIT
// Which scales become fixed ones or float16, that only their rounding is seen,
// and that no file's own are taken for fixed ones.
#include <array>
#include <bit>
#include <cmath>
#include <optional>

#include "quant/formats.h"
#include "runtime/core/half.h"
#include "runtime/plan/fusions.h"
#include "tests/plan/graph_maker.h"

namespace slm {
namespace {

constexpr int64_t kN = 3;

struct ScalesCase {
  int64_t k = 64;
  int64_t bits = 4;
  int64_t block_size = 32;
  int64_t level = 4;
  bool zeros = false;
  DType dtype = DType::kF32;
  std::optional<Shape> shape = {};  // of the scales, if not [kN, blocks]

  int64_t blocks() const { return k / block_size; }
};

// What a case is called where it fails.
std::string Label(const ScalesCase& c) {
  return "K " + std::to_string(c.k) + " bits " + std::to_string(c.bits) +
         " block " + std::to_string(c.block_size) + " level " +
         std::to_string(c.level) + (c.zeros ? " zeros " : " ") + Name(c.dtype);
}

ValueId AddScales(GraphMaker& g, const ScalesCase& c,
                  const std::vector<float>& scales) {
  const Shape shape = c.shape.value_or(Shape{kN, c.blocks()});
  if (c.dtype == DType::kF32) return g.Constant<float>(shape, scales);
  std::vector<uint16_t> halves(scales.size());
  for (size_t i = 0; i < scales.size(); ++i) {
    halves[i] = c.dtype == DType::kF16 ? F16FromFloat(scales[i])
                                       : BF16FromFloat(scales[i]);
  }
  return g.Bytes(c.dtype, shape, halves.data(), 2 * halves.size());
}

ValueId AddProduct(GraphMaker& g, const ScalesCase& c, ValueId x,
                   ValueId scales) {
  std::vector<uint8_t> bytes(static_cast<size_t>(kN * c.k * c.bits / 8));
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(i * 73 + 5);
  }
  std::vector<ValueId> inputs = {
      x,
      g.Constant<uint8_t>({kN, c.blocks(), c.block_size * c.bits / 8}, bytes),
      scales};
  if (c.zeros) {
    const int64_t row = (c.blocks() * c.bits + 7) / 8;
    inputs.push_back(g.Constant<uint8_t>(
        {kN, row}, std::vector<uint8_t>(static_cast<size_t>(kN * row), 0x79)));
  }
  return g.Node("MatMulNBits", inputs,
                {{"K", {c.k}},
                 {"N", {kN}},
                 {"bits", {c.bits}},
                 {"block_size", {c.block_size}},
                 {"accuracy_level", {c.level}}},
                1, "com.microsoft");
}

std::unique_ptr<Plan> Build(GraphMaker& g, ValueId y, int override_level = -1) {
  PlanOptions options;
  options.accuracy_level = override_level;
  options.fixed_scales = true;
  auto plan = BuildPlan(g.Finish(y, "y"), options);
  EXPECT_TRUE(plan.ok()) << plan.status().message();
  return plan.ok() ? std::move(plan).value() : nullptr;
}

// One product.
std::unique_ptr<Plan> Make(const ScalesCase& c,
                           const std::vector<float>& scales,
                           int override_level = -1) {
  GraphMaker g;
  const ValueId x = g.Input("x", DType::kF32);
  return Build(g, AddProduct(g, c, x, AddScales(g, c, scales)), override_level);
}

const TensorView& ScalesOf(const Plan& plan, size_t node = 0) {
  return *plan.graph->values[plan.graph->nodes[node].inputs[2]].constant;
}

std::vector<float> Same(const ScalesCase& c, float value = 0.01f) {
  return std::vector<float>(static_cast<size_t>(kN * c.blocks()), value);
}

DType TypeOf(const ScalesCase& c, int override_level = -1) {
  const auto plan = Make(c, Same(c), override_level);
  return plan ? ScalesOf(*plan).dtype : DType::kBool;
}

// The one note of the fusion.
FusionNote NoteOf(const Plan& plan) {
  FusionNote found;
  size_t count = 0;
  for (const FusionNote& note : plan.notes) {
    if (note.fusion != "narrow-scales") continue;
    found = note;
    ++count;
  }
  EXPECT_EQ(count, 1u);
  return found;
}

TEST(NarrowScales, OnlyAccuracyLevelFourHasThem) {
  EXPECT_EQ(TypeOf({}), DType::kI16);
  EXPECT_EQ(TypeOf({.level = 0}), DType::kF32);
  EXPECT_EQ(TypeOf({.level = 1}), DType::kF32);
  EXPECT_EQ(TypeOf({}, 0), DType::kF32);
  EXPECT_EQ(TypeOf({.level = 0}, 4), DType::kI16);
  EXPECT_EQ(TypeOf({.level = 0, .dtype = DType::kF16}), DType::kF16);
}

TEST(NarrowScales, AreFixedForPairsOfBlocksAndElseFloat16) {
  struct Row {
    ScalesCase c;
    DType type;
  };
  const Row rows[] = {
      {{}, DType::kI16},
      {{.k = 1216}, DType::kI16},
      {{.dtype = DType::kF16}, DType::kI16},
      {{.dtype = DType::kBF16}, DType::kI16},
      {{.k = 32}, DType::kF16},
      {{.k = 96}, DType::kF16},
      {{.bits = 2}, DType::kF16},
      {{.bits = 8}, DType::kF16},
      {{.block_size = 16}, DType::kF16},
      {{.block_size = 64}, DType::kF16},
      {{.zeros = true}, DType::kF16},
      {{.k = 96, .dtype = DType::kF16}, DType::kF16},
      {{.zeros = true, .dtype = DType::kBF16}, DType::kBF16},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(Label(row.c));
    const auto plan = Make(row.c, Same(row.c));
    ASSERT_TRUE(plan);
    EXPECT_EQ(ScalesOf(*plan).dtype, row.type);
    const FusionNote note = NoteOf(*plan);
    EXPECT_EQ(note.done, row.type != row.c.dtype) << note.outcome;
    EXPECT_EQ(note.outcome == "done", row.type == DType::kI16) << note.outcome;
  }
}

// 32767 / max is exact here: 65534 and 2^3 * 32767.
TEST(NarrowScales, AreIntegersAndTheUnitOfTheirRow) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const auto plan =
        Make({.dtype = dtype}, {0.5f, -0.25f, 0, 0, 0.0625f, -0.125f});
    ASSERT_TRUE(plan);
    const TensorView& scales = ScalesOf(*plan);
    ASSERT_EQ(scales.dtype, DType::kI16);
    EXPECT_EQ(scales.shape, (Shape{kN, 4}));
    const auto first = std::bit_cast<std::array<int16_t, 2>>(0.5f / 32767);
    const auto last = std::bit_cast<std::array<int16_t, 2>>(0.125f / 32767);
    // 16383.5 goes to the even neighbour.
    const std::vector<int16_t> want = {32767, -16384, first[0], first[1],
                                       0,     0,      0,        0,
                                       16384, -32767, last[0],  last[1]};
    const auto got = scales.Span<int16_t>();
    EXPECT_EQ(std::vector<int16_t>(got.begin(), got.end()), want);
  }
}

// Where they would not be faster, and before a choice of experts.
TEST(NarrowScales, AreFloat16WhereFixedOnesHaveNoUse) {
  for (const bool experts : {false, true}) {
    GraphMaker g;
    const ValueId x = g.Input("x", DType::kF32);
    ValueId y = AddProduct(g, {}, x, AddScales(g, {}, Same({})));
    // It need not be a real one.
    if (experts) y = g.Node("QMoE", {y}, {}, 1, "com.microsoft");
    PlanOptions options;
    options.fixed_scales = experts;
    FusionContext context;
    const auto graph = g.Finish(y, "y");
    context.graph = graph.get();
    context.options = &options;
    ASSERT_TRUE(NarrowScales(&context).ok());
    const ValueId scales = graph->nodes[0].inputs[2];
    EXPECT_EQ(graph->values[scales].constant->dtype, DType::kF16);
    ASSERT_EQ(context.notes.size(), 1u);
    EXPECT_EQ(context.notes[0].outcome,
              experts ? "done, as float16: experts are chosen behind it"
                      : "done, as float16: nothing multiplies fixed ones here");
  }
}

TEST(NarrowScales, ThatLosePrecisionAsFixedBecomeFloat16) {
  const ScalesCase c = {.k = 128};
  for (float odd : {1.29f, -65504.0f}) {
    std::vector<float> scales = Same(c);
    scales[4] = odd;
    const auto plan = Make(c, scales);
    ASSERT_TRUE(plan);
    EXPECT_EQ(ScalesOf(*plan).dtype, DType::kF16) << odd;
    EXPECT_NE(NoteOf(*plan).outcome.find("1/128"), std::string::npos);
  }
  for (float fine : {0.0f, -0.0f, 0x1p-20f, 0.01f / 129, -1.27f}) {
    std::vector<float> scales = Same(c);
    scales[4] = fine;
    const auto plan = Make(c, scales);
    ASSERT_TRUE(plan);
    EXPECT_EQ(ScalesOf(*plan).dtype, DType::kI16) << fine;
  }
  // Fixed ones have no exponent of their own.
  for (float size : {0x1p-40f, 0x1p40f}) {
    const auto plan = Make({}, Same({}, size));
    ASSERT_TRUE(plan);
    EXPECT_EQ(ScalesOf(*plan).dtype, DType::kI16) << size;
  }
}

TEST(NarrowScales, ThatLosePrecisionInBothStay) {
  const ScalesCase c = {.k = 128};
  for (float odd : {65536.0f, INFINITY, -INFINITY, NAN}) {
    std::vector<float> scales = Same(c);
    scales[4] = odd;
    const auto plan = Make(c, scales);
    ASSERT_TRUE(plan);
    EXPECT_EQ(ScalesOf(*plan).dtype, DType::kF32) << odd;
    EXPECT_FALSE(NoteOf(*plan).done) << odd;
  }
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    std::vector<float> scales = Same(c);
    scales[4] = 60;
    const auto plan = Make({.k = 128, .dtype = dtype}, scales);
    ASSERT_TRUE(plan);
    EXPECT_EQ(ScalesOf(*plan).dtype, dtype);
    EXPECT_FALSE(NoteOf(*plan).done);
  }
}

TEST(NarrowScales, SharedByProductsAreMadeOnceForEachForm) {
  GraphMaker g;
  const ValueId x = g.Input("x", DType::kF32);
  const ScalesCase plain, zeros = {.zeros = true};
  const ValueId scales = AddScales(g, plain, Same(plain));
  const ValueId y =
      g.Node("Add", {g.Node("Add", {AddProduct(g, plain, x, scales),
                                    AddProduct(g, zeros, x, scales)}),
                     g.Node("Add", {AddProduct(g, plain, x, scales),
                                    AddProduct(g, zeros, x, scales)})});
  const auto plan = Build(g, y);
  ASSERT_TRUE(plan);
  std::vector<ValueId> fixed, halves;
  for (const Node& node : plan->graph->nodes) {
    if (node.type != "MatMulNBits") continue;
    (node.Input(3) == kNoValue ? fixed : halves).push_back(node.Input(2));
  }
  ASSERT_EQ(fixed.size(), 2u);
  ASSERT_EQ(halves.size(), 2u);
  EXPECT_EQ(fixed[0], fixed[1]);
  EXPECT_EQ(halves[0], halves[1]);
  EXPECT_EQ(plan->graph->values[fixed[0]].constant->dtype, DType::kI16);
  EXPECT_EQ(plan->graph->values[halves[0]].constant->dtype, DType::kF16);
}

// Where one of a pair has fixed scales, the other not.
TEST(NarrowScales, OfTwoKindsKeepProductsApart) {
  for (const bool mixed : {false, true}) {
    GraphMaker g;
    const ValueId x = g.Input("x", DType::kF32);
    const ScalesCase c = {.k = 128};
    std::vector<float> scales = Same(c);
    const ValueId gate = AddProduct(g, c, x, AddScales(g, c, scales));
    if (mixed) scales[4] = 60;
    const ValueId up = AddProduct(g, c, x, AddScales(g, c, scales));
    const auto plan = Build(g, g.Node("Mul", {g.Node("Gelu", {gate}), up}));
    ASSERT_TRUE(plan);
    EXPECT_EQ(CountNodes(*plan, "GatedMatMulNBits"), mixed ? 0u : 1u);
    std::string outcome;
    for (const FusionNote& note : plan->notes) {
      if (note.fusion == "gated-matmul") outcome = note.outcome;
    }
    EXPECT_EQ(outcome, mixed ? "one has fixed scales" : "done");
  }
}

// Why running the plan of one product fails.
std::string Failure(const Plan& plan, const ScalesCase& c) {
  ThreadPool pool(1);
  Executor executor(plan, pool);
  auto x = executor.NewTensor(DType::kF32, {1, c.k});
  EXPECT_TRUE(x.ok());
  std::memset(x->view.data, 0, x->view.Bytes());
  executor.Feed(plan.graph->inputs[0], std::move(x).value());
  const Status status = executor.Run();
  EXPECT_FALSE(status.ok());
  return status.message();
}

// int16 in a file, also where it looks like what the plan makes.
TEST(NarrowScales, OfAFileAreNeverFixed) {
  for (const int64_t columns : {2, 4}) {
    for (const int64_t level : {0, 4}) {
      GraphMaker g;
      const ScalesCase c = {.level = level};
      const ValueId x = g.Input("x", DType::kF32);
      const ValueId scales = g.Constant<int16_t>(
          {kN, columns},
          std::vector<int16_t>(static_cast<size_t>(kN * columns), 100));
      const auto plan = Build(g, AddProduct(g, c, x, scales));
      ASSERT_TRUE(plan);
      EXPECT_NE(Failure(*plan, c).find("scales have type int16, supported: "
                                       "float, float16, bfloat16"),
                std::string::npos);
      if (level != 4) continue;
      EXPECT_EQ(NoteOf(*plan).outcome, "scales of type int16");
    }
  }
}

// Sizes that the operator refuses are still refused, with the file's numbers.
TEST(NarrowScales, OfAnotherSizeAreRefusedAsTheyAre) {
  const struct {
    Shape shape;
    const char* message;
  } rows[] = {{{2, kN}, "scales [2, 3] does not hold [3, 2]"},
              {{kN, 4}, "scales [3, 4] does not hold [3, 2]"},
              {{kN, 1}, "scales [3, 1] does not hold [3, 2]"}};
  for (const auto& row : rows) {
    const ScalesCase c = {.shape = row.shape};
    const auto plan = Make(c, std::vector<float>(row.shape.Count(), 0.01f));
    ASSERT_TRUE(plan);
    const std::string message = Failure(*plan, c);
    EXPECT_NE(message.find(row.message), std::string::npos) << message;
  }
  // A flat one is fine, as for every type.
  const ScalesCase flat = {.shape = Shape{kN * 2}};
  const auto plan = Make(flat, Same(flat));
  ASSERT_TRUE(plan);
  EXPECT_EQ(ScalesOf(*plan).dtype, DType::kI16);
}

TEST(NarrowScales, AtAnOddAddressStay) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    GraphMaker g;
    const ScalesCase c = {.dtype = dtype};
    const ValueId x = g.Input("x", DType::kF32);
    const ValueId scales = AddScales(g, c, Same(c));
    const ValueId y = AddProduct(g, c, x, scales);
    auto graph = g.Finish(y, "y");
    TensorView& view = *graph->values[scales].constant;
    std::vector<uint8_t> bytes(view.Bytes() + 1);
    std::memcpy(bytes.data() + 1, view.data, view.Bytes());
    view.data = bytes.data() + 1;
    auto plan = BuildPlan(std::move(graph), {});
    ASSERT_TRUE(plan.ok());
    EXPECT_EQ(ScalesOf(**plan).dtype, dtype);
    EXPECT_EQ(NoteOf(**plan).outcome, "scales lie at an odd address");
  }
}

std::vector<float> Activations(int64_t k) {
  std::vector<float> a(static_cast<size_t>(2 * k));
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<float>(i * 37 % 23) / 16 - 0.7f;
  }
  return a;
}

// K that is no whole pair of blocks keeps it from fixed ones.
TEST(NarrowScales, TheProductMovesByTheRoundingToFloat16) {
  const ScalesCase c = {.k = 96};
  std::vector<float> scales = Same(c), rounded = scales;
  for (size_t i = 0; i < scales.size(); ++i) {
    scales[i] = 0.01f + 0.00123f * static_cast<float>(i);
    // To 11 bits, by arithmetic: 2^-7 <= scale < 2^-5.
    const float unit = scales[i] < 0x1p-6f ? 0x1p-17f : 0x1p-16f;
    rounded[i] = std::nearbyint(scales[i] / unit) * unit;
  }
  const auto wide = Make(c, scales), exact = Make(c, rounded);
  ASSERT_TRUE(wide && exact);
  EXPECT_EQ(ScalesOf(*wide).dtype, DType::kF16);
  EXPECT_EQ(RunPlan(*wide, {2, c.k}, Activations(c.k)),
            RunPlan(*exact, {2, c.k}, Activations(c.k)));
}

// The largest of a row is 32767 units of 2^-20, the others are rounded to
// whole ones by arithmetic.
TEST(NarrowScales, TheProductMovesByTheRoundingToFixed) {
  const ScalesCase c = {.k = 128};
  std::vector<float> scales = Same(c), rounded = scales;
  for (size_t i = 0; i < scales.size(); ++i) {
    const float units =
        i % 4 == 1 ? 32767 : 9000.3f + 1234.567f * static_cast<float>(i);
    scales[i] = units * 0x1p-20f;
    rounded[i] = std::nearbyint(units) * 0x1p-20f;
  }
  const auto wide = Make(c, scales), exact = Make(c, rounded);
  ASSERT_TRUE(wide && exact);
  EXPECT_EQ(ScalesOf(*wide).dtype, DType::kI16);
  EXPECT_EQ(RunPlan(*wide, {2, c.k}, Activations(c.k)),
            RunPlan(*exact, {2, c.k}, Activations(c.k)));
}

// Int8 activations with fixed scales against the float32 ones of level 0.
// Rounding moves an activation by at most 1/254 of its block's largest, 0.7;
// each of K weights is at most 8 scales. Fixed scales add at most 2^-9 of that,
// here 2^-13: enough is left for rounding what a block adds to half of the
// largest scale times 0.7 / 127, 2^-16 of all of it.
TEST(NarrowScales, TheProductOfFixedOnesIsThatOfTheFile) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    ScalesCase c = {.k = 128, .dtype = dtype};
    std::vector<float> scales = Same(c);
    for (size_t i = 0; i < scales.size(); ++i) {
      scales[i] = 0.01f * static_cast<float>(1 + i * 7 % 5);
    }
    const auto fixed = Make(c, scales), wide = Make(c, scales, 0);
    ASSERT_TRUE(fixed && wide);
    EXPECT_EQ(ScalesOf(*fixed).dtype, DType::kI16);
    EXPECT_EQ(ScalesOf(*wide).dtype, dtype);
    const auto got = RunPlan(*fixed, {2, c.k}, Activations(c.k));
    const auto want = RunPlan(*wide, {2, c.k}, Activations(c.k));
    ASSERT_EQ(got.size(), want.size());
    const double most = static_cast<double>(c.k) * 8 * 0.05 * 0.7;
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_NEAR(got[i], want[i], most * (1.0 / 254 + 0x1p-9));
    }
  }
}

}  // namespace
}  // namespace slm
