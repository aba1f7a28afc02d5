// SPDX-License-Identifier: MIT
// What an answer keeps to: alone, with made-up vocabularies, and in the
// generator, with the tiny model, whose sentence is no JSON.
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/answer_guide.h"
#include "runtime/generate.h"
#include "tests/runtime/model_test_util.h"

namespace slm {
namespace {

struct Thinks {
  size_t tokens;
  bool thinking;
};

Thinks After(const char* prompt, const std::vector<const char*>& tokens) {
  Thought thought(prompt);
  for (const char* token : tokens) thought.Take(token, true);
  return {thought.tokens(), thought.thinking()};
}

TEST(Thought, IsBetweenTheMarksAtTheBeginning) {
  struct Case {
    const char* prompt;
    std::vector<const char*> tokens;
    Thinks want;
  };
  const Case cases[] = {
      {"", {"Hello"}, {0, false}},
      {"", {"<think>"}, {0, true}},
      {"", {"\n", "<think>", "a", "b"}, {2, true}},
      {"", {"<think>", "a", "b", "</think>", "c"}, {2, false}},
      {"", {"<", "thi", "nk>", "a"}, {1, true}},
      {"", {"<thi", "s>", "<think>"}, {0, false}},
      {"", {"x", "<think>", "a"}, {0, false}},
      {"<think>\n", {"a", "b"}, {2, true}},
      {"<think>\n", {"a", "</", "think", ">"}, {3, false}},
      {"<think>\n", {"a", "</think", "<", "/think>", "b"}, {3, false}},
      {"<think>", {"</think>", "<think>", "a"}, {0, false}},
      {"<think>\n\n</think>\n\n", {"<think>", "a"}, {0, false}},
      {"a user said <think>, too", {"a"}, {0, false}},
  };
  for (const Case& c : cases) {
    const Thinks got = After(c.prompt, c.tokens);
    EXPECT_EQ(got.tokens, c.want.tokens) << c.prompt << c.tokens[0];
    EXPECT_EQ(got.thinking, c.want.thinking) << c.prompt << c.tokens[0];
  }
}

const std::vector<std::string> kWords = {"{",       "}",        "x",    "\n",
                                         "<think>", "</think>", "<end>"};
enum Word { kOpen, kClose, kX, kLine, kThink, kUnthink, kEnd };

GuideOptions Options(bool json, int64_t budget) {
  GuideOptions options;
  if (json) {
    std::vector<std::string> text = kWords;
    text[kEnd].clear();
    options.json = std::make_shared<const JsonVocabulary>(std::move(text));
  }
  options.think_budget = budget;
  options.think_open = kThink;
  options.think_close = {kUnthink};
  options.eos_ids = {kEnd};
  options.bytes = [](int32_t id) { return kWords[static_cast<size_t>(id)]; };
  return options;
}

// The words that may come next.
std::string Able(AnswerGuide* guide) {
  std::vector<float> logits(kWords.size() + 2);  // two of no word
  EXPECT_TRUE(guide->Forbid(logits).ok());
  std::string able;
  for (size_t i = 0; i < logits.size(); ++i) {
    const bool possible = !std::isinf(logits[i]);
    if (i < kWords.size()) {
      EXPECT_EQ(guide->Allows(static_cast<int32_t>(i)), possible) << i;
      if (possible) able += kWords[i] == "\n" ? "_" : kWords[i];
    } else if (possible) {
      able += "?";
    }
  }
  return able;
}

TEST(AnswerGuide, JsonBeginsAfterTheThought) {
  AnswerGuide guide(Options(true, -1), "");
  EXPECT_EQ(Able(&guide), "{_<think>");
  guide.Take(kLine);
  EXPECT_EQ(Able(&guide), "{_<think>");
  guide.Take(kThink);
  EXPECT_EQ(Able(&guide), "{}x_<think></think>??");  // anything but the end
  guide.Take(kX);
  guide.Take(kOpen);
  EXPECT_FALSE(guide.complete());
  guide.Take(kUnthink);
  EXPECT_EQ(Able(&guide), "{_");
  guide.Take(kOpen);
  EXPECT_EQ(Able(&guide), "}_");
  guide.Take(kClose);
  EXPECT_TRUE(guide.complete());
  EXPECT_EQ(guide.thought().tokens(), 2u);
}

TEST(AnswerGuide, JsonBeginsAtOnceWhereThePromptHasTheThought) {
  AnswerGuide closed(Options(true, -1), "<think>\n\n</think>\n\n");
  EXPECT_EQ(Able(&closed), "{_");
  AnswerGuide opened(Options(true, -1), "<think>\n");
  EXPECT_EQ(Able(&opened), "{}x_<think></think>??");
}

TEST(AnswerGuide, WithoutJsonAllMayCome) {
  AnswerGuide guide(Options(false, -1), "");
  EXPECT_EQ(Able(&guide), "{}x_<think></think><end>??");
  EXPECT_FALSE(guide.complete());
}

TEST(AnswerGuide, AVocabularyThatCannotGoOnIsAnError) {
  GuideOptions options = Options(false, -1);
  options.json = std::make_shared<const JsonVocabulary>(
      std::vector<std::string>{"x", "y"});
  options.think_open = -1;
  AnswerGuide guide(std::move(options), "");
  std::vector<float> logits(2);
  EXPECT_EQ(guide.Forbid(logits).kind(), ErrorKind::kRuntime);
}

TEST(AnswerGuide, ABudgetThatIsUsedUpForcesTheClosingMark) {
  for (const int64_t budget : {0, 1, 3}) {
    AnswerGuide guide(Options(false, budget), "<think>\n");
    for (int64_t i = 0; i < budget; ++i) {
      EXPECT_EQ(guide.Forced(), -1);
      guide.Take(kX);
    }
    EXPECT_EQ(guide.Forced(), kUnthink);
    guide.Take(kUnthink);
    EXPECT_EQ(guide.Forced(), -1);
    EXPECT_EQ(guide.thought().tokens(), static_cast<size_t>(budget));
  }
  // A model that opens its thought itself, and one that does not think.
  AnswerGuide own(Options(false, 0), "");
  EXPECT_EQ(own.Forced(), -1);
  own.Take(kThink);
  EXPECT_EQ(own.Forced(), kUnthink);
  AnswerGuide none(Options(false, 0), "");
  none.Take(kX);
  EXPECT_EQ(none.Forced(), -1);
}

class GuidedGeneration : public testing::Test {
 protected:
  GuidedGeneration() : pool_(1) {}
  void SetUp() override {
    model_ = OpenForTest(TinyModelPath());
    ASSERT_TRUE(model_);
    prompt_ = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n";
    options_.search.max_length = 120;
    options_.search.eos_ids = {287};
  }

  struct Said {
    std::string text;
    std::vector<int32_t> tokens;
    FinishReason finish = FinishReason::kNone;
    GenerateStats stats;
  };
  Result<Said> Say() {
    Session session(model_->plan(), model_->decoder(), pool_, SessionOptions());
    Generator generator(&session, &model_->tokenizer());
    SLM_RETURN_IF_ERROR(
        generator.Start(EncodeForTest(*model_, prompt_), options_));
    Said said;
    while (said.finish == FinishReason::kNone) {
      SLM_ASSIGN_OR_RETURN(const GenerateStep step, generator.Next());
      said.text += step.text;
      said.tokens.insert(said.tokens.end(), step.tokens.begin(),
                         step.tokens.end());
      said.finish = step.finish;
    }
    said.stats = generator.stats();
    return said;
  }
  void Bias(const char* text, float bias) {
    const int32_t id = model_->tokenizer().TokenId(text);
    ASSERT_GE(id, 0);
    options_.search.logit_bias.push_back({id, bias});
  }

  std::unique_ptr<Model> model_;
  ThreadPool pool_;
  std::string prompt_;
  GenerateOptions options_;
};

// Complete, or cut by the length and so far so good.
void ExpectJson(const std::string& text, FinishReason finish,
                const GenerateStats& stats) {
  JsonAcceptor acceptor;
  // Half a character at the end came out as U+FFFD.
  ASSERT_TRUE(acceptor.Take(text)) << text;
  EXPECT_EQ(acceptor.complete(), finish == FinishReason::kStop) << text;
  EXPECT_EQ(stats.json_cut, finish != FinishReason::kStop) << text;
}

TEST_F(GuidedGeneration, JsonIsCompleteOrSaysThatItIsCut) {
  options_.json = true;
  size_t complete = 0, cut = 0;
  for (int seed = 0; seed < 12; ++seed) {
    // Greedy, and then sampling with all, few and nucleus candidates.
    options_.search.do_sample = seed > 0;
    options_.search.temperature = 3;
    options_.search.seed = seed;
    options_.search.top_k = seed % 3 == 0 ? 0 : seed % 3 == 1 ? 5 : 50;
    options_.search.top_p = seed % 2 ? 1.0f : 0.9f;
    const auto said = Say();
    ASSERT_TRUE(said.ok()) << said.status().message();
    ExpectJson(said->text, said->finish, said->stats);
    (said->finish == FinishReason::kStop ? complete : cut) += 1;
  }
  EXPECT_GT(complete, 0u);
  EXPECT_GT(cut, 0u);
}

TEST_F(GuidedGeneration, JsonWithstandsBiasAndPenalties) {
  options_.json = true;
  Bias("x", 1000);
  Bias("}", 100);
  options_.search.eos_ids.push_back(285);
  options_.search.logit_bias.push_back({285, 10000});
  auto said = Say();
  ASSERT_TRUE(said.ok());
  EXPECT_EQ(said->finish, FinishReason::kStop);
  ExpectJson(said->text, said->finish, said->stats);
  // One token may be chosen once: what JSON needs twice, it gets.
  options_.search.logit_bias.clear();
  options_.search.no_repeat_ngram_size = 1;
  options_.search.repetition_penalty = 2;
  options_.search.presence_penalty = 5;
  said = Say();
  ASSERT_TRUE(said.ok());
  ExpectJson(said->text, said->finish, said->stats);
}

TEST_F(GuidedGeneration, JsonIsTheSameWithSpeculationAndLogprobs) {
  options_.json = true;
  const auto plain = Say();
  options_.ngram.ngram_size = 2;
  options_.ngram.max_draft_tokens = 6;
  const auto drafted = Say();
  options_.ngram = {};
  options_.search.top_logprobs = 3;
  const auto measured = Say();
  ASSERT_TRUE(plain.ok() && drafted.ok() && measured.ok());
  EXPECT_EQ(drafted->tokens, plain->tokens);
  EXPECT_EQ(measured->tokens, plain->tokens);
  EXPECT_GT(drafted->stats.accepted_tokens, 0u);
}

TEST_F(GuidedGeneration, AStopStringCutsJsonAndThatIsSaid) {
  options_.json = true;
  Bias("{", 100);
  Bias("}", 50);
  options_.stop = {"}"};
  const auto said = Say();
  ASSERT_TRUE(said.ok());
  EXPECT_EQ(said->finish, FinishReason::kStop);
  EXPECT_EQ(said->text.find('}'), std::string::npos);
  EXPECT_TRUE(said->stats.json_cut);
}

TEST_F(GuidedGeneration, ABudgetClosesTheThoughtAndTheAnswerGoesOn) {
  prompt_ += "<think>\n";
  const auto free = Say();
  ASSERT_TRUE(free.ok());
  EXPECT_EQ(free->text.find("</think>"), std::string::npos);
  for (const size_t budget : {0, 1, 5}) {
    for (const int ngram : {0, 2}) {
      options_.think_budget = static_cast<int64_t>(budget);
      options_.ngram.ngram_size = ngram;
      options_.ngram.max_draft_tokens = 4;
      const auto said = Say();
      ASSERT_TRUE(said.ok());
      const std::string thought = model_->tokenizer().Decode(
          std::span(said->tokens).first(budget), true);
      EXPECT_EQ(free->text.substr(0, thought.size()), thought);
      EXPECT_EQ(said->text.find("</think>"), thought.size()) << said->text;
      EXPECT_EQ(said->stats.thought_tokens, budget);
      EXPECT_GT(said->text.size(), thought.size() + 8);
    }
  }
  // Larger than the thought: nothing changes.
  options_.ngram = {};
  options_.think_budget = 1000;
  EXPECT_EQ(Say()->tokens, free->tokens);
}

TEST_F(GuidedGeneration, ThoughtsOfBeamsAreCounted) {
  prompt_ += "<think>\n";
  options_.search.num_beams = 2;
  options_.search.max_length = 40;
  const auto said = Say();
  ASSERT_TRUE(said.ok());
  EXPECT_EQ(said->stats.thought_tokens, said->tokens.size());
  EXPECT_GT(said->tokens.size(), 10u);
}

TEST_F(GuidedGeneration, WhatCannotBeHonouredIsRefused) {
  options_.search.num_beams = 2;
  options_.json = true;
  EXPECT_EQ(Say().status().kind(), ErrorKind::kUsage);
  EXPECT_NE(Say().status().message().find("json"), std::string::npos);
  options_.json = false;
  options_.think_budget = 3;
  EXPECT_NE(Say().status().message().find("think_budget"), std::string::npos);
  options_.search.num_beams = 1;
  options_.think_budget = -1;
  options_.json = true;
  prompt_ += "<think>";  // several tokens here
  EXPECT_NE(Say().status().message().find("</think>"), std::string::npos);
}

}  // namespace
}  // namespace slm
