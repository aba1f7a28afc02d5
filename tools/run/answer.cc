// SPDX-License-Identifier: MIT
#include "tools/run/answer.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "loader/json.h"
#include "runtime/core/clock.h"
#include "runtime/core/terminal.h"
#include "tools/run/progress.h"
#include "tools/run/think.h"

namespace slm {
namespace {

// What Ctrl-C reaches: a signal handler can be given nothing.
std::atomic<slm_chat*> running_chat{nullptr};
std::atomic<double> interrupt_seconds{0};

void OnInterrupt(int) {
  const double now = MonotonicSeconds();
  const double before = interrupt_seconds.exchange(now);
  if (before > 0 && now - before < kTwiceSeconds) {
    ExitFromSignal(kExitCancelled);
  }
  if (slm_chat* chat = running_chat.load()) slm_chat_cancel(chat);
}

class InterruptScope {
 public:
  explicit InterruptScope(slm_chat* chat) {
    interrupt_seconds = 0;
    running_chat = chat;
    previous_ = std::signal(SIGINT, OnInterrupt);
  }
  ~InterruptScope() {
    std::signal(SIGINT, previous_);
    running_chat = nullptr;
  }

 private:
  void (*previous_)(int);
};

const char* FinishName(slm_finish finish) {
  switch (finish) {
    case SLM_FINISH_EOS: return "stop";
    case SLM_FINISH_STOP: return "stop";
    case SLM_FINISH_LENGTH: return "length";
    case SLM_FINISH_NONE: break;
  }
  return "cancelled";
}

double Rate(size_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

size_t After(size_t count, size_t first) {
  return count > first ? count - first : 0;
}

// The members that json's one object and jsonl's last line have in common.
void AppendSummary(const slm_chat* chat, slm_finish finish,
                   const std::string& model, std::string* out) {
  const slm_stats s = StatsOf(chat);
  *out += Format("\"finish_reason\":\"%s\",\"usage\":{\"prompt_tokens\":%zu,"
                 "\"completion_tokens\":%zu,\"total_tokens\":%zu,"
                 "\"prompt_tokens_details\":{\"cached_tokens\":%zu},"
                 "\"completion_tokens_details\":{\"reasoning_tokens\":%zu}},",
                 FinishName(finish), s.prompt_tokens, s.output_tokens,
                 s.prompt_tokens + s.output_tokens, s.cached_tokens,
                 s.thought_tokens);
  *out += Format("\"timings\":{\"ttft_ms\":%.1f,\"prompt_per_second\":%.2f,"
                 "\"predicted_per_second\":%.2f,\"rss_bytes\":%zu,"
                 "\"peak_rss_bytes\":%zu},\"model\":",
                 s.prompt_seconds * 1e3,
                 Rate(After(s.prompt_tokens, s.cached_tokens),
                      s.prompt_seconds),
                 Rate(After(s.output_tokens, 1), s.output_seconds),
                 s.rss_bytes, s.peak_rss_bytes);
  AppendJsonString(model, out);
}

void Write(std::FILE* file, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), file);
  std::fflush(file);
}

// A terminal obeys control characters; a model may write anything.
std::string ForTerminal(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= 32 && byte != 127) || c == '\n' || c == '\t') out += c;
  }
  return out;
}

// How a part of the answer is shown.
enum class Style { kPlain, kDim, kHidden, kRaw };

Style ReasoningStyle(const RunOptions& options) {
  const bool can_dim = options.output == OutputFormat::kText &&
                       IsTerminal(stdout) && UseColor(options, stdout);
  switch (options.show_think) {
    case ShowThink::kRaw: return Style::kRaw;
    case ShowThink::kHide: return Style::kHidden;
    // Without the colour nothing but its marks tells reasoning from answer.
    case ShowThink::kDim: return can_dim ? Style::kDim : Style::kRaw;
    case ShowThink::kAuto: break;
  }
  if (can_dim) return Style::kDim;
  return IsTerminal(stdout) && options.output == OutputFormat::kText
             ? Style::kRaw
             : Style::kHidden;
}

// Writes an answer to stdout as it comes.
class Printer {
 public:
  Printer(const RunOptions& options, std::string_view prompt)
      : options_(options), style_(ReasoningStyle(options)), split_(prompt),
        to_terminal_(IsTerminal(stdout)) {}

  void Push(std::string_view piece) {
    if (style_ == Style::kRaw) {
      Show(piece, Style::kPlain, "text");
      answer_ += piece;
    } else {
      Take(split_.Push(piece));
    }
  }
  // After the last piece.
  void Finish() {
    if (style_ != Style::kRaw) Take(split_.Finish());
    if (dim_) Write(stdout, "\033[0m");
    dim_ = false;
  }
  bool any() const { return any_; }
  const std::string& answer() const { return answer_; }
  const std::string& reasoning() const { return reasoning_; }

 private:
  void Take(const ThinkSplitter::Parts& parts) {
    if (reasoning_.empty() && parts.reasoning.find_first_not_of('\n') ==
                                  std::string::npos) {
      // An empty thought, as templates write it, is none.
    } else {
      Show(parts.reasoning, style_, "reasoning");
      reasoning_ += parts.reasoning;
    }
    Show(parts.answer, Style::kPlain, "text");
    answer_ += parts.answer;
  }

  // `event`: what it is called in JSON lines, which hide nothing.
  void Show(std::string_view text, Style style, const char* event) {
    const bool lines = options_.output == OutputFormat::kJsonLines;
    if (text.empty() || (style == Style::kHidden && !lines) ||
        options_.output == OutputFormat::kJson) {
      return;
    }
    std::string line;
    if (lines) {
      line = Format("{\"%s\":", event);
      AppendJsonString(text, &line);
      line += "}\n";
    } else {
      if (style == Style::kDim && !dim_) line += "\033[2m";
      if (style == Style::kPlain && dim_) line += "\033[0m\n\n";
      dim_ = style == Style::kDim;
      line += to_terminal_ ? ForTerminal(text) : std::string(text);
    }
    any_ = true;
    Write(stdout, line);
  }

  const RunOptions& options_;
  const Style style_;
  ThinkSplitter split_;
  const bool to_terminal_;
  bool dim_ = false, any_ = false;
  std::string answer_, reasoning_;
};

void PrintEnd(const slm_chat* chat, const Printer& printer, slm_finish finish,
              const std::string& model, OutputFormat format) {
  std::string out;
  if (format == OutputFormat::kText) {
    out = "\n";
  } else {
    out = "{";
    if (format == OutputFormat::kJson) {
      out += "\"text\":";
      AppendJsonString(printer.answer(), &out);
      out += ",";
    }
    if (!printer.reasoning().empty()) {
      out += "\"reasoning\":";
      AppendJsonString(printer.reasoning(), &out);
      out += ",";
    }
    AppendSummary(chat, finish, model, &out);
    out += "}\n";
  }
  Write(stdout, out);
}

// What a reader of the answer should know about it.
void PrintNotes(const slm_chat* chat, const Printer& printer,
                const Answered& answered, const RunOptions& options) {
  if (options.quiet) return;
  const slm_stats s = StatsOf(chat);
  if (s.dropped_turns > 0) {
    std::fprintf(stderr,
                 "slm-run: the context of %zu tokens is full: dropped the "
                 "%zu oldest exchanges\n",
                 s.context_length, s.dropped_turns);
  }
  if (s.json_cut) {
    std::fprintf(stderr,
                 "slm-run: the JSON is not complete: %s after %zu tokens\n",
                 answered.finish == SLM_FINISH_STOP ? "a stop string came"
                 : answered.cancelled               ? "it was stopped"
                                                    : "the limit came",
                 s.output_tokens);
  }
  if (answered.finish == SLM_FINISH_LENGTH && !printer.any() &&
      !printer.reasoning().empty()) {
    std::fprintf(stderr,
                 "slm-run: all %zu tokens were reasoning, the answer did not "
                 "begin: --show-think raw shows it, --think off may skip it\n",
                 s.output_tokens);
  }
}

}  // namespace

Status StatusOf(const api::Failure& failure) {
  if (!failure) return OkStatus();
  return Status(static_cast<ErrorKind>(failure.error.status),
                failure.message());
}

Sampling::Sampling(const slm_model* model, const RunOptions& o) {
  slm_sampling_init(model, &sampling_);
  slm_sampling& s = sampling_;
  if (o.max_tokens) s.max_tokens = static_cast<size_t>(*o.max_tokens);
  if (o.temperature) s.temperature = static_cast<float>(*o.temperature);
  if (o.top_k) s.top_k = static_cast<int32_t>(*o.top_k);
  if (o.top_p) s.top_p = static_cast<float>(*o.top_p);
  if (o.min_p) s.min_p = static_cast<float>(*o.min_p);
  if (o.repetition_penalty) {
    s.repetition_penalty = static_cast<float>(*o.repetition_penalty);
  }
  if (o.presence_penalty) {
    s.presence_penalty = static_cast<float>(*o.presence_penalty);
  }
  if (o.frequency_penalty) {
    s.frequency_penalty = static_cast<float>(*o.frequency_penalty);
  }
  if (o.no_repeat_ngram_size) {
    s.no_repeat_ngram_size = static_cast<int32_t>(*o.no_repeat_ngram_size);
  }
  if (o.seed) s.seed = *o.seed;
  if (o.lookup) s.ngram_size = static_cast<int32_t>(*o.lookup);
  // A flag that only sampling knows asks for sampling.
  if (o.temperature || o.top_k || o.top_p || o.min_p || o.seed) {
    s.do_sample = 1;
  }
  if (o.num_beams) {
    s.num_beams = static_cast<int32_t>(*o.num_beams);
    if (s.num_beams > 1) s.do_sample = 0;
  }
  if (o.greedy) s.do_sample = 0;
  for (const std::string& text : o.stop) stop_.push_back(text.c_str());
  s.stop = stop_.data();
  s.stop_count = stop_.size();
  for (const auto& [token, bias] : o.logit_bias) {
    bias_.push_back({token, static_cast<float>(bias)});
  }
  s.logit_bias = bias_.data();
  s.logit_bias_count = bias_.size();
  s.json = o.json;
  s.think_budget = o.think_budget.value_or(-1);
}

std::string Describe(const slm_sampling& s) {
  std::string text = Format(
      "%s\ntemp %g  top-k %d  top-p %g  min-p %g  seed %lld\n"
      "repeat-penalty %g  presence-penalty %g  frequency-penalty %g\n"
      "no-repeat-ngram %d  beams %d  lookup %d  max-tokens %s\n",
      s.do_sample ? "sampling" : "greedy: the most probable token",
      static_cast<double>(s.temperature), s.top_k,
      static_cast<double>(s.top_p), static_cast<double>(s.min_p),
      static_cast<long long>(s.seed),
      static_cast<double>(s.repetition_penalty),
      static_cast<double>(s.presence_penalty),
      static_cast<double>(s.frequency_penalty), s.no_repeat_ngram_size,
      s.num_beams, s.ngram_size,
      s.max_tokens ? std::to_string(s.max_tokens).c_str()
                   : "until the context is full");
  if (s.json) text += "format json\n";
  if (s.think_budget >= 0) {
    text += Format("think-budget %lld\n",
                   static_cast<long long>(s.think_budget));
  }
  for (size_t i = 0; i < s.stop_count; ++i) {
    text += Format("stop \"%s\"\n", Printable(s.stop[i]).c_str());
  }
  return text;
}

slm_stats StatsOf(const slm_chat* chat) {
  slm_stats stats;
  slm_chat_get_stats(chat, &stats);
  return stats;
}

bool UseColor(const RunOptions& options, std::FILE* stream) {
  if (options.color != Switch::kAuto) return options.color == Switch::kOn;
  return IsTerminal(stream) && !std::getenv("NO_COLOR");
}

Result<Answered> Answer(slm_chat* chat, const Sampling& sampling,
                        const std::string& model, const RunOptions& options) {
  std::string prompt;
  SLM_RETURN_IF_ERROR(StatusOf(api::Prompt(chat, &prompt)));
  const InterruptScope interrupt(chat);
  Printer printer(options, prompt);
  const bool watched = !options.quiet && IsTerminal(stderr);
  PromptProgress progress(MonotonicSeconds());
  Answered answered;
  api::Failure failure;
  slm_error& error = failure.error;
  error.status = slm_chat_start(chat, &sampling.get(), &error);
  slm_event event{};
  event.struct_size = sizeof event;
  while (!failure && event.finish == SLM_FINISH_NONE) {
    error.status = slm_chat_step(chat, &event, &error);
    if (failure) break;
    if (watched) {
      Write(stderr, event.token_count > 0
                        ? progress.Clear()
                        : progress.Step(event.prompt_done,
                                        StatsOf(chat).prompt_tokens,
                                        MonotonicSeconds()));
    }
    const std::string_view piece(event.text, event.text_size);
    printer.Push(piece);
    answered.text += piece;
  }
  Write(stderr, progress.Clear());
  printer.Finish();
  answered.finish = event.finish;
  answered.cancelled = error.status == SLM_CANCELLED;
  answered.interrupt_seconds = interrupt_seconds;
  if (failure && !answered.cancelled) {
    if (printer.any() && options.output == OutputFormat::kText) {
      std::printf("\n");
    }
    return StatusOf(failure);
  }
  PrintEnd(chat, printer, answered.finish, model, options.output);
  PrintNotes(chat, printer, answered, options);
  return answered;
}

std::string StatsLine(const slm_chat* chat) {
  const slm_stats s = StatsOf(chat);
  constexpr double kGib = 1 << 30;
  return Format(
      "[ttft %.2f s | prompt %zu tok (%zu cached) %.1f tok/s | gen %zu tok "
      "%.1f tok/s | ctx %zu/%zu | rss %.2f GiB peak %.2f]",
      s.prompt_seconds, s.prompt_tokens, s.cached_tokens,
      Rate(After(s.prompt_tokens, s.cached_tokens), s.prompt_seconds),
      s.output_tokens, Rate(After(s.output_tokens, 1), s.output_seconds),
      s.context_used, s.context_length,
      static_cast<double>(s.rss_bytes) / kGib,
      static_cast<double>(s.peak_rss_bytes) / kGib);
}

}  // namespace slm
