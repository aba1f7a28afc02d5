// SPDX-License-Identifier: MIT
#include "tools/bench/speed_report.h"

#include <algorithm>
#include <cmath>

#include "tools/bench/table.h"

namespace slm::bench {
namespace {

constexpr double kUnknown = NAN;

// Of the best repetition, as the limits are of the best pass.
double Seconds(const TestResult& t) { return t.Tokens() / SpeedOf(t).best; }

double ReadRate(const TestResult& t) {
  return static_cast<double>(t.work.MustRead()) / Seconds(t);
}
double OpRate(const TestResult& t) {
  return 2 * static_cast<double>(t.work.product_macs) / Seconds(t);
}
double PercentOf(double part, double whole) {
  return whole > 0 ? 100 * part / whole : kUnknown;
}

constexpr Column kColumns[] = {
    {"tok_per_s", "tok/s", 2,
     [](const Report&, const TestResult& t) { return SpeedOf(t).median; }},
    {"mean", "mean", 2,
     [](const Report&, const TestResult& t) { return SpeedOf(t).mean; }},
    {"stddev", "stddev", 2,
     [](const Report&, const TestResult& t) { return SpeedOf(t).stddev; }},
    {"best", "best", 2,
     [](const Report&, const TestResult& t) { return SpeedOf(t).best; }},
    {"mb_per_token", "MB/tok", 1,
     [](const Report&, const TestResult& t) {
       return static_cast<double>(t.work.MustRead()) / t.Tokens() / 1e6;
     }},
    {"gb_per_s", "GB/s", 2,
     [](const Report&, const TestResult& t) { return ReadRate(t) / 1e9; }},
    {"read_percent", "% read", 1,
     [](const Report& r, const TestResult& t) {
       return PercentOf(ReadRate(t), r.limits.read_bytes);
     }},
    {"gops", "GOPS", 1,
     [](const Report&, const TestResult& t) { return OpRate(t) / 1e9; }},
    {"int8_percent", "% int8", 1,
     [](const Report& r, const TestResult& t) {
       return PercentOf(OpRate(t), r.limits.int8_ops);
     }},
};

Cells CsvCells(const Report& r) {
  Cells rows = {{"test", "threads", "target", "kv"}};
  for (const Column& c : kColumns) rows[0].push_back(c.key);
  for (const char* key :
       {"load_ms", "ttft_ms", "ttft_128_ms", "peak_rss_mib", "cpu_percent"}) {
    rows[0].push_back(key);
  }
  for (const TestResult& t : r.tests) {
    rows.push_back({t.test.Name(), Format("%zu", r.info.threads), r.info.target,
                    KvName(r.info.kv)});
    for (const Column& c : kColumns) {
      rows.back().push_back(Number(c.value(r, t), c.decimals));
    }
    for (const double value :
         {r.load_ms, r.ttft_ms, r.TtftMs(), MiB(r.peak_rss), r.cpu_percent}) {
      rows.back().push_back(Number(value, 1));
    }
  }
  return rows;
}

std::string TestTable(const Report& r, bool markdown) {
  Cells rows = {{"test"}};
  for (const Column& c : kColumns) rows[0].push_back(c.title);
  for (const TestResult& t : r.tests) {
    rows.push_back({t.test.Name()});
    for (const Column& c : kColumns) {
      rows.back().push_back(Number(c.value(r, t), c.decimals));
    }
  }
  return Table(rows, /*last_is_text=*/false, markdown);
}

std::string ProfileTable(const Report& r, const TestResult& t, bool markdown) {
  const ProfiledRun& run = *t.profiled;
  std::string out = Format(
      "\n%s %s: %.0f tokens, %.1f ms, %.1f tok/s, target %s, %zu threads\n%s",
      t.test.decode ? "decode" : "prefill", t.test.Name().c_str(), t.Tokens(),
      run.seconds * 1e3, t.Tokens() / run.seconds, r.info.target.c_str(),
      r.info.threads, markdown ? "\n" : "");
  Cells rows = {{"op", "calls", "ms", "%", "GB/s", "GOPS", "shape"}};
  double ms = 0, percent = 0;
  // What is below a thousandth is noise to people; JSON has all of it.
  for (const ProfileLine& line : LinesOf(run, 0.1)) {
    ms += line.ms;
    percent += line.percent;
    rows.push_back(
        {line.name,
         line.calls
             ? Format("%llu", static_cast<unsigned long long>(line.calls))
             : "-",
         Format("%.2f", line.ms), Format("%.1f", line.percent),
         line.gb_per_s > 0 ? Format("%.1f", line.gb_per_s) : "-",
         line.gops > 0 ? Format("%.1f", line.gops) : "-", line.shape});
  }
  rows.push_back(
      {"total", "", Format("%.2f", ms), Format("%.1f", percent), "", "", ""});
  return out + Table(rows, /*last_is_text=*/true, markdown);
}

std::string People(const Report& r, bool markdown) {
  const char* end = markdown ? "  \n" : "\n";
  std::string out = InfoLine(r.info) + end;
  out += Format(
      "load %.0f ms  first token %.0f ms  weights %.0f MiB  peak RSS %.0f MiB  "
      "CPU %.0f %%%s",
      r.load_ms, r.ttft_ms, MiB(r.weight_bytes), MiB(r.peak_rss), r.cpu_percent,
      end);
  if (std::isfinite(r.TtftMs())) {
    out += Format("first token after a prompt of %zu tokens, warm: %.1f ms%s",
                  kTtftTokens, r.TtftMs(), end);
  }
  out += std::string(
             "timed: model and greedy choice of a token, not "
             "tokenising; random tokens") +
         end;
  out += Format("machine limits: read %.1f GB/s, int8 %.0f GOPS\n\n",
                r.limits.read_bytes / 1e9, r.limits.int8_ops / 1e9);
  out += TestTable(r, markdown);
  for (const TestResult& t : r.tests) {
    if (t.profiled) out += ProfileTable(r, t, markdown);
  }
  return out;
}

// Seconds of a row with a rate each of bytes and operations.
ProfileLine LineOf(const ProfileRow& row, double total_seconds) {
  ProfileLine line;
  line.name = row.name;
  line.shape = row.shape;
  if (row.longest >= 0) {
    line.shape +=
        row.shortest == row.longest
            ? Format(" S=%lld", static_cast<long long>(row.longest))
            : Format(" S=%lld..%lld", static_cast<long long>(row.shortest),
                     static_cast<long long>(row.longest));
  }
  line.calls = row.calls;
  line.ms = row.seconds * 1e3;
  line.percent = 100 * row.seconds / total_seconds;
  line.bytes = row.work.MustRead() + row.work.activation_bytes;
  line.ops = 2 * (row.work.product_macs + row.work.attention_macs);
  return line;
}

void SetRates(ProfileLine* line) {
  if (line->ms <= 0) return;
  line->gb_per_s = static_cast<double>(line->bytes) / line->ms / 1e6;
  line->gops = static_cast<double>(line->ops) / line->ms / 1e6;
}

}  // namespace

const TestResult* Report::Find(std::string_view name) const {
  for (const TestResult& t : tests) {
    if (t.test.Name() == name) return &t;
  }
  return nullptr;
}

double Report::TtftMs() const {
  const SpeedTest wanted = {.decode = false, .tokens = kTtftTokens};
  const TestResult* test = Find(wanted.Name());
  return test != nullptr ? 1e3 * kTtftTokens / SpeedOf(*test).median : kUnknown;
}

std::span<const Column> Columns() { return kColumns; }

std::vector<ProfileLine> LinesOf(const ProfiledRun& run, double least_percent) {
  std::vector<ProfileLine> lines;
  ProfileLine small, other;
  size_t kinds = 0;
  other.name = "(other)";
  other.ms = run.seconds * 1e3;
  other.percent = 100;
  for (const ProfileRow& row : run.profile.rows()) {
    ProfileLine line = LineOf(row, run.seconds);
    other.ms -= line.ms;
    other.percent -= line.percent;
    if (line.percent >= least_percent) {
      SetRates(&line);
      lines.push_back(std::move(line));
      continue;
    }
    ++kinds;
    small.calls += line.calls;
    small.ms += line.ms;
    small.percent += line.percent;
    small.bytes += line.bytes;
    small.ops += line.ops;
  }
  std::stable_sort(
      lines.begin(), lines.end(),
      [](const ProfileLine& a, const ProfileLine& b) { return a.ms > b.ms; });
  if (kinds > 0) {
    small.name = Format("(%zu smaller)", kinds);
    SetRates(&small);
    lines.push_back(std::move(small));
  }
  lines.push_back(std::move(other));
  return lines;
}

std::string Print(const Report& report, OutputFormat format) {
  const auto csv = [](const Report& r) { return Csv(CsvCells(r)); };
  return PrintAs(report, format, PrintJson, csv, People);
}

}  // namespace slm::bench
