// SPDX-License-Identifier: MIT
// Two ways of writing the same weights give the same logits.
#include <algorithm>
#include <filesystem>

#include "gtest/gtest.h"
#include "runtime/core/file.h"
#include "runtime/core/threads.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "tests/shared_fixtures.h"
#include "tools/convert/convert.h"

namespace slm {
namespace {

using Flags = std::vector<std::string>;

// Of a few tokens. Activations are int8 everywhere: DequantizeLinear and MatMul
// become the same product as in ONNX Runtime.
void Logits(const std::string& model, Flags flags, std::vector<float>* logits) {
  const std::string out = ::testing::TempDir() + "slm_convert_formats";
  std::filesystem::remove_all(out);
  flags.insert(flags.end(), {SharedPath("fixtures/models/") + model + "/hf",
                             out, "-q", "-t", "1"});
  const auto options = convert::ParseOptions(flags);
  ASSERT_TRUE(options.ok()) << options.status().message();
  const auto summary = convert::Convert(*options, nullptr);
  ASSERT_TRUE(summary.ok()) << summary.status().message();
  const auto opened = Model::Open(out, ModelOptions());
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  ThreadPool threads(1);
  Session session((*opened)->plan(), (*opened)->decoder(), threads,
                  SessionOptions());
  const std::vector<int32_t> ids = {1, 5, 300, 77, 12, 400, 9, 250};
  Session::Item item{session.NewSequence(), ids, LogitsFor::kAll};
  ASSERT_TRUE(session.Run({&item, 1}).ok());
  logits->clear();
  for (size_t r = 0; r < ids.size(); ++r) {
    const auto row = session.Logits(r);
    logits->insert(logits->end(), row.begin(), row.end());
  }
  std::filesystem::remove_all(out);
}

struct Case {
  const char* model;
  Flags one, other;
};

TEST(ConvertFormats, TheSameLogits) {
  SLM_NEEDS_SHARED("fixtures/models");
  const Flags own = {"--no-shared-embeddings", "--embedding", "int4"};
  const Flags own8 = {"--no-shared-embeddings", "--embedding", "int8"};
  const auto with = [](Flags flags, const Flags& more) {
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  };
  const Case kCases[] = {
      {"llama3-rope", {}, {"--qdq"}},
      // 653 columns: half bytes of neighbours.
      {"llama3-rope", {"--asymmetric"}, {"--asymmetric", "--qdq"}},
      {"llama3-rope", {"-a", "k_quant"}, {"-a", "k_quant", "--qdq"}},
      {"qwen3-tied", {}, own},
      {"qwen3-tied", {"--lm-head", "int8"}, with({"--mixed", "last"}, own8)},
      {"qwen3-tied", {"-p", "int8"}, with({"-p", "int8"}, own8)},
      {"qwen3-tied",
       {"-p", "int8", "--asymmetric"},
       with({"-p", "int8", "--asymmetric"}, own8)},
      // One block a row: zero points of neighbours share a byte.
      {"qwen3-tied",
       {"--asymmetric", "-b", "64"},
       with({"--asymmetric", "-b", "64"}, own)},
      {"qwen3-tied", {"--qdq"}, own},
      {"qwen3-tied",
       {"--exclude", "*"},
       {"-p", "int8", "--override", "*=float"}},
  };
  for (const Case& c : kCases) {
    std::string trace = c.model;
    for (const std::string& flag : c.one) trace += " " + flag;
    SCOPED_TRACE(trace);
    std::vector<float> one, other;
    ASSERT_NO_FATAL_FAILURE(Logits(c.model, c.one, &one));
    ASSERT_NO_FATAL_FAILURE(Logits(c.model, c.other, &other));
    // The same products by the same kernels.
    EXPECT_TRUE(one == other);
    EXPECT_GT(*std::max_element(one.begin(), one.end()), 1.0f);
  }
}

TEST(ConvertFormats, AnUnknownNodeIsRefused) {
  SLM_NEEDS_SHARED("fixtures/models");
  const std::string hf = SharedPath("fixtures/models/qwen3-tied/hf");
  const std::pair<Flags, const char*> kCases[] = {
      {{"--exclude", "/model/layers.9*"},
       "no matrix of this model is named \"/model/layers.9*\""},
      {{"--qdq", "--lm-head", "int8"}, "--qdq is for int4"},
      {{"--mixed", "auto", "--target-bpw", "5"}, "is the least"},
      {{"--mixed", "auto", "--target-bpw", "9", "--override", "*=int4"},
       "no matrix whose bits are open"},
  };
  for (const auto& [flags, message] : kCases) {
    Flags all = {hf, ::testing::TempDir() + "slm_convert_none", "--dry-run"};
    all.insert(all.end(), flags.begin(), flags.end());
    const auto options = convert::ParseOptions(all);
    ASSERT_TRUE(options.ok()) << options.status().message();
    const auto summary = convert::Convert(*options, nullptr);
    ASSERT_FALSE(summary.ok());
    EXPECT_NE(summary.status().message().find(message), std::string::npos)
        << summary.status().message();
  }
}

TEST(ConvertFormats, SharedEmbeddingsOfAModelThatIsNotTiedAreRefused) {
  SLM_NEEDS_SHARED("fixtures/models");
  const Flags flags = {"-i",
                       SharedPath("fixtures/models/llama3-rope/hf"),
                       "-o",
                       ::testing::TempDir() + "slm_convert_none",
                       "-p",
                       "int4",
                       "-e",
                       "cpu",
                       "--extra_options",
                       "shared_embeddings=true"};
  const auto options = convert::ParseOptions(flags);
  ASSERT_TRUE(options.ok()) << options.status().message();
  const auto summary = convert::Convert(*options, nullptr);
  ASSERT_FALSE(summary.ok());
  EXPECT_NE(summary.status().message().find("tables of their own"),
            std::string::npos);
}

TEST(ConvertFormats, AutoKeepsItsTargetAndMakesTheSameChoiceAgain) {
  SLM_NEEDS_SHARED("fixtures/models");
  const std::string hf = SharedPath("fixtures/models/qwen3-tied/hf");
  std::string line, model, data;
  for (const char* threads : {"1", "2"}) {
    const std::string out = ::testing::TempDir() + "slm_convert_auto";
    std::filesystem::remove_all(out);
    const Flags flags = {hf,      out,         "-q",   "-t",
                         threads, "--mixed",   "auto", "--target-bpw",
                         "7.2",   "--no-check"};
    const auto options = convert::ParseOptions(flags);
    ASSERT_TRUE(options.ok()) << options.status().message();
    const auto summary = convert::Convert(*options, nullptr);
    ASSERT_TRUE(summary.ok()) << summary.status().message();
    const double bits = 8.0 * static_cast<double>(summary->output_bytes) /
                        static_cast<double>(summary->weights);
    EXPECT_LE(bits, 7.2);
    EXPECT_GT(bits, 6.8);  // the largest matrix, the head, is 0.57
    ASSERT_EQ(summary->lines.size(), 1u);
    if (!line.empty()) {
      EXPECT_EQ(summary->lines[0], line);
      EXPECT_EQ(*ReadFile(out + "/model.onnx"), model);
      EXPECT_EQ(*ReadFile(out + "/model.onnx.data"), data);
    }
    line = summary->lines[0];
    model = *ReadFile(out + "/model.onnx");
    data = *ReadFile(out + "/model.onnx.data");
    EXPECT_FALSE(std::filesystem::exists(out + "/mixed"));
    const std::string record = *ReadFile(out + "/slm.json");
    EXPECT_NE(record.find("\"target_bits_per_weight\": 7.2"),
              std::string::npos);
    std::filesystem::remove_all(out);
  }
}

}  // namespace
}  // namespace slm
