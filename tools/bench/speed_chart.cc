// SPDX-License-Identifier: MIT
#include <cmath>

#include "tools/bench/speed_report.h"
#include "tools/bench/svg.h"

namespace slm::bench {
namespace {

Bar BarOf(const TestResult& test) {
  const Speed speed = SpeedOf(test);
  const bool one = test.repetitions.size() < 2;
  const int decimals = speed.mean < 100 ? 2 : 0;
  Bar bar;
  bar.label = test.test.Name();
  bar.value = speed.mean;
  bar.low = one ? NAN : speed.mean - speed.stddev;
  bar.high = one ? NAN : speed.mean + speed.stddev;
  bar.text = Format("%.*f", decimals, speed.mean);
  if (!one) bar.text += Format(" \u00b1 %.*f", decimals, speed.stddev);
  return bar;
}

}  // namespace

std::string Chart(const Report& r) {
  const size_t n = r.tests.empty() ? 0 : r.tests[0].repetitions.size();
  const ChartHead head = {
      "slm-bench speed: " + r.info.model,
      {MachineLine(r.info, ", "),
       Format("load %.0f ms, peak memory %.0f MiB. Bars: mean of %zu "
              "repetitions; whiskers: one standard deviation",
              r.load_ms, MiB(r.peak_rss), n)}};
  BarPanel prefill = {"Prefill", "tokens per second, more is better", {}};
  BarPanel decode = {"Decode", "tokens per second, more is better", {}};
  for (const TestResult& test : r.tests) {
    (test.test.decode ? decode : prefill).bars.push_back(BarOf(test));
  }
  std::vector<BarPanel> panels;
  for (BarPanel* panel : {&prefill, &decode}) {
    if (!panel->bars.empty()) panels.push_back(std::move(*panel));
  }
  return BarChart(head, panels);
}

}  // namespace slm::bench
