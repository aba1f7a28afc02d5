// SPDX-License-Identifier: MIT
#include "runtime/sampler.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/candidates.h"
#include "runtime/logprobs.h"

namespace slm {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

SearchOptions Sampling(int64_t top_k, float top_p) {
  SearchOptions o;
  o.do_sample = true;
  o.top_k = top_k;
  o.top_p = top_p;
  o.max_length = 100;
  return o;
}

std::vector<Candidate> SortedTwin(const std::vector<float>& scores) {
  std::vector<Candidate> sorted;
  for (size_t i = 0; i < scores.size(); ++i) {
    const float s = scores[i];
    sorted.push_back({std::isnan(s) ? -kInf : s, static_cast<int32_t>(i)});
  }
  std::stable_sort(
      sorted.begin(), sorted.end(),
      [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
  return sorted;
}

TEST(Candidates, TopIsAPrefixOfTheStableSort) {
  std::mt19937 random(3);
  Candidates candidates;
  for (const size_t size : {1u, 2u, 15u, 63u, 64u, 65u, 130u, 1000u, 20000u}) {
    for (int kind = 0; kind < 5; ++kind) {
      std::vector<float> scores(size);
      for (float& s : scores) {
        s = static_cast<float>(random() % (kind == 0 ? 1u : 100000u)) - 500;
        if (kind == 2) s = std::floor(s / 10000);  // many ties
        if (kind == 3 && random() % 3 == 0) s = kNan;
        if (kind == 4) s = random() % 2 == 0 ? -kInf : kNan;
      }
      if (kind == 3) scores[size / 2] = kInf;
      const std::vector<Candidate> twin = SortedTwin(scores);
      candidates.Reset(scores);
      EXPECT_EQ(candidates.max(), twin[0].score);
      for (const size_t count : {1u, 3u, 16u, 64u, 200u, 256u, 20001u}) {
        const auto top = candidates.Top(count);
        ASSERT_GE(top.size(), std::min<size_t>(count, size));
        for (size_t i = 0; i < top.size(); ++i) {
          ASSERT_EQ(top[i].score, twin[i].score) << size << " " << kind;
          // NaN and -infinity count as equal; their order is not promised.
          if (top[i].score != -kInf) {
            ASSERT_EQ(top[i].id, twin[i].id);
          }
        }
      }
    }
  }
}

TEST(Candidates, ArgMaxIsTheFirstMaximumAndNeverNan) {
  EXPECT_EQ(ArgMax(std::vector<float>{kNan, 1, 3, kNan, 3}), 2);
  EXPECT_EQ(ArgMax(std::vector<float>{kNan, kNan}), 0);
  EXPECT_EQ(ArgMax(std::vector<float>{-kInf, kNan}), 0);
  EXPECT_EQ(ArgMax(std::vector<float>{}), 0);
  std::vector<float> row(1000, -7.0f);
  row[777] = row[900] = -6;
  EXPECT_EQ(ArgMax(row), 777);
}

#ifdef __GLIBCXX__
TEST(Sampler, DrawsAreThoseOfLibstdcxx) {
  std::mt19937 ours(99), theirs(99);
  std::mt19937 data(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<float> weights(1 + data() % 50);
    for (float& w : weights) {
      w = data() % 4 == 0 ? 0.0f : static_cast<float>(data() % 1000);
    }
    weights[data() % weights.size()] = 1;
    std::discrete_distribution<int> twin(weights.begin(), weights.end());
    ASSERT_EQ(SampleIndex(weights, ours), static_cast<size_t>(twin(theirs)));
    ASSERT_EQ(Canonical(ours), (std::generate_canonical<double, 53>(theirs)));
  }
}
#endif

// How often each of the tokens comes up in `draws`, as a share.
std::vector<double> Shares(const SearchOptions& options,
                           const std::vector<float>& logits, int draws) {
  Sampler sampler(options, 5);
  std::vector<double> shares(logits.size());
  for (int i = 0; i < draws; ++i) {
    auto token = sampler.Choose(logits);
    EXPECT_TRUE(token.ok());
    shares[*token] += 1.0 / draws;
  }
  return shares;
}

TEST(Sampler, MinPDropsWhatIsLessProbableThanItsShareOfTheBest) {
  // Probabilities 0.5, 0.3, 0.15, 0.05; min_p 0.25 keeps p >= 0.125.
  const std::vector<float> logits = {std::log(0.15f), std::log(0.5f),
                                     std::log(0.05f), std::log(0.3f)};
  constexpr int kDraws = 40000;
  const double expected[] = {0.15 / 0.95, 0.5 / 0.95, 0, 0.3 / 0.95};
  for (const int64_t top_k : {0, 4}) {
    SearchOptions o = Sampling(top_k, 1);
    o.min_p = 0.25f;
    const std::vector<double> shares = Shares(o, logits, kDraws);
    EXPECT_EQ(shares[2], 0);
    for (int i = 0; i < 4; ++i) {
      // 5 standard deviations of a share of kDraws draws
      EXPECT_NEAR(shares[i], expected[i],
                  5 * std::sqrt(expected[i] * (1 - expected[i]) / kDraws));
    }
  }
}

TEST(Sampler, MinPLooksAtTheDistributionAfterTemperature) {
  // At temperature 2 the ratio 1/16 becomes 1/4.
  SearchOptions o = Sampling(0, 1);
  o.min_p = 0.2f;
  const std::vector<float> logits = {0, std::log(1.0f / 16)};
  EXPECT_EQ(Shares(o, logits, 1000)[1], 0);
  o.temperature = 2;
  EXPECT_GT(Shares(o, logits, 1000)[1], 0.1);
}

TEST(Sampler, FullSamplingOfALargeVocabularyHasTheRightShares) {
  // 10 tokens share half of the probability, 9000 the other half.
  std::vector<float> logits(9010, std::log(0.5f / 9000));
  for (size_t i = 0; i < 10; ++i) logits[i * 900 + 5] = std::log(0.05f);
  constexpr int kDraws = 1000;
  const std::vector<double> shares = Shares(Sampling(0, 1), logits, kDraws);
  double heavy = 0;
  for (size_t i = 0; i < 10; ++i) heavy += shares[i * 900 + 5];
  EXPECT_NEAR(heavy, 0.5, 5 * std::sqrt(0.25 / kDraws));
}

TEST(Sampler, ForbiddenTokensAreNotDrawn) {
  std::vector<float> logits(5000, std::numeric_limits<float>::lowest());
  logits[17] = 0;
  for (const float top_p : {0.9f, 1.0f}) {
    for (const int64_t top_k : {0, 40}) {
      Sampler sampler(Sampling(top_k, top_p), 3);
      for (int i = 0; i < 50; ++i) EXPECT_EQ(*sampler.Choose(logits), 17);
    }
  }
}

TEST(Sampler, ARowWithoutAFiniteMaximumIsRefused) {
  for (const float bad : {kNan, -kInf, kInf}) {
    for (const SearchOptions& o :
         {SearchOptions(), Sampling(50, 0.9f), Sampling(0, 1)}) {
      Sampler sampler(o, 1);
      const auto token = sampler.Choose(std::vector<float>(100, bad));
      ASSERT_FALSE(token.ok());
      EXPECT_EQ(token.status().kind(), ErrorKind::kRuntime);
    }
  }
}

TEST(Sampler, ANanAmongNumbersIsNotDrawn) {
  std::vector<float> logits(5000, kNan);
  logits[4] = 1;
  logits[4000] = 0.5f;
  for (const SearchOptions& o :
       {Sampling(50, 0.9f), Sampling(0, 1), Sampling(50, 1)}) {
    const std::vector<double> shares = Shares(o, logits, 300);
    EXPECT_NEAR(shares[4] + shares[4000], 1, 1e-9);
  }
}

TEST(Logprobs, AreTheLogSoftmaxOfTheRow) {
  // exp: 1, 2, 5, sum 8
  const std::vector<float> logits = {std::log(1.0f), std::log(2.0f),
                                     std::log(5.0f)};
  Candidates scratch;
  Logprobs out;
  ComputeLogprobs(logits, 0, 2, &scratch, &out);
  // Logits of at most 2 and three float operations: 4 units of 2^-23.
  const double tolerance = 4 * std::ldexp(1.0, -22);
  EXPECT_EQ(out.chosen.token, 0);
  EXPECT_NEAR(out.chosen.logprob, std::log(1.0 / 8), tolerance);
  ASSERT_EQ(out.top.size(), 2u);
  EXPECT_EQ(out.top[0].token, 2);
  EXPECT_NEAR(out.top[0].logprob, std::log(5.0 / 8), tolerance);
  EXPECT_EQ(out.top[1].token, 1);
  EXPECT_NEAR(out.top[1].logprob, std::log(2.0 / 8), tolerance);
  ComputeLogprobs(logits, 1, 20, &scratch, &out);
  EXPECT_EQ(out.top.size(), 3u);
}

// Prints, asserts nothing: machines differ. Logits of a normal distribution
// with deviation 2.5, as the fixtures' models have, and a few likely tokens.
TEST(SamplerTiming, Of151936Logits) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 2.5f);
  std::vector<float> logits(151936);
  for (float& s : logits) s = normal(random);
  for (size_t i = 0; i < 20; ++i) {
    logits[i * 7001] = 20 - static_cast<float>(i) / 2;
  }
  struct Case {
    const char* name;
    SearchOptions options;
  };
  SearchOptions min_p = Sampling(0, 1);
  min_p.min_p = 0.05f;
  SearchOptions hot = Sampling(0, 0.9f);
  hot.temperature = 2;
  const Case cases[] = {{"greedy", SearchOptions()},
                        {"top-k 50", Sampling(50, 1)},
                        {"top-k 50, top-p 0.9", Sampling(50, 0.9f)},
                        {"top-p 0.9", Sampling(0, 0.9f)},
                        {"top-p 0.9, T 2", hot},
                        {"min-p 0.05", min_p},
                        {"full", Sampling(0, 1)}};
  for (const Case& c : cases) {
    Sampler sampler(c.options, 1);
    double best = 1e9;
    for (int i = 0; i < 15; ++i) {
      const auto start = std::chrono::steady_clock::now();
      ASSERT_TRUE(sampler.Choose(logits).ok());
      const std::chrono::duration<double, std::milli> ms =
          std::chrono::steady_clock::now() - start;
      best = std::min(best, ms.count());
    }
    std::printf("%-20s %.3f ms\n", c.name, best);
  }
}

}  // namespace
}  // namespace slm
