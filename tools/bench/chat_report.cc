// SPDX-License-Identifier: MIT
#include "tools/bench/chat_report.h"

#include <cmath>

#include "tools/bench/json_object.h"
#include "tools/bench/statistics.h"
#include "tools/bench/table.h"

namespace slm::bench {
namespace {

using Samples = std::vector<double>;

// What the answers to a prompt, or all answers, measured.
struct Summary {
  std::string name;
  double prompt_tokens = 0, output_tokens = 0;  // of an answer, the mean
  Samples first_ms, gaps_ms, prefill, decode;   // one of each answer but gaps
};

void Add(const PromptResult& prompt, Summary* s) {
  for (const TimedAnswer& a : prompt.answers) {
    s->prompt_tokens += static_cast<double>(a.prompt_tokens);
    s->output_tokens += static_cast<double>(a.output_tokens);
    s->first_ms.push_back(a.first_ms);
    s->gaps_ms.insert(s->gaps_ms.end(), a.gaps_ms.begin(), a.gaps_ms.end());
    s->prefill.push_back(a.PrefillRate());
    // An answer of one token has no gap.
    if (!a.gaps_ms.empty()) s->decode.push_back(a.DecodeRate());
  }
}

void EndSums(Summary* s) {
  const double n = static_cast<double>(s->first_ms.size());
  s->prompt_tokens /= n;
  s->output_tokens /= n;
}

// A summary of each prompt, then one of all.
std::vector<Summary> Summaries(const ChatReport& r) {
  std::vector<Summary> summaries;
  Summary all;
  all.name = "all";
  for (const PromptResult& prompt : r.prompts) {
    Summary s;
    s.name = prompt.name;
    Add(prompt, &s);
    Add(prompt, &all);
    EndSums(&s);
    summaries.push_back(std::move(s));
  }
  EndSums(&all);
  summaries.push_back(std::move(all));
  return summaries;
}

double MedianOr(const Samples& x) { return x.empty() ? NAN : Median(x); }
double PercentileOr(const Samples& x, double percent) {
  return Percentile(x, percent).value_or(NAN);
}

struct Column {
  const char* key;    // of JSON and CSV
  const char* title;  // of people's table; nullptr: not in it
  int decimals;
  double (*value)(const Summary& s);
};

constexpr Column kColumns[] = {
    {"prompt_tokens", "prompt tok", 0,
     [](const Summary& s) { return s.prompt_tokens; }},
    {"output_tokens", "new tok", 0,
     [](const Summary& s) { return s.output_tokens; }},
    {"ttft_ms", "first ms", 1,
     [](const Summary& s) { return MedianOr(s.first_ms); }},
    {"prefill_tok_per_s", "prefill tok/s", 1,
     [](const Summary& s) { return MedianOr(s.prefill); }},
    {"decode_tok_per_s", "decode tok/s", 1,
     [](const Summary& s) { return MedianOr(s.decode); }},
    {"ttft_p50_ms", nullptr, 3,
     [](const Summary& s) { return PercentileOr(s.first_ms, 50); }},
    {"ttft_p95_ms", nullptr, 3,
     [](const Summary& s) { return PercentileOr(s.first_ms, 95); }},
    {"ttft_p99_ms", nullptr, 3,
     [](const Summary& s) { return PercentileOr(s.first_ms, 99); }},
    {"itl_p50_ms", nullptr, 3,
     [](const Summary& s) { return PercentileOr(s.gaps_ms, 50); }},
    {"itl_p95_ms", nullptr, 3,
     [](const Summary& s) { return PercentileOr(s.gaps_ms, 95); }},
    {"itl_p99_ms", nullptr, 3,
     [](const Summary& s) { return PercentileOr(s.gaps_ms, 99); }},
};

std::string CsvText(const ChatReport& r) {
  Cells rows = {{"prompt", "answers"}};
  for (const Column& c : kColumns) rows[0].push_back(c.key);
  for (const char* key :
       {"threads", "target", "kv", "load_ms", "peak_rss_mib", "cpu_percent"}) {
    rows[0].push_back(key);
  }
  for (const Summary& s : Summaries(r)) {
    rows.push_back({s.name, Format("%zu", s.first_ms.size())});
    for (const Column& c : kColumns) {
      rows.back().push_back(Number(c.value(s), c.decimals));
    }
    rows.back().insert(rows.back().end(),
                       {Format("%zu", r.info.threads), r.info.target,
                        KvName(r.info.kv), Number(r.load_ms, 1),
                        Number(MiB(r.peak_rss), 1), Number(r.cpu_percent, 1)});
  }
  return Csv(rows);
}

std::string HowChosen(const AnswerOptions& a) {
  return a.temperature.value_or(0) > 0
             ? Format("temperature %g", *a.temperature)
             : "greedy";
}

std::vector<std::string> PercentileRow(const char* name, const Samples& x) {
  std::vector<std::string> row = {name, Format("%zu", x.size()),
                                  x.empty() ? "n/a" : Number(Mean(x), 2)};
  for (const double percent : {50.0, 95.0, 99.0}) {
    const auto value = Percentile(x, percent);
    row.push_back(value ? Number(*value, 2) : "n/a");
  }
  return row;
}

std::string People(const ChatReport& r, bool markdown) {
  const char* end = markdown ? "  \n" : "\n";
  const std::vector<Summary> summaries = Summaries(r);
  const Summary& all = summaries.back();
  std::string out = InfoLine(r.info) + end;
  out += Format(
      "load %.0f ms  peak RSS %.0f MiB  CPU %.0f %%  template %s%s", r.load_ms,
      MiB(r.peak_rss), r.cpu_percent,
      r.template_file.empty() ? "none" : Printable(r.template_file).c_str(),
      end);
  out += Format(
      "%zu answers of at most %zu tokens, %s; timed from the messages on: "
      "template,%stokenising, prefill, choice of tokens, text; empty cache\n\n",
      all.first_ms.size(), r.answer.max_tokens, HowChosen(r.answer).c_str(),
      end);
  Cells rows = {{"prompt"}};
  for (const Column& c : kColumns) {
    if (c.title != nullptr) rows[0].push_back(c.title);
  }
  for (const Summary& s : summaries) {
    rows.push_back({s.name});
    for (const Column& c : kColumns) {
      if (c.title == nullptr) continue;
      rows.back().push_back(Number(c.value(s), c.decimals));
    }
  }
  out += Table(rows, /*last_is_text=*/false, markdown) + "\n";
  out += Table({{"milliseconds", "n", "mean", "p50", "p95", "p99"},
                PercentileRow("to the first token", all.first_ms),
                PercentileRow("between tokens", all.gaps_ms)},
               /*last_is_text=*/false, markdown);
  return out;
}

void AppendSummary(const Summary& s, bool samples, std::string* out) {
  JsonObject o(out);
  o.Text("name", s.name);
  o.Count("answers", s.first_ms.size());
  for (const Column& c : kColumns) o.Number(c.key, c.value(s), c.decimals);
  if (samples) o.Numbers("itl_samples_ms", s.gaps_ms, 4);
  o.End();
}

void AppendTest(const std::string& name, const char* unit,
                const Samples& samples, std::string* out) {
  if (out->back() != '[') *out += ",";
  *out += "\n  ";
  JsonObject o(out);
  o.Text("name", name);
  o.Text("unit", unit);
  o.Numbers("samples", samples, 4);
  o.End();
}

std::string Json(const ChatReport& r) {
  std::string out;
  JsonObject o(&out);
  o.Count("schema", 1);
  o.Text("verb", "chat");
  AddInfo(r.info, &o);
  o.Number("load_ms", r.load_ms, 1);
  o.Number("peak_rss_mib", MiB(r.peak_rss), 1);
  o.Number("cpu_percent", r.cpu_percent, 1);
  o.Text("template", r.template_file);
  o.Count("max_tokens", r.answer.max_tokens);
  o.Number("temperature", r.answer.temperature.value_or(0), 3);
  std::vector<Summary> summaries = Summaries(r);
  const Summary all = std::move(summaries.back());
  summaries.pop_back();
  o.Key("all");
  AppendSummary(all, /*samples=*/false, &out);
  o.Key("prompts");
  out += "[";
  for (const Summary& s : summaries) {
    out += &s == &summaries[0] ? "\n  " : ",\n  ";
    AppendSummary(s, /*samples=*/true, &out);
  }
  out += "]";
  o.Key("tests");
  out += "[";
  for (const Summary& s : summaries) {
    AppendTest(s.name + " first", "ms", s.first_ms, &out);
    AppendTest(s.name + " prefill", "tok/s", s.prefill, &out);
    AppendTest(s.name + " decode", "tok/s", s.decode, &out);
  }
  out += "]";
  o.End();
  return out + "\n";
}

}  // namespace

std::string Print(const ChatReport& report, OutputFormat format) {
  return PrintAs(report, format, Json, CsvText, People);
}

}  // namespace slm::bench
