// SPDX-License-Identifier: MIT
#include "tools/convert/self_check.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "runtime/chat.h"
#include "runtime/core/clock.h"
#include "runtime/core/file_output.h"
#include "runtime/session.h"
#include "tools/convert/lean_plan.h"
#include "tools/convert/onnx_source.h"

namespace slm::convert {
namespace {

struct Prompt {
  const char* name;
  bool chat;  // in the model's template
  const char* text;
};

constexpr Prompt kPrompts[] = {
    {"chat", true,
     "Explain in one sentence why the sky is blue at noon and "
     "red in the evening."},
    {"english", false,
     "The capital of France is Paris. Water boils at a temperature of 100 "
     "degrees and freezes at zero, which every child learns at school. The "
     "quick brown fox jumps over the lazy dog."},
    {"code", false,
     "def fibonacci(n):\n    a, b = 0, 1\n    for _ in range(n):\n"
     "        a, b = b, a + b\n    return a\n\nprint(fibonacci(10))  # 55\n"},
};
constexpr size_t kPromptCount = std::size(kPrompts);

// What users type: none of it may get lost between text and tokens.
constexpr const char* kTexts[] = {
    "The quick brown fox jumps over the lazy dog, twice.",
    "敏捷的棕色狐狸跳过了懒狗。東京は日本の首都です。안녕하세요",
    "Schöne Grüße, café, naïve — Привет, мир! Γειά σου",
    "Emoji: 😀 👩‍👩‍👧 🇩🇪 👍🏽",
    "for (int i = 0; i < n; ++i) {\n\tsum += a[i] * 0x1F;  // \"x\"\n}\n",
};

constexpr size_t kMostTokens = 64;  // of a prompt
// Logits of all prompts are held up to three times: 32 MB each.
constexpr uint64_t kMostLogits = uint64_t{8} << 20;
// A multiply-add for each weight and token: some seconds on two cores.
constexpr uint64_t kMostProducts = uint64_t{250'000'000'000};

// Of float32 outputs: another order of the same sums. The relative error is the
// limit that the converter promises beside transformers; an error of this size
// in logits that spread by s has a KL of about (1e-3 s)^2 / 2.
constexpr double kExactError = 1e-3;
constexpr double kExactKl = 1e-4;

Status CheckSignals() {
  return HeldSignal() ? Error(ErrorKind::kRuntime, "interrupted") : OkStatus();
}

Status Failed(const Status& status) {
  return Status(ErrorKind::kVerify, status.message())
      .In("self-check: the output does not run");
}

// Tokens of one prompt so that all stay within the limits above.
size_t TokensOfPrompt(const Model& model, uint64_t weights) {
  const uint64_t vocab = std::max<uint64_t>(1, model.decoder().vocab_size);
  uint64_t all = std::min(kMostLogits / vocab,
                          kMostProducts / std::max<uint64_t>(1, weights));
  all = std::min<uint64_t>(all / kPromptCount, kMostTokens);
  return static_cast<size_t>(std::clamp<uint64_t>(
      all, 2, std::max<size_t>(2, model.decoder().context_length)));
}

void TryTokenizer(const Tokenizer& tokenizer, SelfCheck* check) {
  for (const char* text : kTexts) {
    ++check->texts;
    const auto ids = tokenizer.Encode(text, EncodeOptions());
    if (ids.ok() && tokenizer.Decode(*ids, false) == text) {
      ++check->round_trips;
    } else if (check->text_lost.empty()) {
      check->text_lost = text;
    }
  }
}

Result<std::vector<int32_t>> TokensOf(const Prompt& prompt, const Model& model,
                                      size_t most) {
  std::vector<int32_t> tokens;
  if (prompt.chat && model.chat_template()) {
    Conversation chat(&model, /*raw=*/false);
    SLM_RETURN_IF_ERROR(chat.Add("user", prompt.text));
    SLM_ASSIGN_OR_RETURN(ChatPrompt rendered, chat.Prompt());
    tokens = std::move(rendered.tokens);
  } else {
    SLM_ASSIGN_OR_RETURN(
        tokens,
        model.tokenizer().Encode(prompt.text, {.add_special_tokens = true}));
  }
  // A tokenizer may know more than the model has rows for.
  std::erase_if(tokens, [&](int32_t id) {
    return id < 0 || static_cast<size_t>(id) >= model.decoder().vocab_size;
  });
  if (tokens.size() > most) tokens.resize(most);
  return tokens;
}

// Runs all prompts at once; their logits are the session's.
Status RunPrompts(const std::vector<CheckedPrompt>& prompts, Session* session) {
  std::vector<Session::Item> items;
  for (const CheckedPrompt& prompt : prompts) {
    items.push_back({session->NewSequence(), prompt.tokens, LogitsFor::kAll});
  }
  SLM_RETURN_IF_ERROR(session->Run(items));
  return CheckSignals();
}

// The row of each prompt's first token. A graph may give the last row alone.
Status CheckRows(const std::vector<CheckedPrompt>& prompts,
                 const Session& session) {
  size_t rows = 0;
  for (const CheckedPrompt& prompt : prompts) rows += prompt.tokens.size();
  if (session.logit_rows() == rows) return OkStatus();
  return Invalid("%zu rows of logits for %zu tokens", session.logit_rows(),
                 rows);
}

// Source logits of all rows, [rows, V]; kInvalid: there are none.
Result<std::vector<float>> SourceLogits(
    const Model& output, const MakeReference& make,
    const std::vector<CheckedPrompt>& prompts, ThreadPool& threads) {
  SLM_ASSIGN_OR_RETURN(const Reference reference, make(output));
  Session session(*reference.plan, output.decoder(), threads, SessionOptions());
  SLM_RETURN_IF_ERROR(RunPrompts(prompts, &session));
  SLM_RETURN_IF_ERROR(CheckRows(prompts, session));
  std::vector<float> logits;
  for (size_t r = 0; r < session.logit_rows(); ++r) {
    const auto row = session.Logits(r);
    logits.insert(logits.end(), row.begin(), row.end());
  }
  return logits;
}

Status CheckFinite(const Session& session) {
  for (size_t r = 0; r < session.logit_rows(); ++r) {
    float check = 0;
    for (const float v : session.Logits(r)) check += v - v;
    if (check == 0) continue;
    return Error(ErrorKind::kVerify,
                 "self-check: the output's logits are not finite");
  }
  return OkStatus();
}

void Compare(const std::vector<float>& source, const Session& output,
             SelfCheck* check) {
  const size_t vocab = output.spec().vocab_size;
  size_t row = 0;
  for (CheckedPrompt& prompt : check->prompts) {
    for (size_t i = 0; i < prompt.tokens.size(); ++i, ++row) {
      prompt.divergence.Add(
          std::span(source).subspan(row * vocab, vocab), output.Logits(row),
          i + 1 < prompt.tokens.size() ? prompt.tokens[i + 1] : -1);
    }
    check->all.Add(prompt.divergence);
  }
}

Status Judge(const Divergence& d, bool exact) {
  if (exact && (d.MeanKl() > kExactKl || d.RelativeError() > kExactError)) {
    return Error(ErrorKind::kVerify,
                 "self-check: a float32 output differs from its source: KL "
                 "%.2g, relative logit error %.2g, at most %.0e and %.0e",
                 d.MeanKl(), d.RelativeError(), kExactKl, kExactError);
  }
  // Random weights in 4 bits have 0.8, zeros and other models 0.
  if (d.Correlation() > 0.1 || d.Top1() > 0.05) return OkStatus();
  return Error(ErrorKind::kVerify,
               "self-check: the output has nothing of its source: its logits "
               "correlate by %.2f, top-1 agreement %.0f %%; --no-check writes "
               "it all the same",
               d.Correlation(), 100 * d.Top1());
}

Result<std::unique_ptr<Model>> OpenOutput(const std::string& folder) {
  ModelOptions options;
  options.on_plan = ReleaseWeightsAfterUse;
  auto model = Model::Open(folder, options);
  if (!model.ok()) return Failed(model.status());
  return model;
}

// Prompts that have tokens.
Status AddPrompts(const Model& model, size_t most, SelfCheck* check) {
  for (const Prompt& prompt : kPrompts) {
    auto tokens = TokensOf(prompt, model, most);
    if (!tokens.ok()) return Failed(tokens.status());
    if (tokens->empty()) continue;
    check->prompts.push_back({prompt.name, std::move(tokens).value(), {}});
  }
  return OkStatus();
}

}  // namespace

size_t SelfCheck::TokenCount() const {
  size_t count = 0;
  for (const CheckedPrompt& prompt : prompts) count += prompt.tokens.size();
  return count;
}

// A source that is ONNX runs as it is, with float32 activations.
Result<Reference> OpenReference(const Source& source) {
  ModelOptions options;
  options.on_plan = ReleaseWeightsAfterUse;
  options.accuracy_level = 1;
  SLM_ASSIGN_OR_RETURN(std::shared_ptr<const Model> model,
                       Model::Open(source.onnx->path, options));
  return Reference{std::shared_ptr<const Plan>(model, &model->plan())};
}

MakeReference ReferenceOf(const Source& source, const std::string& folder,
                          ThreadPool& threads) {
  if (source.onnx) {
    return [&source](const Model&) { return OpenReference(source); };
  }
  return [&source, folder, &threads](const Model& output) -> Result<Reference> {
    namespace fs = std::filesystem;
    std::error_code error;
    const std::string scratch = folder + "/reference";
    fs::create_directory(scratch, error);
    auto plan = PlanSource(source, output.decoder().names, scratch, threads);
    fs::remove_all(scratch, error);
    if (!plan.ok()) return plan.status();
    return Reference{std::move(plan).value()};
  };
}

Result<SelfCheck> CheckOutput(const std::string& folder,
                              const MakeReference& reference,
                              const SelfCheckOptions& options,
                              ThreadPool& threads) {
  const double begin = MonotonicSeconds();
  SelfCheck check;
  SLM_ASSIGN_OR_RETURN(const auto model, OpenOutput(folder));
  check.has_template = model->chat_template() != nullptr;
  TryTokenizer(model->tokenizer(), &check);
  SLM_RETURN_IF_ERROR(
      AddPrompts(*model, TokensOfPrompt(*model, options.weights), &check));
  std::vector<float> source;
  if (!reference) {
    check.no_reference = "the source has none";
  } else {
    auto logits = SourceLogits(*model, reference, check.prompts, threads);
    if (logits.ok()) {
      source = std::move(logits).value();
    } else if (logits.status().kind() == ErrorKind::kInvalid) {
      check.no_reference = logits.status().message();
    } else {
      return logits.status();
    }
  }
  Session session(model->plan(), model->decoder(), threads, SessionOptions());
  const Status ran = RunPrompts(check.prompts, &session);
  if (!ran.ok()) return HeldSignal() ? ran : Failed(ran);
  SLM_RETURN_IF_ERROR(CheckFinite(session));
  if (!source.empty()) {
    const Status rows = CheckRows(check.prompts, session);
    if (!rows.ok()) return Failed(rows);
    Compare(source, session, &check);
    SLM_RETURN_IF_ERROR(Judge(check.all, options.exact));
  }
  check.seconds = MonotonicSeconds() - begin;
  return check;
}

}  // namespace slm::convert
