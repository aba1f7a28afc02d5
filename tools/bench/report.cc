// SPDX-License-Identifier: MIT
#include "tools/bench/report.h"

#include <algorithm>

#include "loader/json.h"

namespace slm::bench {
namespace {

// One number of a test; every format has the same.
struct Column {
  const char* key;    // of JSON and CSV
  const char* title;  // of tables
  int decimals;
  double (*value)(const Report& report, const TestResult& result);
};

constexpr Column kColumns[] = {
    {"tok_per_s", "tok/s", 2,
     [](const Report&, const TestResult& t) { return SpeedOf(t).median; }},
    {"mean", "mean", 2,
     [](const Report&, const TestResult& t) { return SpeedOf(t).mean; }},
    {"stddev", "+-", 2,
     [](const Report&, const TestResult& t) { return SpeedOf(t).stddev; }},
    {"best", "best", 2,
     [](const Report&, const TestResult& t) { return SpeedOf(t).best; }},
};

const char* KvName(DType kv) {
  return kv == DType::kF32 ? "fp32" : kv == DType::kF16 ? "fp16" : "int8";
}

double MiB(size_t bytes) { return static_cast<double>(bytes) / 0x1p20; }

std::string Json(const Report& r) {
  std::string out = "{\"schema\": 1, \"model\": ";
  AppendJsonString(r.model, &out);
  out += ", \"version\": ";
  AppendJsonString(r.version, &out);
  out += ", \"cpu\": ";
  AppendJsonString(r.cpu, &out);
  out += ", \"target\": ";
  AppendJsonString(r.target, &out);
  out +=
      Format(", \"threads\": %zu, \"kv\": \"%s\",\n", r.threads, KvName(r.kv));
  out += Format(
      " \"load_ms\": %.1f, \"ttft_ms\": %.1f, \"weights_mib\": %.1f, "
      "\"peak_rss_mib\": %.1f, \"cpu_percent\": %.1f,\n",
      r.load_ms, r.ttft_ms, MiB(r.weight_bytes), MiB(r.peak_rss),
      r.cpu_percent);
  out += " \"tests\": [";
  for (const TestResult& t : r.tests) {
    out += Format("%s\n  {\"name\": \"%s\"", &t == &r.tests[0] ? "" : ",",
                  t.test.Name().c_str());
    for (const Column& c : kColumns) {
      out += Format(", \"%s\": %.*f", c.key, c.decimals, c.value(r, t));
    }
    out += ", \"samples\": [";
    for (const Elapsed& e : t.repetitions) {
      out += Format("%s%.3f", &e == &t.repetitions[0] ? "" : ", ",
                    t.Tokens() / e.seconds);
    }
    out += "]}";
  }
  return out + "]}\n";
}

std::string Csv(const Report& r) {
  std::string out = "test,threads,target,kv";
  for (const Column& c : kColumns) out += Format(",%s", c.key);
  out += ",load_ms,ttft_ms,peak_rss_mib,cpu_percent\n";
  for (const TestResult& t : r.tests) {
    out += Format("%s,%zu,%s,%s", t.test.Name().c_str(), r.threads,
                  r.target.c_str(), KvName(r.kv));
    for (const Column& c : kColumns) {
      out += Format(",%.*f", c.decimals, c.value(r, t));
    }
    out += Format(",%.1f,%.1f,%.1f,%.1f\n", r.load_ms, r.ttft_ms,
                  MiB(r.peak_rss), r.cpu_percent);
  }
  return out;
}

// `| a | b |` for Markdown; columns of text for people.
std::string Table(const Report& r, bool markdown) {
  size_t width = 4;
  for (const TestResult& t : r.tests) {
    width = std::max(width, t.test.Name().size());
  }
  const int name = static_cast<int>(width);
  std::string out = Format(markdown ? "| %-*s |" : "%-*s", name, "test");
  for (const Column& c : kColumns) {
    out += Format(markdown ? " %9s |" : "%10s", c.title);
  }
  out += "\n";
  if (markdown) {
    out += "|---|";
    for (size_t i = 0; i < std::size(kColumns); ++i) out += "---:|";
    out += "\n";
  }
  for (const TestResult& t : r.tests) {
    out += Format(markdown ? "| %-*s |" : "%-*s", name, t.test.Name().c_str());
    for (const Column& c : kColumns) {
      const std::string text = Format("%.*f", c.decimals, c.value(r, t));
      out += Format(markdown ? " %9s |" : "%10s", text.c_str());
    }
    out += "\n";
  }
  return out;
}

std::string People(const Report& r, bool markdown) {
  const char* end = markdown ? "  \n" : "\n";
  std::string out =
      Format("%s  slm %s  %s  target %s  %zu threads  kv %s%s",
             Printable(r.model, 400).c_str(), r.version.c_str(), r.cpu.c_str(),
             r.target.c_str(), r.threads, KvName(r.kv), end);
  out += Format(
      "load %.0f ms  first token %.0f ms  weights %.0f MiB  peak RSS %.0f MiB  "
      "CPU %.0f %%\n\n",
      r.load_ms, r.ttft_ms, MiB(r.weight_bytes), MiB(r.peak_rss),
      r.cpu_percent);
  return out + Table(r, markdown);
}

}  // namespace

std::string Print(const Report& report, OutputFormat format) {
  switch (format) {
    case OutputFormat::kJson:
      return Json(report);
    case OutputFormat::kCsv:
      return Csv(report);
    case OutputFormat::kMarkdown:
      return People(report, /*markdown=*/true);
    case OutputFormat::kText:
      break;
  }
  return People(report, /*markdown=*/false);
}

}  // namespace slm::bench
