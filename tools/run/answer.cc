// SPDX-License-Identifier: MIT
#include "tools/run/answer.h"

#include <atomic>
#include <csignal>
#include <cstdio>

#include "loader/json.h"

namespace slm {
namespace {

// What Ctrl-C reaches: a signal handler can be given nothing.
std::atomic<slm_chat*> running_chat{nullptr};

void OnInterrupt(int) {
  if (slm_chat* chat = running_chat.load()) slm_chat_cancel(chat);
}

class InterruptScope {
 public:
  explicit InterruptScope(slm_chat* chat) {
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

slm_stats StatsOf(const slm_chat* chat) {
  slm_stats stats;
  slm_chat_get_stats(chat, &stats);
  return stats;
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
                 "\"prompt_tokens_details\":{\"cached_tokens\":%zu}},",
                 FinishName(finish), s.prompt_tokens, s.output_tokens,
                 s.prompt_tokens + s.output_tokens, s.cached_tokens);
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

void PrintPiece(std::string_view text, OutputFormat format) {
  if (format == OutputFormat::kJson) return;
  std::string line(text);
  if (format == OutputFormat::kJsonLines) {
    line = "{\"text\":";
    AppendJsonString(text, &line);
    line += "}\n";
  }
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

void PrintEnd(const slm_chat* chat, const std::string& text, slm_finish finish,
              const std::string& model, OutputFormat format) {
  std::string out;
  if (format == OutputFormat::kText) {
    out = "\n";
  } else {
    out = "{";
    if (format == OutputFormat::kJson) {
      out += "\"text\":";
      AppendJsonString(text, &out);
      out += ",";
    }
    AppendSummary(chat, finish, model, &out);
    out += "}\n";
  }
  std::fwrite(out.data(), 1, out.size(), stdout);
  std::fflush(stdout);
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
}

Result<Answered> Answer(slm_chat* chat, const Sampling& sampling,
                        const std::string& model, const RunOptions& options) {
  const InterruptScope interrupt(chat);
  Answered answered;
  std::string text;
  const api::Failure failure = api::Answer(
      chat, sampling.get(),
      [&](std::string_view piece) {
        PrintPiece(piece, options.output);
        text += piece;
        return true;
      },
      &answered.finish);
  answered.cancelled = failure.error.status == SLM_CANCELLED;
  if (failure && !answered.cancelled) {
    if (!text.empty() && options.output == OutputFormat::kText) {
      std::printf("\n");
    }
    return StatusOf(failure);
  }
  PrintEnd(chat, text, answered.finish, model, options.output);
  const size_t dropped = StatsOf(chat).dropped_turns;
  if (dropped > 0 && !options.quiet) {
    std::fprintf(stderr,
                 "slm-run: the context of %zu tokens is full: dropped the "
                 "%zu oldest exchanges\n",
                 StatsOf(chat).context_length, dropped);
  }
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
