// SPDX-License-Identifier: MIT
// Every export under fixtures/models against the logits and tokens of the real
// runtimes, by the limits of its README.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <optional>

#include "gtest/gtest.h"
#include "loader/json.h"
#include "runtime/core/cpu.h"
#include "runtime/core/file.h"
#include "runtime/core/memory.h"
#include "runtime/model.h"
#include "tests/shared_fixtures.h"

namespace slm {
namespace {

constexpr const char* kModels = "fixtures/models";

struct Limits {
  double max = 0;     // absolute difference of a logit; 0: none
  double rms = 0;     // 0: none
  double margin = 0;  // greedy must agree above it; 0: no rule
};

struct Export {
  std::string name;       // "qwen3-tied/onnx-fp32", for messages
  std::string model;      // what slm opens
  std::string reference;  // reference*.json
};

std::ostream& operator<<(std::ostream& out, const Export& e) {
  return out << e.name;
}

bool StartsWith(const std::string& text, const std::string& head) {
  return text.compare(0, head.size(), head) == 0;
}

bool EndsWith(const std::string& text, const std::string& tail) {
  return text.size() >= tail.size() &&
         text.compare(text.size() - tail.size(), tail.size(), tail) == 0;
}

std::vector<Export> AllExports() {
  std::vector<Export> exports;
  const std::string root = SharedPath(kModels);
  for (const std::string& model : ListFolder(root)) {
    for (const std::string& variant : ListFolder(root + "/" + model)) {
      const std::string folder = root + "/" + model + "/" + variant;
      if (!StartsWith(variant, "onnx-") && !StartsWith(variant, "plain-")) {
        continue;
      }
      for (const std::string& file : ListFolder(folder)) {
        if (!StartsWith(file, "reference") || !EndsWith(file, ".json"))
          continue;
        Export e{model + "/" + variant, folder, folder + "/" + file};
        if (file != "reference.json") {  // one of a hub folder's files
          const std::string stem = file.substr(10, file.size() - 15);
          e.name += "/" + stem;
          e.model += "/onnx/" + stem + ".onnx";
        }
        exports.push_back(std::move(e));
      }
    }
  }
  return exports;
}

// One row of README's tables for each export.
Limits LimitsOf(const Export& e, const JsonValue& reference) {
  const JsonValue* kind = reference.Find("kind");
  const std::string variant = std::string(reference.Find("variant")->String());
  const std::string file(
      reference.Find("file") ? reference.Find("file")->String() : "");
  if (kind ? kind->String() == "fp32" : StartsWith(variant, "fp32")) {
    return {1e-4, 0, 0.01};
  }
  if (kind ? kind->String() == "fp16" : StartsWith(variant, "fp16")) {
    return {3e-2, 0, 0};
  }
  if (EndsWith(e.name, "int8-dynamic") || EndsWith(file, "quantized.onnx")) {
    return {0.4, 0.05, 0.3};
  }
  if (StartsWith(e.name, "gptoss-moe")) return {0, 0.06, 0.15};
  return {0.35, 0.04, 0.15};
}

class Reference {
 public:
  static std::optional<Reference> Load(const Export& e) {
    auto document = JsonDocument::Load(e.reference);
    auto data = MappedFile::Open(e.reference.substr(0, e.reference.size() - 5) +
                                 ".f32");
    if (!document.ok() || !data.ok()) return std::nullopt;
    return Reference(std::move(document).value(), std::move(data).value());
  }

  const JsonValue& root() const { return document_.root(); }
  bool Has(const std::string& tensor) const {
    return root().Find("tensors")->Find(tensor) != nullptr;
  }
  std::vector<float> Tensor(const std::string& tensor) const {
    const JsonValue* t = root().Find("tensors")->Find(tensor);
    size_t count = 1;
    for (const JsonValue& d : t->Find("shape")->Items()) {
      count *= static_cast<size_t>(d.Int());
    }
    std::vector<float> values(count);
    std::memcpy(
        values.data(),
        data_.data() + 4 * static_cast<size_t>(t->Find("offset")->Int()),
        4 * count);
    return values;
  }

 private:
  Reference(JsonDocument document, MappedFile data)
      : document_(std::move(document)), data_(std::move(data)) {}
  JsonDocument document_;
  MappedFile data_;
};

std::vector<int32_t> Ids(const JsonValue& list) {
  std::vector<int32_t> ids;
  for (const JsonValue& id : list.Items()) {
    ids.push_back(static_cast<int32_t>(id.Int()));
  }
  return ids;
}

struct Difference {
  double max = 0, rms = 0;
};

Difference Compare(std::span<const float> ours, std::span<const float> theirs) {
  Difference d;
  for (size_t i = 0; i < ours.size(); ++i) {
    const double delta = std::abs(double{ours[i]} - double{theirs[i]});
    d.max = std::isnan(delta) ? INFINITY : std::max(d.max, delta);
    d.rms += delta * delta;
  }
  d.rms = std::sqrt(d.rms / static_cast<double>(ours.size()));
  return d;
}

bool Within(const Difference& d, const Limits& limits) {
  return (limits.max == 0 || d.max <= limits.max) &&
         (limits.rms == 0 || d.rms <= limits.rms) && !std::isnan(d.rms) &&
         !std::isinf(d.max);
}

// What one prompt gives: logits of the prompt and of each forced step.
struct Rows {
  std::vector<float> prompt;
  std::vector<float> steps;
};

Result<Rows> RunPrompt(Session* session, const JsonValue& prompt) {
  const auto ids = Ids(*prompt.Find("ids"));
  const SequenceId sequence = session->NewSequence();
  const bool pruned = session->plan().pruned_logits;
  Session::Item item{sequence, ids,
                     pruned ? LogitsFor::kLast : LogitsFor::kAll};
  SLM_RETURN_IF_ERROR(session->Run({&item, 1}));
  Rows rows;
  for (size_t r = 0; r < session->logit_rows(); ++r) {
    const auto row = session->Logits(r);
    rows.prompt.insert(rows.prompt.end(), row.begin(), row.end());
  }
  const size_t vocab = session->spec().vocab_size;
  rows.steps.assign(rows.prompt.end() - static_cast<ptrdiff_t>(vocab),
                    rows.prompt.end());
  if (const JsonValue* greedy = prompt.Find("greedy")) {
    const auto tokens = Ids(*greedy);
    for (size_t k = 0; k + 1 < tokens.size(); ++k) {
      item = {sequence, std::span(tokens).subspan(k, 1), LogitsFor::kLast};
      SLM_RETURN_IF_ERROR(session->Run({&item, 1}));
      const auto row = session->Logits(0);
      rows.steps.insert(rows.steps.end(), row.begin(), row.end());
    }
  }
  session->Drop(sequence);
  return rows;
}

class ModelFixture : public testing::TestWithParam<Export> {
 protected:
  // The last rows of `ours` against P.SUFFIX or P.acc0_SUFFIX.
  void CheckTensor(const Reference& reference, const std::string& prompt,
                   const std::string& suffix, std::span<const float> ours,
                   const Limits& limits, bool only_acc0) {
    std::string seen;
    bool checked = false;
    for (const char* set : {".", ".acc0_"}) {
      const std::string name = prompt + set + suffix;
      if (!reference.Has(name) || (only_acc0 && set[1] == '\0')) continue;
      const auto theirs = reference.Tensor(name);
      ASSERT_GE(ours.size(), theirs.size()) << name;
      const auto tail = ours.last(theirs.size());
      const Difference d = Compare(tail, theirs);
      checked = true;
      if (Within(d, limits)) return;
      seen += Format(" %s: max %.3g rms %.3g;", name.c_str(), d.max, d.rms);
    }
    if (checked) {
      ADD_FAILURE() << GetParam().name << seen << " limits " << limits.max
                    << " " << limits.rms;
    }
  }

  void CheckGreedy(const JsonValue& prompt, const Rows& rows, size_t vocab,
                   const Limits& limits) {
    const JsonValue* greedy = prompt.Find("greedy");
    if (!greedy || limits.margin == 0) return;
    const auto tokens = Ids(*greedy);
    const auto margins = prompt.Find("margins")->Items();
    for (size_t k = 0; k < tokens.size(); ++k) {
      if (margins[k].Double() <= limits.margin) continue;
      const auto row = rows.steps.begin() + static_cast<ptrdiff_t>(k * vocab);
      const auto best =
          std::max_element(row, row + static_cast<ptrdiff_t>(vocab)) - row;
      EXPECT_EQ(best, tokens[k])
          << GetParam().name << " " << prompt.Find("name")->String() << " step "
          << k << ", margin " << margins[k].Double();
    }
  }

  // All prompts, or the last one only (a rendered chat).
  void RunAll(const ModelOptions& options, const Reference& reference,
              const Limits& limits, bool only_acc0, bool only_last = false) {
    auto model = Model::Open(GetParam().model, options);
    ASSERT_TRUE(model.ok())
        << GetParam().name << ": " << model.status().message();
    ThreadPool threads(2);
    Session session((*model)->plan(), (*model)->decoder(), threads,
                    SessionOptions());
    auto prompts = reference.root().Find("prompts")->Items();
    if (only_last) prompts = prompts.last(1);
    for (const JsonValue& prompt : prompts) {
      const std::string name(prompt.Find("name")->String());
      auto rows = RunPrompt(&session, prompt);
      ASSERT_TRUE(rows.ok())
          << GetParam().name << " " << name << ": " << rows.status().message();
      CheckTensor(reference, name, "prompt_logits", rows->prompt, limits,
                  only_acc0);
      CheckTensor(reference, name, "step_logits", rows->steps, limits,
                  only_acc0);
      if (!only_acc0) {
        CheckGreedy(prompt, *rows, session.spec().vocab_size, limits);
      }
    }
  }
};

class QuantisedFixture : public ModelFixture {};  // with accuracy levels

TEST_P(ModelFixture, LogitsAndTokensOfTheRealRuntime) {
  const auto reference = Reference::Load(GetParam());
  ASSERT_TRUE(reference) << GetParam().reference;
  const Limits limits = LimitsOf(GetParam(), reference->root());
  RunAll(ModelOptions(), *reference, limits, /*only_acc0=*/false);
}

TEST_P(ModelFixture, EveryTargetGivesTheSameTokens) {
  const auto reference = Reference::Load(GetParam());
  ASSERT_TRUE(reference) << GetParam().reference;
  const Limits limits = LimitsOf(GetParam(), reference->root());
  for (const std::string& target : UsableTargets()) {
    SCOPED_TRACE(target);
    ASSERT_TRUE(ForceTarget(target).ok());
    RunAll(ModelOptions(), *reference, limits, /*only_acc0=*/false,
           /*only_last=*/true);
  }
  ASSERT_TRUE(ForceTarget("").ok());
}

// float32 activations give the exactly dequantised model.
TEST_P(QuantisedFixture, AccuracyZeroIsExact) {
  const auto reference = Reference::Load(GetParam());
  ASSERT_TRUE(reference) << GetParam().reference;
  ModelOptions options;
  options.accuracy_level = 0;
  RunAll(options, *reference, {5e-4, 0, 0}, /*only_acc0=*/true);
}

std::vector<Export> QuantisedExports() {
  std::vector<Export> exports = AllExports();
  std::erase_if(exports, [](const Export& e) {
    return e.name.find("/onnx-int") == std::string::npos;
  });
  return exports;
}

// Root mean square errors of accuracy level 4 against the same graph with
// float32 activations: ours and onnxruntime's, both over the rows of prompts
// for which the fixture has both of onnxruntime's.
struct ErrorPair {
  double ours = 0, theirs = 0;
};

Result<ErrorPair> ErrorsOfLevelFour(const Export& e,
                                    const Reference& reference) {
  ErrorPair sum;
  SLM_ASSIGN_OR_RETURN(const auto model, Model::Open(e.model, ModelOptions()));
  ThreadPool threads(2);
  Session session(model->plan(), model->decoder(), threads, SessionOptions());
  for (const JsonValue& prompt : reference.root().Find("prompts")->Items()) {
    const std::string name(prompt.Find("name")->String());
    if (!reference.Has(name + ".acc0_prompt_logits")) continue;
    const auto exact = reference.Tensor(name + ".acc0_prompt_logits");
    const auto theirs = reference.Tensor(name + ".prompt_logits");
    SLM_ASSIGN_OR_RETURN(const Rows rows, RunPrompt(&session, prompt));
    const size_t count =
        std::min({exact.size(), theirs.size(), rows.prompt.size()});
    for (size_t i = 1; i <= count; ++i) {
      const double right = exact[exact.size() - i];
      sum.ours += std::pow(rows.prompt[rows.prompt.size() - i] - right, 2);
      sum.theirs += std::pow(theirs[theirs.size() - i] - right, 2);
    }
  }
  return ErrorPair{std::sqrt(sum.ours), std::sqrt(sum.theirs)};
}

// Both quantise the same blocks of activations, so one model's ratio is luck
// (0.61 to 1.12); the geometric mean of all says who approximates better. It
// was 0.95 with attention in float32, 0.99 with 16-bit integers; noise of 2^-12
// instead of these gives 0.98 to 1.00.
TEST(ModelFixtures, LevelFourErrsNoMoreThanOnnxRuntime) {
  SLM_NEEDS_SHARED(kModels);
  double log_ratios = 0;
  size_t count = 0;
  for (const Export& e : QuantisedExports()) {
    const auto reference = Reference::Load(e);
    ASSERT_TRUE(reference) << e.reference;
    const auto errors = ErrorsOfLevelFour(e, *reference);
    ASSERT_TRUE(errors.ok()) << errors.status().message();
    if (errors->theirs == 0) continue;  // exported with level 0
    ASSERT_GT(errors->ours, 0) << e.name;
    log_ratios += std::log(errors->ours / errors->theirs);
    ++count;
  }
  EXPECT_GE(count, 30u);
  EXPECT_LE(std::exp(log_ratios / static_cast<double>(count)), 1.0);
}

std::string TestName(const testing::TestParamInfo<Export>& instance) {
  std::string name = instance.param.name;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, ModelFixture, testing::ValuesIn(AllExports()),
                         TestName);
INSTANTIATE_TEST_SUITE_P(All, QuantisedFixture,
                         testing::ValuesIn(QuantisedExports()), TestName);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ModelFixture);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(QuantisedFixture);

TEST(ModelFixtures, ArePresent) { SLM_NEEDS_SHARED(kModels); }

}  // namespace
}  // namespace slm
