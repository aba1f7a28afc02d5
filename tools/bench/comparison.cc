// SPDX-License-Identifier: MIT
#include "tools/bench/comparison.h"

#include <cmath>

#include "tools/bench/statistics.h"

namespace slm::bench {
namespace {

Verdict VerdictOf(const Difference& d, bool lower_is_better) {
  if (!d.IsSignificant()) return Verdict::kNotSignificant;
  return (d.value < 0) == lower_is_better ? Verdict::kBetter : Verdict::kWorse;
}

// With the means a and b and Welch's 95 % interval [l, h] of b - a
// (WelchDifference): percent = 100 (b - a) / a, interval 100 l / a to
// 100 h / a. The error of a is in l and h; as a divisor a counts as exact,
// which is right to second order for a spread of a few percent.
ComparedTest CompareTest(const ResultTest& a, const ResultTest& b) {
  ComparedTest t{.name = a.name, .unit = a.unit};
  t.lower_is_better = a.unit == "ms" || a.unit == "MiB";
  t.mean_a = Mean(a.samples);
  t.mean_b = Mean(b.samples);
  t.samples_a = a.samples.size();
  t.samples_b = b.samples.size();
  t.percent = t.mean_a > 0 ? 100 * (t.mean_b - t.mean_a) / t.mean_a : NAN;
  t.low = t.high = NAN;
  const auto d = WelchDifference(a.samples, b.samples);
  if (d && t.mean_a > 0) {
    t.low = 100 * d->low / t.mean_a;
    t.high = 100 * d->high / t.mean_a;
    t.verdict = VerdictOf(*d, t.lower_is_better);
  }
  return t;
}

void AddSingle(const char* name, const char* unit, std::optional<double> a,
               std::optional<double> b, Comparison* c) {
  if (!a || !b) return;
  c->tests.push_back(CompareTest({name, unit, {*a}}, {name, unit, {*b}}));
}

void Warn(const char* what, const std::string& a, const std::string& b,
          Comparison* c) {
  if (a == b) return;
  c->warnings.push_back(Format("%s differs: %s, %s", what, Printable(a).c_str(),
                               Printable(b).c_str()));
}

void WarnOfMissing(const ResultFile& has, const ResultFile& lacks,
                   Comparison* c) {
  for (const ResultTest& test : has.tests) {
    const ResultTest* other = lacks.Find(test.name);
    if (other != nullptr && !other->samples.empty()) continue;
    c->warnings.push_back(Format(
        "%s has no %s%s", Printable(lacks.path).c_str(),
        other != nullptr ? "samples of " : "", Printable(test.name).c_str()));
  }
}

}  // namespace

const char* VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kBetter:
      return "better";
    case Verdict::kWorse:
      return "worse";
    case Verdict::kNotSignificant:
      return "not significant";
    case Verdict::kTooFewSamples:
      break;
  }
  return "one sample";
}

Result<Comparison> Compare(const ResultFile& a, const ResultFile& b) {
  const std::string name_a = Printable(a.path), name_b = Printable(b.path);
  if (a.verb != b.verb) {
    return Usage("%s is a result of %s, %s of %s: they have nothing in common",
                 name_a.c_str(), Printable(a.verb).c_str(), name_b.c_str(),
                 Printable(b.verb).c_str());
  }
  Comparison c;
  for (const ResultTest& test : a.tests) {
    const ResultTest* other = b.Find(test.name);
    if (other == nullptr || test.samples.empty() || other->samples.empty()) {
      continue;
    }
    if (test.unit != other->unit) {
      return Usage("test %s is in %s and in %s", Printable(test.name).c_str(),
                   Printable(test.unit).c_str(),
                   Printable(other->unit).c_str());
    }
    c.tests.push_back(CompareTest(test, *other));
  }
  if (c.tests.empty()) {
    return Usage("%s and %s have no test in common", name_a.c_str(),
                 name_b.c_str());
  }
  AddSingle("load", "ms", a.load_ms, b.load_ms, &c);
  AddSingle("peak RSS", "MiB", a.peak_rss_mib, b.peak_rss_mib, &c);
  Warn("model", a.model, b.model, &c);
  Warn("CPU", a.cpu, b.cpu, &c);
  Warn("target", a.target, b.target, &c);
  Warn("number of threads", std::to_string(a.threads),
       std::to_string(b.threads), &c);
  Warn("type of the KV cache", a.kv, b.kv, &c);
  WarnOfMissing(a, b, &c);
  WarnOfMissing(b, a, &c);
  return c;
}

}  // namespace slm::bench
