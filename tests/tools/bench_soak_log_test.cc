// SPDX-License-Identifier: MIT
// All expected values are by hand.
#include <cmath>

#include "gtest/gtest.h"
#include "tools/bench/checks.h"
#include "tools/bench/soak_log.h"

namespace slm::bench {
namespace {

// Round i of n: an hour each, memory grows by `leak` MiB an hour, each round
// decodes `tokens` in a second.
SoakSample RoundAt(int i, double leak, double tokens) {
  return {.hours = i + 1.0,
          .rss_mib = 100 + leak * i,
          .tokens = tokens,
          .seconds = 1};
}

TEST(SoakLog, KeepsEveryRoundUntilItIsFull) {
  SoakLog log(4);
  for (int i = 0; i < 4; ++i) log.Add(RoundAt(i, 1, 10));
  EXPECT_EQ(log.rounds(), 4u);
  EXPECT_EQ(log.rounds_per_sample(), 1u);
  ASSERT_EQ(log.samples().size(), 4u);
  EXPECT_EQ(log.samples()[2].hours, 3);
  EXPECT_EQ(log.samples()[2].rss_mib, 102);
}

TEST(SoakLog, JoinsNeighboursWhenItIsFullAndLosesNoRound) {
  for (const int rounds : {5, 6, 7, 8, 9, 15, 16, 17, 1000}) {
    SoakLog log(4);
    for (int i = 0; i < rounds; ++i) log.Add(RoundAt(i, 1, 10));
    const auto samples = log.samples();
    EXPECT_LE(samples.size(), 4u);
    EXPECT_GT(samples.size(), 2u);
    double tokens = 0;
    for (const SoakSample& sample : samples) tokens += sample.tokens;
    EXPECT_EQ(tokens, 10.0 * rounds) << rounds;
    EXPECT_EQ(samples.back().hours, rounds) << rounds;
    EXPECT_EQ(samples.back().rss_mib, 100 + rounds - 1) << rounds;
    // A sample ends with its last round.
    EXPECT_EQ(samples[0].hours, static_cast<double>(log.rounds_per_sample()));
    EXPECT_EQ(samples[0].rss_mib, 99 + samples[0].hours);
  }
}

TEST(SoakLog, ALeakIsTheSlopeOfTheMemory) {
  for (const double leak : {0.0, 2.5, -1.0}) {
    SoakLog log(8);
    for (int i = 0; i < 100; ++i) log.Add(RoundAt(i, leak, 10));
    const auto line = LeakOf(log.samples());
    ASSERT_TRUE(line);
    EXPECT_NEAR(line->slope, leak, 1e-12);
    EXPECT_NEAR(line->slope_error, 0, 1e-6);
  }
  SoakLog two(8);
  two.Add(RoundAt(0, 1, 10));
  two.Add(RoundAt(1, 1, 10));
  EXPECT_FALSE(LeakOf(two.samples()));
}

TEST(SoakLog, ADriftIsOfTheFirstAndTheLastQuarter) {
  SoakLog log(64);
  // Quarters of two: 10 and 30, ..., 16 and 20 tokens a second.
  for (const double tokens : {10, 30, 99, 1, 7, 99, 16, 20}) {
    log.Add(RoundAt(0, 0, tokens));
  }
  const auto drift = DriftOf(log.samples());
  ASSERT_TRUE(drift);
  EXPECT_EQ(drift->first, 20);
  EXPECT_EQ(drift->last, 18);
  EXPECT_NEAR(drift->Percent(), -10, 1e-12);
  EXPECT_FALSE(DriftOf(log.samples().first(3)));
}

TEST(SoakLog, NothingDecodedHasNoDrift) {
  SoakLog log(64);
  for (int i = 0; i < 8; ++i) {
    log.Add({.hours = 1.0 * i, .rss_mib = 1, .tokens = 0, .seconds = 0});
  }
  EXPECT_FALSE(DriftOf(log.samples()));
}

TEST(Checks, ALimitHoldsUpToItsValue) {
  struct Case {
    bool at_least;
    std::optional<double> limit;
    double measured;
    bool ok;
  };
  const Case cases[] = {
      {true, 10, 10, true},          {true, 10, 9.99, false},
      {false, 10, 10, true},         {false, 10, 10.1, false},
      {true, std::nullopt, 0, true}, {true, 10, NAN, false},
      {false, 10, NAN, false},       {false, std::nullopt, NAN, true},
  };
  for (const Case& c : cases) {
    const Check check = {"x", "ms", 2, c.at_least, c.limit, c.measured};
    EXPECT_EQ(check.ok(), c.ok) << c.measured;
    EXPECT_EQ(ExitCodeOf({&check, 1}), c.ok ? 0 : 10);
  }
}

}  // namespace
}  // namespace slm::bench
