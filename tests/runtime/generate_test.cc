// SPDX-License-Identifier: MIT
// Generator on the tiny model, whose answer is known: the sentence of
// make_tiny_model.py, then <|im_end|>, a newline and the sentence again.
#include "runtime/generate.h"

#include "tests/runtime/model_test_util.h"

namespace slm {
namespace {

constexpr const char* kPrompt =
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n";
constexpr const char* kSentence =
    "Hello, I am a tiny test model made by one script; this sentence is all "
    "it can say. Give slm-run the folder of something bigger!";
constexpr size_t kWords = 31;  // tokens of the sentence
constexpr int32_t kEnd = 287;  // <|im_end|>

struct Said {
  std::string text;
  std::vector<int32_t> tokens;
  FinishReason finish = FinishReason::kNone;
  GenerateStats stats;
  size_t steps = 0;
  bool operator==(const Said& other) const {
    return text == other.text && tokens == other.tokens &&
           finish == other.finish;
  }
};

class GenerateTest : public testing::Test {
 protected:
  GenerateTest() : pool_(1) {}
  void SetUp() override {
    model_ = OpenForTest(TinyModelPath());
    ASSERT_TRUE(model_);
    Renew(model_->decoder());
    prompt_ = EncodeForTest(*model_, kPrompt);
    options_.search.max_length = 256;
    options_.search.eos_ids = {kEnd};
  }
  void Renew(const DecoderSpec& spec) {
    session_ = std::make_unique<Session>(model_->plan(), spec, pool_,
                                         SessionOptions());
    generator_ =
        std::make_unique<Generator>(session_.get(), &model_->tokenizer());
  }

  Said Say(const std::vector<int32_t>& prompt) {
    Said said;
    const Status status = generator_->Start(prompt, options_);
    EXPECT_TRUE(status.ok()) << status.message();
    while (status.ok() && said.finish == FinishReason::kNone) {
      auto step = generator_->Next();
      EXPECT_TRUE(step.ok()) << step.status().message();
      if (!step.ok()) break;
      said.text += step->text;
      said.tokens.insert(said.tokens.end(), step->tokens.begin(),
                         step->tokens.end());
      said.finish = step->finish;
      ++said.steps;
    }
    said.stats = generator_->stats();
    return said;
  }
  Said Say() { return Say(prompt_); }
  // What is not the sentence: flat enough a distribution to sample from.
  void SampleWildly() {
    options_.search.do_sample = true;
    options_.search.temperature = 20;
    options_.search.top_k = 0;
    options_.search.top_p = 1;
    options_.search.max_length = 40;
  }

  std::unique_ptr<Model> model_;
  ThreadPool pool_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Generator> generator_;
  std::vector<int32_t> prompt_;
  GenerateOptions options_;
};

TEST_F(GenerateTest, SaysItsSentenceAndEnds) {
  const Said said = Say();
  EXPECT_EQ(said.text, kSentence);
  EXPECT_EQ(said.finish, FinishReason::kEos);
  EXPECT_EQ(said.tokens.size(), kWords + 1);
  EXPECT_EQ(said.tokens.back(), kEnd);
  EXPECT_EQ(said.stats.prompt_tokens, prompt_.size());
  EXPECT_EQ(said.stats.cached_tokens, 0u);
  EXPECT_EQ(said.stats.output_tokens, kWords + 1);
}

TEST_F(GenerateTest, StreamsOneTokenAStep) {
  ASSERT_TRUE(generator_->Start(prompt_, options_).ok());
  auto step = generator_->Next();
  ASSERT_TRUE(step.ok());
  EXPECT_EQ(step->text, "Hello");
  EXPECT_EQ(step->prompt_done, prompt_.size());
  step = generator_->Next();
  ASSERT_TRUE(step.ok());
  EXPECT_EQ(step->text, ",");
}

// A config that promises more than the graph's 256 rotary angles.
TEST_F(GenerateTest, PositionsBeyondTheRotaryCacheFail) {
  DecoderSpec spec = model_->decoder();
  spec.context_length = 2000;
  Renew(spec);
  options_.search.max_length = 700;
  ASSERT_TRUE(generator_->Start(std::vector<int32_t>(600, 5), options_).ok());
  const auto step = generator_->Next();
  ASSERT_FALSE(step.ok());
  EXPECT_NE(step.status().message().find("256"), std::string::npos)
      << step.status().message();
  EXPECT_EQ(session_->KvBytes(), 0u);
}

TEST_F(GenerateTest, SpeculationSaysTheSameInFewerSteps) {
  options_.search.eos_ids.clear();
  options_.search.max_length = 200;
  const Said plain = Say();
  EXPECT_EQ(plain.finish, FinishReason::kLength);
  EXPECT_EQ(plain.tokens.size(), 200 - prompt_.size());
  for (int32_t n : {2, 3, 5}) {
    Renew(model_->decoder());
    options_.ngram.ngram_size = n;
    options_.ngram.max_draft_tokens = 7;
    const Said drafted = Say();
    EXPECT_EQ(drafted, plain) << n;
    // Four of its five rounds repeat the first.
    EXPECT_GT(drafted.stats.accepted_tokens, 100u) << n;
    EXPECT_LT(drafted.steps, plain.steps / 2) << n;
    EXPECT_LE(drafted.stats.accepted_tokens, drafted.stats.draft_tokens);
    EXPECT_EQ(drafted.stats.output_tokens, plain.stats.output_tokens) << n;
  }
}

TEST_F(GenerateTest, AnAdaptiveDraftSaysTheSame) {
  options_.search.eos_ids.clear();
  options_.search.max_length = 200;
  const Said plain = Say();
  Renew(model_->decoder());
  options_.ngram = {.ngram_size = 3, .min_adaptive_k = 1, .cooldown = true};
  const Said drafted = Say();
  EXPECT_EQ(drafted, plain);
  EXPECT_GT(drafted.stats.accepted_tokens, 50u);
}

TEST_F(GenerateTest, SpeculationStopsAtTheEndTokenAndStopStrings) {
  // The prompt holds the sentence, so that all of it is guessed.
  const auto prompt =
      EncodeForTest(*model_, std::string("<|im_start|>assistant\n") +
                                 kSentence + "<|im_end|>\n" + kPrompt);
  options_.ngram.ngram_size = 3;
  options_.ngram.max_draft_tokens = 8;
  Said said = Say(prompt);
  EXPECT_EQ(said.text, kSentence);
  EXPECT_EQ(said.finish, FinishReason::kEos);
  EXPECT_EQ(said.tokens.size(), kWords + 1);
  EXPECT_GT(said.stats.accepted_tokens, 20u);
  options_.stop = {"tiny test"};
  said = Say(prompt);
  EXPECT_EQ(said.text, "Hello, I am a ");
  EXPECT_EQ(said.finish, FinishReason::kStop);
}

TEST_F(GenerateTest, StopStringsCutTheText) {
  struct Case {
    std::vector<std::string> stop;
    std::string text;
  };
  const Case cases[] = {
      {{"tiny"}, "Hello, I am a "},
      {{"ny test mo"}, "Hello, I am a ti"},
      {{"!", "."},
       "Hello, I am a tiny test model made by one script; this "
       "sentence is all it can say"},
      {{"Hello"}, ""},
  };
  for (const Case& c : cases) {
    options_.stop = c.stop;
    const Said said = Say();
    EXPECT_EQ(said.text, c.text);
    EXPECT_EQ(said.finish, FinishReason::kStop);
  }
  // What only begins like a stop string comes out in the end.
  options_.stop = {"bigger!?"};
  EXPECT_EQ(Say().text, kSentence);
}

TEST_F(GenerateTest, MaxLengthCountsThePrompt) {
  for (int64_t count : {1, 2, 5}) {
    options_.search.max_length = static_cast<int64_t>(prompt_.size()) + count;
    const Said said = Say();
    EXPECT_EQ(said.tokens.size(), static_cast<size_t>(count));
    EXPECT_EQ(said.finish, FinishReason::kLength);
  }
}

TEST_F(GenerateTest, AFullContextEndsTheAnswer) {
  DecoderSpec spec = model_->decoder();
  spec.context_length = 20;
  Renew(spec);
  options_.search.max_length = 20;
  const Said said = Say();
  EXPECT_EQ(said.finish, FinishReason::kLength);
  EXPECT_EQ(said.tokens.size(), 20 - prompt_.size());
  EXPECT_EQ(said.text, "Hello, I am a tiny test model made by");
}

TEST_F(GenerateTest, PromptsWithoutRoomAreRefused) {
  DecoderSpec spec = model_->decoder();
  spec.context_length = 10;
  Renew(spec);
  options_.search.max_length = 10;
  const Status status = generator_->Start(prompt_, options_);
  EXPECT_EQ(status.kind(), ErrorKind::kOverflow);
  EXPECT_NE(status.message().find("10 tokens, context is 10"),
            std::string::npos)
      << status.message();
  EXPECT_EQ(generator_->Start({}, options_).kind(), ErrorKind::kUsage);
}

TEST_F(GenerateTest, ASecondTurnComputesOnlyWhatIsNew) {
  const Said first = Say();
  const std::string talk =
      std::string(kPrompt) + kSentence + "<|im_end|>\n" + kPrompt;
  const auto prompt = EncodeForTest(*model_, talk);
  const Said second = Say(prompt);
  EXPECT_EQ(second.text, kSentence);
  // All that was run: the prompt and the sentence; <|im_end|> was chosen, but
  // never run.
  EXPECT_EQ(second.stats.cached_tokens, prompt_.size() + kWords);
  EXPECT_EQ(second.stats.prompt_tokens, prompt.size());
  // The same prompt again: its last token must run to give logits.
  EXPECT_EQ(Say(prompt).stats.cached_tokens, prompt.size() - 1);
  // Another beginning.
  const auto other = EncodeForTest(*model_, "Hello");
  EXPECT_EQ(Say(other).stats.cached_tokens, 0u);
  EXPECT_EQ(first.text, kSentence);
}

TEST_F(GenerateTest, SeedsRepeat) {
  SampleWildly();
  options_.search.seed = 5;
  const Said first = Say(), again = Say();
  EXPECT_EQ(first, again);
  EXPECT_NE(first.text, std::string(kSentence).substr(0, first.text.size()));
  options_.search.seed = 6;
  EXPECT_FALSE(Say() == first);
  // -1: the caller's seed.
  options_.search.seed = -1;
  options_.seed = 9;
  const Said nine = Say();
  EXPECT_EQ(nine, Say());
  options_.seed = 10;
  EXPECT_FALSE(Say() == nine);
}

// What onnxruntime-genai 0.18.0 says with this folder. Early stopping takes
// the first answers that are complete, and those had left words out.
TEST_F(GenerateTest, BeamsSayWhatOrtGenAiSays) {
  const std::string whole = kSentence;
  const std::string shorter =
      whole.substr(0, whole.find("slm-run")) + "something bigger!";
  struct Case {
    int64_t beams;
    bool early_stopping;
    int64_t max_length;
    std::string text;
  };
  const Case cases[] = {{3, true, 80, shorter},
                        {3, false, 80, whole},
                        {2, true, 60, shorter},
                        {4, true, 60, shorter},
                        {1, true, 60, whole}};
  for (const Case& c : cases) {
    options_.search.num_beams = c.beams;
    options_.search.early_stopping = c.early_stopping;
    options_.search.max_length = c.max_length;
    const Said said = Say();
    EXPECT_EQ(said.text, c.text) << c.beams << " beams";
    EXPECT_EQ(said.finish, FinishReason::kEos);
  }
}

TEST_F(GenerateTest, TextIsAlwaysWholeCharacters) {
  // Bytes of U+1F600, each a token of its own, by bias.
  const auto bytes = EncodeForTest(*model_, "\xF0\x9F\x98\x80");
  ASSERT_EQ(bytes.size(), 4u);
  options_.search.logit_bias = {{bytes[0], 100.0f}};
  options_.search.max_length = static_cast<int64_t>(prompt_.size()) + 2;
  const Said said = Say();
  EXPECT_EQ(said.tokens, (std::vector<int32_t>{bytes[0], bytes[0]}));
  EXPECT_EQ(said.text, "\xEF\xBF\xBD\xEF\xBF\xBD");  // U+FFFD each
}

TEST_F(GenerateTest, LogprobsOfASureChoiceAreNearZero) {
  options_.search.top_logprobs = 2;
  ASSERT_TRUE(generator_->Start(prompt_, options_).ok());
  const auto step = generator_->Next();
  ASSERT_TRUE(step.ok());
  EXPECT_EQ(step->logprobs.chosen.token, step->tokens[0]);
  // The margin is 8.7 at least: log(1 + 287 exp(-8.7)) = 0.05 at most.
  EXPECT_GT(step->logprobs.chosen.logprob, -0.05f);
  EXPECT_LE(step->logprobs.chosen.logprob, 0.0f);
  ASSERT_EQ(step->logprobs.top.size(), 2u);
  EXPECT_EQ(step->logprobs.top[0].token, step->tokens[0]);
  EXPECT_LT(step->logprobs.top[1].logprob, -8.0f);
}

}  // namespace
}  // namespace slm
