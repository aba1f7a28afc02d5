// SPDX-License-Identifier: MIT
// Expected values are of numpy 2.4.6 and scipy 1.17.1 where nothing else is
// said: numpy.percentile, scipy.stats.linregress, t.ppf and ttest_ind with
// equal_var=False and its confidence_interval(0.95).
#include <cmath>

#include "gtest/gtest.h"
#include "tools/bench/statistics.h"

namespace slm::bench {
namespace {

using Samples = std::vector<double>;

const Samples kTwenty = {3.5, 1.25, 8,    2,  9.75, 4,  7,  6,  5,  0.5,
                         11,  10,   12.5, 13, 14,   15, 16, 17, 18, 30};

TEST(Statistics, MeanStdDevAndMedianOfFewSamples) {
  EXPECT_EQ(Mean({}), 0);
  EXPECT_EQ(Median({}), 0);
  EXPECT_EQ(StdDev(Samples{5}), 0);
  EXPECT_EQ(Median(Samples{5}), 5);
  EXPECT_EQ(Median(Samples{4, 1, 3, 2}), 2.5);
  EXPECT_EQ(Median(Samples{9, 1, 3}), 3);
  EXPECT_DOUBLE_EQ(Mean(kTwenty), 10.175);
  EXPECT_DOUBLE_EQ(StdDev(kTwenty), 7.1405531998578375);
}

TEST(Statistics, PercentilesAreNumpys) {
  EXPECT_DOUBLE_EQ(*Percentile(kTwenty, 0), 0.5);
  EXPECT_DOUBLE_EQ(*Percentile(kTwenty, 50), 9.875);
  EXPECT_DOUBLE_EQ(*Percentile(kTwenty, 95), 18.60000000000001);
  Samples hundred;
  for (int i = 0; i < 100; ++i) hundred.push_back((i * 37 % 101) / 8.0);
  EXPECT_DOUBLE_EQ(*Percentile(hundred, 95), 11.88125);
  EXPECT_DOUBLE_EQ(*Percentile(hundred, 99), 12.37625);
  EXPECT_DOUBLE_EQ(*Percentile(hundred, 100), 100 / 8.0);  // the largest
}

TEST(Statistics, APercentileOfTooFewSamplesIsNone) {
  EXPECT_FALSE(Percentile(Samples(19, 1.0), 50));
  EXPECT_TRUE(Percentile(Samples(20, 1.0), 50));
  EXPECT_TRUE(Percentile(Samples(20, 1.0), 95));
  EXPECT_FALSE(Percentile(Samples(99, 1.0), 99));
  EXPECT_TRUE(Percentile(Samples(100, 1.0), 99));
  EXPECT_FALSE(Percentile({}, 50));
}

TEST(Statistics, LineHasScipysSlopeAndError) {
  const auto line = FitLine(Samples{0, 1, 2.5, 3, 4.25, 6},
                            Samples{10, 12.5, 11, 14, 13.5, 17});
  ASSERT_TRUE(line);
  EXPECT_NEAR(line->slope, 1.0030959752321982, 1e-14);
  EXPECT_NEAR(line->intercept, 10.19969040247678, 1e-13);
  EXPECT_NEAR(line->slope_error, 0.2687008912731057, 1e-14);
}

TEST(Statistics, AStraightLineHasNoError) {
  // By hand: y = 3 - 2x.
  const auto line = FitLine(Samples{0, 1, 2}, Samples{3, 1, -1});
  ASSERT_TRUE(line);
  EXPECT_DOUBLE_EQ(line->slope, -2);
  EXPECT_DOUBLE_EQ(line->intercept, 3);
  EXPECT_DOUBLE_EQ(line->slope_error, 0);
}

TEST(Statistics, NoLineThroughTwoPointsOrOnePlace) {
  EXPECT_FALSE(FitLine(Samples{0, 1}, Samples{3, 1}));
  EXPECT_FALSE(FitLine(Samples{1, 1, 1}, Samples{3, 1, 2}));
}

TEST(Statistics, StudentQuantilesAreScipys) {
  struct Case {
    double p, freedom, value;
  };
  const Case cases[] = {
      {0.975, 1, 12.706204736174694},
      {0.975, 2, 4.302652729749462},
      {0.975, 4.37, 2.6861481000408847},
      {0.975, 30, 2.0422724563012378},
      {0.975, 1e6, 1.959966356814107},
      {0.95, 7.5, 1.8757474792112878},
      {0.5, 3, 0},
      {0.9995, 2, 31.599054576445365},
  };
  for (const Case& c : cases) {
    // lgamma of 5e5 leaves a relative error of some 1e-10 (its value, 6e6,
    // times the last bit); everything else is far better.
    EXPECT_NEAR(StudentQuantile(c.p, c.freedom), c.value,
                1e-9 * std::max(1.0, c.value))
        << c.p << " " << c.freedom;
  }
}

TEST(Statistics, WelchIntervalsAreScipys) {
  const Samples a = {100, 102, 98, 101, 99};
  struct Case {
    Samples b;
    double value, freedom, low, high;
    bool significant;
  };
  const Case cases[] = {
      // Just not: the interval holds 0 by a thousandth.
      {{104, 109, 101, 107},
       5.25,
       3.979991833401388,
       -0.0008313715687657819,
       10.500831371568765,
       false},
      {{101, 96, 107, 99},
       0.75,
       3.5588257076414913,
       -6.334318198333512,
       7.834318198333512,
       false},
  };
  for (const Case& c : cases) {
    const auto d = WelchDifference(a, c.b);
    ASSERT_TRUE(d);
    EXPECT_DOUBLE_EQ(d->value, c.value);
    EXPECT_NEAR(d->freedom, c.freedom, 1e-12);
    EXPECT_NEAR(d->low, c.low, 1e-9);
    EXPECT_NEAR(d->high, c.high, 1e-9);
    EXPECT_EQ(d->IsSignificant(), c.significant);
  }
  // By hand: the same spread far away.
  const auto far = WelchDifference(a, Samples{200, 202, 198, 201, 199});
  ASSERT_TRUE(far);
  EXPECT_DOUBLE_EQ(far->freedom, 8);
  EXPECT_TRUE(far->IsSignificant());
}

TEST(Statistics, OneSampleHasNoInterval) {
  EXPECT_FALSE(WelchDifference(Samples{1}, Samples{1, 2}));
  EXPECT_FALSE(WelchDifference(Samples{1, 2}, {}));
}

TEST(Statistics, WithoutSpreadTheIntervalIsThePoint) {
  const auto d = WelchDifference(Samples{2, 2}, Samples{3, 3, 3});
  ASSERT_TRUE(d);
  EXPECT_EQ(d->low, 1);
  EXPECT_EQ(d->high, 1);
  EXPECT_TRUE(d->IsSignificant());
  EXPECT_FALSE(WelchDifference(Samples{2, 2}, Samples{2, 2})->IsSignificant());
}

}  // namespace
}  // namespace slm::bench
