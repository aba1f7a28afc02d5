// SPDX-License-Identifier: MIT
#include "tools/bench/gate.h"

#include <cmath>
#include <cstdio>

#include "runtime/core/file.h"
#include "tools/bench/checks.h"
#include "tools/bench/gate_options.h"
#include "tools/bench/open.h"
#include "tools/bench/perplexity.h"
#include "tools/bench/result_file.h"
#include "tools/bench/speed.h"
#include "tools/bench/statistics.h"

namespace slm::bench {
namespace {

constexpr size_t kMostText = size_t{1} << 30;

// NaN: no limit asked for it.
struct Measured {
  std::string head;  // InfoLine, or where the figures come from
  double pp = NAN, tg = NAN, ttft_ms = NAN, load_ms = NAN, rss_mib = NAN,
         ppl = NAN;
};

// The tests of slm-bench speed that the limits need. Memory is that of a use
// with a long prompt and an answer.
SpeedOptions SpeedOf(const GateOptions& o) {
  SpeedOptions speed;
  static_cast<CommonOptions&>(speed) = o;
  speed.repetitions = o.repetitions;
  speed.prompts.clear();
  if (o.min_pp || o.max_rss) speed.prompts.push_back(o.prompt);
  if (o.max_ttft && (speed.prompts.empty() || o.prompt != kTtftTokens)) {
    speed.prompts.push_back(kTtftTokens);
  }
  speed.generated.clear();
  if (o.min_tg || o.max_rss) speed.generated.push_back(o.generated);
  return speed;
}

double RateOf(const Report& report, const SpeedTest& wanted) {
  const TestResult* test = report.Find(wanted.Name());
  return test != nullptr ? bench::SpeedOf(*test).median : NAN;
}

Status MeasurePpl(const GateOptions& o, Measured* m) {
  SLM_ASSIGN_OR_RETURN(const std::string text, ReadFile(*o.file, kMostText));
  SLM_ASSIGN_OR_RETURN(const Opened opened, Open(o));
  WindowOptions windows;
  windows.most_windows = o.chunks;
  const auto p = MeasurePerplexity(*opened.model, opened.session.get(),
                                   *opened.threads, text, windows);
  SLM_RETURN_IF_ERROR(
      p.status().In(Format("\"%s\"", Printable(*o.file, 400).c_str())));
  m->ppl = p->perplexity;
  return OkStatus();
}

Result<Measured> MeasureModel(const GateOptions& o) {
  SLM_ASSIGN_OR_RETURN(const Report report,
                       MeasureSpeed(SpeedOf(o), /*limits=*/false));
  Measured m;
  m.head = InfoLine(report.info);
  m.load_ms = report.load_ms;
  m.pp = RateOf(report, {.decode = false, .tokens = o.prompt});
  m.tg = RateOf(report, {.decode = true, .tokens = o.generated});
  m.ttft_ms = report.TtftMs();
  m.rss_mib = MiB(report.peak_rss);
  // Last: the logits of a text take memory of their own.
  if (o.max_ppl) SLM_RETURN_IF_ERROR(MeasurePpl(o, &m));
  return m;
}

// The median of a test, if a limit needs it.
Status TakeTest(const ResultFile& file, const SpeedTest& wanted, bool needed,
                double* out) {
  if (!needed) return OkStatus();
  const ResultTest* test = file.Find(wanted.Name());
  if (test == nullptr || test->samples.empty()) {
    return Invalid("%s has no test %s, which a limit needs",
                   Printable(file.path, 400).c_str(), wanted.Name().c_str());
  }
  *out = Median(test->samples);
  return OkStatus();
}

Result<Measured> ReadMeasured(const GateOptions& o) {
  SLM_ASSIGN_OR_RETURN(const ResultFile file, LoadResult(*o.from));
  if (file.verb != "speed") {
    return Invalid("%s is a result of %s, must be of speed",
                   Printable(file.path, 400).c_str(),
                   Printable(file.verb).c_str());
  }
  Measured m;
  m.head = Format("%s  %s  from %s", Printable(file.model, 400).c_str(),
                  MachineLine(file, "  ").c_str(),
                  Printable(file.path, 400).c_str());
  const bool pp = o.min_pp.has_value(), tg = o.min_tg.has_value();
  SLM_RETURN_IF_ERROR(
      TakeTest(file, {.decode = false, .tokens = o.prompt}, pp, &m.pp));
  SLM_RETURN_IF_ERROR(
      TakeTest(file, {.decode = true, .tokens = o.generated}, tg, &m.tg));
  double rate = NAN;
  SLM_RETURN_IF_ERROR(TakeTest(file, {.decode = false, .tokens = kTtftTokens},
                               o.max_ttft.has_value(), &rate));
  m.ttft_ms = 1e3 * kTtftTokens / rate;
  m.load_ms = file.load_ms.value_or(NAN);
  m.rss_mib = file.peak_rss_mib.value_or(NAN);
  return m;
}

std::vector<Check> ChecksOf(const GateOptions& o, const Measured& m) {
  std::optional<double> max_rss;
  if (o.max_rss) max_rss = MiB(*o.max_rss);
  const Check all[] = {
      {"prefill", "tok/s", 1, true, o.min_pp, m.pp},
      {"decode", "tok/s", 1, true, o.min_tg, m.tg},
      {"first token", "ms", 1, false, o.max_ttft, m.ttft_ms},
      {"load", "ms", 1, false, o.max_load, m.load_ms},
      {"peak RSS", "MiB", 1, false, max_rss, m.rss_mib},
      {"perplexity", "", 4, false, o.max_ppl, m.ppl},
  };
  std::vector<Check> checks;
  for (const Check& check : all) {
    if (check.limit) checks.push_back(check);
  }
  return checks;
}

std::string PrintChecks(const std::vector<Check>& checks,
                        const std::string& head, OutputFormat format) {
  if (format == OutputFormat::kCsv) return CheckTable(checks, format);
  if (format != OutputFormat::kJson) {
    return head + "\n\n" + CheckTable(checks, format);
  }
  std::string out;
  JsonObject o(&out);
  o.Count("schema", 1);
  o.Text("verb", "gate");
  o.Text("measured", head);
  o.Bool("ok", AllOk(checks));
  o.Key("checks");
  AppendChecks(checks, &out);
  o.End();
  return out + "\n";
}

}  // namespace

Result<int> RunGate(Flags* flags) {
  SLM_ASSIGN_OR_RETURN(const GateOptions options, ReadGateOptions(flags));
  SLM_ASSIGN_OR_RETURN(const Measured measured, options.from
                                                    ? ReadMeasured(options)
                                                    : MeasureModel(options));
  const std::vector<Check> checks = ChecksOf(options, measured);
  const std::string text = PrintChecks(checks, measured.head, options.output);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return ExitCodeOf(checks);
}

}  // namespace slm::bench
