// SPDX-License-Identifier: MIT
// What ONNX's node tests leave out: refusals, empty tensors, edges of integer
// arithmetic, half tables, and loops that must agree for every layout.
#include <cmath>
#include <limits>

#include "gtest/gtest.h"
#include "ops/broadcast.h"
#include "tests/ops/op_test_util.h"

namespace slm {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TestTensor F(const Shape& shape, const std::vector<float>& v) {
  return MakeTensor(shape, v);
}
TestTensor I(const Shape& shape, const std::vector<int64_t>& v) {
  return MakeTensor(shape, v);
}
TestTensor I(const std::vector<int64_t>& v) {
  return I(Shape{static_cast<int64_t>(v.size())}, v);
}
TestTensor Zeros(const Shape& shape) {
  return F(shape, std::vector<float>(shape.Count()));
}
// 0, 1, 2, ...
TestTensor Iota(const Shape& shape) {
  std::vector<float> v(shape.Count());
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(i);
  return F(shape, v);
}
OpTest Op(const char* type, int version = 21) {
  return OpTest("", type, version);
}

// --- refusals: each message names both sides

struct Refusal {
  OpTest op;
  const char* message;  // part of it
};

TEST(StandardOps, RefusalsSayWhatDoesNotFit) {
  const int64_t huge = int64_t{1} << 62;
  const Refusal kCases[] = {
      {Op("Add").Input(Zeros({2, 3})).Input(Zeros({4})),
       "shapes [2, 3] and [4] do not broadcast"},
      {Op("Add").Input(Zeros({2})).Input(I({1, 2})),
       "types differ: float and int64"},
      {Op("And").Input(Zeros({2})).Input(Zeros({2})),
       "type float is not supported"},
      {Op("Add").Int("axis", 1).Input(Zeros({1})).Input(Zeros({1})),
       "attribute \"axis\" is not supported"},
      {Op("Mod").Input(Zeros({1})).Input(Zeros({1})), "\"fmod\" is 0"},
      {Op("BitShift").String("direction", "UP").Input(I({1})).Input(I({1})),
       "\"direction\" = \"UP\""},
      {Op("Gelu").String("approximate", "erf").Input(Zeros({1})),
       "\"approximate\" = \"erf\""},
      {Op("Clip").Input(Zeros({4})).Input(Zeros({2})),
       "bound 1 is float [2], expected one float"},
      {Op("Reshape").Input(Zeros({2, 3})).Input(I({4, -1})),
       "cannot reshape [2, 3] to [4, 1]"},
      {Op("Reshape").Input(Zeros({2, 3})).Input(I({-1, -1})),
       "dimensions 0 and 1 are -1"},
      {Op("Reshape").Input(Zeros({6})).Input(I({2, 3, 0})),
       "dimension 2 is 0 (copy), but the input is [6]"},
      {Op("Reshape").Input(Zeros({6})).Input(I({huge, huge})),
       "is not possible"},
      {Op("Reshape").Input(Zeros({6})).Input(I({-2, 3})), "is not possible"},
      {Op("Squeeze").Input(Zeros({2, 1})).Input(I({0})),
       "axis 0 of [2, 1] is not 1"},
      {Op("Unsqueeze").Input(Zeros({2})).Input(I({0, -3})),
       "axis 0 is given twice"},
      {Op("Unsqueeze").Input(Zeros({2})).Input(I({5})),
       "axis 5 is outside of rank 2"},
      {Op("Transpose").Ints("perm", {0, 0}).Input(Zeros({2, 2})),
       "no permutation"},
      {Op("Transpose").Ints("perm", {0}).Input(Zeros({2, 2})),
       "no permutation"},
      {Op("Concat").Int("axis", 1).Input(Zeros({2, 2})).Input(Zeros({3, 2})),
       "does not fit input 0"},
      {Op("Concat").Input(Zeros({2})), "attribute \"axis\" is missing"},
      {Op("Split").Input(Zeros({5})).Outputs({true, true}),
       "axis of 5 does not split into 2"},
      {Op("Split").Input(Zeros({5})).Input(I({2, 2})).Outputs({true, true}),
       "the parts leave 1 of 5"},
      {Op("Split").Input(Zeros({5})).Input(I({7, -2})).Outputs({true, true}),
       "a part of 7 does not fit the axis of 5"},
      {Op("Slice")
           .Input(Zeros({5}))
           .Input(I({0}))
           .Input(I({1}))
           .Input(I({0}))
           .Input(I({0})),
       "step is 0"},
      {Op("Slice").Input(Zeros({5})).Input(I({0, 1})).Input(I({1})),
       "2 starts, 1 ends"},
      {Op("Expand").Input(Zeros({3})).Input(I({2})),
       "cannot expand [3] to [2]"},
      {Op("Expand").Input(Zeros({1})).Input(I({huge, 8})), "is not possible"},
      {Op("Tile").Input(Zeros({3})).Input(I({huge})), "axis 0 of [3]: 46116"},
      {Op("Tile").Input(Zeros({3})).Input(I({-1})), "-1 repeats"},
      {Op("Pad").Input(Zeros({3})).Input(I({1})), "1 pads for 1 axes"},
      {Op("Pad").String("mode", "edge").Input(Zeros({3})).Input(I({-1, 0})),
       "not possible in mode edge"},
      {Op("ConstantOfShape").Input(I({-1})), "is not possible"},
      {Op("Range").Input(I({}, {0})).Input(I({}, {5})).Input(I({}, {0})),
       "delta is 0"},
      {Op("Range").Input(F({}, {0})).Input(F({}, {1})).Input(F({}, {0})),
       "too many"},
      {Op("Range").Input(F({}, {0})).Input(F({}, {kNan})).Input(F({}, {1})),
       "give no number of elements"},
      {Op("Range")
           .Input(I({}, {std::numeric_limits<int64_t>::min()}))
           .Input(I({}, {std::numeric_limits<int64_t>::max()}))
           .Input(I({}, {1})),
       "too many"},
      {Op("Gather").Input(Zeros({3})).Input(I({3})),
       "index 3 is outside of the axis of 3"},
      {Op("Gather").Input(Zeros({3})).Input(I({-4})), "index -4 is outside"},
      {Op("Gather").Input(Zeros({0})).Input(I({0})), "index 0 is outside"},
      {Op("Gather").Input(Zeros({3})).Input(Zeros({1})),
       "input 1 has type float"},
      {Op("GatherElements")
           .Int("axis", 1)
           .Input(Zeros({1, 2}))
           .Input(I({2, 1}, {0, 0})),
       "indices [2, 1] do not fit data [1, 2]"},
      {Op("GatherND").Input(Zeros({2, 2})).Input(I({1, 3}, {0, 0, 0})),
       "do not fit data"},
      {Op("GatherND").Input(Zeros({2, 2})).Input(I({1, 2}, {0, 2})),
       "index 2 is outside of axis 1"},
      {Op("ScatterND")
           .Input(Zeros({4}))
           .Input(I({1, 1}, {4}))
           .Input(Zeros({1})),
       "index 4 is outside of axis 0"},
      {Op("ScatterElements").Input(Zeros({4})).Input(I({9})).Input(Zeros({1})),
       "index 9 is outside of the axis of 4"},
      {Op("TensorScatter", 24)
           .Input(Zeros({1, 4, 2}))
           .Input(Zeros({1, 2, 2}))
           .Input(I({3})),
       "write index 3 with 2 positions does not fit 4"},
      {Op("ReduceSum").Input(Zeros({2, 3})).Input(I({2})),
       "axis 2 is outside of rank 2"},
      {Op("ArgMax").Input(Zeros({0})), "axis 0 of [0] is empty"},
      {Op("TopK").Input(Zeros({3})).Input(I({4})).Outputs({true, true}),
       "k = 4 (of 1 values), the axis has 3"},
      {Op("CumSum").Input(Zeros({3})).Input(I({}, {1})),
       "axis 1 is outside of rank 1"},
      {Op("Einsum")
           .String("equation", "ij,jk->ikz")
           .Input(Zeros({2, 2}))
           .Input(Zeros({2, 2})),
       "is malformed"},
      {Op("Einsum")
           .String("equation", "ij,jk->ik")
           .Input(Zeros({2, 3}))
           .Input(Zeros({4, 2})),
       "was seen before"},
      {Op("Cast").Int("to", 17).Input(Zeros({1})),
       "attribute \"to\" = 17: that type is not supported"},
      {Op("DequantizeLinear")
           .Input(MakeTensor<int8_t>({2, 2}, {1, 2, 3, 4}))
           .Input(F({3}, {1, 1, 1})),
       "scale has shape [3], the input [2, 2], axis 1"},
      {Op("QuantizeLinear")
           .Int("output_dtype", 1)
           .Input(Zeros({1}))
           .Input(F({}, {1})),
       "are not supported"},
      {OpTest("com.microsoft", "GatherBlockQuantized", 1)
           .Int("bits", 3)
           .Input(MakeTensor<uint8_t>({1, 8}, std::vector<uint8_t>(8)))
           .Input(I({0}))
           .Input(F({1, 1}, {1})),
       "\"bits\" = 3, supported: 2, 4, 8"},
      {OpTest("com.microsoft", "GatherBlockQuantized", 1)
           .Int("block_size", 16)
           .Input(MakeTensor<uint8_t>({1, 8}, std::vector<uint8_t>(8)))
           .Input(I({0}))
           .Input(F({1, 2}, {1, 1})),
       "scales are float [1, 2], expected float [1, 1]"},
  };
  for (const Refusal& c : kCases) {
    const auto result = OpTest(c.op).Run();
    EXPECT_FALSE(result.ok()) << c.message;
    EXPECT_NE(result.status().message().find(c.message), std::string::npos)
        << "got:  " << result.status().message() << "\nwant: " << c.message;
  }
}

// --- results

struct FloatCase {
  const char* name;
  OpTest op;
  Shape shape;
  std::vector<float> values;
};

TEST(StandardOps, EdgesGiveTheStatedResults) {
  const FloatCase kCases[] = {
      {"an empty sum of shapes",
       Op("Add").Input(Zeros({2, 0})).Input(Zeros({1})),
       {2, 0},
       {}},
      {"-1 beside a copied 0",
       Op("Reshape").Input(Zeros({1, 0, 12})).Input(I({0, 0, 3, -1})),
       {1, 0, 3, 4},
       {}},
      {"allowzero",
       Op("Reshape").Int("allowzero", 1).Input(Zeros({0, 3})).Input(I({3, 0})),
       {3, 0},
       {}},
      {"concat with nothing",
       Op("Concat").Int("axis", 0).Input(Zeros({0, 2})).Input(Iota({1, 2})),
       {1, 2},
       {0, 1}},
      {"slice beyond the ends",
       Op("Slice").Input(Iota({4})).Input(I({-9})).Input(
           I({std::numeric_limits<int64_t>::max()})),
       {4},
       {0, 1, 2, 3}},
      {"slice backwards",
       Op("Slice")
           .Input(Iota({4}))
           .Input(I({9}))
           .Input(I({std::numeric_limits<int64_t>::min()}))
           .Input(I({0}))
           .Input(I({-2})),
       {2},
       {3, 1}},
      {"a step of the least integer",
       Op("Slice")
           .Input(Iota({4}))
           .Input(I({3}))
           .Input(I({-9}))
           .Input(I({0}))
           .Input(I({std::numeric_limits<int64_t>::min()})),
       {1},
       {3}},
      {"min > max gives max",
       Op("Clip").Input(F({2}, {0, kNan})).Input(F({}, {2})).Input(F({}, {1})),
       {2},
       {1, kNan}},
      {"NaN wins in Max",
       Op("Max").Input(F({2}, {kNan, 1})).Input(F({2}, {1, kNan})),
       {2},
       {kNan, kNan}},
      {"three inputs broadcast",
       Op("Sum")
           .Input(F({1}, {1}))
           .Input(F({2, 1}, {10, 20}))
           .Input(F({3}, {1, 2, 3})),
       {2, 3},
       {12, 13, 14, 22, 23, 24}},
      {"pow of infinity",
       Op("Pow").Input(F({3}, {-kInf, 4, -1})).Input(F({}, {0.5f})),
       {3},
       {kInf, 2, kNan}},
      {"the mean of nothing",
       Op("ReduceMean").Input(Zeros({0, 2})).Input(I({0})),
       {1, 2},
       {kNan, kNan}},
      {"no axes and noop",
       Op("ReduceSum").Int("noop_with_empty_axes", 1).Input(Iota({2})),
       {2},
       {0, 1}},
      {"the middle axis",
       Op("ReduceSum").Int("keepdims", 0).Input(Iota({2, 3, 2})).Input(I({1})),
       {2, 2},
       {6, 9, 24, 27}},
      {"a reflected pad wider than the axis",
       Op("Pad").String("mode", "reflect").Input(Iota({3})).Input(I({4, 3})),
       {10},
       {0, 1, 2, 1, 0, 1, 2, 1, 0, 1}},
      {"a cropping pad",
       Op("Pad").Input(Iota({4})).Input(I({-1, 1})),
       {4},
       {1, 2, 3, 0}},
      {"uneven parts",
       Op("Split").Int("num_outputs", 2).Input(Iota({3})).Outputs({true, true}),
       {2},
       {0, 1}},
      {"an implicit einsum",
       Op("Einsum").String("equation", "ba").Input(Iota({2, 3})),
       {3, 2},
       {0, 3, 1, 4, 2, 5}},
      {"a sum over nothing",
       Op("Einsum").String("equation", "ij->i").Input(Zeros({2, 0})),
       {2},
       {0, 0}},
  };
  for (const FloatCase& c : kCases) {
    const auto result = OpTest(c.op).Run();
    ASSERT_TRUE(result.ok()) << c.name << ": " << result.status().message();
    const TestTensor& out = (*result)[0];
    ASSERT_EQ(out.shape, c.shape) << c.name << " " << out.shape.ToString();
    for (size_t i = 0; i < c.values.size(); ++i) {
      if (std::isnan(c.values[i])) {
        EXPECT_TRUE(std::isnan(out.Float(i))) << c.name << " at " << i;
      } else {
        EXPECT_EQ(out.Float(i), c.values[i]) << c.name << " at " << i;
      }
    }
  }
}

TEST(StandardOps, IntegerEdgesAreDefined) {
  const int64_t least = std::numeric_limits<int64_t>::min();
  const struct {
    const char* type;
    int64_t a, b, want;
  } kCases[] = {
      {"Div", 7, 0, 0},          {"Div", least, -1, least},
      {"Mod", 7, 0, 0},          {"Mod", -7, 3, 2},
      {"Mod", 7, -3, -2},        {"Mod", least, -1, 0},
      {"Mul", least, -1, least}, {"Add", least, -1, -(least + 1)},
      {"Pow", 3, 4, 81},         {"Pow", 2, -1, 0},
      {"Pow", -1, -3, -1},
  };
  for (const auto& c : kCases) {
    const auto result = Op(c.type).Input(I({c.a})).Input(I({c.b})).Run();
    ASSERT_TRUE(result.ok()) << c.type;
    EXPECT_EQ((*result)[0].At<int64_t>(0), c.want)
        << c.type << " " << c.a << " " << c.b;
  }
}

TEST(StandardOps, Cast_SaturatesFloatsAndKeepsLowBitsOfIntegers) {
  const auto from_float =
      Op("Cast")
          .Int("to", 3)
          .Input(F({6}, {-kInf, kInf, kNan, 1e9f, -3.9f, 127.5f}))
          .Run();
  ASSERT_TRUE(from_float.ok());
  EXPECT_EQ((*from_float)[0].Values<int8_t>(),
            (std::vector<int8_t>{-128, 127, 0, 127, -3, 127}));
  const auto from_int = Op("Cast").Int("to", 2).Input(I({-1, 256, 300})).Run();
  ASSERT_TRUE(from_int.ok());
  EXPECT_EQ((*from_int)[0].Values<uint8_t>(),
            (std::vector<uint8_t>{255, 0, 44}));
}

TEST(StandardOps, Cast_ToFloat16KeepsFloat32) {
  const auto result = Op("Cast").Int("to", 10).Input(F({1}, {1.0001f})).Run();
  ASSERT_TRUE(result.ok());
  EXPECT_EQ((*result)[0].dtype, DType::kF32);
  EXPECT_EQ((*result)[0].Float(0), 1.0001f);
}

TEST(StandardOps, Gather_ReadsAHalfTable) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    TestTensor table{.dtype = dtype, .shape = {3, 2}, .bytes = {}};
    for (int i = 0; i < 6; ++i) {
      const float v = 0.5f * static_cast<float>(i);
      const uint16_t bits =
          dtype == DType::kF16 ? F16FromFloat(v) : BF16FromFloat(v);
      table.bytes.push_back(static_cast<uint8_t>(bits));
      table.bytes.push_back(static_cast<uint8_t>(bits >> 8));
    }
    const auto result = Op("Gather").Constant(table).Input(I({2, -3})).Run();
    ASSERT_TRUE(result.ok()) << result.status().message();
    EXPECT_EQ((*result)[0].dtype, DType::kF32);
    EXPECT_EQ((*result)[0].Values<float>(),
              (std::vector<float>{2, 2.5f, 0, 0.5f}));
  }
}

TEST(StandardOps, GatherBlockQuantized_GivesZerosForAnIndexOutOfRange) {
  const auto result =
      OpTest("com.microsoft", "GatherBlockQuantized", 1)
          .Int("block_size", 16)
          .Input(MakeTensor<uint8_t>({1, 8}, std::vector<uint8_t>(8, 0x9A)))
          .Input(I({0, 1, -2}))
          .Input(F({1, 1}, {0.5f}))
          .Run();
  ASSERT_TRUE(result.ok()) << result.status().message();
  const auto values = (*result)[0].Values<float>();
  EXPECT_EQ(values[0], (0xA - 8) * 0.5f);
  EXPECT_EQ(values[1], (0x9 - 8) * 0.5f);
  for (size_t i = 16; i < values.size(); ++i) EXPECT_EQ(values[i], 0.0f);
}

// --- loops over every layout, against plain indexing

size_t OffsetOf(const Shape& shape, const Shape& out, size_t at) {
  size_t offset = 0, stride = 1;
  for (size_t i = 0; i < out.rank(); ++i) {
    const size_t index = at % static_cast<size_t>(out.back(i));
    at /= static_cast<size_t>(out.back(i));
    if (i >= shape.rank()) continue;
    if (shape.back(i) != 1) offset += index * stride;
    stride *= static_cast<size_t>(shape.back(i));
  }
  return offset;
}

TEST(StandardOps, Broadcasting_AgreesWithPlainIndexing) {
  const Shape kShapes[] = {{},        {1},          {5},         {3, 1},
                           {3, 5},    {2, 1, 5},    {2, 3, 1},   {2, 3, 5},
                           {1, 3, 1}, {4, 1, 3, 5}, {4, 2, 1, 1}};
  for (const Shape& a : kShapes) {
    for (const Shape& b : kShapes) {
      const auto out = Broadcast(a, b);
      ASSERT_TRUE(out);
      const auto result = Op("Sub").Input(Iota(a)).Input(Iota(b)).Run();
      ASSERT_TRUE(result.ok());
      ASSERT_EQ((*result)[0].shape, *out);
      for (size_t i = 0; i < out->Count(); ++i) {
        ASSERT_EQ((*result)[0].Float(i),
                  static_cast<float>(OffsetOf(a, *out, i)) -
                      static_cast<float>(OffsetOf(b, *out, i)))
            << a.ToString() << " - " << b.ToString() << " at " << i;
      }
    }
  }
}

// Large enough that several workers take part, at an odd size.
TEST(StandardOps, Broadcasting_IsTheSameForAnyNumberOfThreads) {
  const Shape shape{37, 1999};
  for (size_t threads : {1, 2, 3}) {
    const auto result = Op("Mul")
                            .Threads(threads)
                            .Input(Iota(shape))
                            .Input(F({37, 1}, std::vector<float>(37, 2)))
                            .Run();
    ASSERT_TRUE(result.ok());
    for (size_t i = 0; i < shape.Count(); ++i) {
      ASSERT_EQ((*result)[0].Float(i), 2 * static_cast<float>(i)) << threads;
    }
  }
}

TEST(StandardOps, Transpose_AgreesWithPlainIndexing) {
  const Shape kShapes[] = {{2, 3, 5}, {1, 70, 33}, {70, 33, 2}, {17, 1, 20}};
  const std::vector<int64_t> kPerms[] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  for (const Shape& shape : kShapes) {
    for (const auto& perm : kPerms) {
      const auto result =
          Op("Transpose").Ints("perm", perm).Input(Iota(shape)).Run();
      ASSERT_TRUE(result.ok());
      const Shape& out = (*result)[0].shape;
      const size_t strides[] = {shape.CountOf(1, 3), shape.CountOf(2, 3), 1};
      size_t at = 0;
      for (int64_t i = 0; i < out[0]; ++i) {
        for (int64_t j = 0; j < out[1]; ++j) {
          for (int64_t k = 0; k < out[2]; ++k, ++at) {
            const size_t want = static_cast<size_t>(i) * strides[perm[0]] +
                                static_cast<size_t>(j) * strides[perm[1]] +
                                static_cast<size_t>(k) * strides[perm[2]];
            ASSERT_EQ((*result)[0].Float(at), static_cast<float>(want))
                << shape.ToString();
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace slm
