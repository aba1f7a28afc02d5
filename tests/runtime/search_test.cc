// SPDX-License-Identifier: MIT
#include "runtime/search.h"

#include <cmath>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/draft_length.h"

namespace slm {
namespace {

using Tokens = std::vector<int32_t>;

constexpr size_t kVocab = 12;
constexpr int32_t kEos = 11;

// A model for tests: the logits depend on the last two tokens.
std::vector<float> Logits(std::span<const int32_t> tokens) {
  const uint32_t a = static_cast<uint32_t>(tokens[tokens.size() - 1]);
  const uint32_t b = static_cast<uint32_t>(tokens[tokens.size() - 2]);
  std::mt19937 random(a * 31 + b);
  std::vector<float> row(kVocab);
  for (float& s : row) s = static_cast<float>(random() % 1000) / 250 - 1;
  row[kEos] -= 2;
  return row;
}

Search Make(const SearchOptions& options, const Tokens& prompt) {
  auto search = Search::Create(options, kVocab, 1000, /*seed=*/42);
  EXPECT_TRUE(search.ok()) << search.status().message();
  EXPECT_TRUE(search->AppendPrompt(prompt).ok());
  return std::move(search).value();
}

Tokens Plain(const SearchOptions& options, const Tokens& prompt) {
  Search search = Make(options, prompt);
  Tokens chosen;
  while (search.finish() == Finish::kNone) {
    std::vector<float> row = Logits(search.history().tokens());
    auto token = search.Next(row);
    EXPECT_TRUE(token.ok());
    chosen.push_back(*token);
  }
  return chosen;
}

// Drafts from the text, all rows at once, as a session would do it.
Tokens Speculative(const SearchOptions& options, const NgramOptions& ngram,
                   const Tokens& prompt, size_t* steps) {
  Search search = Make(options, prompt);
  Tokens chosen, drafts;
  DraftLength length(ngram);
  for (*steps = 0; search.finish() == Finish::kNone; ++*steps) {
    ProposeDrafts(ngram, search.history().tokens(),
                  std::min(length.Next(), search.room() - 1), &drafts);
    const size_t before = chosen.size();
    const auto history = search.history().tokens();
    Tokens text(history.begin(), history.end());
    std::vector<float> rows = Logits(text);
    for (const int32_t draft : drafts) {
      text.push_back(draft);
      const std::vector<float> row = Logits(text);
      rows.insert(rows.end(), row.begin(), row.end());
    }
    EXPECT_TRUE(search.Verify(drafts, rows, &chosen).ok());
    length.Record({.proposed = drafts.size(),
                   .accepted = chosen.size() - before - 1,
                   .seconds = 1});
  }
  return chosen;
}

TEST(Search, SpeculationChangesNoTextGreedyOrSampled) {
  std::mt19937 random(5);
  size_t plain_steps = 0, speculative_steps = 0;
  for (int round = 0; round < 300; ++round) {
    SearchOptions o;
    o.max_length = 60;
    o.eos_ids = {kEos};
    o.do_sample = round % 2 == 1;
    o.top_k = 5;
    o.temperature = 0.6f;
    if (round % 3 == 1) o.repetition_penalty = 1.1f;
    if (round % 3 == 2) o.frequency_penalty = 0.2f;
    if (round % 5 == 1) o.no_repeat_ngram_size = 3;
    if (round % 5 == 2) o.min_length = 50;
    NgramOptions ngram{.ngram_size = 2 + round % 3,
                       .chained_lookup = round % 4 == 0,
                       .max_draft_tokens = 1 + round % 7,
                       .min_adaptive_k = round % 4 == 3 ? 1 + round % 3 : 0,
                       .cooldown = round % 8 == 5};
    Tokens prompt(5 + random() % 5);
    for (int32_t& t : prompt) t = static_cast<int32_t>(random() % 10);
    const Tokens plain = Plain(o, prompt);
    size_t steps = 0;
    EXPECT_EQ(Speculative(o, ngram, prompt, &steps), plain) << round;
    plain_steps += plain.size();
    speculative_steps += steps;
  }
  // Drafts must have been accepted for this to test anything.
  EXPECT_LT(speculative_steps, plain_steps * 9 / 10);
}

TEST(Search, FinishesAtEosAndAtTheLengthAndGoesOnAfterAPrompt) {
  SearchOptions o;
  o.max_length = 4;
  o.eos_ids = {1};
  auto search = Search::Create(o, 3, 10, 0);
  ASSERT_TRUE(search.ok());
  EXPECT_EQ(search->AppendPrompt(Tokens(5, 0)).kind(), ErrorKind::kOverflow);
  ASSERT_TRUE(search->AppendPrompt(Tokens{0, 0}).ok());
  std::vector<float> eos = {0, 1, 0}, other = {0, 0, 1};
  ASSERT_EQ(*search->Next(eos), 1);
  EXPECT_EQ(search->finish(), Finish::kEos);
  EXPECT_EQ(search->history().length(), 2u);
  EXPECT_EQ(search->Next(eos).status().kind(), ErrorKind::kUsage);
  ASSERT_TRUE(search->AppendPrompt(Tokens{0}).ok());
  ASSERT_EQ(*search->Next(other), 2);
  EXPECT_EQ(search->finish(), Finish::kLength);
  search->Rewind(2);
  EXPECT_EQ(search->finish(), Finish::kNone);
  EXPECT_EQ(search->room(), 2u);
}

TEST(Search, LogprobsAreOfTheLogitsBeforeProcessing) {
  SearchOptions o;
  o.max_length = 9;
  o.logit_bias = {{2, 100}};
  o.top_logprobs = 1;
  auto search = Search::Create(o, 3, 10, 0);
  ASSERT_TRUE(search.ok());
  ASSERT_TRUE(search->AppendPrompt(Tokens{0}).ok());
  std::vector<float> row = {0, std::log(2.0f), 0};  // 1/4, 1/2, 1/4
  ASSERT_EQ(*search->Next(row), 2);
  EXPECT_NEAR(search->logprobs().chosen.logprob, std::log(0.25), 1e-6);
  ASSERT_EQ(search->logprobs().top.size(), 1u);
  EXPECT_EQ(search->logprobs().top[0].token, 1);
  EXPECT_NEAR(search->logprobs().top[0].logprob, std::log(0.5), 1e-6);
}

TEST(Search, ASeedInTheOptionsWins) {
  SearchOptions o;
  o.do_sample = true;
  o.max_length = 40;
  o.top_k = 0;
  o.top_p = 1;
  const auto run = [&o](uint32_t drawn) {
    auto search = Search::Create(o, kVocab, 100, drawn);
    EXPECT_TRUE(search.ok());
    while (search->finish() == Finish::kNone) {
      std::vector<float> row(kVocab, 0.0f);
      EXPECT_TRUE(search->Next(row).ok());
    }
    const auto tokens = search->history().tokens();
    return Tokens(tokens.begin(), tokens.end());
  };
  EXPECT_NE(run(1), run(2));
  o.seed = 3;
  EXPECT_EQ(run(1), run(2));
}

TEST(Ngram, ProposesWhatFollowedTheLatestOccurrence) {
  struct Case {
    int64_t size;
    bool chained;
    size_t limit;
    Tokens text, drafts;
  };
  const Case cases[] = {
      {3, false, 4, {1, 2, 3, 4, 1, 2}, {3, 4, 1, 2}},
      {3, false, 2, {1, 2, 3, 4, 1, 2}, {3, 4}},
      {3, false, 4, {1, 2, 3, 1, 2, 5, 1, 2}, {5, 1, 2}},
      {3, false, 4, {1, 2, 3}, {}},
      {3, false, 0, {1, 2, 3, 1, 2}, {}},
      {3, false, 4, {1}, {}},
      {3, false, 4, {}, {}},
      {2, false, 4, {7, 7, 7}, {7}},
      // One continuation is one token long, its look-up goes on.
      {2, true, 4, {7, 7, 7}, {7, 7, 7, 7}},
      {3, true, 5, {1, 2, 3, 1, 2}, {3, 1, 2, 3, 1}},
      // The first continuation would go on with 9, 2; the chain looks up 2, 8,
      // whose latest occurrence goes on with 1.
      {3, true, 4, {2, 8, 7, 9, 2, 8, 9, 3, 2, 8, 1, 9, 2}, {8, 1, 9, 2}},
      {5, false, 4, {1, 2, 3, 4, 5, 1, 2, 3, 4}, {5, 1, 2, 3}},
  };
  for (const Case& c : cases) {
    Tokens drafts = {99};
    ProposeDrafts({.ngram_size = c.size,
                   .chained_lookup = c.chained},
                  c.text, c.limit, &drafts);
    EXPECT_EQ(drafts, c.drafts);
  }
}

TEST(Ngram, OptionsOutOfRangeAreRefused) {
  EXPECT_TRUE(Validate(NgramOptions{}).ok());
  EXPECT_EQ(Validate(NgramOptions{.ngram_size = 17}).message(),
            "ngram_size is 17, must be 0 or 2..16");
  EXPECT_FALSE(Validate(NgramOptions{.ngram_size = 1}).ok());
  EXPECT_FALSE(Validate(NgramOptions{.max_draft_tokens = 0}).ok());
  EXPECT_EQ(Validate(NgramOptions{.min_adaptive_k = 17}).message(),
            "min_adaptive_k is 17, must be 0..16");
  EXPECT_FALSE(Validate(NgramOptions{.chained_lookup = true}).ok());
}

}  // namespace
}  // namespace slm
