// SPDX-License-Identifier: MIT
// Intervals are of scipy 1.17.1 (see bench_statistics_test.cc) over the mean.
#include <cmath>

#include "gtest/gtest.h"
#include "tools/bench/compare_options.h"
#include "tools/bench/comparison.h"

namespace slm::bench {
namespace {

ResultFile FileOf(std::vector<ResultTest> tests) {
  ResultFile file;
  file.path = "r.json";
  file.verb = "speed";
  file.model = "m";
  file.threads = 2;
  file.tests = std::move(tests);
  return file;
}

const std::vector<double> kA = {100, 102, 98, 101, 99};

TEST(Comparison, IsInPercentOfTheFirstMean) {
  // A's mean is 100, so Welch's interval is in percent as it stands.
  const auto c = Compare(FileOf({{"tg4", "tok/s", kA}}),
                         FileOf({{"tg4", "tok/s", {101, 96, 107, 99}}}));
  ASSERT_TRUE(c.ok()) << c.status().message();
  ASSERT_EQ(c->tests.size(), 1u);
  const ComparedTest& t = c->tests[0];
  EXPECT_DOUBLE_EQ(t.mean_a, 100);
  EXPECT_DOUBLE_EQ(t.mean_b, 100.75);
  EXPECT_NEAR(t.percent, 0.75, 1e-12);
  EXPECT_NEAR(t.low, -6.334318198333512, 1e-9);
  EXPECT_NEAR(t.high, 7.834318198333512, 1e-9);
  EXPECT_EQ(t.verdict, Verdict::kNotSignificant);
  EXPECT_TRUE(c->warnings.empty());
}

TEST(Comparison, MoreTokensAreBetterAndMoreMillisecondsAreWorse) {
  const std::vector<double> more = {110, 112, 108, 111, 109};
  const auto c = Compare(
      FileOf({{"a", "tok/s", kA}, {"b", "ms", kA}, {"c", "ms", more}}),
      FileOf({{"a", "tok/s", more}, {"b", "ms", more}, {"c", "ms", kA}}));
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(c->tests[0].verdict, Verdict::kBetter);
  EXPECT_EQ(c->tests[1].verdict, Verdict::kWorse);
  EXPECT_EQ(c->tests[2].verdict, Verdict::kBetter);
}

TEST(Comparison, OneSampleHasADifferenceAndNoInterval) {
  ResultFile a = FileOf({{"a", "tok/s", {100}}});
  ResultFile b = FileOf({{"a", "tok/s", {150}}});
  a.load_ms = 40;
  b.load_ms = 30;
  a.peak_rss_mib = 10;  // b does not know
  const auto c = Compare(a, b);
  ASSERT_TRUE(c.ok());
  ASSERT_EQ(c->tests.size(), 2u);
  EXPECT_DOUBLE_EQ(c->tests[0].percent, 50);
  EXPECT_TRUE(std::isnan(c->tests[0].low));
  EXPECT_EQ(c->tests[0].verdict, Verdict::kTooFewSamples);
  EXPECT_EQ(c->tests[1].name, "load");
  EXPECT_DOUBLE_EQ(c->tests[1].percent, -25);
}

TEST(Comparison, WarnsOfWhatDiffers) {
  const ResultFile a = FileOf({{"a", "tok/s", {1}}, {"b", "tok/s", {1}}});
  ResultFile b = FileOf({{"a", "tok/s", {1}}, {"c", "tok/s", {1}}});
  b.tests.push_back({"b", "tok/s", {}});
  b.path = "s.json";
  b.model = "n";
  b.cpu = "x";
  b.target = "AVX2";
  b.threads = 4;
  b.kv = "int8";
  const auto c = Compare(a, b);
  ASSERT_TRUE(c.ok());
  std::string all;
  for (const std::string& warning : c->warnings) all += warning + "\n";
  EXPECT_EQ(all,
            "model differs: m, n\nCPU differs: , x\ntarget differs: , AVX2\n"
            "number of threads differs: 2, 4\n"
            "type of the KV cache differs: , int8\n"
            "s.json has no samples of b\nr.json has no c\n");
}

TEST(Comparison, NothingInCommonIsRefused) {
  const ResultFile a = FileOf({{"a", "tok/s", {1}}});
  ResultFile chat = a;
  chat.verb = "chat";
  const std::pair<ResultFile, const char*> cases[] = {
      {chat, "they have nothing in common"},
      {FileOf({{"b", "tok/s", {1}}}), "have no test in common"},
      {FileOf({{"a", "tok/s", {}}}), "have no test in common"},
      {FileOf({{"a", "ms", {1}}}), "test a is in tok/s and in ms"},
  };
  for (const auto& [b, part] : cases) {
    const auto c = Compare(a, b);
    ASSERT_FALSE(c.ok()) << part;
    EXPECT_EQ(c.status().kind(), ErrorKind::kUsage);
    EXPECT_NE(c.status().message().find(part), std::string::npos)
        << c.status().message();
  }
}

TEST(CompareOptions, WantsTwoFiles) {
  using Args = std::vector<std::string>;
  for (const Args& args : {Args{}, Args{"a.json"}, Args{"a", "b", "-t", "2"},
                           Args{"a", "b", "-m", "c"}}) {
    auto flags = Flags::Parse(kCompareFlags, args);
    EXPECT_FALSE(flags.ok() && ReadCompareOptions(&*flags).ok());
  }
  auto flags = Flags::Parse(kCompareFlags, Args{"a", "b", "c", "-o", "md"});
  ASSERT_TRUE(flags.ok());
  const auto o = ReadCompareOptions(&*flags);
  ASSERT_TRUE(o.ok());
  EXPECT_EQ(o->files, (Args{"a", "b", "c"}));
  EXPECT_EQ(o->output, OutputFormat::kMarkdown);
}

}  // namespace
}  // namespace slm::bench
