// SPDX-License-Identifier: MIT
// Flags and the builder's options as rules, and what the rules mean.
#include <set>

#include "gtest/gtest.h"
#include "tools/convert/options.h"
#include "tools/convert/precision.h"
#include "tools/convert/size_plan.h"

namespace slm::convert {
namespace {

TEST(Precision, MixedLayersAreThoseOfTheBuilder) {
  // [i for i in range(n) if i < n / 8 or i >= 7 * n / 8
  //  or (i - round(n / 8)) % 3 == 2] of Python 3.
  const std::pair<size_t, std::set<size_t>> kCases[] = {
      {1, {0}},
      {4, {0, 2}},
      {12, {0, 1, 4, 7, 10, 11}},
      {20, {0, 1, 2, 4, 7, 10, 13, 16, 18, 19}},
      {24, {0, 1, 2, 5, 8, 11, 14, 17, 20, 21, 22, 23}},
  };
  for (const auto& [layers, expected] : kCases) {
    std::set<size_t> got;
    for (size_t i = 0; i < layers; ++i) {
      if (IsMixedLayer(i, layers)) got.insert(i);
    }
    EXPECT_EQ(got, expected) << layers;
  }
}

TEST(Precision, RulesApplyToNodes) {
  const std::string down = "/model/layers.1/mlp/down_proj/MatMul";
  struct Case {
    PrecisionRule rule;
    const char* node;
    bool applies;
  };
  const Case kCases[] = {
      {{NodeGroup::kPattern, "/lm_head/MatMul", 8}, "/lm_head/MatMul", true},
      {{NodeGroup::kPattern, "/lm_head", 8}, "/lm_head/MatMul", false},
      {{NodeGroup::kPattern, "*", 8}, "/lm_head/MatMul", true},
      {{NodeGroup::kPattern, "*down_proj*", 8}, down.c_str(), true},
      {{NodeGroup::kPattern, "/model/layers.?/*/MatMul", 8},
       down.c_str(),
       true},
      {{NodeGroup::kPattern, "*a*a*a*a*a*b", 8}, down.c_str(), false},
      {{NodeGroup::kLast, "", 8}, "/lm_head/MatMul", true},
      {{NodeGroup::kLast, "", 8}, down.c_str(), false},
      {{NodeGroup::kDown, "", 8}, down.c_str(), true},
      {{NodeGroup::kMixedLayers, "", 8}, down.c_str(), false},
      {{NodeGroup::kMixedLayers, "", 8},
       "/model/layers.2/attn/qkv_proj/MatMul",
       true},
      {{NodeGroup::kMixedLayers, "", 8},
       "/model/layers.2/attn/o_proj/MatMul",
       false},
      {{NodeGroup::kMixedLayers, "", 8}, "/model/layers./x", false},
  };
  for (const Case& c : kCases) {
    EXPECT_EQ(Applies(c.rule, c.node, 4), c.applies)
        << Describe(c.rule) << " " << c.node;
  }
}

// The rules and what else matters as a line of text.
std::string Parse(std::vector<std::string> args) {
  const Result<Options> options = ParseOptions(args);
  if (!options.ok()) return options.status().message();
  const GraphOptions& graph = options->graph;
  std::string text = std::string(PrecisionName(graph.precision)) + " " +
                     AlgorithmName(graph.quantize.algorithm);
  if (!graph.quantize.symmetric) text += " zero_points";
  if (graph.qdq) text += " qdq";
  if (graph.quantize_embedding) text += " Gather";
  for (const PrecisionRule& rule : graph.rules) text += " " + Describe(rule);
  return text;
}

TEST(Precision, FlagsBecomeRulesInTheirOrder) {
  EXPECT_EQ(Parse({"hf", "out", "--mixed", "layers", "--lm-head", "float",
                   "--override", "*.3/*=int8", "--exclude", "*.0/*",
                   "--embedding", "int8"}),
            "int4 search *.0/*=float *.3/*=int8 /lm_head/MatMul=float "
            "/model/embed_tokens/Gather=int8 last_matmul=int8 "
            "mixed_layers=int8");
  EXPECT_EQ(Parse({"hf", "out", "-a", "k_quant", "--mixed", "down"}),
            "int4 k_quant zero_points last_matmul=int8 down_proj=int8");
  EXPECT_EQ(Parse({"hf", "out", "-p", "q4_k_m"}),
            "int4 search zero_points last_matmul=int8 mixed_layers=int8");
  EXPECT_EQ(Parse({"hf", "out", "-p", "Q8_0"}), "int8 search");
  EXPECT_EQ(Parse({"hf", "out", "--qdq"}), "int4 search qdq");
}

std::string Builder(std::vector<std::string> options) {
  std::vector<std::string> args = {"-i", "hf",   "-o", "out",
                                   "-p", "int4", "-e", "cpu"};
  args.push_back("--extra_options");
  args.insert(args.end(), options.begin(), options.end());
  return Parse(args);
}

TEST(Precision, BuilderOptionsBecomeRules) {
  EXPECT_EQ(Builder({"algo_config=rtn_last"}), "int4 rtn last_matmul=int8");
  EXPECT_EQ(Builder({"int4_algo_config=k_quant_mixed",
                     "int4_nodes_to_exclude=/a,/b/*"}),
            "int4 k_quant zero_points /a=float /b/*=float last_matmul=int8 "
            "mixed_layers=int8");
  EXPECT_EQ(Builder({"matmul_mixed_precision=last_matmul:int8,"
                     "linear_attn:int8"}),
            "int4 search last_matmul=int8 linear_attn=int8");
  EXPECT_EQ(Builder({"op_types_to_quantize=MatMul/Gather", "use_qdq=true"}),
            "int4 search qdq Gather");
}

TEST(Precision, WhatDoesNotGoTogetherIsRefused) {
  const std::pair<std::vector<std::string>, const char*> kCases[] = {
      {{"--lm-head", "int5"}, "--lm-head is \"int5\""},
      {{"--mixed", "all"}, "--mixed is \"all\""},
      {{"--override", "x"}, "expected NODE=TYPE"},
      {{"--override", "=int8"}, "expected NODE=TYPE"},
      {{"--qdq", "-p", "int8"}, "is for int4"},
      {{"-p", "fp32", "--lm-head", "int8"}, "--lm-head means nothing"},
      {{"-p", "f16", "--mixed", "last"}, "--mixed means nothing"},
      {{"--mixed", "auto"}, "needs --target-bpw"},
      {{"--target-bpw", "6"}, "means something to --mixed auto"},
      {{"--mixed", "auto", "--target-bpw", "x"}, "must be a number"},
      {{"--mixed", "auto", "--target-bpw", "-1"}, "must be a number"},
      {{"--mixed", "auto", "--target-bpw", "6", "--qdq"}, "not with --qdq"},
      {{"--mixed", "auto", "--target-bpw", "6", "-p", "int8"}, "not with"},
      {{"-p", "Q4_0", "-b", "64"}, "says what --block-size says"},
      {{"-p", "Q5_K_M"}, "must be one of"},
      {{"-a", "k_quant", "--symmetric"}, "has no --symmetric"},
  };
  for (auto [flags, message] : kCases) {
    flags.insert(flags.begin(), {"hf", "out"});
    EXPECT_NE(Parse(flags).find(message), std::string::npos)
        << Parse(flags) << " / " << message;
  }
  for (const char* option :
       {"algo_config=hqq", "matmul_mixed_precision=last_matmul",
        "matmul_mixed_precision=first:int8", "op_types_to_quantize=Gather",
        "op_types_to_quantize=MatMul/Conv", "use_qdq=maybe"}) {
    const std::string got = Builder({option});
    EXPECT_EQ(got.find("int4 search"), std::string::npos) << got;
  }
}

TEST(SizePlan, KeysAndValuesOfLayersWithWindowsAndWithout) {
  DecoderSpec spec;
  spec.kv_heads = 2;
  spec.head_size = 8;
  spec.layers.resize(3);
  spec.layers[1].window = 100;
  spec.layers[2].convolution = true;
  // Two tensors of 16 values of 4 bytes for 1000 and for 100 tokens.
  EXPECT_EQ(CacheBytes(spec, 1000, 4), 2u * 16 * 4 * (1000 + 100));
  EXPECT_EQ(CacheBytes(spec, 10, 2), 2u * 16 * 2 * (10 + 10));
}

}  // namespace
}  // namespace slm::convert
