// SPDX-License-Identifier: MIT
// tests/data/families: one tiny folder a model family, against what onnxruntime
// answers for it (make_family_models.py).
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "loader/json.h"
#include "runtime/core/cpu.h"
#include "runtime/core/file.h"
#include "tests/runtime/model_test_util.h"

namespace slm {
namespace {

std::string FamiliesPath() {
  return std::string(SLM_TEST_DATA_DIR) + "/families";
}

std::vector<std::string> Families() {
  std::vector<std::string> families = ListFolder(FamiliesPath());
  std::erase(families, "sequences.json");
  return families;
}

// What cannot run as a ragged batch: convolution and recurrent states, and
// attention that is no GroupQueryAttention.
bool IsDense(const std::string& family) {
  return family == "lfm2" || family == "qwen3_5_text" ||
         family == "llama_mha_fp16";
}

struct Forced {
  std::vector<int32_t> prompt, steps;
  std::vector<float> rows;  // of all positions of both, [tokens, vocab]

  std::vector<int32_t> All() const {
    std::vector<int32_t> all = prompt;
    all.insert(all.end(), steps.begin(), steps.end());
    return all;
  }
};

std::vector<int32_t> Ids(const JsonValue& list) {
  std::vector<int32_t> ids;
  for (const JsonValue& id : list.Items()) {
    ids.push_back(static_cast<int32_t>(id.Int()));
  }
  return ids;
}

class Family : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    model_ = Open(ModelOptions());
    ASSERT_TRUE(model_);
    vocab_ = model_->decoder().vocab_size;
    const auto data =
        MappedFile::Open(FamiliesPath() + "/" + GetParam() + "/reference.f32");
    ASSERT_TRUE(data.ok()) << data.status().message();
    const auto document =
        JsonDocument::Load(FamiliesPath() + "/sequences.json");
    ASSERT_TRUE(document.ok()) << document.status().message();
    size_t at = 0;
    for (const JsonValue& s : document->root().Find("sequences")->Items()) {
      Forced forced{Ids(*s.Find("prompt")), Ids(*s.Find("steps")), {}};
      forced.rows.resize(forced.All().size() * vocab_);
      const size_t bytes = forced.rows.size() * sizeof(float);
      ASSERT_LE(at + bytes, data->size());
      std::memcpy(forced.rows.data(), data->data() + at, bytes);
      at += bytes;
      for (float v : forced.rows) largest_ = std::max(largest_, std::abs(v));
      sequences_.push_back(std::move(forced));
    }
    ASSERT_EQ(at, data->size());
  }

  static std::unique_ptr<Model> Open(const ModelOptions& options) {
    return OpenForTest(FamiliesPath() + "/" + GetParam(), options);
  }

  // Float32 on both sides, other orders of summation. A value goes through some
  // 8 sums of at most 64 terms one after the other; each is off by 64 * 2^-24
  // of its terms at worst, which together is 3e-5 of a value.
  double Limit() const { return 3e-5 * largest_; }

  // Row i of `forced` against a row of the session's last run.
  void ExpectRow(const Forced& forced, size_t i,
                 std::span<const float> row) const {
    ASSERT_EQ(row.size(), vocab_);
    double most = 0;
    for (size_t v = 0; v < vocab_; ++v) {
      const double d =
          std::abs(double{row[v]} - double{forced.rows[i * vocab_ + v]});
      most = std::isnan(d) ? INFINITY : std::max(most, d);
    }
    EXPECT_LE(most, Limit()) << "position " << i;
  }

  // The tokens in pieces of these lengths (the last one again and again);
  // compares the logits of every position.
  void RunInPieces(Session& session, SequenceId id, const Forced& forced,
                   std::vector<size_t> pieces, size_t first = 0) const {
    const auto tokens = forced.All();
    for (size_t at = first, n = 0; at < tokens.size(); ++n) {
      const size_t piece =
          std::min(pieces[std::min(n, pieces.size() - 1)], tokens.size() - at);
      const Session::Item item{id, std::span(tokens).subspan(at, piece),
                               LogitsFor::kAll};
      const Status status = session.Run({&item, 1});
      ASSERT_TRUE(status.ok()) << status.message();
      ASSERT_EQ(session.logit_rows(), piece);
      for (size_t r = 0; r < piece; ++r) {
        ExpectRow(forced, at + r, session.Logits(r));
      }
      at += piece;
    }
  }

  void RunPromptsAndSteps(const Model& model) const {
    ThreadPool pool(2);
    Session session(model.plan(), model.decoder(), pool, SessionOptions());
    for (const Forced& forced : sequences_) {
      const SequenceId id = session.NewSequence();
      RunInPieces(session, id, forced, {forced.prompt.size(), 1});
      session.Drop(id);
    }
  }

  std::unique_ptr<Model> model_;
  size_t vocab_ = 0;
  float largest_ = 0;
  std::vector<Forced> sequences_;
};

TEST_P(Family, GivesTheLogitsOfOnnxRuntimeOnEveryTarget) {
  for (const std::string& target : UsableTargets()) {
    SCOPED_TRACE(target);
    ASSERT_TRUE(ForceTarget(target).ok());
    RunPromptsAndSteps(*model_);
  }
  ASSERT_TRUE(ForceTarget("").ok());
}

TEST_P(Family, RunsInTheModeThatItsGraphAllows) {
  EXPECT_EQ(model_->plan().ragged, !IsDense(GetParam()))
      << model_->plan().dense_reason;
}

TEST_P(Family, GivesTheSameInDenseMode) {
  ModelOptions options;
  options.force_dense = true;
  const auto dense = Open(options);
  ASSERT_TRUE(dense);
  EXPECT_FALSE(dense->plan().ragged);
  RunPromptsAndSteps(*dense);
}

TEST_P(Family, GivesTheSameForAPromptInPieces) {
  ThreadPool pool(1);
  for (size_t chunk : {2, 512}) {
    SessionOptions options;
    options.prefill_chunk = chunk;
    Session session(model_->plan(), model_->decoder(), pool, options);
    RunInPieces(session, session.NewSequence(), sequences_[0], {1, 5, 2, 3});
    RunInPieces(session, session.NewSequence(), sequences_[1], {2, 4, 1});
  }
}

// Both prompts in one batch, one step each, then the rest of both with
// different numbers of tokens.
TEST_P(Family, GivesTheSameForSequencesSideBySide) {
  ThreadPool pool(2);
  Session session(model_->plan(), model_->decoder(), pool, SessionOptions());
  const SequenceId ids[] = {session.NewSequence(), session.NewSequence()};
  size_t done[] = {0, 0};
  for (int round = 0; round < 3; ++round) {
    std::vector<std::vector<int32_t>> tokens;
    std::vector<Session::Item> items;
    for (size_t s = 0; s < 2; ++s) {
      tokens.push_back(sequences_[s].All());
      const size_t count = round == 0   ? sequences_[s].prompt.size()
                           : round == 1 ? s + 1
                                        : tokens[s].size() - done[s];
      items.push_back({ids[s], std::span(tokens[s]).subspan(done[s], count),
                       LogitsFor::kAll});
    }
    const Status status = session.Run(items);
    ASSERT_TRUE(status.ok()) << status.message();
    size_t row = 0;
    for (size_t s = 0; s < 2; ++s) {
      for (size_t i = 0; i < items[s].tokens.size(); ++i, ++row) {
        ExpectRow(sequences_[s], done[s]++, session.Logits(row));
      }
    }
  }
}

// Back into the prompt, and from there on twice. A fork keeps its own state.
TEST_P(Family, GivesTheSameAfterARewindAndInAFork) {
  ThreadPool pool(1);
  Session session(model_->plan(), model_->decoder(), pool, SessionOptions());
  const Forced& forced = sequences_[0];
  const SequenceId id = session.NewSequence();
  RunInPieces(session, id, forced, {forced.prompt.size(), 1});
  ASSERT_TRUE(session.Rewind(id, 5).ok());
  const auto fork = session.Fork(id);
  ASSERT_TRUE(fork.ok());
  RunInPieces(session, id, forced, {2, 1}, 5);
  RunInPieces(session, *fork, forced, {1, 3}, 5);
}

INSTANTIATE_TEST_SUITE_P(All, Family, testing::ValuesIn(Families()),
                         [](const testing::TestParamInfo<std::string>& f) {
                           return f.param;
                         });

TEST(Families, NameTheirStatesInTheConfig) {
  DecoderNames names;
  names.past_conv = "conv_in_%d_x";
  EXPECT_EQ(StateLayerOf("conv_in_12_x", names), 12);
  EXPECT_EQ(StateLayerOf("past_conv.12", names), -1);
}

TEST(Families, ArePresent) { EXPECT_EQ(Families().size(), 12u); }

}  // namespace
}  // namespace slm
