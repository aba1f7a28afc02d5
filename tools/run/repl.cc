// SPDX-License-Identifier: MIT
#include "tools/run/repl.h"

#include <csignal>
#include <cstdio>
#include <string_view>
#include <utility>

#include "runtime/core/clock.h"
#include "runtime/core/user_folders.h"

namespace slm {
namespace {

constexpr std::string_view kBlock = "\"\"\"";
constexpr size_t kWarnPercent = 80;  // of the context

bool StartsWith(std::string_view text, std::string_view begin) {
  return text.substr(0, begin.size()) == begin;
}

// A text that begins with """ goes on until it ends with it.
bool IsComplete(const std::string& text) {
  if (!StartsWith(text, kBlock)) return true;
  return text.size() >= 2 * kBlock.size() &&
         std::string_view(text).substr(text.size() - kBlock.size()) == kBlock;
}

// One line without its newline; false at the end of the input.
bool ReadLine(std::string* line) {
  line->clear();
  for (int c; (c = std::getc(stdin)) != EOF;) {
    if (c == '\n') return true;
    *line += static_cast<char>(c);
  }
  return !line->empty();
}

std::string HistoryPath(const RunOptions& options) {
  const std::string folder = StateFolder();
  return options.no_history || folder.empty() ? "" : folder + "/history";
}

// Can the terminal move its cursor, and does one see what is painted?
bool CanEdit() {
  const std::string kind = Environment("TERM");
  return IsTerminal(stdin) && IsTerminal(stderr) && !kind.empty() &&
         kind != "dumb";
}

}  // namespace

std::string Unblocked(std::string text) {
  if (!StartsWith(text, kBlock)) return text;
  text.erase(0, kBlock.size());
  if (text.size() >= kBlock.size() &&
      std::string_view(text).substr(text.size() - kBlock.size()) == kBlock) {
    text.resize(text.size() - kBlock.size());
  }
  if (!text.empty() && text.front() == '\n') text.erase(0, 1);
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

Status SetTurns(slm_chat* chat, const Transcript& turns) {
  slm_chat_clear(chat);
  for (const Turn& turn : turns) {
    SLM_RETURN_IF_ERROR(
        StatusOf(api::AddTurn(chat, turn.role.c_str(), turn.content)));
  }
  return OkStatus();
}

Status SetThinking(const slm_model* model, slm_chat* chat, bool on) {
  std::string source;
  SLM_RETURN_IF_ERROR(StatusOf(api::Template(model, &source)));
  // Names that published templates have: Qwen 3 and SmolLM 3; Granite and
  // DeepSeek.
  for (const char* name : {"enable_thinking", "thinking"}) {
    if (source.find(name) == std::string::npos) continue;
    slm_error error;
    if (slm_chat_set(chat, name, on ? "true" : "false", &error) == SLM_OK) {
      return OkStatus();
    }
    return Status(static_cast<ErrorKind>(error.status), error.message);
  }
  return Usage(
      "the model's chat template has no switch for thinking "
      "(enable_thinking or thinking)");
}

Status CheckThinkBudget(const slm_model* model, const RunOptions& options) {
  slm_model_info info;
  slm_model_get_info(model, &info);
  if (info.thinks || options.think_budget.value_or(-1) < 0) return OkStatus();
  return Usage(
      "think-budget is %lld, but the model does not think: </think> is neither "
      "in its vocabulary nor in its chat template",
      static_cast<long long>(*options.think_budget));
}

Repl::Repl(const slm_model* model, slm_chat* chat, const RunOptions& options,
           Transcript turns)
    : model_(model),
      chat_(chat),
      options_(options),
      color_(UseColor(options, stderr)),
      turns_(std::move(turns)),
      stats_(options.stats != Switch::kOff && !options.quiet),
      history_(HistoryPath(options)) {
  if (!CanEdit()) return;
  terminal_ = std::make_unique<Terminal>();
  EditorOptions editor;
  editor.is_complete = IsComplete;
  for (const Command* c = kCommands; c->name; ++c) {
    editor.words.push_back(std::string("/") + c->name);
  }
  editor_ =
      std::make_unique<Editor>(terminal_.get(), &history_, std::move(editor));
}

int Repl::Run() {
  // Between two lines the terminal is as it was found, so a Ctrl-C that comes
  // then is a signal; no action of its own, but nothing that exec inherits.
  if (editor_) std::signal(SIGINT, [](int) {});
  if (!options_.quiet) {
    Note(options_.model + "; /help lists commands, Ctrl-D ends");
  }
  while (!done_) {
    std::string text = std::exchange(prefill_, "");
    const Input input = Read(&text);
    if (input == Input::kClosed) break;
    if (input == Input::kInterrupt) {
      const double now = MonotonicSeconds();
      if (now - std::exchange(interrupted_, now) < kTwiceSeconds) {
        return kExitCancelled;
      }
      if (text.empty()) Note("Ctrl-D or /exit ends, and so does Ctrl-C twice");
      continue;
    }
    if (text.find_first_not_of(" \t\n") == std::string::npos) continue;
    const Status saved = history_.Add(text);
    if (!saved.ok() && options_.verbose) Note(saved.message());
    if (text[0] == '/' && !StartsWith(text, "//")) {
      Obey(text);
      continue;
    }
    if (text[0] == '/') text.erase(0, 1);
    (void)Ask(Unblocked(std::move(text)));
  }
  return 0;
}

Repl::Input Repl::Read(std::string* text) {
  if (!editor_) return ReadPlain(text);
  switch (editor_->Read(text)) {
    case Editor::End::kMessage:
      return Input::kMessage;
    case Editor::End::kInterrupt:
      return Input::kInterrupt;
    case Editor::End::kClosed:
      break;
  }
  return Input::kClosed;
}

Repl::Input Repl::ReadPlain(std::string* text) {
  std::fprintf(stderr, "> ");
  if (!ReadLine(text)) {
    std::fprintf(stderr, "\n");
    return Input::kClosed;
  }
  for (std::string line; !IsComplete(*text);) {
    std::fprintf(stderr, ". ");
    if (!ReadLine(&line)) break;
    *text += "\n" + line;
  }
  return Input::kMessage;
}

void Repl::Note(const std::string& text) const {
  std::fprintf(stderr, color_ ? "\033[2m%s\033[0m\n" : "%s\n", text.c_str());
}

bool Repl::Ask(std::string question) {
  Transcript before = turns_;
  if (!pending_.empty()) {
    if (pending_.back() != '\n') pending_ += '\n';
    question = std::exchange(pending_, "") + question;
  }
  const Status added = StatusOf(api::AddTurn(chat_, "user", question));
  if (!added.ok()) {
    Note(added.message());
    return false;
  }
  turns_.push_back({"user", std::move(question)});
  if (Say(options_)) return true;
  Restore(std::move(before));
  return false;
}

bool Repl::Say(const RunOptions& options) {
  const Sampling sampling(model_, options);
  const Result<Answered> answered =
      Answer(chat_, sampling, options_.model, options);
  if (!answered.ok()) {
    std::fprintf(stderr, "slm-run: error: %s\n",
                 answered.status().message().c_str());
    if (answered.status().kind() == ErrorKind::kOverflow) {
      Note(
          "the context is full and the message was taken back; /undo forgets "
          "the last exchange, /clear all; --on-overflow drop-oldest would "
          "forget by itself");
    }
    return false;
  }
  interrupted_ = answered->interrupt_seconds;
  if (answered->cancelled && answered->text.empty()) {
    Note("stopped before the answer began; the message was taken back");
    return false;
  }
  turns_.push_back({"assistant", answered->text});
  AfterAnswer(*answered);
  SaveSession();
  return true;
}

void Repl::AfterAnswer(const Answered& answered) {
  if (stats_) Note(StatsLine(chat_));
  if (answered.cancelled) Note("stopped; what was said stays");
  const slm_stats s = StatsOf(chat_);
  const bool full = s.context_used >= s.context_length;
  if (answered.finish == SLM_FINISH_LENGTH && full) {
    Note(
        Format("the answer was cut: the context of %zu tokens is full; /undo "
               "forgets the last exchange, /clear all",
               s.context_length));
  } else if (answered.finish == SLM_FINISH_LENGTH) {
    Note(Format("the answer was cut after %zu tokens (max-tokens)",
                s.output_tokens));
  }
  const size_t percent = 100 * s.context_used / s.context_length;
  const bool told = answered.finish == SLM_FINISH_LENGTH && full;
  if (percent >= kWarnPercent && !told && !warned_) {
    Note(
        Format("the context is %zu %% full (%zu of %zu tokens): soon /undo or "
               "/clear",
               percent, s.context_used, s.context_length));
  }
  warned_ = percent >= kWarnPercent;
}

void Repl::Restore(Transcript turns) {
  turns_ = std::move(turns);
  Renew();
}

void Repl::Renew() {
  const Status status = SetTurns(chat_, turns_);
  if (!status.ok()) Note(status.message());
  SaveSession();
}

void Repl::SaveSession() {
  if (!options_.session) return;
  const Status saved = SaveTranscript(*options_.session, turns_);
  if (!saved.ok()) {
    std::fprintf(stderr, "slm-run: error: %s\n", saved.message().c_str());
  }
}

bool Repl::PopExchange(std::string* question) {
  size_t at = turns_.size();
  while (at > 0 && turns_[at - 1].role != "user") --at;
  if (at == 0) return false;
  *question = turns_[at - 1].content;
  turns_.resize(at - 1);
  return true;
}

}  // namespace slm
