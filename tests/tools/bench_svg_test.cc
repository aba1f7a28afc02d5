// SPDX-License-Identifier: MIT
#include <cmath>

#include "gtest/gtest.h"
#include "tools/bench/svg.h"

namespace slm::bench {
namespace {

bool Has(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

TEST(Svg, StepsAreOneTwoOrFive) {
  struct Case {
    double range;
    int most;
    double step;
  };
  const Case cases[] = {{10, 5, 2},      {10, 10, 1},     {11, 5, 5},
                        {100, 5, 20},    {0.3, 3, 0.1},   {0.31, 3, 0.2},
                        {6200, 5, 2000}, {1e-3, 4, 5e-4}, {7, 1, 10}};
  for (const Case& c : cases) {
    EXPECT_NEAR(NiceStep(c.range, c.most), c.step, 1e-12 * c.step)
        << c.range << " " << c.most;
  }
}

TEST(Svg, TextCannotEndItsElement) {
  const BarPanel panel = {"<b>\"&", "x", {{.label = "</text>\n", .text = ""}}};
  const std::string svg = BarChart({"a & b", {}}, {&panel, 1});
  EXPECT_TRUE(Has(svg, "a &amp; b"));
  EXPECT_TRUE(Has(svg, "&lt;b&gt;&quot;&amp;"));
  EXPECT_TRUE(Has(svg, "&lt;/text&gt;"));
  EXPECT_FALSE(Has(svg, "<b>"));
}

TEST(Svg, NoNumberIsNeitherDrawnNorWritten) {
  const BarPanel panels[] = {
      {"no whisker",
       "x",
       {{.label = "a", .value = 3, .low = NAN, .high = NAN, .text = ""}}},
      {"all 0", "x", {{.label = "a", .text = ""}}},
      {"none", "x", {}},
  };
  const std::string svg = BarChart({"t", {}}, panels);
  const LinePanel lines[] = {
      {.title = "none", .axis = "y", .y = {}, .fit = std::nullopt},
  };
  for (const std::string& chart : {svg, LineChart({"t", {}}, "x", {}, lines)}) {
    EXPECT_FALSE(Has(chart, "nan")) << chart;
    EXPECT_FALSE(Has(chart, "inf")) << chart;
  }
}

TEST(Svg, LongTextIsCutBetweenCharacters) {
  std::string label;
  for (int i = 0; i < 60; ++i) label += "\uc548";
  const BarPanel panel = {"p", "x", {{.label = label, .value = 1, .text = ""}}};
  const std::string svg = BarChart({"t", {}}, {&panel, 1});
  EXPECT_TRUE(Has(svg, "\uc548..."));
  EXPECT_FALSE(Has(svg, label.c_str()));
}

TEST(Svg, ThousandsOfPointsBecomeHundreds) {
  std::vector<double> x, y;
  for (int i = 0; i < 4096; ++i) {
    x.push_back(i);
    y.push_back(i % 7);
  }
  const LinePanel panel = {
      .title = "p", .axis = "y", .y = y, .fit = Line{3, 0, 0}};
  const std::string svg = LineChart({"t", {}}, "x", x, {&panel, 1});
  const size_t begin = svg.find("points=");
  const size_t end = svg.find("/>", begin);
  const auto commas =
      std::count(svg.begin() + static_cast<ptrdiff_t>(begin),
                 svg.begin() + static_cast<ptrdiff_t>(end), ',');
  EXPECT_GT(commas, 300);
  EXPECT_LE(commas, 640);
}

TEST(Svg, APictureNeedsAFolder) {
  EXPECT_TRUE(CheckPicture(std::nullopt).ok());
  EXPECT_TRUE(CheckPicture("picture.svg").ok());
  EXPECT_EQ(CheckPicture("/no/such/picture.svg").kind(), ErrorKind::kNotFound);
  EXPECT_EQ(CheckPicture("/").kind(), ErrorKind::kUsage);
}

}  // namespace
}  // namespace slm::bench
