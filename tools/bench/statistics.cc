// SPDX-License-Identifier: MIT
#include "tools/bench/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace slm::bench {
namespace {

double Count(std::span<const double> x) {
  return static_cast<double>(x.size());
}

// Sum of (x - mean)^2.
double Squares(std::span<const double> x) {
  const double mean = Mean(x);
  double sum = 0;
  for (const double v : x) sum += (v - mean) * (v - mean);
  return sum;
}

// The incomplete beta function's continued fraction (Abramowitz and Stegun
// 26.5.8), by Lentz's method: B_x(a, b) = x^a (1-x)^b / (a F) with
//   F = 1 + d1/(1 + d2/(1 + ...)),
//   d(2m)   =  m (b-m) x / ((a+2m-1)(a+2m)),
//   d(2m+1) = -(a+m)(a+b+m) x / ((a+2m)(a+2m+1)).
// It converges fast for x < (a+1) / (a+b+2); returns 1/F.
double BetaFraction(double a, double b, double x) {
  constexpr double kTiny = std::numeric_limits<double>::min() / 1e-16;
  constexpr int kMostTerms = 10000;
  const auto kept = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1;
  double d = 1 / kept(1 - (a + b) * x / (a + 1));
  double f = d;
  for (int m = 1; m < kMostTerms; ++m) {
    const double even = m * (b - m) * x / ((a + 2.0 * m - 1) * (a + 2.0 * m));
    d = 1 / kept(1 + even * d);
    c = kept(1 + even / c);
    f *= d * c;
    const double odd =
        -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1));
    d = 1 / kept(1 + odd * d);
    c = kept(1 + odd / c);
    f *= d * c;
    if (std::abs(d * c - 1) < 1e-15) break;
  }
  return f;
}

// I_x(a, b), the share of the beta distribution below x.
double IncompleteBeta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
               a * std::log(x) + b * std::log1p(-x));
  return x < (a + 1) / (a + b + 2) ? front * BetaFraction(a, b, x) / a
                                   : 1 - front * BetaFraction(b, a, 1 - x) / b;
}

// P(T < t) for t >= 0: 1 - I_x(v/2, 1/2) / 2 with x = v / (v + t^2).
double StudentBelow(double t, double freedom) {
  return 1 - IncompleteBeta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2;
}

}  // namespace

double Mean(std::span<const double> x) {
  if (x.empty()) return 0;
  double sum = 0;
  for (const double v : x) sum += v;
  return sum / Count(x);
}

double StdDev(std::span<const double> x) {
  return x.size() < 2 ? 0 : std::sqrt(Squares(x) / (Count(x) - 1));
}

double Median(std::span<const double> x) {
  if (x.empty()) return 0;
  std::vector<double> sorted(x.begin(), x.end());
  std::sort(sorted.begin(), sorted.end());
  return (sorted[(x.size() - 1) / 2] + sorted[x.size() / 2]) / 2;
}

size_t LeastSamples(double percent) { return percent < 99 ? 20 : 100; }

std::optional<double> Percentile(std::span<const double> x, double percent) {
  if (x.size() < LeastSamples(percent)) return std::nullopt;
  std::vector<double> sorted(x.begin(), x.end());
  std::sort(sorted.begin(), sorted.end());
  const double at = percent / 100 * (Count(x) - 1);
  const size_t below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, x.size() - 1);
  const double part = at - static_cast<double>(below);
  return sorted[below] + part * (sorted[above] - sorted[below]);
}

// slope = Sxy / Sxx, its error sqrt(S / (n - 2) / Sxx) with S the sum of the
// squares that the line leaves.
std::optional<Line> FitLine(std::span<const double> x,
                            std::span<const double> y) {
  if (x.size() < 3 || x.size() != y.size()) return std::nullopt;
  const double sxx = Squares(x);
  if (sxx <= 0) return std::nullopt;
  const double mean_x = Mean(x), mean_y = Mean(y);
  double sxy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sxy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  Line line;
  line.slope = sxy / sxx;
  line.intercept = mean_y - line.slope * mean_x;
  double left = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double off = y[i] - line.intercept - line.slope * x[i];
    left += off * off;
  }
  line.slope_error = std::sqrt(left / (Count(x) - 2) / sxx);
  return line;
}

double StudentQuantile(double p, double freedom) {
  double low = 0, high = 1;
  while (StudentBelow(high, freedom) < p && high < 1e12) high *= 2;
  // Each step halves what is left: 200 are past the last bit.
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = (low + high) / 2;
    (StudentBelow(middle, freedom) < p ? low : high) = middle;
  }
  return (low + high) / 2;
}

// d = mean(b) - mean(a), e^2 = va + vb with v = s^2 / n,
// freedom = (va + vb)^2 / (va^2 / (na - 1) + vb^2 / (nb - 1)),
// interval d +- t(0.975, freedom) e.
std::optional<Difference> WelchDifference(std::span<const double> a,
                                          std::span<const double> b) {
  if (a.size() < 2 || b.size() < 2) return std::nullopt;
  const double na = Count(a), nb = Count(b);
  const double va = Squares(a) / (na - 1) / na;
  const double vb = Squares(b) / (nb - 1) / nb;
  Difference d;
  d.value = Mean(b) - Mean(a);
  d.low = d.high = d.value;
  // Without any spread there is nothing to weigh: the interval is the point.
  if (va + vb <= 0) {
    d.freedom = na + nb - 2;
    return d;
  }
  d.freedom = (va + vb) * (va + vb) / (va * va / (na - 1) + vb * vb / (nb - 1));
  const double reach = StudentQuantile(0.975, d.freedom) * std::sqrt(va + vb);
  d.low -= reach;
  d.high += reach;
  return d;
}

}  // namespace slm::bench
