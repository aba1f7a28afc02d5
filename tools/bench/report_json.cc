// SPDX-License-Identifier: MIT
#include <cmath>

#include "loader/json.h"
#include "tools/bench/report.h"

namespace slm::bench {
namespace {

// "key": value members with the right commas.
class Object {
 public:
  explicit Object(std::string* out) : out_(*out) { out_ += "{"; }

  void Text(const char* key, std::string_view text) {
    Key(key);
    AppendJsonString(text, &out_);
  }
  // JSON has no NaN: what is not known is null.
  void Number(const char* key, double value, int decimals) {
    Key(key);
    out_ += std::isfinite(value) ? Format("%.*f", decimals, value) : "null";
  }
  void Count(const char* key, uint64_t value) {
    Key(key);
    out_ += Format("%llu", static_cast<unsigned long long>(value));
  }
  // The caller appends the value.
  void Key(const char* key) {
    out_ += Format("%s\"%s\": ", first_ ? "" : ", ", key);
    first_ = false;
  }
  void End() { out_ += "}"; }

 private:
  std::string& out_;
  bool first_ = true;
};

double MiB(size_t bytes) { return static_cast<double>(bytes) / 0x1p20; }

void AppendProfile(const ProfiledRun& run, std::string* out) {
  *out += "[";
  for (const ProfileLine& line : LinesOf(run, 0)) {
    if (out->back() != '[') *out += ",";
    *out += "\n    ";
    Object o(out);
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
  Object o(out);
  o.Text("name", t.test.Name());
  for (const Column& c : Columns()) {
    o.Number(c.key, c.value(report, t), c.decimals);
  }
  o.Count("weight_bytes", t.work.weight_bytes);
  o.Count("kv_bytes", t.work.kv_bytes);
  o.Count("product_macs", t.work.product_macs);
  o.Count("attention_macs", t.work.attention_macs);
  o.Key("samples");
  *out += "[";
  for (const Elapsed& e : t.repetitions) {
    *out += Format("%s%.3f", &e == &t.repetitions[0] ? "" : ", ",
                   t.Tokens() / e.seconds);
  }
  *out += "]";
  if (t.profiled) {
    o.Key("profile");
    AppendProfile(*t.profiled, out);
  }
  o.End();
}

}  // namespace

std::string PrintJson(const Report& r) {
  std::string out;
  Object o(&out);
  o.Count("schema", 1);
  o.Text("model", r.model);
  o.Text("version", r.version);
  o.Text("cpu", r.cpu);
  o.Text("target", r.target);
  o.Count("threads", r.threads);
  o.Text("kv", KvName(r.kv));
  o.Number("load_ms", r.load_ms, 1);
  o.Number("ttft_ms", r.ttft_ms, 1);
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
