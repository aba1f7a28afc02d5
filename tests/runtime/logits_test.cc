// SPDX-License-Identifier: MIT
#include "runtime/logits.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/token_history.h"

namespace slm {
namespace {

constexpr float kLowest = std::numeric_limits<float>::lowest();

using Row = std::vector<float>;

TokenHistory History(const std::vector<int32_t>& prompt,
                     const std::vector<int32_t>& output) {
  TokenHistory history;
  history.AppendPrompt(prompt);
  for (const int32_t token : output) history.AppendOutput(token);
  return history;
}

Row Process(const SearchOptions& options, const TokenHistory& history,
            Row row) {
  ProcessLogits(options, history, row);
  return row;
}

TEST(Logits, MinLengthForbidsAllEosTokensUntilReached) {
  SearchOptions o;
  o.min_length = 3;
  o.eos_ids = {1, 3};
  EXPECT_EQ(Process(o, History({0}, {2}), {1, 2, 3, 4}),
            (Row{1, kLowest, 3, kLowest}));
  EXPECT_EQ(Process(o, History({0}, {2, 2}), {1, 2, 3, 4}), (Row{1, 2, 3, 4}));
}

TEST(Logits, RepetitionPenaltyTakesEachTokenOnceAndLooksAtTheSign) {
  SearchOptions o;
  o.repetition_penalty = 2;
  EXPECT_EQ(Process(o, History({0, 0, 1}, {1, 0}), {4, -4, 4, -4}),
            (Row{2, -8, 4, -4}));
}

TEST(Logits, NoRepeatNgramForbidsWhatFollowedTheSamePrefix) {
  struct Case {
    int64_t size;
    std::vector<int32_t> tokens;
    std::vector<int32_t> forbidden;
  };
  const Case cases[] = {
      {1, {0, 2}, {0, 2}},       {2, {0, 1, 0, 2, 0}, {1, 2}},
      {3, {0, 1, 2, 0, 1}, {2}}, {3, {0, 1, 2, 1, 1}, {}},
      {3, {0, 0, 0}, {0}},       // an n-gram may overlap itself
      {3, {0, 1}, {}},           // too short
      {6, {0, 1, 2, 0, 1}, {}},  // too short
  };
  for (const Case& c : cases) {
    SearchOptions o;
    o.no_repeat_ngram_size = c.size;
    Row expected(4, 1.0f);
    for (const int32_t token : c.forbidden) expected[token] = kLowest;
    EXPECT_EQ(Process(o, History(c.tokens, {}), Row(4, 1.0f)), expected);
  }
}

TEST(Logits, PresenceAndFrequencyCountTheOutputOnly) {
  SearchOptions o;
  o.presence_penalty = 1;
  o.frequency_penalty = 0.5f;
  EXPECT_EQ(Process(o, History({0, 0, 1}, {1, 2, 2, 2}), {4, 4, 4, 4}),
            (Row{4, 2.5f, 1.5f, 4}));
}

TEST(Logits, ANewPromptEndsTheOutput) {
  SearchOptions o;
  o.presence_penalty = 1;
  TokenHistory history = History({0}, {1});
  history.AppendPrompt(std::vector<int32_t>{2});
  history.AppendOutput(3);
  EXPECT_EQ(Process(o, history, {4, 4, 4, 4}), (Row{4, 4, 4, 3}));
}

TEST(Logits, BiasIsAddedAndCannotLiftWhatIsForbidden) {
  SearchOptions o;
  o.min_length = 9;
  o.eos_ids = {0};
  o.logit_bias = {{0, 100}, {1, -100}, {2, 0.25f}};
  EXPECT_EQ(Process(o, History({3}, {}), {1, 1, 1, 1}),
            (Row{kLowest, -99, 1.25f, 1}));
}

TEST(Logits, ProcessorsRunInTheOrderOfOnnxRuntimeGenAi) {
  SearchOptions o;
  o.repetition_penalty = 2;
  o.logit_bias = {{0, 1}};
  o.presence_penalty = 3;
  // (8 / 2) + 1 - 3, not (8 + 1) / 2 - 3
  EXPECT_EQ(Process(o, History({}, {0}), {8, 0}), (Row{2, 0}));
}

TEST(Logits, TokensOutsideTheVocabularyArePassedOver) {
  SearchOptions o;
  o.repetition_penalty = 2;
  o.no_repeat_ngram_size = 1;
  o.presence_penalty = 1;
  EXPECT_EQ(Process(o, History({-5, 4}, {1000000}), {1, 1, 1, 1}),
            (Row{1, 1, 1, 1}));
}

// Random appends and truncations against counting anew.
TEST(TokenHistory, CountsAreThoseOfItsTokensAfterAnyEdits) {
  std::mt19937 random(7);
  TokenHistory history;
  std::vector<int32_t> tokens;
  size_t prompt = 0;
  for (int round = 0; round < 2000; ++round) {
    const uint32_t what = random() % 8;
    if (what == 0) {
      std::vector<int32_t> added(random() % 9);
      for (int32_t& t : added) t = static_cast<int32_t>(random() % 20);
      history.AppendPrompt(added);
      tokens.insert(tokens.end(), added.begin(), added.end());
      prompt = tokens.size();
    } else if (what == 1) {
      const size_t length = random() % (tokens.size() + 2);
      history.Truncate(length);
      tokens.resize(std::min(length, tokens.size()));
      prompt = std::min(prompt, tokens.size());
    } else {
      tokens.push_back(static_cast<int32_t>(random() % 20));
      history.AppendOutput(tokens.back());
    }
    std::map<int32_t, TokenHistory::Seen> seen;
    for (size_t i = 0; i < tokens.size(); ++i) {
      TokenHistory::Seen& s = seen[tokens[i]];
      ++s.total;
      if (i >= prompt) ++s.output;
    }
    ASSERT_EQ(history.length(), tokens.size());
    ASSERT_EQ(history.prompt_length(), prompt);
    ASSERT_EQ(history.seen().size(), seen.size());
    size_t i = 0;
    for (const auto& [token, s] : seen) {
      ASSERT_EQ(history.seen()[i].token, token);
      ASSERT_EQ(history.seen()[i].total, s.total);
      ASSERT_EQ(history.seen()[i].output, s.output);
      ++i;
    }
  }
}

}  // namespace
}  // namespace slm
