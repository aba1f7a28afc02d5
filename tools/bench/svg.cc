// SPDX-License-Identifier: MIT
#include "tools/bench/svg.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/core/file.h"

namespace slm::bench {
namespace {

// Pixels at the size that the file asks for.
constexpr double kWidth = 760;
constexpr double kMargin = 16;
constexpr double kBarPitch = 26, kBarHeight = 15;
constexpr double kAxisHeight = 40;   // ticks and the name of the axis
constexpr double kTitleHeight = 24;  // of a panel
constexpr double kGap = 14;          // between panels
constexpr double kPlotHeight = 150;  // of a line
constexpr double kMostLabel = 260;   // left of bars
constexpr double kTickColumn = 64;   // left of a line
// More points than this are joined: there are not that many pixels.
constexpr size_t kMostPoints = 640;

// 4 to 1 and more against white and against GitHub's dark #0d1117.
constexpr const char* kInk = "#6e7781";
constexpr const char* kGrid = "#848d97";

// Where the reader's system says that pages are dark.
constexpr const char* kDarkStyle =
    "<style>@media (prefers-color-scheme: dark) {.slm-chart {fill: #9aa4ae} "
    ".slm-whisker {stroke: #b9c1ca}}</style>\n";

const char* ColourOf(Tone tone) {
  switch (tone) {
    case Tone::kGood:
      return "#2f9e68";
    case Tone::kBad:
      return "#cf6a32";
    case Tone::kQuiet:
      return "#8b949e";
    case Tone::kPlain:
      break;
  }
  return "#3f86cf";
}

// A range of values on a stretch of pixels, with steps between.
struct Scale {
  double low = 0, high = 1, step = 1;
  double from = 0, to = 1;  // pixels

  double At(double value) const {
    return from + (value - low) / (high - low) * (to - from);
  }
  std::string Label(double value) const {
    const int decimals =
        std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
    // No "-0".
    return Format("%.*f", decimals, std::abs(value) < step / 2 ? 0.0 : value);
  }
};

// Whole steps around all that is to be seen.
Scale ScaleOf(double low, double high, int most_steps, double from, double to) {
  if (!(high > low)) high = low + 1;
  Scale s{.from = from, .to = to};
  s.step = NiceStep(high - low, most_steps);
  s.low = std::floor(low / s.step + 1e-9) * s.step;
  s.high = std::ceil(high / s.step - 1e-9) * s.step;
  return s;
}

// The most that usual sans-serif fonts take; a wide character counts as two.
double TextWidth(const std::string& text, double size) {
  double units = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) == 0x80) continue;
    units += byte >= 0xE0 ? 2 : 1;
  }
  return units * size * 0.64;
}

// As much of a text as fits.
std::string Fitting(std::string text, double size, double width) {
  if (TextWidth(text, size) <= width) return text;
  while (!text.empty() && TextWidth(text, size) > width - 2 * size) {
    // A whole character, of several bytes or one.
    while (!text.empty() && (text.back() & 0xC0) == 0x80) text.pop_back();
    if (!text.empty()) text.pop_back();
  }
  return text + "...";
}

class Svg {
 public:
  void Text(double x, double y, const std::string& text, double size,
            const char* anchor, bool bold = false) {
    body_ += Format(
        "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%g\" text-anchor=\"%s\"%s>", x,
        y, size, anchor, bold ? " font-weight=\"600\"" : "");
    body_ += Escaped(text) + "</text>\n";
  }
  void Line(double x1, double y1, double x2, double y2, const char* colour,
            double width, double opacity = 1) {
    body_ += Format(
        "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
        "stroke-width=\"%g\" stroke-opacity=\"%g\"/>\n",
        x1, y1, x2, y2, colour, width, opacity);
  }
  void Whisker(double low, double high, double y) {
    body_ += Format(
        "<path class=\"slm-whisker\" fill=\"none\" stroke=\"%s\" "
        "stroke-width=\"1.5\" d=\"M%.1f %.1fV%.1fM%.1f %.1fH%.1fM%.1f "
        "%.1fV%.1f\"/>\n",
        kInk, low, y - 4, y + 4, low, y, high, high, y - 4, y + 4);
  }
  void Rect(double x, double y, double width, double height,
            const char* colour) {
    body_ += Format(
        "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" rx=\"1\" "
        "fill=\"%s\" fill-opacity=\"0.75\"/>\n",
        x, y, width, height, colour);
  }
  void Polyline(const std::vector<std::pair<double, double>>& points,
                const char* colour) {
    body_ +=
        "<polyline fill=\"none\" stroke-width=\"1.5\" "
        "stroke-linejoin=\"round\" stroke=\"" +
        std::string(colour) + "\" points=\"";
    for (const auto& [x, y] : points) body_ += Format("%.1f,%.1f ", x, y);
    body_ += "\"/>\n";
  }

  std::string Done(double height, const std::string& title) const {
    std::string out = Format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%g\" height=\"%g\" "
        "viewBox=\"0 0 %g %g\" role=\"img\" class=\"slm-chart\" fill=\"%s\" "
        "font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\">\n",
        kWidth, height, kWidth, height, kInk);
    out += kDarkStyle;
    return out + "<title>" + Escaped(title) + "</title>\n" + body_ + "</svg>\n";
  }

 private:
  static std::string Escaped(const std::string& text) {
    std::string out;
    for (const char c : Printable(text, 200)) {
      out += c == '&'   ? "&amp;"
             : c == '<' ? "&lt;"
             : c == '>' ? "&gt;"
             : c == '"' ? "&quot;"
                        : std::string(1, c);
    }
    return out;
  }

  std::string body_;
};

// Returns where the panels begin.
double AddHead(const ChartHead& head, Svg* svg) {
  double y = kMargin + 12;
  const double width = kWidth - 2 * kMargin;
  svg->Text(kMargin, y, Fitting(head.title, 16, width), 16, "start",
            /*bold=*/true);
  for (const std::string& line : head.lines) {
    y += 18;
    svg->Text(kMargin, y, Fitting(line, 12, width), 12, "start");
  }
  return y + kGap + 6;
}

// Grid, ticks and name of a scale from left to right, between two heights.
void AddScaleX(const Scale& scale, const std::string& axis, double top,
               double bottom, bool grid, Svg* svg) {
  const int steps =
      static_cast<int>(std::lround((scale.high - scale.low) / scale.step));
  for (int i = 0; i <= steps; ++i) {
    const double value = scale.low + i * scale.step;
    const double x = scale.At(value);
    if (grid) svg->Line(x, top, x, bottom, kGrid, 1, 0.3);
    svg->Line(x, bottom, x, bottom + 4, kGrid, 1);
    svg->Text(x, bottom + 17, scale.Label(value), 11, "middle");
  }
  svg->Line(scale.from, bottom, scale.to, bottom, kGrid, 1);
  svg->Text((scale.from + scale.to) / 2, bottom + 33, axis, 11, "middle");
}

void AddScaleY(const Scale& scale, double left, double right, Svg* svg) {
  const int steps =
      static_cast<int>(std::lround((scale.high - scale.low) / scale.step));
  for (int i = 0; i <= steps; ++i) {
    const double value = scale.low + i * scale.step;
    const double y = scale.At(value);
    svg->Line(left, y, right, y, kGrid, 1, 0.3);
    svg->Text(left - 8, y + 4, scale.Label(value), 11, "end");
  }
}

void AddBar(const Bar& bar, const Scale& scale, double middle, Svg* svg) {
  const double zero = scale.At(0), end = scale.At(bar.value);
  svg->Text(scale.from - 10, middle + 4, Fitting(bar.label, 12, kMostLabel), 12,
            "end");
  svg->Rect(std::min(zero, end), middle - kBarHeight / 2, std::abs(end - zero),
            kBarHeight, ColourOf(bar.tone));
  if (std::isfinite(bar.low) && std::isfinite(bar.high)) {
    const double low = scale.At(bar.low), high = scale.At(bar.high);
    svg->Whisker(low, high, middle);
  }
  svg->Text(kWidth - kMargin, middle + 4, bar.text, 12, "end");
}

// The columns beside the bars.
struct Columns {
  double labels = 0, texts = 0;
};

double AddBarPanel(const BarPanel& panel, const Columns& columns, double y,
                   Svg* svg) {
  double low = 0, high = 0;
  for (const Bar& bar : panel.bars) {
    for (const double value : {bar.value, bar.low, bar.high}) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  const Scale scale = ScaleOf(low, high, 5, kMargin + columns.labels,
                              kWidth - kMargin - columns.texts);
  svg->Text(kMargin, y + 10, Fitting(panel.title, 13, kWidth - 2 * kMargin), 13,
            "start", /*bold=*/true);
  const double top = y + kTitleHeight;
  const double bottom =
      top + kBarPitch * static_cast<double>(panel.bars.size());
  AddScaleX(scale, panel.axis, top, bottom, /*grid=*/true, svg);
  if (low < 0) svg->Line(scale.At(0), top, scale.At(0), bottom, kGrid, 1.5);
  double middle = top + kBarPitch / 2;
  for (const Bar& bar : panel.bars) {
    AddBar(bar, scale, middle, svg);
    middle += kBarPitch;
  }
  return bottom + kAxisHeight + kGap;
}

// Neighbours become their mean where there are too many points.
std::vector<double> Thinned(std::span<const double> values) {
  const size_t every = (values.size() + kMostPoints - 1) / kMostPoints;
  std::vector<double> thin;
  for (size_t i = 0; i < values.size(); i += every) {
    thin.push_back(Mean(values.subspan(i, std::min(every, values.size() - i))));
  }
  return thin;
}

Scale ScaleOfLine(const LinePanel& panel, double top) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const double value : panel.y) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (panel.y.empty()) low = high = 0;
  if (panel.from_zero) low = std::min(low, 0.0);
  const double missing = panel.least_range - (high - low);
  if (missing > 0) {
    low -= missing / 2;
    high += missing / 2;
  }
  return ScaleOf(low, high, 4, top + kPlotHeight, top);
}

double AddLinePanel(const LinePanel& panel, std::span<const double> x,
                    const Scale& scale_x, double y, Svg* svg) {
  svg->Text(kMargin, y + 10, panel.title, 13, "start", /*bold=*/true);
  svg->Text(kWidth - kMargin, y + 10, panel.axis, 11, "end");
  const double top = y + kTitleHeight;
  const Scale scale = ScaleOfLine(panel, top);
  AddScaleY(scale, scale_x.from, scale_x.to, svg);
  if (panel.fit && !x.empty()) {
    const auto at = [&](double v) {
      return std::clamp(scale.At(panel.fit->intercept + panel.fit->slope * v),
                        top, top + kPlotHeight);
    };
    svg->Line(scale_x.At(x.front()), at(x.front()), scale_x.At(x.back()),
              at(x.back()), ColourOf(Tone::kBad), 1.5);
  }
  std::vector<std::pair<double, double>> points;
  const std::vector<double> thin_x = Thinned(x), thin_y = Thinned(panel.y);
  for (size_t i = 0; i < std::min(thin_x.size(), thin_y.size()); ++i) {
    points.emplace_back(scale_x.At(thin_x[i]), scale.At(thin_y[i]));
  }
  svg->Polyline(points, ColourOf(Tone::kPlain));
  return top + kPlotHeight;
}

}  // namespace

Status CheckPicture(const std::optional<std::string>& path) {
  if (!path) return OkStatus();
  const size_t slash = path->rfind('/');
  const std::string folder = slash == std::string::npos ? "."
                             : slash == 0               ? "/"
                                          : path->substr(0, slash);
  if (!IsFolder(folder)) {
    return Error(ErrorKind::kNotFound, "--svg \"%s\": no such folder \"%s\"",
                 Printable(*path, 400).c_str(), Printable(folder, 400).c_str());
  }
  if (IsFolder(*path)) {
    return Usage("--svg \"%s\" is a folder", Printable(*path, 400).c_str());
  }
  return OkStatus();
}

Status WritePicture(const std::string& path, const std::string& svg) {
  return WriteFileAtomic(path, svg);
}

double NiceStep(double range, int most) {
  const double least = range / most;
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    // What arithmetic leaves of a step that fits exactly.
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

std::string BarChart(const ChartHead& head, std::span<const BarPanel> panels) {
  Svg svg;
  double y = AddHead(head, &svg);
  Columns columns;
  for (const BarPanel& panel : panels) {
    for (const Bar& bar : panel.bars) {
      columns.labels = std::max(columns.labels, TextWidth(bar.label, 12));
      columns.texts = std::max(columns.texts, TextWidth(bar.text, 12));
    }
  }
  columns.labels = std::min(columns.labels, kMostLabel) + 14;
  columns.texts += 20;
  for (const BarPanel& panel : panels) {
    y = AddBarPanel(panel, columns, y, &svg);
  }
  return svg.Done(y, head.title);
}

std::string LineChart(const ChartHead& head, const std::string& x_axis,
                      std::span<const double> x,
                      std::span<const LinePanel> panels) {
  Svg svg;
  double y = AddHead(head, &svg);
  const Scale scale = ScaleOf(0, x.empty() ? 1 : x.back(), 8,
                              kMargin + kTickColumn, kWidth - kMargin - 8);
  for (const LinePanel& panel : panels) {
    y = AddLinePanel(panel, x, scale, y, &svg);
    AddScaleX(scale, x_axis, y - kPlotHeight, y, /*grid=*/false, &svg);
    y += kAxisHeight + kGap;
  }
  return svg.Done(y, head.title);
}

}  // namespace slm::bench
