// SPDX-License-Identifier: MIT
// Perplexity, references and divergences of slm-bench. Expected figures of
// models are numpy's on onnxruntime's logits: tests/make_quality_references.py
// (numpy 2.4.6, onnx 1.23.2, onnxruntime 1.31.1, tokenizers 0.22.2).
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/core/file.h"
#include "runtime/core/sha256.h"
#include "runtime/logprobs.h"
#include "tests/runtime/model_test_util.h"
#include "tests/shared_fixtures.h"
#include "tools/bench/divergence.h"
#include "tools/bench/perplexity.h"
#include "tools/bench/reference.h"
#include "tools/bench/saved_row.h"

namespace slm::bench {
namespace {

// Two runtimes' float32 logits of the fixtures differ by 1e-4 at most (their
// README: K products in two orders, some layers). -log p = log sum exp - logit
// then moves by twice that at most, in each token and so in the mean; a KL, a
// mean over p of two such differences, by four times.
constexpr double kLogitError = 1e-4;

std::string QualityText() {
  auto text = ReadFile(std::string(SLM_TEST_DATA_DIR) + "/quality/text.txt");
  EXPECT_TRUE(text.ok()) << text.status().message();
  return text.ok() ? *text : "";
}

std::string FixturePath(const std::string& name) {
  return name == "tiny-model" ? TinyModelPath()
                              : SharedPath("fixtures/models/" + name);
}

// Float32 activations and caches.
struct TestModel {
  explicit TestModel(const std::string& path, size_t thread_count = 1,
                     bool force_dense = false)
      : threads(thread_count) {
    ModelOptions options;
    options.force_dense = force_dense;
    options.accuracy_level = 1;
    model = OpenForTest(path, options);
    if (model) {
      session = std::make_unique<Session>(model->plan(), model->decoder(),
                                          threads, SessionOptions());
    }
  }

  WindowedText Windows(std::string_view text, const WindowOptions& options) {
    auto windows =
        MakeWindows(model->tokenizer(), model->decoder().context_length,
                    model->decoder().vocab_size, text, options);
    EXPECT_TRUE(windows.ok()) << windows.status().message();
    return windows.ok() ? *windows : WindowedText();
  }

  ThreadPool threads;
  std::unique_ptr<Model> model;
  std::unique_ptr<Session> session;
};

struct Cut {
  size_t tokens;
  WindowOptions options;
  std::vector<Window> windows;
  const char* note;
};

TEST(Windows, AreLlamaPerplexitysOrHuggingFacesSliding) {
  const Cut cuts[] = {
      // llama-perplexity scores n_ctx - 1 - n_ctx / 2 of a window.
      {16, {.window = 8}, {{0, 8, 5}, {8, 8, 5}}, ""},
      {15, {.window = 7}, {{0, 7, 4}, {7, 7, 4}}, "the last 1 of 15 tokens"},
      {8, {.window = 8}, {{0, 8, 5}}, ""},
      {7, {.window = 8}, {{0, 7, 1}}, "the text has 7 tokens, less than a"},
      {2, {.window = 8}, {{0, 2, 1}}, "the text has 2 tokens, less than a"},
      {100,
       {.window = 3, .most_windows = 2},
       {{0, 3, 2}, {3, 3, 2}},
       "the first 2 of 33 windows"},
      // range(0, 20, 4): windows end at 8, 12, 16, 20.
      {20,
       {.window = 8, .stride = 4},
       {{0, 8, 1}, {4, 8, 4}, {8, 8, 4}, {12, 8, 4}},
       ""},
      {21,
       {.window = 8, .stride = 4},
       {{0, 8, 1}, {4, 8, 4}, {8, 8, 4}, {12, 8, 4}, {16, 5, 4}},
       ""},
      {16, {.window = 8, .stride = 8}, {{0, 8, 1}, {8, 8, 1}}, ""},
      {17, {.window = 8, .stride = 8}, {{0, 8, 1}, {8, 8, 1}}, ""},
      {18, {.window = 8, .stride = 8}, {{0, 8, 1}, {8, 8, 1}, {16, 2, 1}}, ""},
      {8, {.window = 8, .stride = 1}, {{0, 8, 1}}, ""},
      {5, {.window = 8, .stride = 4}, {{0, 5, 1}}, "the text has 5 tokens"},
  };
  for (const Cut& cut : cuts) {
    SCOPED_TRACE(Format("%zu tokens, window %zu, stride %zu", cut.tokens,
                        cut.options.window, cut.options.stride));
    WindowedText text;
    text.tokens.resize(cut.tokens);
    ASSERT_TRUE(CutIntoWindows(cut.options, &text).ok());
    ASSERT_EQ(text.windows.size(), cut.windows.size());
    size_t positions = 0;
    for (size_t i = 0; i < cut.windows.size(); ++i) {
      EXPECT_EQ(text.windows[i].begin, cut.windows[i].begin) << i;
      EXPECT_EQ(text.windows[i].size, cut.windows[i].size) << i;
      EXPECT_EQ(text.windows[i].first, cut.windows[i].first) << i;
      positions += cut.windows[i].size - cut.windows[i].first;
    }
    EXPECT_EQ(text.positions, positions);
    EXPECT_EQ(text.note.substr(0, std::string(cut.note).size()), cut.note);
    EXPECT_EQ(text.note.empty(), cut.note[0] == '\0');
  }
}

TEST(Windows, RefuseWhatCannotBeScored) {
  TestModel tiny(TinyModelPath());
  ASSERT_TRUE(tiny.model);
  const size_t context = tiny.model->decoder().context_length;
  struct {
    const char* text;
    WindowOptions options;
    ErrorKind kind;
    const char* message;
  } const cases[] = {
      {"", {}, ErrorKind::kUsage, "has 0 tokens: a score needs 2"},
      {"a", {}, ErrorKind::kUsage, "has 1 tokens: a score needs 2"},
      {"ab\xFFz", {}, ErrorKind::kUsage, "not UTF-8 at byte 2"},
      {"hello", {.window = context + 1}, ErrorKind::kOverflow, "the model's"},
      {"hello", {.window = 2}, ErrorKind::kUsage, "3 is the least"},
      {"hello", {.window = 8, .stride = 9}, ErrorKind::kUsage, "a stride of 9"},
  };
  for (const auto& c : cases) {
    const auto result = MeasurePerplexity(*tiny.model, tiny.session.get(),
                                          tiny.threads, c.text, c.options);
    ASSERT_FALSE(result.ok()) << c.message;
    EXPECT_EQ(result.status().kind(), c.kind) << result.status().message();
    EXPECT_NE(result.status().message().find(c.message), std::string::npos)
        << result.status().message();
  }
}

TEST(Windows, ReadControlTokensAsTextUnlessToldNotTo) {
  TestModel tiny(TinyModelPath());
  ASSERT_TRUE(tiny.model);
  const std::string text = "<|im_start|>user\nhi<|im_end|>\n";
  const WindowedText plain = tiny.Windows(text, {});
  const WindowedText parsed = tiny.Windows(text, {.parse_special = true});
  EXPECT_EQ(parsed.tokens.size(), 7u);  // tiny-model-reference.json
  EXPECT_GT(plain.tokens.size(), parsed.tokens.size());
  // All but the first token: "<" of the one, <|im_start|> of the other.
  EXPECT_EQ(plain.scored_bytes, text.size() - 1);
  EXPECT_EQ(parsed.scored_bytes, text.size() - 12);
}

TEST(LogSumExp, IsExactWhereFloatsAre) {
  EXPECT_EQ(LogSumExp(std::vector<float>{3}), 3.0);
  EXPECT_DOUBLE_EQ(LogSumExp(std::vector<float>(1024, -7)),
                   -7 + std::log(1024.0));
  // No overflow, and terms far below the sum are not lost.
  EXPECT_DOUBLE_EQ(LogSumExp(std::vector<float>{1000, 1000}),
                   1000 + std::log(2.0));
  const std::vector<float> p = {1, 2, 3}, q = {3, 2, 1};
  // p = e^(i-2) / (1/e + 1 + e): KL = sum p (log p - log q) = sum p (2 i - 4).
  const double e = std::exp(1.0);
  EXPECT_NEAR(KlDivergence(p, LogSumExp(p), q, LogSumExp(q)),
              2 * (e - 1 / e) / (e + 1 + 1 / e), 1e-15);
  EXPECT_EQ(KlDivergence(p, LogSumExp(p), p, LogSumExp(p)), 0.0);
}

TEST(MeanOf, HasTheStandardErrorOfTheMean) {
  const MeanError m = MeanOf(std::vector<double>{1, 2, 3, 6});
  EXPECT_DOUBLE_EQ(m.mean, 3);
  EXPECT_DOUBLE_EQ(m.error, std::sqrt(14.0 / 12));  // squares 4 1 0 9
  EXPECT_TRUE(std::isnan(MeanOf(std::vector<double>{1}).error));
}

struct ExpectedPerplexity {
  const char* model;
  size_t window, stride, tokens, scored, scored_bytes;
  double perplexity, error, bits_per_byte;
};

constexpr ExpectedPerplexity kPerplexities[] = {
    {"tiny-model", 64, 0, 625, 279, 294, 91136.745, 9178.0871, 15.635146},
    {"tiny-model", 64, 24, 625, 624, 654, 88554.674, 6219.8157, 15.680415},
    {"qwen2-tied/onnx-fp32", 64, 0, 450, 217, 332, 2664.7332, 765.04648,
     7.4379857},
    {"qwen2-tied/onnx-fp32", 65, 0, 450, 192, 312, 3634.67, 1014.1739,
     7.2785284},
    {"qwen2-tied/onnx-fp32", 64, 24, 450, 449, 652, 1962.3861, 408.51795,
     7.5327278},
    {"qwen2-tied/onnx-fp32", 64, 64, 450, 442, 641, 1900.1983, 396.46062,
     7.5105069},
    {"llama3-rope/onnx-fp32", 64, 0, 449, 217, 338, 6405.4279, 2067.5954,
     8.1182905},
    {"llama3-rope/onnx-fp32", 65, 0, 449, 192, 315, 9090.7925, 2935.1777,
     8.0153541},
    {"llama3-rope/onnx-fp32", 64, 24, 449, 448, 655, 3775.9287, 842.88465,
     8.1273464},
    {"llama3-rope/onnx-fp32", 64, 64, 449, 441, 645, 3422.2996, 755.96167,
     8.0273968},
    {"qwen2-tied/onnx-int4", 64, 0, 450, 217, 332, 2614.5994, 743.05744,
     7.4200759},
    {"qwen2-tied/onnx-int4", 65, 0, 450, 192, 312, 3624.7798, 1003.5732,
     7.2761093},
    {"qwen2-tied/onnx-int4", 64, 24, 450, 449, 652, 1911.1689, 394.6065,
     7.5064533},
    {"qwen2-tied/onnx-int4", 64, 64, 450, 442, 641, 1797.0383, 370.04857,
     7.4549785},
    {"gemma3/onnx-fp32", 160, 0, 429, 158, 234, 2687.2488, 559.57401,
     7.6919762},
    {"gemma3/onnx-fp32", 200, 50, 429, 428, 655, 1578.3699, 244.33105,
     6.9422382},
    {"phi4-longrope/onnx-fp32", 160, 0, 445, 158, 232, 2471.0709, 699.23407,
     7.6758856},
    {"phi4-longrope/onnx-fp32", 200, 50, 445, 444, 652, 1617.1634, 297.32832,
     7.2587529},
};

TEST(Perplexity, IsNumpysOnOnnxruntimesLogits) {
  const std::string text = QualityText();
  for (const ExpectedPerplexity& c : kPerplexities) {
    if (std::string(c.model) != "tiny-model") SLM_NEEDS_SHARED("fixtures");
    SCOPED_TRACE(
        Format("%s window %zu stride %zu", c.model, c.window, c.stride));
    TestModel m(FixturePath(c.model));
    ASSERT_TRUE(m.model);
    const auto result =
        MeasurePerplexity(*m.model, m.session.get(), m.threads, text,
                          {.window = c.window, .stride = c.stride});
    ASSERT_TRUE(result.ok()) << result.status().message();
    EXPECT_EQ(result->text_tokens, c.tokens);
    EXPECT_EQ(result->scored, c.scored);
    EXPECT_EQ(result->scored_bytes, c.scored_bytes);
    const double relative = 2 * kLogitError;
    EXPECT_NEAR(result->perplexity, c.perplexity, relative * c.perplexity);
    // A standard deviation moves by no more than the values.
    EXPECT_NEAR(
        result->error, c.error,
        relative * (c.error + c.perplexity / std::sqrt(double(c.scored))));
    EXPECT_NEAR(result->bits_per_byte, c.bits_per_byte,
                relative / std::log(2.0) * static_cast<double>(c.scored) /
                    static_cast<double>(c.scored_bytes));
  }
}

// llama-perplexity -m NAME.gguf -f text.txt -c 64 -b 64 -fa off (llama.cpp of
// llama-cpp-python 0.3.36), NAME.gguf being the fixture's hf folder in float32
// by tests/tools/gguf_models.py. Its keys and values are float16: 2^-11 of
// logits of about 10, of either sign, are less than 1e-3 in the mean.
TEST(Perplexity, IsLlamaPerplexitys) {
  SLM_NEEDS_SHARED("fixtures");
  const std::string text = QualityText();
  struct {
    const char* model;
    double perplexity, error;
  } const cases[] = {
      {"qwen2-tied/onnx-fp32", 2664.7523, 765.04232},
      {"qwen3-tied/onnx-fp32", 1685.8379, 468.33914},
      {"llama3-rope/onnx-fp32", 6405.5888, 2067.62280},  // with a BOS
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.model);
    TestModel m(FixturePath(c.model));
    ASSERT_TRUE(m.model);
    const auto result = MeasurePerplexity(*m.model, m.session.get(), m.threads,
                                          text, {.window = 64});
    ASSERT_TRUE(result.ok()) << result.status().message();
    EXPECT_NEAR(result->perplexity, c.perplexity, 1e-3 * c.perplexity);
    EXPECT_NEAR(result->error, c.error, 1e-3 * c.error);
  }
}

TEST(Perplexity, IsTheSameWithMoreThreads) {
  const std::string text = QualityText();
  TestModel one(TinyModelPath(), 1), three(TinyModelPath(), 3);
  ASSERT_TRUE(one.model && three.model);
  const auto a = MeasurePerplexity(*one.model, one.session.get(), one.threads,
                                   text, {.window = 64});
  const auto b = MeasurePerplexity(*three.model, three.session.get(),
                                   three.threads, text, {.window = 64});
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->perplexity, b->perplexity);
}

// A window is then one piece, of which the first rows are not looked at.
TEST(Perplexity, OfAGraphAsItStandsIsTheSame) {
  SLM_NEEDS_SHARED("fixtures");
  const std::string text = QualityText();
  const std::string path = FixturePath("qwen2-tied/onnx-fp32");
  TestModel ragged(path), dense(path, 1, /*force_dense=*/true);
  ASSERT_TRUE(ragged.model && dense.model);
  ASSERT_FALSE(dense.model->plan().ragged);
  for (const size_t stride : {0, 24}) {
    const WindowOptions options{.window = 64, .stride = stride};
    const auto a = MeasurePerplexity(*ragged.model, ragged.session.get(),
                                     ragged.threads, text, options);
    const auto b = MeasurePerplexity(*dense.model, dense.session.get(),
                                     dense.threads, text, options);
    ASSERT_TRUE(a.ok()) << a.status().message();
    ASSERT_TRUE(b.ok()) << b.status().message();
    EXPECT_EQ(a->scored, b->scored);
    EXPECT_NEAR(a->perplexity, b->perplexity, 2 * kLogitError * a->perplexity);
  }
}

// A graph that gives the last row alone is run token by token.
TEST(Perplexity, OfAPrunedGraphIsThatOfTheWholeOne) {
  SLM_NEEDS_SHARED("fixtures");
  const std::string text = QualityText();
  TestModel whole(FixturePath("qwen2-tied/onnx-int4"));
  TestModel pruned(FixturePath("qwen2-tied/onnx-int4-prune"));
  ASSERT_TRUE(whole.model && pruned.model);
  ASSERT_TRUE(pruned.model->plan().pruned_logits);
  const auto a = MeasurePerplexity(*whole.model, whole.session.get(),
                                   whole.threads, text, {.window = 64});
  const auto b = MeasurePerplexity(*pruned.model, pruned.session.get(),
                                   pruned.threads, text, {.window = 64});
  ASSERT_TRUE(a.ok()) << a.status().message();
  ASSERT_TRUE(b.ok()) << b.status().message();
  EXPECT_EQ(a->scored, b->scored);
  EXPECT_NEAR(a->perplexity, b->perplexity, 2 * kLogitError * a->perplexity);
}

TEST(SavedRow, PutsAllButTheBestTogether) {
  // Token 100 has half of p; 64 others, of which one is in the rest, share the
  // other half. Of q all have the same.
  const float half = std::log(64.0f);
  std::vector<float> p(128, -INFINITY), q(128, 5);
  p[100] = half;
  for (size_t i = 0; i < 64; ++i) p[i] = 0;
  Candidates scratch;
  const SavedRow saved = SaveRow(p, /*token=*/63, &scratch);
  EXPECT_EQ(saved.count, kTopLogits);
  EXPECT_EQ(saved.ids[0], 100);
  EXPECT_EQ(saved.ids[63], 62);  // equal ones by id: 63 is the rest
  EXPECT_EQ(saved.token_logit, 0);
  // The float nearest to log 64 is off by 2^-23 at most.
  EXPECT_NEAR(saved.log_sum, std::log(128.0), 2e-7);
  EXPECT_NEAR(saved.rest_mass, 1 / 128.0, 1e-9);
  // 1/2 log(64) + 63/128 log(1) + 1/128 log(1/64).
  EXPECT_NEAR(KlFromSaved(saved, q, LogSumExp(q)),
              (0.5 - 1 / 128.0) * std::log(64.0), 2e-7);
  // Over the whole vocabulary: 1/2 log(64) + 64/128 log(1).
  EXPECT_NEAR(KlDivergence(p, LogSumExp(p), q, LogSumExp(q)),
              0.5 * std::log(64.0), 2e-7);
  EXPECT_EQ(KlFromSaved(saved, p, LogSumExp(p)), 0.0);
}

TEST(SavedRow, OfASmallVocabularyHasNoRest) {
  const std::vector<float> p = {1, 3, 2}, q = {3, 2, 1};
  Candidates scratch;
  const SavedRow saved = SaveRow(p, 0, &scratch);
  EXPECT_EQ(saved.count, 3u);
  EXPECT_EQ(saved.rest_mass, 0.0);
  EXPECT_NEAR(KlFromSaved(saved, q, LogSumExp(q)),
              KlDivergence(p, LogSumExp(p), q, LogSumExp(q)), 1e-15);
}

// Removes a file at the end.
struct TestFile {
  explicit TestFile(const char* name)
      : path(testing::TempDir() + name + std::to_string(getpid()) + ".slmk") {}
  ~TestFile() { std::remove(path.c_str()); }

  const std::string path;
};

Status Save(TestModel* m, std::string_view text, const WindowOptions& options,
            const std::string& path) {
  const WindowedText windows = m->Windows(text, options);
  SLM_RETURN_IF_ERROR(SaveReference(
      path,
      {"name", HashTokenizer(m->model->tokenizer()), std::string(64, '0')},
      windows, m->session.get(), m->threads, nullptr));
  EXPECT_EQ(FileBytes(path),
            ReferenceBytes(windows, m->model->decoder().vocab_size));
  EXPECT_FALSE(IsFile(path + ".tmp"));
  return OkStatus();
}

struct KlFigures {
  double mean, error, median, p95, p99, max;
};
struct ExpectedDivergence {
  const char* reference;
  const char* model;
  size_t window, scored;
  KlFigures whole, top;
  double same_top, ratio, moved;
};

constexpr ExpectedDivergence kDivergences[] = {
    {"qwen2-tied/onnx-fp32",
     "qwen2-tied/onnx-int4",
     64,
     217,
     {0.063345005, 0.008756397, 0.019768679, 0.26603763, 0.46932237, 1.3168104},
     {0.059839694, 0.0084469592, 0.018255611, 0.25785558, 0.42435862, 1.310995},
     0.89861751,
     0.9811862,
     0.0060417829},
    {"llama3-rope/onnx-fp32",
     "llama3-rope/onnx-int4",
     64,
     217,
     {0.029531862, 0.0033317441, 0.0097298084, 0.12037634, 0.20070566,
      0.33761151},
     {0.027515303, 0.0030840498, 0.0092403793, 0.11292916, 0.18534667,
      0.31555687},
     0.91705069,
     0.96051739,
     0.004146928},
};

void ExpectDivergence(const Result<Divergence>& d, const KlFigures& kl,
                      const ExpectedDivergence& c) {
  ASSERT_TRUE(d.ok()) << d.status().message();
  EXPECT_EQ(d->scored, c.scored);
  // log p and log q each move by twice the logits' error, p by as much of
  // itself, which a token's KL of at most kl.max weighs.
  const double error = (4 + 2 * kl.max) * kLogitError;
  EXPECT_NEAR(d->kl.mean, kl.mean, error);
  EXPECT_NEAR(d->kl.error, kl.error,
              error / std::sqrt(static_cast<double>(c.scored)));
  EXPECT_NEAR(d->median, kl.median, error);
  EXPECT_NEAR(d->p95, kl.p95, error);
  EXPECT_NEAR(d->p99, kl.p99, error);
  EXPECT_NEAR(d->max, kl.max, error);
  // Best tokens lead by more than the error (the script checks that).
  EXPECT_NEAR(d->same_top.mean, c.same_top, 1e-7);
  EXPECT_NEAR(d->perplexity_ratio.mean, c.ratio, 4 * kLogitError * c.ratio);
  EXPECT_NEAR(d->moved.mean, c.moved, 4 * kLogitError);
}

TEST(Divergence, IsNumpysOnOnnxruntimesLogits) {
  SLM_NEEDS_SHARED("fixtures");
  const std::string text = QualityText();
  for (const ExpectedDivergence& c : kDivergences) {
    SCOPED_TRACE(c.model);
    TestModel p(FixturePath(c.reference)), q(FixturePath(c.model));
    ASSERT_TRUE(p.model && q.model);
    ExpectDivergence(
        MeasureDivergence(p.session.get(), q.session.get(), q.threads,
                          p.Windows(text, {.window = c.window})),
        c.whole, c);
    const TestFile file("divergence");
    ASSERT_TRUE(Save(&p, text, {.window = c.window}, file.path).ok());
    const auto reference = Reference::Open(file.path);
    ASSERT_TRUE(reference.ok()) << reference.status().message();
    ExpectDivergence(MeasureDivergence(*reference, q.model->tokenizer(),
                                       q.session.get(), q.threads),
                     c.top, c);
  }
}

// The file has the model's own floats and the same sums are made of them, so
// there is nothing to be rounded in another way; whatever the threads.
TEST(Divergence, OfAModelFromItselfIsZero) {
  const std::string text = QualityText();
  for (const char* name : {"tiny-model", "llama3-rope/onnx-fp32"}) {
    if (std::string(name) != "tiny-model") SLM_NEEDS_SHARED("fixtures");
    TestModel m(FixturePath(name)), more(FixturePath(name), 3);
    ASSERT_TRUE(m.model && more.model);
    for (const size_t stride : {0, 24}) {
      const TestFile file("self");
      const WindowOptions options{.window = 64, .stride = stride};
      ASSERT_TRUE(Save(&m, text, options, file.path).ok());
      const auto reference = Reference::Open(file.path);
      ASSERT_TRUE(reference.ok()) << reference.status().message();
      const auto d = MeasureDivergence(*reference, more.model->tokenizer(),
                                       more.session.get(), more.threads);
      ASSERT_TRUE(d.ok()) << d.status().message();
      EXPECT_EQ(d->max, 0.0);
      EXPECT_EQ(d->same_top.mean, 1.0);
      EXPECT_EQ(d->perplexity_ratio.mean, 1.0);
      EXPECT_EQ(d->moved.mean, 0.0);
      EXPECT_EQ(d->perplexity, d->reference_perplexity);
    }
  }
}

class ReferenceFile : public testing::Test {
 protected:
  void SetUp() override {
    TestModel tiny(TinyModelPath());
    ASSERT_TRUE(tiny.model);
    ASSERT_TRUE(Save(&tiny, "one two three four, five six seven eight.",
                     {.window = 8}, file_.path)
                    .ok());
    auto bytes = ReadFile(file_.path);
    ASSERT_TRUE(bytes.ok());
    good_ = *bytes;
  }

  Status OpenBytes(const std::string& bytes) {
    EXPECT_TRUE(WriteFileAtomic(file_.path, bytes).ok());
    return Reference::Open(file_.path).status();
  }
  void ExpectRefused(const std::string& bytes, const char* message) {
    const Status status = OpenBytes(bytes);
    EXPECT_EQ(status.kind(), ErrorKind::kInvalid) << message;
    EXPECT_NE(status.message().find(message), std::string::npos)
        << status.message() << "; expected " << message;
    EXPECT_EQ(status.message().find('\n'), std::string::npos);
  }
  // `good_` with a value at an offset, and the hash that belongs to it.
  template <typename T>
  std::string With(size_t offset, T value) {
    std::string bytes = good_;
    bytes.replace(offset, sizeof(T), reinterpret_cast<const char*>(&value),
                  sizeof(T));
    Sha256 sha;
    sha.Add(std::string_view(bytes).substr(0, bytes.size() - 64));
    return bytes.replace(bytes.size() - 64, 64, sha.Finish());
  }
  template <typename T>
  T At(size_t offset) {
    T value;
    std::memcpy(&value, good_.data() + offset, sizeof(T));
    return value;
  }

  TestFile file_{"file"};
  std::string good_;
};

TEST_F(ReferenceFile, IsReadAsItWasWritten) {
  ASSERT_TRUE(OpenBytes(good_).ok());
  const auto r = Reference::Open(file_.path);
  EXPECT_EQ(r->info().model, "name");
  EXPECT_EQ(r->text().window, 8u);
  EXPECT_EQ(r->text().positions, 3 * r->text().windows.size());
}

TEST_F(ReferenceFile, ThatIsCutIsRefused) {
  ExpectRefused("", "not a reference");
  for (size_t size = 1; size < good_.size(); size += 1 + size / 16) {
    ExpectRefused(good_.substr(0, size),
                  size < 256 ? "not a reference" : "cut or damaged");
  }
  ExpectRefused(good_ + "x", "cut or damaged");
}

TEST_F(ReferenceFile, ThatIsDamagedIsRefused) {
  for (size_t at = 32; at < good_.size(); at += 97) {
    std::string bytes = good_;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    EXPECT_FALSE(OpenBytes(bytes).ok()) << at;
  }
}

TEST_F(ReferenceFile, OfSomebodyWhoMeansHarmIsRefused) {
  const size_t tokens = At<uint64_t>(32), windows = At<uint64_t>(40);
  const size_t entries = 256 + 4 * tokens, rows = entries + 16 * windows;
  const uint32_t vocab = At<uint32_t>(8);
  ExpectRefused(With<char>(0, 'X'), "not a reference");
  ExpectRefused(With<uint32_t>(4, 2), "version 2, this slm-bench reads 1");
  ExpectRefused(With<uint32_t>(8, 0), "logits of a row of 0");
  ExpectRefused(With<uint32_t>(12, 1 << 30), "logits of a row");
  for (const size_t counter : {32, 40, 48}) {
    for (const uint64_t count : {uint64_t{0}, At<uint64_t>(counter) + 1,
                                 uint64_t{1} << 62, UINT64_MAX}) {
      ExpectRefused(With<uint64_t>(counter, count), "cut or damaged");
    }
  }
  std::string nothing = good_.substr(0, 256 + 64);
  nothing.replace(32, 24, std::string(24, '\0'));
  ExpectRefused(nothing, "nothing to compare");
  ExpectRefused(With<int32_t>(256, -1), "token -1 of");
  ExpectRefused(With<uint32_t>(256, vocab), "token ");
  ExpectRefused(With<uint32_t>(16, vocab), "token ");
  ExpectRefused(With<int32_t>(16, -2), "token -2 of");
  ExpectRefused(With<uint64_t>(entries, tokens), "window 0");
  ExpectRefused(With<uint64_t>(entries, UINT64_MAX), "window 0");
  ExpectRefused(With<uint32_t>(entries + 8, UINT32_MAX), "window 0");
  ExpectRefused(With<uint32_t>(entries + 12, 0), "window 0");
  ExpectRefused(With<uint32_t>(entries + 12, 8), "window 0");
  ExpectRefused(With<uint32_t>(entries + 12, 7), "its header says");
  ExpectRefused(With<double>(rows, NAN), "row 0");
  ExpectRefused(With<double>(rows + 8, -1), "row 0");
  ExpectRefused(With<float>(rows + 16, NAN), "row 0");
  ExpectRefused(With<uint32_t>(rows + 20, vocab), "row 0");
  ExpectRefused(With<int32_t>(rows + 20, -1), "row 0");
  ExpectRefused(With<int32_t>(rows + 20, At<int32_t>(rows + 24)), "row 0");
  ExpectRefused(With<float>(rows + 20 + 4 * 64, INFINITY), "row 0");
  ExpectRefused(With<float>(rows + 20 + 4 * 65, 1e30f), "row 0");
}

TEST_F(ReferenceFile, OfAnotherTokenizerIsRefused) {
  TestModel tiny(TinyModelPath());
  ASSERT_TRUE(tiny.model);
  ASSERT_TRUE(OpenBytes(With<char>(64, 'x')).ok());
  const auto reference = Reference::Open(file_.path);
  const auto d = MeasureDivergence(*reference, tiny.model->tokenizer(),
                                   tiny.session.get(), tiny.threads);
  ASSERT_FALSE(d.ok());
  EXPECT_EQ(d.status().kind(), ErrorKind::kInvalid);
  EXPECT_NE(d.status().message().find("another tokenizer"), std::string::npos);
}

TEST_F(ReferenceFile, IsNotWrittenOverAFolder) {
  TestModel tiny(TinyModelPath());
  ASSERT_TRUE(tiny.model);
  const Status status = Save(&tiny, "one two three", {}, testing::TempDir());
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("it is a folder"), std::string::npos);
}

}  // namespace
}  // namespace slm::bench
