// SPDX-License-Identifier: MIT
// What samples say: centre, spread, percentiles, a line through them, and
// whether two sets of them differ.
#ifndef SLM_TOOLS_BENCH_STATISTICS_H_
#define SLM_TOOLS_BENCH_STATISTICS_H_

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace slm::bench {

// All are 0 of no sample; stddev is that of a sample (n - 1), 0 of one.
double Mean(std::span<const double> x);
double StdDev(std::span<const double> x);
double Median(std::span<const double> x);

// Samples that a percentile needs before it says more than the largest one
// does: 20 below the 99th, 100 from there on.
size_t LeastSamples(double percent);
// Empty where there are too few samples. Between two samples it is linear, as
// numpy.percentile has it.
std::optional<double> Percentile(std::span<const double> x, double percent);

struct Line {
  double intercept = 0, slope = 0;
  double slope_error = 0;  // standard error of the slope
};
// Least squares of y over x; empty below three points or where all x are one.
std::optional<Line> FitLine(std::span<const double> x,
                            std::span<const double> y);

// The value that Student's t with so many degrees of freedom (any real number
// above 0) stays below with probability p, 0.5 <= p < 1.
double StudentQuantile(double p, double freedom);

// The difference of two means, b - a, with its 95 % confidence interval.
struct Difference {
  double value = 0;
  double low = 0, high = 0;
  double freedom = 0;  // degrees of freedom

  bool IsSignificant() const { return low > 0 || high < 0; }
};
// Welch's; empty where one side has fewer than two samples.
std::optional<Difference> WelchDifference(std::span<const double> a,
                                          std::span<const double> b);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_STATISTICS_H_
