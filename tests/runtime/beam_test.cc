// SPDX-License-Identifier: MIT
// The agreement with ONNX Runtime GenAI is in search_golden_test.cc.
#include "runtime/beam.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace slm {
namespace {

using Tokens = std::vector<int32_t>;

// A Markov chain over V tokens, the last of which is EOS.
struct Markov {
  size_t vocab;
  std::vector<float> logits;  // [V, V]

  Markov(size_t v, uint32_t seed) : vocab(v), logits(v * v) {
    std::mt19937 random(seed);
    for (float& s : logits) s = static_cast<float>(random() % 4000) / 1000;
  }
  double LogProb(int32_t from, int32_t to) const {
    double sum = 0;
    for (size_t i = 0; i < vocab; ++i) sum += std::exp(At(from, i));
    return At(from, static_cast<size_t>(to)) - std::log(sum);
  }
  double At(int32_t from, size_t to) const {
    return logits[static_cast<size_t>(from) * vocab + to];
  }
};

struct Best {
  Tokens tokens;
  double score = -std::numeric_limits<double>::infinity();
};

// The best of all sequences, by trying them: log p / length^penalty, where p
// has the EOS and the length does not.
void TryAll(const Markov& model, size_t max_length, double penalty,
            Tokens* tokens, double sum, Best* best) {
  const auto offer = [&](double total) {
    const double score =
        total / std::pow(static_cast<double>(tokens->size()), penalty);
    if (score > best->score) *best = {*tokens, score};
  };
  if (tokens->size() == max_length) {
    offer(sum);
    return;
  }
  const int32_t last = tokens->back();
  const int32_t eos = static_cast<int32_t>(model.vocab) - 1;
  offer(sum + model.LogProb(last, eos));
  for (int32_t t = 0; t < eos; ++t) {
    tokens->push_back(t);
    TryAll(model, max_length, penalty, tokens, sum + model.LogProb(last, t),
           best);
    tokens->pop_back();
  }
}

std::vector<Hypothesis> BeamsOf(const Markov& model,
                                const SearchOptions& options,
                                const Tokens& prompt) {
  auto search = BeamSearch::Create(options, static_cast<int64_t>(model.vocab),
                                   100, prompt);
  EXPECT_TRUE(search.ok()) << search.status().message();
  const size_t beams = static_cast<size_t>(options.num_beams);
  while (!search->done()) {
    std::vector<float> rows;
    for (size_t b = 0; b < beams; ++b) {
      const auto row =
          model.logits.begin() +
          search->tokens(b).back() * static_cast<std::ptrdiff_t>(model.vocab);
      rows.insert(rows.end(), row,
                  row + static_cast<std::ptrdiff_t>(model.vocab));
    }
    EXPECT_TRUE(search->Step(rows).ok());
  }
  return search->Finish();
}

// With as many beams as there are unfinished sequences nothing is pruned.
TEST(BeamSearch, WithEnoughBeamsItFindsTheBestOfAllSequences) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    const Markov model(4, seed);  // 3 tokens and EOS
    SearchOptions o;
    o.num_beams = 27;
    o.max_length = 4;  // 1 of the prompt and 3 more: 27 sequences
    o.eos_ids = {3};
    o.early_stopping = false;
    o.length_penalty = static_cast<float>(seed % 3) * 0.5f;
    Tokens prompt = {static_cast<int32_t>(seed % 3)};
    const std::vector<Hypothesis> found = BeamsOf(model, o, prompt);
    Best best;
    TryAll(model, 4, static_cast<double>(o.length_penalty), &prompt, 0, &best);
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].tokens, best.tokens) << "seed " << seed;
    // Sums of 4 log probabilities of at most 8: 16 roundings of 2^-22.
    EXPECT_NEAR(found[0].score, best.score, 16 * std::ldexp(1.0, -21));
  }
}

TEST(BeamSearch, HypothesesAreOrderedAndBeamsNameTheirParents) {
  const Markov model(9, 77);
  SearchOptions o;
  o.num_beams = 4;
  o.num_return_sequences = 4;
  o.max_length = 12;
  o.eos_ids = {8};
  auto search = BeamSearch::Create(o, 9, 100, Tokens{1, 2});
  ASSERT_TRUE(search.ok());
  while (!search->done()) {
    std::vector<Tokens> before;
    std::vector<float> rows;
    for (size_t b = 0; b < 4; ++b) {
      const auto tokens = search->tokens(b);
      before.emplace_back(tokens.begin(), tokens.end());
      const auto row = model.logits.begin() + tokens.back() * 9;
      rows.insert(rows.end(), row, row + 9);
    }
    ASSERT_TRUE(search->Step(rows).ok());
    ASSERT_EQ(search->next().size(), 4u);
    for (size_t b = 0; b < 4; ++b) {
      Tokens expected = before[search->next()[b].parent];
      expected.push_back(search->next()[b].token);
      const auto tokens = search->tokens(b);
      EXPECT_EQ(Tokens(tokens.begin(), tokens.end()), expected);
    }
  }
  const std::vector<Hypothesis> found = search->Finish();
  ASSERT_EQ(found.size(), 4u);
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_GE(found[i - 1].score, found[i].score);
  }
}

// The peer runs out of beams here: 2 * num_beams candidates may all be EOS.
TEST(BeamSearch, ManyEosTokensLeaveEnoughBeams) {
  SearchOptions o;
  o.num_beams = 3;
  o.max_length = 6;
  o.eos_ids = {0, 1, 2, 3, 4};
  o.early_stopping = false;
  auto search = BeamSearch::Create(o, 6, 100, Tokens{5});
  ASSERT_TRUE(search.ok());
  while (!search->done()) {
    std::vector<float> rows;
    for (int b = 0; b < 3; ++b) {
      for (int t = 0; t < 6; ++t) rows.push_back(t == 5 ? -8.0f : 4.0f);
    }
    ASSERT_TRUE(search->Step(rows).ok());
    ASSERT_EQ(search->next().size(), 3u);
  }
  EXPECT_EQ(search->Finish().size(), 1u);
}

TEST(BeamSearch, RefusesRowsThatAreNotNumbersAndPromptsThatDoNotFit) {
  SearchOptions o;
  o.num_beams = 2;
  o.max_length = 6;
  EXPECT_EQ(BeamSearch::Create(o, 6, 100, Tokens(6, 0)).status().kind(),
            ErrorKind::kOverflow);
  EXPECT_EQ(BeamSearch::Create(o, 6, 100, Tokens()).status().kind(),
            ErrorKind::kUsage);
  auto search = BeamSearch::Create(o, 6, 100, Tokens{1});
  ASSERT_TRUE(search.ok());
  std::vector<float> rows(12, 0.0f);
  rows[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(search->Step(rows).kind(), ErrorKind::kRuntime);
}

}  // namespace
}  // namespace slm
