// SPDX-License-Identifier: MIT
#include "tools/bench/quality.h"

#include <cstdio>

#include "runtime/core/clock.h"
#include "runtime/core/file.h"
#include "runtime/core/memory.h"
#include "tools/bench/open.h"
#include "tools/bench/perplexity.h"
#include "tools/bench/quality_options.h"
#include "tools/bench/quality_report.h"

namespace slm::bench {
namespace {

// A gibibyte of text is days of work for the smallest model.
constexpr size_t kMostText = size_t{1} << 30;

Result<WindowedText> ReadWindows(const QualityOptions& options,
                                 const Model& model) {
  SLM_ASSIGN_OR_RETURN(const std::string text,
                       ReadFile(options.file, kMostText));
  auto windows = MakeWindows(model.tokenizer(), model.decoder().context_length,
                             model.decoder().vocab_size, text, options.windows);
  if (!windows.ok()) {
    return windows.status().In(
        Format("\"%s\"", Printable(options.file, 400).c_str()));
  }
  return windows;
}

// Rewrites a line on standard error twice a second.
OnProgress ProgressOf(const CommonOptions& options, size_t positions) {
  if (!ShowsProgress(options)) return nullptr;
  double next = MonotonicSeconds() + 0.5;
  return [positions, next](size_t done) mutable {
    const double now = MonotonicSeconds();
    if (done == positions) {
      std::fprintf(stderr, "\r\033[K");
    } else if (now >= next) {
      next = now + 0.5;
      std::fprintf(stderr, "\rslm-bench: %zu of %zu tokens scored", done,
                   positions);
    }
  };
}

std::string WindowsLine(size_t tokens, size_t windows, size_t window,
                        size_t stride) {
  return Format("%zu tokens in %zu windows of %zu, %s", tokens, windows, window,
                stride > 0
                    ? Format("stride %zu: each scored once", stride).c_str()
                    : "second halves scored");
}

int Show(const QualityReport& report, OutputFormat format) {
  const std::string text = Print(report, format);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

Figure Count(const char* key, const char* title, size_t value) {
  return {.key = key,
          .title = title,
          .value = static_cast<double>(value),
          .is_count = true};
}

void AddCost(double tokens, double seconds, QualityReport* report) {
  report->figures.push_back({"tok_per_s", "tokens/s", tokens / seconds});
  report->figures.push_back(
      {"peak_rss_mib", "peak RSS, MiB", MiB(GetProcessMemory().peak)});
}

}  // namespace

Result<int> RunPerplexity(Flags* flags) {
  SLM_ASSIGN_OR_RETURN(const QualityOptions options,
                       ReadPerplexityOptions(flags));
  SLM_ASSIGN_OR_RETURN(const Opened opened, Open(options));
  SLM_ASSIGN_OR_RETURN(const WindowedText text,
                       ReadWindows(options, *opened.model));
  SLM_ASSIGN_OR_RETURN(
      const Perplexity p,
      MeasurePerplexity(opened.session.get(), *opened.threads, text,
                        ProgressOf(options, text.positions)));
  QualityReport report{.verb = "ppl", .info = InfoOf(options, opened)};
  report.texts = {{"file", options.file}};
  report.line = Printable(options.file, 400) + ": " +
                WindowsLine(p.text_tokens, p.windows, p.window, p.stride);
  report.note = p.note;
  const double bits_per_nat = p.bits_per_byte / p.surprise.mean;
  report.figures = {
      {"perplexity", "perplexity", p.perplexity, p.error},
      {"bits_per_byte", "bits per byte", p.bits_per_byte,
       p.surprise.error * bits_per_nat},
      {"nats_per_token", "nats per token", p.surprise.mean, p.surprise.error},
      Count("scored_tokens", "tokens scored", p.scored),
      Count("scored_bytes", "bytes scored", p.scored_bytes),
      Count("run_tokens", "tokens run", p.run_tokens),
      Count("windows", nullptr, p.windows),
      Count("window", nullptr, p.window),
      Count("stride", nullptr, p.stride)};
  AddCost(static_cast<double>(p.run_tokens), p.seconds, &report);
  return Show(report, options.output);
}

}  // namespace slm::bench
