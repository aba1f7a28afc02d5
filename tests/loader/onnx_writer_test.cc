// SPDX-License-Identifier: MIT
// What is written is read back by the loader, which has goldens of its own, and
// by onnxruntime in tests/tools/convert_test.py.
#include "loader/onnx_writer.h"

#include <cstring>
#include <filesystem>

#include "gtest/gtest.h"
#include "loader/onnx_graph.h"
#include "runtime/core/file.h"

namespace slm {
namespace {

std::string Bytes(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

OnnxModel SmallModel() {
  OnnxModel model{"producer", "1", "m.onnx.data", {}};
  OnnxGraph& graph = model.graph;
  graph.name = "main_graph";
  graph.inputs = {{"x", DType::kF32, {{-1, "batch"}, {2, ""}}}};
  graph.outputs = {{"y", DType::kF32, {{-1, "batch"}, {2, ""}}}};
  graph.initializers = {{"w", DType::kF32, {2}, 8, 8}};
  graph.nodes = {
      {"/c",
       "Constant",
       "",
       {},
       {"c"},
       {{"value", OnnxConstant{"c", DType::kF32, {2}, Bytes({1, 2})}}}},
      {"/add", "Add", "", {"x", "c"}, {"s"}, {}},
      {"/norm",
       "SkipSimplifiedLayerNormalization",
       "com.microsoft",
       {"s", "s", "w"},
       {"y", "", "", "sum"},
       {{"epsilon", 0.5f},
        {"axes", std::vector<int64_t>{0, -1}},
        {"mode", std::string("tanh")},
        {"axis", int64_t{-1}}}},
  };
  return model;
}

TEST(OnnxWriterTest, TheLoaderReadsWhatWasWritten) {
  const std::string folder = ::testing::TempDir() + "slm_onnx_writer";
  std::filesystem::create_directories(folder);
  const Result<std::string> bytes = SerializeOnnx(SmallModel());
  ASSERT_TRUE(bytes.ok());
  ASSERT_TRUE(WriteFileAtomic(folder + "/m.onnx", *bytes).ok());
  ASSERT_TRUE(
      WriteFileAtomic(folder + "/m.onnx.data", "01234567" + Bytes({3, 4}))
          .ok());
  const auto loaded = LoadOnnxGraph(folder + "/m.onnx");
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const Graph& graph = **loaded;
  const Value& w = graph.values[graph.FindValue("w")];
  ASSERT_TRUE(w.constant.has_value());
  EXPECT_EQ(w.constant->shape, (Shape{2}));
  EXPECT_EQ(std::memcmp(w.constant->data, Bytes({3, 4}).data(), 8), 0);
  const Value& x = graph.values[graph.inputs[0]];
  EXPECT_EQ((*x.shape)[0].symbol, "batch");
  EXPECT_EQ((*x.shape)[1].size, 2);
  const Node& norm = graph.nodes.back();
  EXPECT_EQ(norm.domain, "com.microsoft");
  EXPECT_EQ(norm.Find("epsilon")->f, 0.5f);
  EXPECT_EQ(norm.Find("axes")->ints, (std::vector<int64_t>{0, -1}));
  EXPECT_EQ(norm.Find("mode")->s, "tanh");
  EXPECT_EQ(norm.Find("axis")->i, -1);
  EXPECT_EQ(norm.outputs[1], kNoValue);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace slm
