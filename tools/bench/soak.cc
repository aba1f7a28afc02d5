// SPDX-License-Identifier: MIT
#include "tools/bench/soak.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "runtime/core/clock.h"
#include "runtime/core/file_output.h"
#include "runtime/core/memory.h"
#include "tools/bench/answer.h"
#include "tools/bench/checks.h"
#include "tools/bench/soak_log.h"
#include "tools/bench/soak_options.h"
#include "tools/bench/svg.h"

namespace slm::bench {
namespace {

constexpr double kProgressSeconds = 10;

struct SoakReport {
  RunInfo info;
  size_t prompts = 0;
  size_t max_tokens = 0;
  double load_ms = 0;
  size_t peak_rss = 0;
  double minutes = 0;
  SoakLog log;
  std::optional<Line> leak;
  std::optional<Drift> drift;
  std::vector<Check> checks;
};

// All prompts once. A signal ends it with a failure.
Result<SoakSample> Round(const Opened& opened,
                         const std::vector<Prompt>& prompts,
                         const AnswerOptions& options) {
  SoakSample sample;
  for (const Prompt& prompt : prompts) {
    if (HeldSignal() != 0) return Error(ErrorKind::kRuntime, "interrupted");
    SLM_ASSIGN_OR_RETURN(const TimedAnswer answer,
                         Answer(opened, prompt, options));
    for (const double ms : answer.gaps_ms) sample.seconds += ms / 1e3;
    sample.tokens += static_cast<double>(answer.gaps_ms.size());
  }
  sample.rss_mib = MiB(GetProcessMemory().resident);
  return sample;
}

// Until the end that the options want, or a signal: then with what there is.
Status RunRounds(const SoakOptions& options, const Opened& opened,
                 const std::vector<Prompt>& prompts, SoakReport* report) {
  // Weights and scratch come into memory with the first answers.
  SLM_RETURN_IF_ERROR(Round(opened, prompts, options.answer).status());
  const double begin = MonotonicSeconds();
  double told = begin, now = begin;
  const auto more = [&] {
    return options.minutes ? now - begin < *options.minutes * 60
                           : report->log.rounds() < options.rounds;
  };
  while (more()) {
    Result<SoakSample> round = Round(opened, prompts, options.answer);
    if (HeldSignal() != 0) break;
    SLM_ASSIGN_OR_RETURN(SoakSample sample, std::move(round));
    now = MonotonicSeconds();
    sample.hours = (now - begin) / 3600;
    report->log.Add(sample);
    if (ShowsProgress(options) && now - told > kProgressSeconds) {
      told = now;
      std::fprintf(stderr, "slm-bench: %zu rounds, %.1f min, RSS %.1f MiB\n",
                   report->log.rounds(), sample.hours * 60, sample.rss_mib);
    }
  }
  report->minutes = (now - begin) / 60;
  return OkStatus();
}

// Figures of the rounds, and what becomes of the limits.
Status Judge(const SoakOptions& options, SoakReport* r) {
  const auto samples = r->log.samples();
  r->leak = LeakOf(samples);
  r->drift = DriftOf(samples);
  if ((options.max_leak && !r->leak) || (options.max_drift && !r->drift)) {
    return Error(ErrorKind::kRuntime,
                 "soak: %zu rounds in %.3f minutes leave a limit without a "
                 "figure; it needs 4 rounds and answers of two tokens",
                 r->log.rounds(), r->minutes);
  }
  r->checks = {
      {"leak", "MiB/h", 3, false, options.max_leak,
       r->leak ? r->leak->slope : NAN},
      {"slower by", "%", 2, false, options.max_drift,
       r->drift ? -r->drift->Percent() : NAN},
  };
  return OkStatus();
}

Result<SoakReport> Measure(const SoakOptions& options) {
  SLM_ASSIGN_OR_RETURN(const Opened opened, Open(options));
  SLM_ASSIGN_OR_RETURN(
      const std::vector<Prompt> prompts,
      PromptsFor(opened, options.file, options.answer, options.quiet));
  SoakReport report;
  report.info = InfoOf(options, opened);
  report.prompts = prompts.size();
  report.max_tokens = options.answer.max_tokens;
  report.load_ms = opened.load_seconds * 1e3;
  SLM_RETURN_IF_ERROR(RunRounds(options, opened, prompts, &report));
  // The system updates its peak later than what is resident now.
  const ProcessMemory memory = GetProcessMemory();
  report.peak_rss = std::max(memory.peak, memory.resident);
  SLM_RETURN_IF_ERROR(Judge(options, &report));
  return report;
}

std::string People(const SoakReport& r, OutputFormat format) {
  const char* end = format == OutputFormat::kMarkdown ? "  \n" : "\n";
  const auto samples = r.log.samples();
  std::string out = InfoLine(r.info) + end;
  out += Format("load %.0f ms  peak RSS %.1f MiB%s", r.load_ms, MiB(r.peak_rss),
                end);
  out +=
      Format("%zu rounds of %zu answers in %.2f min, at most %zu tokens each%s",
             r.log.rounds(), r.prompts, r.minutes, r.max_tokens, end);
  if (!samples.empty()) {
    out += Format(
        "RSS after the first round %.2f MiB, after the last %.2f "
        "MiB%s",
        samples.front().rss_mib, samples.back().rss_mib, end);
  }
  if (r.leak) {
    out += Format("leak %.3f +- %.3f MiB/h (slope and its standard error)%s",
                  r.leak->slope, r.leak->slope_error, end);
  }
  if (r.drift) {
    out += Format(
        "decode %.1f tok/s in the first quarter, %.1f in the last: %+.2f %%%s",
        r.drift->first, r.drift->last, r.drift->Percent(), end);
  }
  return out + "\n" + CheckTable(r.checks, format);
}

std::string Json(const SoakReport& r) {
  std::string out;
  JsonObject o(&out);
  o.Count("schema", 1);
  o.Text("verb", "soak");
  AddInfo(r.info, &o);
  o.Number("load_ms", r.load_ms, 1);
  o.Number("peak_rss_mib", MiB(r.peak_rss), 2);
  o.Number("minutes", r.minutes, 4);
  o.Count("prompts", r.prompts);
  o.Count("max_tokens", r.max_tokens);
  o.Count("rounds", r.log.rounds());
  o.Count("rounds_per_sample", r.log.rounds_per_sample());
  o.Number("leak_mib_per_hour", r.leak ? r.leak->slope : NAN, 4);
  o.Number("leak_standard_error", r.leak ? r.leak->slope_error : NAN, 4);
  o.Number("drift_percent", r.drift ? r.drift->Percent() : NAN, 3);
  std::vector<double> minutes, rss, rates;
  for (const SoakSample& sample : r.log.samples()) {
    minutes.push_back(sample.hours * 60);
    rss.push_back(sample.rss_mib);
    rates.push_back(sample.Rate());
  }
  o.Numbers("sample_minutes", minutes, 8);
  o.Numbers("sample_rss_mib", rss, 3);
  o.Key("checks");
  AppendChecks(r.checks, &out);
  o.Key("tests");
  out += "[\n  ";
  JsonObject test(&out);
  test.Text("name", "decode");
  test.Text("unit", "tok/s");
  test.Numbers("samples", rates, 3);
  test.End();
  out += "]";
  o.End();
  return out + "\n";
}

std::string Chart(const SoakReport& r) {
  const ChartHead head = {"slm-bench soak: " + r.info.model,
                          {MachineLine(r.info, ", "),
                           Format("%zu rounds of %zu answers in %.1f minutes",
                                  r.log.rounds(), r.prompts, r.minutes)}};
  std::vector<double> minutes, rss, rates;
  for (const SoakSample& sample : r.log.samples()) {
    minutes.push_back(sample.hours * 60);
    rss.push_back(sample.rss_mib);
    rates.push_back(sample.Rate());
  }
  LinePanel memory{.title = "Memory", .axis = "resident, MiB", .y = rss};
  // Less than a hundredth is no news of a process.
  memory.least_range = rss.empty() ? 0 : rss.back() / 100;
  if (r.leak) {
    memory.axis = Format("resident, MiB; line: %+.3f \u00b1 %.3f MiB/h",
                         r.leak->slope, r.leak->slope_error);
    memory.fit = *r.leak;
    memory.fit->slope /= 60;  // the picture has minutes
  }
  LinePanel speed{.title = "Decode", .axis = "tokens per second", .y = rates};
  speed.from_zero = true;
  if (r.drift) {
    speed.axis +=
        Format("; last quarter against first: %+.1f %%", r.drift->Percent());
  }
  const LinePanel panels[] = {memory, speed};
  return LineChart(head, "minutes", minutes, panels);
}

}  // namespace

Result<int> RunSoak(Flags* flags) {
  SLM_ASSIGN_OR_RETURN(const SoakOptions options, ReadSoakOptions(flags));
  SLM_RETURN_IF_ERROR(CheckPicture(options.svg));
  HoldSignals();
  const Result<SoakReport> measured = Measure(options);
  const int signal = HeldSignal();
  if (!measured.ok() && signal != 0) {
    std::fprintf(stderr, "slm-bench: error: %s\n",
                 measured.status().message().c_str());
    return 128 + signal;
  }
  SLM_ASSIGN_OR_RETURN(const SoakReport report, measured);
  if (options.svg) {
    SLM_RETURN_IF_ERROR(WritePicture(*options.svg, Chart(report)));
  }
  const std::string text = options.output == OutputFormat::kJson ? Json(report)
                           : options.output == OutputFormat::kCsv
                               ? CheckTable(report.checks, options.output)
                               : People(report, options.output);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return signal != 0 ? 128 + signal : ExitCodeOf(report.checks);
}

}  // namespace slm::bench
