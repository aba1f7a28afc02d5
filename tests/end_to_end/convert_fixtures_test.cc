// SPDX-License-Identifier: MIT
// The team's Hugging Face models converted, against what the real model builder
// made of them: the same nodes, edges, attributes and names, the same bytes of
// every weight.
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>

#include "gtest/gtest.h"
#include "loader/json.h"
#include "loader/onnx_graph.h"
#include "runtime/core/file.h"
#include "runtime/core/threads.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "tests/shared_fixtures.h"
#include "tools/convert/convert.h"

namespace slm {
namespace {

struct Case {
  const char* model;
  const char* variant;  // the builder's folder
  std::vector<std::string> flags;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.model << "/" << c.variant;
}

const Case kCases[] = {
    {"gemma3", "onnx-fp32-fix", {"-p", "fp32"}},
    {"gemma3", "onnx-int4-fix", {"-a", "default"}},
    {"gptoss-moe", "onnx-fp32", {"-p", "fp32"}},
    {"gptoss-moe", "onnx-int4", {"-a", "default"}},
    {"gptoss-moe",
     "onnx-int4-perchannel",
     {"-a", "default", "--expert-block-size", "row"}},
    {"gptoss-moe", "onnx-int8-fix", {"-p", "int8", "-a", "default"}},
    {"llama3-rope", "onnx-fp32", {"-p", "fp32"}},
    {"llama3-rope", "onnx-int4", {"-a", "default"}},
    {"llama3-rope",
     "onnx-int4-acc0",
     {"-a", "default", "--accuracy-level", "0"}},
    {"llama3-rope",
     "onnx-int4-bs128-asym",
     {"-a", "default", "-b", "128", "--asymmetric"}},
    {"llama3-rope", "onnx-int8", {"-p", "int8", "-a", "default"}},
    {"llama3-rope", "onnx-int4-qdq", {"-a", "default", "--qdq"}},
    {"mistral-window", "onnx-fp32", {"-p", "fp32"}},
    {"mistral-window",
     "onnx-int4-embed",
     {"-a", "default", "--embedding", "int4"}},
    {"mistral-window",
     "onnx-int4-qdq-asym",
     {"-a", "default", "--qdq", "--asymmetric"}},
    {"mistral-window", "onnx-int4-rtn-last", {"-a", "rtn", "--mixed", "last"}},
    {"mistral-window", "onnx-int4", {"-a", "default"}},
    {"mistral-window", "onnx-int8", {"-p", "int8", "-a", "default"}},
    {"phi3-window", "onnx-fp32", {"-p", "fp32"}},
    {"phi3-window", "onnx-int4", {"-a", "default"}},
    {"phi3-window", "onnx-int8", {"-p", "int8", "-a", "default"}},
    {"phi4-longrope", "onnx-fp32", {"-p", "fp32"}},
    {"phi4-longrope", "onnx-int4", {"-a", "default"}},
    {"phi3-window", "onnx-int4-bs16-kquant", {"-a", "k_quant", "-b", "16"}},
    {"phi4-longrope", "onnx-int4-bs64", {"-a", "default", "-b", "64"}},
    {"phi4-longrope",
     "onnx-int4-bs16-kquant-last",
     {"-a", "k_quant", "-b", "16", "--mixed", "last"}},
    {"qwen3-tied",
     "onnx-int4-kquant-mixed",
     {"-a", "k_quant", "--mixed", "layers"}},
    {"qwen2-tied", "onnx-fp32", {"-p", "fp32"}},
    {"qwen2-tied", "onnx-int4", {"-a", "default"}},
    {"qwen2-tied",
     "onnx-int4-bs16-asym-rtn",
     {"-a", "rtn", "-b", "16", "--asymmetric"}},
    {"phi4-longrope",
     "onnx-int4-unshared",
     {"-a", "default", "--no-shared-embeddings"}},
    {"phi4-longrope",
     "onnx-int8-unshared",
     {"-p", "int8", "-a", "default", "--no-shared-embeddings"}},
    {"qwen2-tied",
     "onnx-int4-bs128-asym-unshared",
     {"-a", "default", "-b", "128", "--asymmetric", "--no-shared-embeddings"}},
    {"qwen2-tied",
     "onnx-int8-unshared",
     {"-p", "int8", "-a", "default", "--no-shared-embeddings"}},
    {"qwen3-tied",
     "onnx-int8-unshared",
     {"-p", "int8", "-a", "default", "--no-shared-embeddings"}},
    {"qwen3-tied", "onnx-fp32", {"-p", "fp32"}},
    {"qwen3-tied", "onnx-int4", {"-a", "default"}},
    {"qwen3-tied", "onnx-int4-rtn", {"-a", "rtn"}},
};

std::string NameOf(const Graph& graph, ValueId id) {
  return id == kNoValue ? "" : graph.values[id].name;
}

// Everything about a node but its place in the file.
std::string Describe(const Graph& graph, const Node& node) {
  std::string text = node.domain + "::" + node.type + "(";
  for (const ValueId id : node.inputs) text += NameOf(graph, id) + ", ";
  text += ") -> ";
  for (const ValueId id : node.outputs) text += NameOf(graph, id) + ", ";
  std::map<std::string, std::string> attributes;
  for (const Attribute& a : node.attributes) {
    // gpt-oss is clamped in transformers whether its config says so or not;
    // the builder looks there, and the fixture's says nothing.
    if (a.name == "swiglu_limit") continue;
    std::string value = Format("%lld %.9g %s", static_cast<long long>(a.i),
                               static_cast<double>(a.f), a.s.c_str());
    for (const int64_t i : a.ints) value += " " + std::to_string(i);
    attributes[a.name] = value;
  }
  for (const auto& [name, value] : attributes) {
    text += " " + name + "=" + value;
  }
  return text;
}

std::string Describe(const Value& value) {
  std::string text = value.dtype ? Name(*value.dtype) : "?";
  if (!value.shape) return text;
  for (const Dim& dim : *value.shape) {
    text += " " + (dim.size < 0 ? dim.symbol : std::to_string(dim.size));
  }
  return text;
}

// An angle is position * inverse, both float32. The builder's and our inverse
// differ by 2 ulp at most, and the product is rounded once more: relative
// 2.5 * 2^-23 of an angle below `positions`. cos and sin change no faster than
// their angle; the result has an ulp of its own.
double RopeTolerance(const Shape& shape) {
  return static_cast<double>(shape[0]) * 2.5 * 0x1p-23 + 0x1p-23;
}

void ExpectSameTensor(const std::string& name, const TensorView& ours,
                      const TensorView& theirs) {
  ASSERT_EQ(ours.dtype, theirs.dtype) << name;
  ASSERT_EQ(ours.shape.ToString(), theirs.shape.ToString()) << name;
  if (name.find("_cache") == std::string::npos) {
    EXPECT_EQ(std::memcmp(ours.data, theirs.data, ours.Bytes()), 0) << name;
    return;
  }
  double worst = 0;
  for (size_t i = 0; i < ours.Count(); ++i) {
    worst = std::max(
        worst, std::abs(double{ours.As<float>()[i]} - theirs.As<float>()[i]));
  }
  EXPECT_LE(worst, RopeTolerance(ours.shape)) << name;
}

void ExpectSameGraph(const Graph& ours, const Graph& theirs) {
  std::map<std::string, const Node*> nodes;
  for (const Node& node : theirs.nodes) nodes[node.name] = &node;
  EXPECT_EQ(ours.nodes.size(), theirs.nodes.size());
  for (const Node& node : ours.nodes) {
    const auto found = nodes.find(node.name);
    if (found == nodes.end()) {
      ADD_FAILURE() << "the builder has no node " << node.name;
      continue;
    }
    EXPECT_EQ(Describe(ours, node), Describe(theirs, *found->second))
        << node.name;
    for (const Attribute& a : node.attributes) {
      const Attribute* other = found->second->Find(a.name);
      if (a.graph && other && other->graph) {
        ExpectSameGraph(*a.graph, *other->graph);
      }
    }
  }
  const auto names = [](const Graph& graph, const std::vector<ValueId>& ids) {
    std::vector<std::string> all;
    for (const ValueId id : ids) {
      all.push_back(graph.values[id].name + " " + Describe(graph.values[id]));
    }
    return all;
  };
  EXPECT_EQ(names(ours, ours.inputs), names(theirs, theirs.inputs));
  EXPECT_EQ(names(ours, ours.outputs), names(theirs, theirs.outputs));
  std::map<std::string, const TensorView*> constants;
  for (const Value& value : theirs.values) {
    if (value.constant) constants[value.name] = &*value.constant;
  }
  for (const Value& value : ours.values) {
    if (!value.constant) continue;
    const auto found = constants.find(value.name);
    if (found == constants.end()) {
      ADD_FAILURE() << "the builder has no weight " << value.name;
      continue;
    }
    ExpectSameTensor(value.name, *value.constant, *found->second);
    constants.erase(found);
  }
  for (const auto& [name, tensor] : constants) {
    ADD_FAILURE() << "we have no weight " << name;
  }
}

class ConvertFixtures : public ::testing::TestWithParam<Case> {};

TEST_P(ConvertFixtures, TheBuildersGraphAndBytes) {
  const Case& c = GetParam();
  SLM_NEEDS_SHARED("fixtures/models");
  const std::string root = SharedPath("fixtures/models/") + c.model + "/";
  const std::string out =
      ::testing::TempDir() + "slm_convert_" + c.model + "_" + c.variant;
  std::filesystem::remove_all(out);
  std::vector<std::string> args = c.flags;
  args.insert(args.end(), {root + "hf", out, "-q", "-t", "1"});
  const auto options = convert::ParseOptions(args);
  ASSERT_TRUE(options.ok()) << options.status().message();
  const auto summary = convert::Convert(*options, nullptr);
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  const auto ours = LoadOnnxGraph(out + "/model.onnx");
  ASSERT_TRUE(ours.ok()) << ours.status().message();
  const auto theirs = LoadOnnxGraph(root + c.variant + "/model.onnx");
  ASSERT_TRUE(theirs.ok()) << theirs.status().message();
  ExpectSameGraph(**ours, **theirs);
  EXPECT_EQ(*ReadFile(out + "/genai_config.json"),
            *ReadFile(root + c.variant + "/genai_config.json") + "\n");
  // The builder saves tokenizers anew, we take them as they are.
  EXPECT_EQ(*ReadFile(out + "/tokenizer.json"),
            *ReadFile(root + "hf/tokenizer.json"));
  EXPECT_EQ(*ReadFile(out + "/chat_template.jinja"),
            *ReadFile(root + c.variant + "/chat_template.jinja"));
  std::filesystem::remove_all(out);
}

// Logits of PEFT's merge in transformers, float32; limit of fixtures/README.
TEST(ConvertAdapters, LogitsOfTheMergedModel) {
  SLM_NEEDS_SHARED("fixtures/models");
  const std::string root = SharedPath("fixtures/models/llama3-rope/");
  for (const char* adapter : {"lora", "lora-rslora"}) {
    const std::string out = ::testing::TempDir() + "slm_convert_" + adapter;
    std::filesystem::remove_all(out);
    const std::vector<std::string> args = {
        root + "hf", out, "-q", "-p", "fp32", "--adapter", root + adapter};
    const auto options = convert::ParseOptions(args);
    ASSERT_TRUE(options.ok()) << options.status().message();
    const auto summary = convert::Convert(*options, nullptr);
    ASSERT_TRUE(summary.ok()) << summary.status().message();
    const auto model = Model::Open(out, ModelOptions());
    ASSERT_TRUE(model.ok()) << model.status().message();
    ThreadPool threads(1);
    Session session((*model)->plan(), (*model)->decoder(), threads,
                    SessionOptions());
    const auto reference =
        JsonDocument::Load(root + adapter + "/reference.json");
    ASSERT_TRUE(reference.ok());
    const auto data = ReadFile(root + adapter + "/reference.f32");
    ASSERT_TRUE(data.ok());
    const JsonValue* tensors = reference->root().Find("tensors");
    for (const JsonValue& prompt : reference->root().Find("prompts")->Items()) {
      std::vector<int32_t> ids;
      for (const JsonValue& id : prompt.Find("ids")->Items()) {
        ids.push_back(static_cast<int32_t>(id.Int()));
      }
      Session::Item item{session.NewSequence(), ids, LogitsFor::kAll};
      ASSERT_TRUE(session.Run({&item, 1}).ok());
      const std::string name(prompt.Find("name")->String());
      const JsonValue* tensor = tensors->Find(name + ".prompt_logits");
      ASSERT_NE(tensor, nullptr) << name;
      const auto rows =
          static_cast<size_t>(tensor->Find("shape")->Items()[0].Int());
      size_t at = static_cast<size_t>(tensor->Find("offset")->Int());
      for (size_t r = ids.size() - rows; r < ids.size(); ++r) {
        for (const float ours : session.Logits(r)) {
          float theirs;
          std::memcpy(&theirs, data->data() + 4 * at++, sizeof theirs);
          ASSERT_NEAR(ours, theirs, 1e-4) << adapter << " " << name;
        }
      }
      session.Drop(item.sequence);
    }
    std::filesystem::remove_all(out);
  }
}

std::string TestName(const ::testing::TestParamInfo<Case>& info) {
  std::string name = std::string(info.param.model) + "_" + info.param.variant;
  for (char& ch : name) {
    if (ch == '-') ch = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, ConvertFixtures, ::testing::ValuesIn(kCases),
                         TestName);

}  // namespace
}  // namespace slm
