// SPDX-License-Identifier: MIT
// What is typed with a slash in a chat.
#include <algorithm>
#include <cstdio>
#include <string_view>

#include "runtime/core/file.h"
#include "tools/line/clipboard.h"
#include "tools/run/repl.h"
#include "tools/run/think.h"

namespace slm {
namespace {

constexpr size_t kMostReadBytes = size_t{16} << 20;
constexpr size_t kMostTokensShown = 200;

constexpr const char* kKeys =
    "Enter sends; Alt-Enter or Ctrl-J begins another line; text between "
    "\"\"\"\n"
    "and \"\"\" and pasted text may have several. // begins a text with a "
    "slash.\n"
    "Ctrl-C stops an answer, twice ends; Ctrl-D ends. Up and Down: what was\n"
    "typed before. Ctrl-A E K U W Y L as in a shell. Tab completes a "
    "command.\n";

}  // namespace

const Repl::Command Repl::kCommands[] = {
    {"help", "", "this text", &Repl::Help},
    {"exit", "", "end (also /bye)", &Repl::Exit},
    {"bye", "", "", &Repl::Exit},
    {"clear", "", "forget the conversation; the system message stays",
     &Repl::Clear},
    {"undo", "", "forget the last message and its answer", &Repl::Undo},
    {"regen", "[TEMP]", "answer the last message again, at this temperature",
     &Repl::Regenerate},
    {"edit", "", "change the last message and send it again", &Repl::Edit},
    {"system", "[TEXT]", "show or change the system message; \"\" removes it",
     &Repl::System},
    {"set", "[NAME VALUE]", "show or change sampling: /set temp 0.7",
     &Repl::SetOption},
    {"show", "[WHAT]", "info, params, template, prompt or mem", &Repl::Show},
    {"stats", "[on|off]", "speed and memory, now or after each answer",
     &Repl::Stats},
    {"think", "on|off", "reasoning, if the template has a switch for it",
     &Repl::Think},
    {"format", "json|off", "answers are one JSON object or array, or any text",
     &Repl::FormatAs},
    {"save", "FILE", "write the conversation, a JSON line for each turn",
     &Repl::Save},
    {"load", "FILE", "go on with a conversation that was saved", &Repl::Load},
    {"read", "FILE", "put the file's text before the next message",
     &Repl::ReadText},
    {"tokens", "TEXT", "the tokens of a text", &Repl::Tokens},
    {"copy", "", "the last answer to the clipboard of the terminal (OSC 52)",
     &Repl::Copy},
    {nullptr, nullptr, nullptr, nullptr},
};

void Repl::Obey(const std::string& line) {
  const size_t end = std::min(line.find_first_of(" \t\n"), line.size());
  const std::string_view name = std::string_view(line).substr(1, end - 1);
  std::string argument = line.substr(end);
  const auto blanks = " \t\n";
  argument.erase(0,
                 std::min(argument.find_first_not_of(blanks), argument.size()));
  argument.erase(argument.find_last_not_of(blanks) + 1);
  for (const Command* c = kCommands; c->name; ++c) {
    if (name != c->name) continue;
    const bool optional = c->arguments[0] == '\0' || c->arguments[0] == '[';
    if (c->arguments[0] == '\0' && !argument.empty()) {
      return Note(Format("/%s takes nothing after it", c->name));
    }
    if (!optional && argument.empty()) {
      return Note(Format("/%s wants %s", c->name, c->arguments));
    }
    return (this->*c->run)(argument);
  }
  Note(
      Format("unknown command %s; /help lists all, // begins a text with a "
             "slash",
             Printable(line.substr(0, end)).c_str()));
}

void Repl::Help(const std::string&) {
  for (const Command* c = kCommands; c->name; ++c) {
    if (c->help[0] == '\0') continue;
    std::fprintf(stderr, "  /%-20s %s\n",
                 (std::string(c->name) + " " + c->arguments).c_str(), c->help);
  }
  std::fprintf(stderr, "%s", kKeys);
}

void Repl::Exit(const std::string&) { done_ = true; }

void Repl::Clear(const std::string&) {
  const bool system = !turns_.empty() && turns_[0].role == "system";
  turns_.resize(system ? 1 : 0);
  pending_.clear();
  warned_ = false;
  Renew();
}

void Repl::Undo(const std::string&) {
  std::string question;
  if (!PopExchange(&question)) return Note("nothing was said yet");
  Renew();
  Note(Format("forgot \"%s\" and its answer", Printable(question, 60).c_str()));
}

void Repl::Regenerate(const std::string& temperature) {
  RunOptions options = options_;
  if (!temperature.empty()) {
    const Status status = SetSampling("temp", temperature, &options);
    if (!status.ok()) return Note(status.message());
  }
  Transcript before = turns_;
  std::string question;
  if (!PopExchange(&question)) return Note("nothing was said yet");
  turns_.push_back({"user", std::move(question)});
  if (const Status status = SetTurns(chat_, turns_); !status.ok()) {
    Note(status.message());
    return Restore(std::move(before));
  }
  if (!Sampling(model_, options).get().do_sample) {
    Note("greedy: the same answer again; /regen 0.8 asks for another one");
  }
  if (!Say(options)) Restore(std::move(before));
}

// The message is taken back when its new text comes; until then nothing is
// lost.
void Repl::Edit(const std::string&) {
  if (!editor_) return Note("/edit needs a terminal that can move its cursor");
  Transcript before = turns_;
  std::string text;
  if (!PopExchange(&text)) return Note("nothing was said yet");
  if (Read(&text) != Input::kMessage || text.empty()) {
    turns_ = std::move(before);
    return Note("left as it was");
  }
  if (const Status status = SetTurns(chat_, turns_); !status.ok()) {
    Note(status.message());
    return Restore(std::move(before));
  }
  if (!Ask(Unblocked(std::move(text)))) Restore(std::move(before));
}

void Repl::System(const std::string& text) {
  const bool has = !turns_.empty() && turns_[0].role == "system";
  if (text.empty()) {
    return Note(has ? turns_[0].content : "there is no system message");
  }
  if (has) turns_.erase(turns_.begin());
  if (text != "\"\"") turns_.insert(turns_.begin(), {"system", text});
  Renew();
  Note(text == "\"\"" ? "no system message any more"
                      : "the system message is changed; the conversation goes "
                        "on");
}

void Repl::SetOption(const std::string& words) {
  if (words.empty()) return ShowParams();
  const size_t blank = words.find(' ');
  if (blank == std::string::npos) {
    return Note("/set wants a name and a value, as in /set temp 0.7");
  }
  const size_t value = words.find_first_not_of(' ', blank);
  RunOptions options = options_;
  Status status =
      SetSampling(words.substr(0, blank), words.substr(value), &options);
  if (status.ok()) status = CheckThinkBudget(model_, options);
  if (!status.ok()) return Note(status.message());
  options_ = std::move(options);
  ShowParams();
}

void Repl::ShowInfo() const {
  slm_model_info info;
  slm_model_get_info(model_, &info);
  const slm_stats stats = StatsOf(chat_);
  std::fprintf(stderr,
               "model     %s\n"
               "type      %s\n"
               "context   %zu of the model's %zu tokens\n"
               "words     %zu in the vocabulary\n"
               "weights   %.1f MiB\n"
               "template  %s\n"
               "turns     %zu\n",
               options_.model.c_str(), info.type, stats.context_length,
               info.context_length, info.vocab_size,
               static_cast<double>(info.weight_bytes) / (1 << 20),
               info.template_file[0] ? info.template_file : "none",
               turns_.size());
}

void Repl::ShowParams() const {
  const Sampling sampling(model_, options_);
  std::fprintf(stderr, "%s", Describe(sampling.get()).c_str());
}

void Repl::Show(const std::string& what) {
  std::string text;
  Status status;
  if (what.empty() || what == "info") return ShowInfo();
  if (what == "params") return ShowParams();
  if (what == "template") {
    status = StatusOf(api::Template(model_, &text));
    if (status.ok() && text.empty()) text = "the model has no chat template";
  } else if (what == "prompt") {
    status = StatusOf(api::Prompt(chat_, &text));
  } else if (what == "mem") {
    status = StatusOf(api::Memory(model_, &text));
  } else {
    return Note("/show wants info, params, template, prompt or mem");
  }
  if (!status.ok()) return Note(status.message());
  std::fprintf(stderr, "%s%s", text.c_str(),
               text.empty() || text.back() != '\n' ? "\n" : "");
}

void Repl::Stats(const std::string& on) {
  if (on.empty()) return Note(StatsLine(chat_));
  if (on != "on" && on != "off") return Note("/stats wants on or off");
  stats_ = on == "on";
}

void Repl::Think(const std::string& on) {
  if (on != "on" && on != "off") return Note("/think wants on or off");
  const Status status = SetThinking(model_, chat_, on == "on");
  Note(status.ok() ? "thinking is " + on : status.message());
}

void Repl::FormatAs(const std::string& format) {
  if (format != "json" && format != "off") {
    return Note("/format wants json or off");
  }
  options_.json = format == "json";
  Note(options_.json ? "answers are JSON; say in the message what they hold"
                     : "answers are any text");
}

void Repl::Save(const std::string& path) {
  const Status status = SaveTranscript(path, turns_);
  Note(status.ok() ? Format("%zu turns are in %s", turns_.size(), path.c_str())
                   : status.message());
}

void Repl::Load(const std::string& path) {
  Result<Transcript> turns = LoadTranscript(path);
  if (!turns.ok()) return Note(turns.status().message());
  turns_ = std::move(turns).value();
  Renew();
  Note(Format("%zu turns from %s", turns_.size(), path.c_str()));
}

void Repl::ReadText(const std::string& path) {
  Result<std::string> text = ReadFile(path, kMostReadBytes);
  if (!text.ok()) return Note(text.status().message());
  std::vector<int32_t> tokens;
  const Status status = StatusOf(api::Tokenize(model_, *text, &tokens));
  if (!status.ok()) return Note(status.message());
  pending_ += *text;
  Note(Format("%zu bytes, about %zu tokens, go before the next message",
              text->size(), tokens.size()));
}

void Repl::Tokens(const std::string& text) {
  std::vector<int32_t> tokens;
  const Status status = StatusOf(api::Tokenize(model_, text, &tokens));
  if (!status.ok()) return Note(status.message());
  std::string out = Format("%zu tokens:", tokens.size());
  for (size_t i = 0; i < tokens.size() && i < kMostTokensShown; ++i) {
    std::string word;
    if (api::TokenText(model_, tokens[i], &word)) word.clear();
    out += Format(" %d \"%s\"", tokens[i], Printable(word).c_str());
  }
  if (tokens.size() > kMostTokensShown) out += " ...";
  Note(out);
}

void Repl::Copy(const std::string&) {
  if (!terminal_) return Note("/copy needs a terminal that is no dumb one");
  const auto last = std::find_if(
      turns_.rbegin(), turns_.rend(),
      [](const Turn& turn) { return turn.role == "assistant"; });
  if (last == turns_.rend()) return Note("there is no answer yet");
  slm_model_info info;
  slm_model_get_info(model_, &info);
  const std::string text =
      info.thinks ? WithoutThought(last->content) : last->content;
  if (text.empty()) return Note("the last answer is empty");
  const Result<std::string> sequence = ClipboardSequence(text);
  if (!sequence.ok()) return Note("/copy: " + sequence.status().message());
  terminal_->Write(*sequence);
  Note(Format("%zu bytes are sent to the clipboard; not all terminals let "
              "that happen",
              text.size()));
}

}  // namespace slm
