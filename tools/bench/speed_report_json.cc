// SPDX-License-Identifier: MIT
#include "tools/bench/json_object.h"
#include "tools/bench/speed_report.h"

namespace slm::bench {
namespace {

void AppendProfile(const ProfiledRun& run, std::string* out) {
  *out += "[";
  for (const ProfileLine& line : LinesOf(run, 0)) {
    if (out->back() != '[') *out += ",";
    *out += "\n    ";
    JsonObject o(out);
    o.Text("op", line.name);
    o.Text("shape", line.shape);
    o.Count("calls", line.calls);
    o.Number("ms", line.ms, 4);
    o.Number("percent", line.percent, 3);
    o.Number("gb_per_s", line.gb_per_s, 3);
    o.Number("gops", line.gops, 2);
    o.End();
  }
  *out += "]";
}

void AppendTest(const Report& report, const TestResult& t, std::string* out) {
  JsonObject o(out);
  o.Text("name", t.test.Name());
  o.Text("unit", "tok/s");
  for (const Column& c : Columns()) {
    o.Number(c.key, c.value(report, t), c.decimals);
  }
  o.Count("weight_bytes", t.work.weight_bytes);
  o.Count("kv_bytes", t.work.kv_bytes);
  o.Count("product_macs", t.work.product_macs);
  o.Count("attention_macs", t.work.attention_macs);
  std::vector<double> samples;
  for (const Elapsed& e : t.repetitions) {
    samples.push_back(t.Tokens() / e.seconds);
  }
  o.Numbers("samples", samples, 3);
  if (t.profiled) {
    o.Key("profile");
    AppendProfile(*t.profiled, out);
  }
  o.End();
}

}  // namespace

std::string PrintJson(const Report& r) {
  std::string out;
  JsonObject o(&out);
  o.Count("schema", 1);
  o.Text("verb", "speed");
  AddInfo(r.info, &o);
  o.Number("load_ms", r.load_ms, 1);
  o.Number("ttft_ms", r.ttft_ms, 1);
  o.Number("ttft_128_ms", r.TtftMs(), 2);
  o.Number("weights_mib", MiB(r.weight_bytes), 1);
  o.Number("peak_rss_mib", MiB(r.peak_rss), 1);
  o.Number("cpu_percent", r.cpu_percent, 1);
  o.Number("limit_gb_per_s", r.limits.read_bytes / 1e9, 2);
  o.Number("limit_int8_gops", r.limits.int8_ops / 1e9, 1);
  o.Key("tests");
  out += "[";
  for (const TestResult& t : r.tests) {
    out += &t == &r.tests[0] ? "\n  " : ",\n  ";
    AppendTest(r, t, &out);
  }
  out += "]";
  o.End();
  return out + "\n";
}

}  // namespace slm::bench
