// SPDX-License-Identifier: MIT
#include "tools/bench/quality.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "runtime/core/clock.h"
#include "runtime/core/file.h"
#include "runtime/core/file_output.h"
#include "runtime/core/memory.h"
#include "runtime/core/sha256.h"
#include "tools/bench/divergence.h"
#include "tools/bench/open.h"
#include "tools/bench/perplexity.h"
#include "tools/bench/quality_options.h"
#include "tools/bench/quality_report.h"
#include "tools/bench/reference.h"

namespace slm::bench {
namespace {

namespace fs = std::filesystem;

// A gibibyte of text is days of work for the smallest model.
constexpr size_t kMostText = size_t{1} << 30;

struct ReadText {
  WindowedText windows;
  std::string hash;  // SHA-256 of the file
};

// Windows fit into `context`, which may be another model's.
Result<ReadText> ReadWindows(const QualityOptions& options, const Model& model,
                             size_t context) {
  SLM_ASSIGN_OR_RETURN(const std::string text,
                       ReadFile(options.file, kMostText));
  auto windows = MakeWindows(model.tokenizer(), context,
                             model.decoder().vocab_size, text, options.windows);
  if (!windows.ok()) {
    return windows.status().In(
        Format("\"%s\"", Printable(options.file, 400).c_str()));
  }
  Sha256 sha;
  sha.Add(text);
  return ReadText{std::move(windows).value(), sha.Finish()};
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

// What stands below the first line of every report.
std::string TextLine(const std::string& name, const WindowedText& text) {
  const std::string begin = Format(
      "%s: %zu tokens in ", Printable(name, 400).c_str(), text.tokens.size());
  if (text.tokens.size() < text.window) return begin + "one window";
  return begin +
         Format(
             "%zu %s of %zu, %s", text.windows.size(),
             text.windows.size() == 1 ? "window" : "windows", text.window,
             text.stride > 0
                 ? Format("stride %zu: each scored once", text.stride).c_str()
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

void AddCost(size_t tokens, double seconds, QualityReport* report) {
  report->figures.push_back(
      {"tok_per_s", "tokens/s", static_cast<double>(tokens) / seconds});
  report->figures.push_back(
      {"peak_rss_mib", "peak RSS, MiB", MiB(GetProcessMemory().peak)});
}

// The file has room for so much of a name.
constexpr size_t kMostName = 64;

// The folder's name, which is what people call a model.
std::string NameOf(const std::string& model) {
  std::string path = model;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return fs::path(path).filename().string();
}

Result<uint64_t> CheckSpace(const std::string& path, uint64_t bytes) {
  const std::string folder = fs::path(path).parent_path().string();
  SLM_ASSIGN_OR_RETURN(const uint64_t free,
                       FreeDiskBytes(folder.empty() ? "." : folder));
  if (bytes <= free) return bytes;
  return Error(ErrorKind::kRuntime,
               "\"%s\" takes %.1f MiB, %.1f MiB are free; score less with "
               "--chunks",
               Printable(path, 400).c_str(), MiB(bytes), MiB(free));
}

Status Save(const QualityOptions& options) {
  SLM_ASSIGN_OR_RETURN(const Opened opened, Open(options));
  SLM_ASSIGN_OR_RETURN(const ReadText text,
                       ReadWindows(options, *opened.model,
                                   opened.model->decoder().context_length));
  const size_t vocab = opened.model->decoder().vocab_size;
  SLM_ASSIGN_OR_RETURN(
      const uint64_t bytes,
      CheckSpace(options.save, ReferenceBytes(text.windows, vocab)));
  if (!options.quiet) {
    std::fprintf(stderr, "slm-bench: \"%s\" takes %.2f MiB for %zu tokens\n",
                 Printable(options.save, 400).c_str(), MiB(bytes),
                 text.windows.positions);
  }
  const ReferenceInfo info{
      .model = options.model.size() <= kMostName ? options.model
                                                 : NameOf(options.model),
      .tokenizer_hash = HashTokenizer(opened.model->tokenizer()),
      .text_hash = text.hash};
  const double begin = MonotonicSeconds();
  SLM_RETURN_IF_ERROR(SaveReference(
      options.save, info, text.windows, opened.session.get(), *opened.threads,
      ProgressOf(options, text.windows.positions)));
  QualityReport report{.verb = "ref", .info = InfoOf(options, opened)};
  report.texts = {{"file", options.file},
                  {"reference", options.save},
                  {"text_sha256", text.hash},
                  {"tokenizer_sha256", info.tokenizer_hash}};
  report.line = TextLine(options.file, text.windows);
  report.note = text.windows.note;
  report.figures = {
      Count("scored_tokens", "tokens scored", text.windows.positions),
      Count("bytes", "bytes written", bytes)};
  size_t tokens = 0;
  for (const Window& w : text.windows.windows) tokens += w.size - 1;
  AddCost(tokens, MonotonicSeconds() - begin, &report);
  Show(report, options.output);
  return OkStatus();
}

void AddDivergence(const Divergence& d, QualityReport* report) {
  report->figures = {
      {"kl", "KL, nats per token", d.kl.mean, d.kl.error},
      {"kl_median", "KL, median", d.median},
      {"kl_p95", "KL, 95th percentile", d.p95},
      {"kl_p99", "KL, 99th percentile", d.p99},
      {"kl_max", "KL, largest", d.max},
      {"same_top", "same best token, share", d.same_top.mean, d.same_top.error},
      {"perplexity", "perplexity", d.perplexity},
      {"reference_perplexity", "of the reference", d.reference_perplexity},
      {"perplexity_ratio", "ratio of both", d.perplexity_ratio.mean,
       d.perplexity_ratio.error},
      {"moved", "change of p(token), mean", d.moved.mean, d.moved.error},
      Count("scored_tokens", "tokens scored", d.scored)};
  AddCost(d.run_tokens, d.seconds, report);
}

Result<QualityReport> CompareWithFile(const QualityOptions& options) {
  SLM_ASSIGN_OR_RETURN(const Reference reference,
                       Reference::Open(options.reference));
  SLM_ASSIGN_OR_RETURN(const Opened opened, Open(options));
  const auto d = MeasureDivergence(
      reference, opened.model->tokenizer(), opened.session.get(),
      *opened.threads, ProgressOf(options, reference.text().positions));
  if (!d.ok()) {
    return d.status().In(
        Format("reference \"%s\"", Printable(options.reference, 400).c_str()));
  }
  QualityReport report{.verb = "kld", .info = InfoOf(options, opened)};
  const std::string model = Printable(reference.info().model);
  report.texts = {{"reference", options.reference},
                  {"reference_model", model},
                  {"text_sha256", reference.info().text_hash},
                  {"kl_over", "64 best tokens and the rest as one"}};
  report.line = TextLine(options.reference + " of " + model, reference.text());
  report.note =
      "KL is of the 64 best tokens and the rest as one: a lower bound";
  AddDivergence(*d, &report);
  return report;
}

Result<QualityReport> CompareWithModel(const QualityOptions& options) {
  SLM_ASSIGN_OR_RETURN(const Opened opened, Open(options));
  QualityOptions other = options;
  other.model = options.reference_model;
  SLM_ASSIGN_OR_RETURN(const Opened reference, Open(other));
  const Model& model = *reference.model;
  const Status same = CheckSameVocabulary(
      HashTokenizer(model.tokenizer()), model.decoder().vocab_size,
      opened.model->tokenizer(), opened.model->decoder().vocab_size);
  if (!same.ok()) {
    return same.In(Format("reference \"%s\"",
                          Printable(options.reference_model, 400).c_str()));
  }
  SLM_ASSIGN_OR_RETURN(
      const ReadText text,
      ReadWindows(options, model,
                  std::min(model.decoder().context_length,
                           opened.model->decoder().context_length)));
  SLM_ASSIGN_OR_RETURN(
      const Divergence d,
      MeasureDivergence(reference.session.get(), opened.session.get(),
                        *opened.threads, text.windows,
                        ProgressOf(options, text.windows.positions)));
  QualityReport report{.verb = "kld", .info = InfoOf(options, opened)};
  report.texts = {{"reference", options.reference_model},
                  {"reference_model", options.reference_model},
                  {"text_sha256", text.hash},
                  {"kl_over", "whole vocabulary"}};
  report.line = TextLine(options.file, text.windows) + "; reference " +
                Printable(options.reference_model, 400);
  report.note = text.windows.note;
  AddDivergence(d, &report);
  return report;
}

}  // namespace

Result<int> RunPerplexity(Flags* flags) {
  SLM_ASSIGN_OR_RETURN(const QualityOptions options,
                       ReadPerplexityOptions(flags));
  SLM_ASSIGN_OR_RETURN(const Opened opened, Open(options));
  SLM_ASSIGN_OR_RETURN(const ReadText text,
                       ReadWindows(options, *opened.model,
                                   opened.model->decoder().context_length));
  SLM_ASSIGN_OR_RETURN(
      const Perplexity p,
      MeasurePerplexity(opened.session.get(), *opened.threads, text.windows,
                        ProgressOf(options, text.windows.positions)));
  QualityReport report{.verb = "ppl", .info = InfoOf(options, opened)};
  report.texts = {{"file", options.file}, {"text_sha256", text.hash}};
  report.line = TextLine(options.file, text.windows);
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
  AddCost(p.run_tokens, p.seconds, &report);
  return Show(report, options.output);
}

// A signal waits until the temporary file is gone.
Result<int> RunReference(Flags* flags) {
  SLM_ASSIGN_OR_RETURN(const QualityOptions options,
                       ReadReferenceOptions(flags));
  HoldSignals();
  const Status status = Save(options);
  if (status.ok()) return 0;
  const int signal = HeldSignal();
  if (signal == 0) return status;
  std::fprintf(stderr, "slm-bench: error: %s\n", status.message().c_str());
  return 128 + signal;
}

Result<int> RunDivergence(Flags* flags) {
  SLM_ASSIGN_OR_RETURN(const QualityOptions options,
                       ReadDivergenceOptions(flags));
  SLM_ASSIGN_OR_RETURN(const QualityReport report,
                       options.reference.empty() ? CompareWithModel(options)
                                                 : CompareWithFile(options));
  return Show(report, options.output);
}

}  // namespace slm::bench
