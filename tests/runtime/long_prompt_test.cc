// SPDX-License-Identifier: MIT
// Prompts of more tokens than one execution takes (512). The fixtures' rotary
// caches end at 256 positions, so that theirs are made longer here.
#include <algorithm>
#include <cmath>

#include "loader/onnx_graph.h"
#include "runtime/generate.h"
#include "tests/runtime/model_test_util.h"
#include "tests/shared_fixtures.h"

namespace slm {
namespace {

constexpr size_t kPrompt = 1100;  // two executions of 512 and one of 76
constexpr size_t kContext = 1200;

struct Source {
  const char* name;
  const char* shared;  // below the shared folder; nullptr: tiny-model
};

std::ostream& operator<<(std::ostream& out, const Source& s) {
  return out << s.name;
}

// Puts cos or sin [kContext, E/2] of the frequencies, which row 1 of the
// file's caches holds, in the place of `id`.
void Lengthen(Graph* graph, ValueId id, const std::vector<double>& frequencies,
              double (*function)(double)) {
  auto made =
      graph->AddConstant("", DType::kF32,
                         Shape({static_cast<int64_t>(kContext),
                                static_cast<int64_t>(frequencies.size())}));
  ASSERT_TRUE(made.ok());
  float* out = graph->values[*made].constant->Mutable<float>();
  for (size_t p = 0; p < kContext; ++p) {
    for (const double f : frequencies) {
      *out++ = static_cast<float>(function(static_cast<double>(p) * f));
    }
  }
  graph->values[id].constant = graph->values[*made].constant;
}

// Pairs cos_cache*, sin_cache* of the graph.
void LengthenRope(Graph* graph) {
  const size_t values = graph->values.size();
  for (size_t i = 0; i < values; ++i) {
    const std::string name = graph->values[i].name;
    if (name.rfind("cos_cache", 0) != 0 || !graph->values[i].constant) continue;
    const ValueId cos = static_cast<ValueId>(i);
    const ValueId sin = graph->FindValue("sin" + name.substr(3));
    ASSERT_TRUE(graph->IsConstant(sin)) << name;
    const TensorView& c = *graph->values[cos].constant;
    const TensorView& s = *graph->values[sin].constant;
    ASSERT_EQ(c.dtype, DType::kF32);
    const size_t half = static_cast<size_t>(c.shape[1]);
    std::vector<double> frequencies;
    for (size_t f = half; f < 2 * half; ++f) {
      frequencies.push_back(std::atan2(s.As<float>()[f], c.As<float>()[f]));
    }
    Lengthen(graph, cos, frequencies, std::cos);
    Lengthen(graph, sin, frequencies, std::sin);
  }
}

class LongPromptTest : public testing::TestWithParam<Source> {
 protected:
  LongPromptTest() : pool_(2) {}
  void SetUp() override {
    if (GetParam().shared) SLM_NEEDS_SHARED(GetParam().shared);
    model_ = OpenForTest(GetParam().shared ? SharedPath(GetParam().shared)
                                           : TinyModelPath());
    ASSERT_TRUE(model_);
    auto graph = LoadOnnxGraph(model_->folder().onnx_path);
    ASSERT_TRUE(graph.ok());
    LengthenRope(graph->get());
    PlanOptions options;
    options.decoder = &model_->decoder().names;
    auto plan = BuildPlan(std::move(graph).value(), options);
    ASSERT_TRUE(plan.ok()) << plan.status().message();
    plan_ = std::move(plan).value();
    ASSERT_TRUE(plan_->ragged) << plan_->dense_reason;
    spec_ = model_->decoder();
    spec_.context_length = kContext;
    prompt_ = SomeTokens(kPrompt, spec_.vocab_size, 7);
  }
  std::unique_ptr<Session> NewSession(size_t chunk) {
    SessionOptions options;
    options.prefill_chunk = chunk;
    return std::make_unique<Session>(*plan_, spec_, pool_, options);
  }
  // Rows of logits, one after another.
  static std::vector<float> Run(Session* session, SequenceId id,
                                std::span<const int32_t> tokens,
                                LogitsFor logits) {
    const Session::Item item{id, tokens, logits};
    const Status status = session->Run({&item, 1});
    EXPECT_TRUE(status.ok()) << status.message();
    std::vector<float> rows;
    for (size_t r = 0; r < session->logit_rows(); ++r) {
      const auto row = session->Logits(r);
      rows.insert(rows.end(), row.begin(), row.end());
    }
    return rows;
  }

  std::unique_ptr<Model> model_;
  std::unique_ptr<Plan> plan_;
  DecoderSpec spec_;
  ThreadPool pool_;
  std::vector<int32_t> prompt_;
};

// Bit by bit: no sum's order depends on the pieces.
TEST_P(LongPromptTest, PiecesGiveTheLogitsOfTheWhole) {
  const auto whole = NewSession(kContext);
  const auto pieces = NewSession(SessionOptions().prefill_chunk);
  ASSERT_LT(SessionOptions().prefill_chunk, kPrompt);
  const SequenceId a = whole->NewSequence(), b = pieces->NewSequence();
  const auto expected = Run(whole.get(), a, prompt_, LogitsFor::kAll);
  ASSERT_EQ(expected.size(), kPrompt * spec_.vocab_size);
  EXPECT_TRUE(Run(pieces.get(), b, prompt_, LogitsFor::kAll) == expected);
  const std::vector<int32_t> next = {3};
  EXPECT_EQ(Run(pieces.get(), b, next, LogitsFor::kLast),
            Run(whole.get(), a, next, LogitsFor::kLast));
}

TEST_P(LongPromptTest, GenerateSaysWhatTheWholePromptSays) {
  constexpr size_t kAnswer = 20;
  const auto whole = NewSession(kContext);
  const SequenceId id = whole->NewSequence();
  std::vector<int32_t> expected;
  auto row = Run(whole.get(), id, prompt_, LogitsFor::kLast);
  for (size_t i = 0; i < kAnswer; ++i) {
    const auto best = std::max_element(row.begin(), row.end());
    expected.push_back(static_cast<int32_t>(best - row.begin()));
    row = Run(whole.get(), id, {&expected.back(), 1}, LogitsFor::kLast);
  }

  const auto pieces = NewSession(SessionOptions().prefill_chunk);
  Generator generator(pieces.get(), &model_->tokenizer());
  GenerateOptions options;
  options.search.max_length = kPrompt + kAnswer;
  const Status status = generator.Start(prompt_, options);
  ASSERT_TRUE(status.ok()) << status.message();
  std::vector<size_t> done;
  GenerateStep step;
  while (step.finish == FinishReason::kNone) {
    auto next = generator.Next();
    ASSERT_TRUE(next.ok()) << next.status().message();
    step = std::move(next).value();
    if (done.empty() || done.back() < kPrompt) done.push_back(step.prompt_done);
  }
  EXPECT_EQ(done, (std::vector<size_t>{512, 1024, kPrompt}));
  const auto said = generator.tokens().subspan(kPrompt);
  EXPECT_EQ(std::vector<int32_t>(said.begin(), said.end()), expected);
}

INSTANTIATE_TEST_SUITE_P(
    Models, LongPromptTest,
    testing::Values(
        Source{"tiny", nullptr},
        Source{"qwen3_int4", "fixtures/models/qwen3-tied/onnx-int4"},
        Source{"mistral_window", "fixtures/models/mistral-window/onnx-fp32"},
        Source{"gemma3", "fixtures/models/gemma3/onnx-int4"}),
    [](const testing::TestParamInfo<Source>& instance) {
      return instance.param.name;
    });

}  // namespace
}  // namespace slm
