// SPDX-License-Identifier: MIT
// Charts as self-contained SVG: no script, no font, no other file. Colours are
// of middle lightness on no ground, so that a page may be light or dark.
#ifndef SLM_TOOLS_BENCH_SVG_H_
#define SLM_TOOLS_BENCH_SVG_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/result.h"
#include "tools/bench/statistics.h"

namespace slm::bench {

struct ChartHead {
  std::string title;
  std::vector<std::string> lines;  // below it, smaller
};

enum class Tone { kPlain, kGood, kBad, kQuiet };

struct Bar {
  std::string label;  // at the left
  double value = 0;
  double low = 0, high = 0;  // whisker; NaN: none
  Tone tone = Tone::kPlain;
  std::string text;  // at the right
};

// Bars that share a scale, which begins at 0.
struct BarPanel {
  std::string title;
  std::string axis;  // what is on the scale, with its unit
  std::vector<Bar> bars;
};
std::string BarChart(const ChartHead& head, std::span<const BarPanel> panels);

// A line over x; `fit` is drawn through it.
struct LinePanel {
  std::string title;
  std::string axis;  // of y
  std::vector<double> y;
  bool from_zero = false;
  double least_range = 0;  // of y: what is less is noise and stays small
  std::optional<Line> fit = std::nullopt;
};
// Panels one below the other, all over the same x.
std::string LineChart(const ChartHead& head, const std::string& x_axis,
                      std::span<const double> x,
                      std::span<const LinePanel> panels);

// Before a long run: that a picture can be written there, if one is wanted.
Status CheckPicture(const std::optional<std::string>& path);
// Whole or not at all.
Status WritePicture(const std::string& path, const std::string& svg);

// 1, 2 or 5 times a power of ten: the least that divides `range` into at most
// `most` steps.
double NiceStep(double range, int most);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_SVG_H_
