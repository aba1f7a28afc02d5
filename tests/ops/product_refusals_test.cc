// SPDX-License-Identifier: MIT
// What norms, products, convolutions and recurrences refuse, and with which
// words. Silently wrong would be the worst defect.
#include <gtest/gtest.h>

#include "tests/ops/op_test_util.h"

namespace slm {
namespace {

TestTensor Floats(const Shape& shape) {
  return MakeTensor(shape, std::vector<float>(shape.Count(), 1.0f));
}
TestTensor Bytes(const Shape& shape) {
  return MakeTensor(shape, std::vector<uint8_t>(shape.Count(), 0x11));
}

OpTest NBits(int64_t k, int64_t n, int64_t block) {
  OpTest t("com.microsoft", "MatMulNBits", 1);
  t.Int("K", k).Int("N", n).Int("block_size", block);
  return t;
}

void Refuses(OpTest test, const std::string& message) {
  const auto result = test.Run();
  ASSERT_FALSE(result.ok()) << "expected: " << message;
  EXPECT_NE(result.status().message().find(message), std::string::npos)
      << result.status().message();
}

TEST(MatMulNBits, ChecksEveryTensorAgainstItsAttributes) {
  const TestTensor a = Floats({1, 64}), b = Bytes({3, 2, 16}),
                   scales = Floats({3, 2});
  Refuses(NBits(64, 3, 24).Input(a).Constant(b).Constant(scales),
          "block_size = 24");
  Refuses(NBits(64, 3, 512).Input(a).Constant(b).Constant(scales),
          "block_size = 512");
  Refuses(NBits(64, 0, 32).Input(a).Constant(b).Constant(scales), "N = 0");
  Refuses(NBits(int64_t{1} << 40, 3, 32).Input(a).Constant(b).Constant(scales),
          "sizes must be 1 to 2^31");
  Refuses(NBits(64, 3, 32).Int("bits", 3).Input(a).Constant(b).Constant(scales),
          "bits = 3");
  Refuses(NBits(64, 3, 32)
              .Int("accuracy_level", 5)
              .Input(a)
              .Constant(b)
              .Constant(scales),
          "accuracy_level = 5");
  Refuses(NBits(64, 3, 32)
              .Int("weight_prepacked", 1)
              .Input(a)
              .Constant(b)
              .Constant(scales),
          "weight_prepacked");
  Refuses(NBits(64, 4, 32).Input(a).Constant(b).Constant(scales),
          "weights [3, 2, 16] does not hold [4, 32]");
  Refuses(NBits(96, 3, 32).Input(a).Constant(b).Constant(scales),
          "does not end in K = 96");
  Refuses(NBits(64, 3, 32).Input(a).Constant(b).Constant(Floats({3, 1})),
          "scales [3, 1] does not hold [3, 2]");
  Refuses(NBits(64, 3, 32).Input(a).Constant(b).Constant(Floats({2, 3})),
          "scales [2, 3] does not hold [3, 2]");
  // Of whatever shape: the plan's own are of this type.
  for (const int64_t columns : {2, 4}) {
    const TestTensor fixed =
        MakeTensor(Shape{3, columns},
                   std::vector<int16_t>(static_cast<size_t>(3 * columns), 1));
    Refuses(NBits(64, 3, 32).Input(a).Constant(b).Constant(fixed),
            "scales have type int16, supported: float, float16, bfloat16");
  }
  Refuses(NBits(64, 3, 32).Input(a).Constant(b).Constant(scales).Constant(
              Bytes({3, 2})),
          "zero_points [3, 2] does not hold [3, 1]");
  Refuses(
      NBits(64, 3, 32).Input(a).Constant(b).Constant(scales).NoInput().Constant(
          Bytes({64})),
      "g_idx");
  Refuses(NBits(64, 3, 32)
              .Input(a)
              .Constant(b)
              .Constant(scales)
              .NoInput()
              .NoInput()
              .Constant(Floats({2})),
          "bias is float [2], expected float [3]");
}

TEST(MatMul, NamesBothShapesThatDoNotFit) {
  Refuses(
      OpTest("", "MatMul", 13).Input(Floats({1, 7, 8})).Input(Floats({9, 4})),
      "inner sizes differ: A [1, 7, 8] x B [9, 4]");
  Refuses(OpTest("", "MatMul", 13)
              .Input(Floats({2, 7, 8}))
              .Input(Floats({3, 8, 4})),
          "batch axes do not broadcast");
  Refuses(OpTest("", "MatMul", 13).Input(Floats({})).Input(Floats({3, 8})),
          "a scalar");
  Refuses(OpTest("", "Gemm", 13)
              .Input(Floats({2, 3}))
              .Input(Floats({3, 4}))
              .Input(Floats({5})),
          "C [5] does not broadcast to [2, 4]");
  Refuses(OpTest("com.microsoft", "FusedMatMul", 1)
              .Int("transBatchA", 1)
              .Input(Floats({2, 3}))
              .Input(Floats({3, 4})),
          "transBatchA");
  Refuses(OpTest("", "MatMulInteger", 10)
              .Input(Bytes({2, 3}))
              .Input(Bytes({3, 4}))
              .NoInput()
              .Input(Bytes({3})),
          "b_zero_point is uint8 [3]");
}

TEST(Norms, RefuseScalesOfAnotherShape) {
  const auto rms = [] {
    return OpTest("", "SimplifiedLayerNormalization", 17);
  };
  Refuses(rms().Input(Floats({2, 8})).Constant(Floats({4})),
          "scale [4] does not match");
  Refuses(rms().Input(Floats({2, 8})).Constant(Floats({1})),
          "scale [1] does not match");
  Refuses(rms().Int("axis", 2).Input(Floats({2, 8})).Constant(Floats({8})),
          "axis 2 is outside of input [2, 8]");
  Refuses(
      rms().Int("stash_type", 16).Input(Floats({2, 8})).Constant(Floats({8})),
      "stash_type");
  Refuses(OpTest("com.microsoft", "SkipSimplifiedLayerNormalization", 1)
              .Input(Floats({2, 3, 8}))
              .Input(Floats({2, 1, 8}))
              .Constant(Floats({8})),
          "skip [2, 1, 8] does not match input [2, 3, 8]");
  Refuses(OpTest("com.microsoft", "SkipLayerNormalization", 1)
              .Outputs({true, true})
              .Input(Floats({2, 8}))
              .Input(Floats({2, 8}))
              .Constant(Floats({8})),
          "output 1 (for training)");
}

TEST(Convolutions, RefuseWhatDoesNotFit) {
  const auto conv = [] { return OpTest("", "Conv", 11); };
  Refuses(conv().Input(Floats({1, 3, 8})).Input(Floats({2, 2, 3})),
          "X [1, 3, 8], W [2, 2, 3] and group = 1 do not fit");
  Refuses(conv().Input(Floats({1, 2, 2})).Input(Floats({2, 2, 3})),
          "kernel reaches over 3");
  Refuses(conv().Input(Floats({1, 2, 4, 4, 4})).Input(Floats({2, 2, 1, 1, 1})),
          "supported are 1 and 2 spatial axes");
  Refuses(conv()
              .Ints("pads", {-1, 0})
              .Input(Floats({1, 2, 8}))
              .Input(Floats({2, 2, 3})),
          "pads holds -1");
  Refuses(conv()
              .Ints("kernel_shape", {4})
              .Input(Floats({1, 2, 8}))
              .Input(Floats({2, 2, 3})),
          "kernel_shape says 4");
  const auto causal = [] {
    return OpTest("com.microsoft", "CausalConvWithState", 1);
  };
  Refuses(
      causal().Int("ndim", 2).Input(Floats({1, 2, 8})).Input(Floats({2, 1, 3})),
      "ndim");
  Refuses(causal()
              .Int("state_window", 2)
              .Input(Floats({1, 2, 8}))
              .Input(Floats({2, 1, 3})),
          "state_window");
  Refuses(causal().Input(Floats({1, 2, 8})).Input(Floats({3, 1, 3})),
          "has 2 channels");
  Refuses(causal()
              .Input(Floats({1, 2, 8}))
              .Input(Floats({2, 1, 3}))
              .NoInput()
              .Input(Floats({1, 2, 3})),
          "past_state is [1, 2, 3], expected [1, 2, 2]");
}

TEST(LinearAttention, RefusesWhatItDoesNotCompute) {
  const auto linear = [] {
    OpTest t("com.microsoft", "LinearAttention", 1);
    t.Int("q_num_heads", 2).Int("kv_num_heads", 2);
    t.Input(Floats({1, 3, 8}))
        .Input(Floats({1, 3, 8}))
        .Input(Floats({1, 3, 6}));
    return t;
  };
  Refuses(linear(), "input 4 (decay) is missing");
  Refuses(linear().String("update_rule", "wkv"), "\"wkv\"");
  Refuses(linear().String("update_rule", "linear").Int("state_window", 1),
          "state_window");
  Refuses(linear().String("update_rule", "linear").Input(Floats({1, 2, 4, 4})),
          "past_state is float [1, 2, 4, 4], expected float [1, 2, 4, 3]");
  Refuses(linear()
              .String("update_rule", "gated")
              .NoInput()
              .Input(Floats({1, 3, 3})),
          "decay is float [1, 3, 3]");
}

}  // namespace
}  // namespace slm
