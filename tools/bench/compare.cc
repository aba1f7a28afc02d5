// SPDX-License-Identifier: MIT
#include "tools/bench/compare.h"

#include <cmath>
#include <cstdio>

#include "tools/bench/compare_options.h"
#include "tools/bench/comparison.h"
#include "tools/bench/json_object.h"
#include "tools/bench/svg.h"
#include "tools/bench/table.h"

namespace slm::bench {
namespace {

// A result beside the first one.
struct Pair {
  const ResultFile& b;
  Comparison comparison;
};

struct CompareReport {
  std::vector<ResultFile> files;
  std::vector<Pair> pairs;  // of files[0] and each other; points into files
};

Status Measure(const CompareOptions& options, CompareReport* report) {
  for (const std::string& path : options.files) {
    SLM_ASSIGN_OR_RETURN(ResultFile file, LoadResult(path));
    report->files.push_back(std::move(file));
  }
  for (size_t i = 1; i < report->files.size(); ++i) {
    SLM_ASSIGN_OR_RETURN(Comparison comparison,
                         Compare(report->files[0], report->files[i]));
    report->pairs.push_back({report->files[i], std::move(comparison)});
  }
  return OkStatus();
}

std::string FileLine(const char* name, const ResultFile& f) {
  return Format("%s  %s  %s  %s", name, Printable(f.path, 400).c_str(),
                Printable(f.model, 400).c_str(), MachineLine(f, "  ").c_str());
}

std::string Signed(double value) {
  return std::isfinite(value) ? Format("%+.2f", value) : "-";
}

std::string Interval(const ComparedTest& t) {
  return std::isfinite(t.low) ? Signed(t.low) + " .. " + Signed(t.high) : "-";
}

std::string People(const CompareReport& r, bool markdown) {
  const char* end = markdown ? "  \n" : "\n";
  std::string out;
  for (const Pair& pair : r.pairs) {
    if (!out.empty()) out += "\n";
    out += FileLine("A", r.files[0]) + end;
    out += FileLine("B", pair.b) + end;
    for (const std::string& warning : pair.comparison.warnings) {
      out += "warning: " + warning + end;
    }
    Cells rows = {{"test", "unit", "A", "B", "B - A, %", "95 % interval", ""}};
    for (const ComparedTest& t : pair.comparison.tests) {
      rows.push_back({Printable(t.name), Printable(t.unit), Number(t.mean_a, 2),
                      Number(t.mean_b, 2), Signed(t.percent), Interval(t),
                      VerdictName(t.verdict)});
    }
    out += "\n" + Table(rows, /*last_is_text=*/true, markdown);
  }
  return out;
}

std::string CsvText(const CompareReport& r, bool quiet) {
  Cells rows = {{"a", "b", "test", "unit", "mean_a", "mean_b", "samples_a",
                 "samples_b", "percent", "low", "high", "verdict"}};
  for (const Pair& pair : r.pairs) {
    for (const std::string& warning : pair.comparison.warnings) {
      if (quiet) break;
      std::fprintf(stderr, "slm-bench: warning: %s\n", warning.c_str());
    }
    for (const ComparedTest& t : pair.comparison.tests) {
      rows.push_back({r.files[0].path, pair.b.path, t.name, t.unit,
                      Number(t.mean_a, 4), Number(t.mean_b, 4),
                      Format("%zu", t.samples_a), Format("%zu", t.samples_b),
                      Number(t.percent, 4), Number(t.low, 4), Number(t.high, 4),
                      VerdictName(t.verdict)});
    }
  }
  return Csv(rows);
}

void AppendTest(const ComparedTest& t, std::string* out) {
  JsonObject o(out);
  o.Text("name", t.name);
  o.Text("unit", t.unit);
  o.Number("mean_a", t.mean_a, 4);
  o.Number("mean_b", t.mean_b, 4);
  o.Count("samples_a", t.samples_a);
  o.Count("samples_b", t.samples_b);
  o.Number("percent", t.percent, 4);
  o.Number("low", t.low, 4);
  o.Number("high", t.high, 4);
  o.Text("verdict", VerdictName(t.verdict));
  o.End();
}

void AppendPair(const Pair& pair, std::string* out) {
  JsonObject o(out);
  o.Text("b", pair.b.path);
  o.Key("warnings");
  *out += "[";
  for (const std::string& warning : pair.comparison.warnings) {
    if (out->back() != '[') *out += ", ";
    AppendJsonString(warning, out);
  }
  *out += "]";
  o.Key("tests");
  *out += "[";
  for (const ComparedTest& t : pair.comparison.tests) {
    *out += &t == &pair.comparison.tests[0] ? "\n  " : ",\n  ";
    AppendTest(t, out);
  }
  *out += "]";
  o.End();
}

std::string Json(const CompareReport& r) {
  std::string out;
  JsonObject o(&out);
  o.Count("schema", 1);
  o.Text("verb", "compare");
  o.Text("a", r.files[0].path);
  o.Key("comparisons");
  out += "[";
  for (const Pair& pair : r.pairs) {
    out += &pair == &r.pairs[0] ? "\n " : ",\n ";
    AppendPair(pair, &out);
  }
  out += "]";
  o.End();
  return out + "\n";
}

Bar BarOf(const ComparedTest& t) {
  constexpr Tone kTones[] = {Tone::kGood, Tone::kBad, Tone::kQuiet,
                             Tone::kQuiet};
  Bar bar;
  bar.label = t.name;
  bar.value = std::isfinite(t.percent) ? t.percent : 0;
  bar.low = t.low;
  bar.high = t.high;
  bar.tone = kTones[static_cast<size_t>(t.verdict)];
  bar.text = Signed(t.percent) + " % " +
             (t.verdict == Verdict::kNotSignificant  ? "(chance?)"
              : t.verdict == Verdict::kTooFewSamples ? "(one sample)"
                                                     : VerdictName(t.verdict));
  return bar;
}

std::string Chart(const CompareReport& r) {
  const ResultFile& base = r.files[0];
  const ChartHead head = {
      "slm-bench compare: change against " + base.path,
      {base.model + ", " + MachineLine(base, ", "),
       "whiskers: 95 % interval by Welch's t; grey: may be chance, or one "
       "sample"}};
  std::vector<BarPanel> panels;
  for (const Pair& pair : r.pairs) {
    // More is better of one, less of the other: each has its own scale.
    BarPanel more = {pair.b.path + ": more is better", "change in %", {}};
    BarPanel less = {pair.b.path + ": less is better", "change in %", {}};
    for (const ComparedTest& t : pair.comparison.tests) {
      (t.lower_is_better ? less : more).bars.push_back(BarOf(t));
    }
    for (BarPanel* panel : {&more, &less}) {
      if (!panel->bars.empty()) panels.push_back(std::move(*panel));
    }
  }
  return BarChart(head, panels);
}

std::string Print(const CompareReport& report, const CompareOptions& options) {
  const auto csv = [&](const CompareReport& r) {
    return CsvText(r, options.quiet);
  };
  return PrintAs(report, options.output, Json, csv, People);
}

}  // namespace

Result<int> RunCompare(Flags* flags) {
  SLM_ASSIGN_OR_RETURN(const CompareOptions options, ReadCompareOptions(flags));
  SLM_RETURN_IF_ERROR(CheckPicture(options.svg));
  CompareReport report;
  SLM_RETURN_IF_ERROR(Measure(options, &report));
  if (options.svg) {
    SLM_RETURN_IF_ERROR(WritePicture(*options.svg, Chart(report)));
  }
  const std::string text = Print(report, options);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

}  // namespace slm::bench
