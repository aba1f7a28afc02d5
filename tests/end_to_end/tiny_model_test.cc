// SPDX-License-Identifier: MIT
// tests/data/tiny-model against what onnxruntime and the tokenizers library
// made of it (make_tiny_model.py).
#include <algorithm>
#include <cmath>
#include <optional>

#include "loader/json.h"
#include "tests/runtime/model_test_util.h"

namespace slm {
namespace {

class TinyModel : public testing::Test {
 protected:
  void SetUp() override {
    auto document = JsonDocument::Load(std::string(SLM_TEST_DATA_DIR) +
                                       "/tiny-model-reference.json");
    ASSERT_TRUE(document.ok()) << document.status().message();
    reference_.emplace(std::move(document).value());
  }
  std::span<const JsonValue> Prompts() const {
    return reference_->root().Find("prompts")->Items();
  }
  static std::vector<int32_t> Ids(const JsonValue& list) {
    std::vector<int32_t> ids;
    for (const JsonValue& id : list.Items()) {
      ids.push_back(static_cast<int32_t>(id.Int()));
    }
    return ids;
  }

  // Runs the prompt and the reference's tokens; compares its rows of `set`.
  void CompareRows(int accuracy_level, const char* set, double limit) {
    ModelOptions options;
    options.accuracy_level = accuracy_level;
    const auto model = OpenForTest(TinyModelPath(), options);
    ASSERT_TRUE(model);
    ThreadPool pool(2);
    Session session(model->plan(), model->decoder(), pool, SessionOptions());
    for (const JsonValue& prompt : Prompts()) {
      const auto ids = Ids(*prompt.Find("ids"));
      const auto greedy = Ids(*prompt.Find("greedy"));
      const SequenceId id = session.NewSequence();
      Session::Item item{id, ids, LogitsFor::kLast};
      for (size_t step = 0; step < greedy.size(); ++step) {
        ASSERT_TRUE(session.Run({&item, 1}).ok());
        const auto row = session.Logits(0);
        EXPECT_EQ(std::max_element(row.begin(), row.end()) - row.begin(),
                  greedy[step]);
        for (const JsonValue& expected : prompt.Find("rows")->Items()) {
          if (static_cast<size_t>(expected.Find("step")->Int()) == step) {
            CompareRow(row, expected.Find(set)->Items(), limit);
          }
        }
        item.tokens = std::span(greedy).subspan(step, 1);
      }
      session.Drop(id);
    }
  }
  static void CompareRow(std::span<const float> ours,
                         std::span<const JsonValue> theirs, double limit) {
    ASSERT_EQ(ours.size(), theirs.size());
    double most = 0;
    for (size_t i = 0; i < ours.size(); ++i) {
      const double d = std::abs(double{ours[i]} - theirs[i].Double());
      most = std::isnan(d) ? INFINITY : std::max(most, d);
    }
    EXPECT_LE(most, limit);
  }

  std::optional<JsonDocument> reference_;
};

TEST_F(TinyModel, TokensOfTheTokenizersLibrary) {
  const auto model = OpenForTest(TinyModelPath());
  ASSERT_TRUE(model);
  for (const JsonValue& prompt : Prompts()) {
    EXPECT_EQ(EncodeForTest(*model, std::string(prompt.Find("text")->String())),
              Ids(*prompt.Find("ids")));
  }
}

// float32 products only: logits up to 16, rounded to 5 digits in the file, and
// some 30 sums of up to 64 float32 terms on the way, 2^-24 * 16 * 64 = 6e-5.
TEST_F(TinyModel, ExactLogitsOfOnnxRuntime) {
  CompareRows(/*accuracy_level=*/0, "exact", 1e-4);
}

// Activations rounded to int8: a value that falls on the other side of a
// rounding border moves by max / 127 of its block, 3 / 127 of the head's input,
// whose weights are 0.25: 0.006 of a logit. Ten such at most in a row.
TEST_F(TinyModel, LogitsOfOnnxRuntimeWithInt8Activations) {
  CompareRows(/*accuracy_level=*/-1, "logits", 0.06);
}

}  // namespace
}  // namespace slm
