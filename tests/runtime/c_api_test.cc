// SPDX-License-Identifier: MIT
// The C API on the tiny model: its ways to fail, and what a chat promises.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "slm/slm.hpp"

extern "C" slm_status slm_c99_answer(const char* path, const char* question,
                                     char* text, size_t capacity,
                                     slm_error* error);

namespace slm {
namespace {

constexpr const char* kSentence =
    "Hello, I am a tiny test model made by one script; this sentence is all "
    "it can say. Give slm-run the folder of something bigger!";
constexpr size_t kWords = 31;

std::string TinyModelPath() {
  return std::string(SLM_TEST_DATA_DIR) + "/tiny-model";
}

class CApi : public testing::Test {
 protected:
  void SetUp() override {
    slm_model_params params;
    slm_model_params_init(&params);
    const std::string path = TinyModelPath();
    params.path = path.c_str();
    const api::Failure failure = api::OpenModel(params, &model_);
    ASSERT_FALSE(failure) << failure.message();
    slm_chat_params_init(&params_);
    params_.threads = 1;
    slm_sampling_init(model_.get(), &sampling_);
    Renew();
  }
  void Renew() {
    chat_.reset();
    const api::Failure failure = api::NewChat(model_.get(), params_, &chat_);
    ASSERT_FALSE(failure) << failure.message();
  }
  void Add(const char* role, std::string_view text) {
    const api::Failure failure = api::AddTurn(chat_.get(), role, text);
    ASSERT_FALSE(failure) << failure.message();
  }
  std::string Answer(slm_finish* finish = nullptr) {
    std::string text;
    const api::Failure failure = api::Answer(
        chat_.get(), sampling_,
        [&](std::string_view piece) {
          text += piece;
          return true;
        },
        finish);
    EXPECT_FALSE(failure) << failure.message();
    return text;
  }
  std::string Prompt() {
    std::string text;
    const api::Failure failure = api::Prompt(chat_.get(), &text);
    EXPECT_FALSE(failure) << failure.message();
    return text;
  }
  slm_status Step(slm_event* event) {
    *event = {};
    event->struct_size = sizeof *event;
    return slm_chat_step(chat_.get(), event, &error_);
  }
  slm_stats Stats() const {
    slm_stats stats;
    slm_chat_get_stats(chat_.get(), &stats);
    return stats;
  }
  size_t PromptTokens() {
    EXPECT_EQ(slm_chat_start(chat_.get(), &sampling_, &error_), SLM_OK)
        << error_.message;
    return Stats().prompt_tokens;
  }

  api::ModelPtr model_;
  api::ChatPtr chat_;
  slm_chat_params params_;
  slm_sampling sampling_;
  slm_error error_{};
};

TEST(CApiC99, AnswersAQuestion) {
  char text[500];
  slm_error error;
  ASSERT_EQ(
      slm_c99_answer(TinyModelPath().c_str(), "hi", text, sizeof text, &error),
      SLM_OK)
      << error.message;
  EXPECT_STREQ(text, kSentence);
}

TEST(CApiOpen, BadParamsAreUsageErrors) {
  slm_model* model = reinterpret_cast<slm_model*>(1);
  slm_error error;
  slm_model_params params;
  slm_model_params_init(&params);
  EXPECT_EQ(slm_model_open(&params, &model, &error), SLM_USAGE_ERROR);
  EXPECT_EQ(model, nullptr);
  EXPECT_NE(std::strstr(error.message, "NULL"), nullptr) << error.message;
  params.path = "x";
  params.struct_size -= 1;
  EXPECT_EQ(slm_model_open(&params, &model, &error), SLM_USAGE_ERROR);
  EXPECT_NE(std::strstr(error.message, "struct_size"), nullptr);
  EXPECT_EQ(slm_model_open(nullptr, &model, &error), SLM_USAGE_ERROR);
  EXPECT_EQ(slm_model_open(nullptr, &model, nullptr), SLM_USAGE_ERROR);
}

TEST(CApiOpen, MissingFoldersAreNotFound) {
  slm_model* model = nullptr;
  slm_error error;
  slm_model_params params;
  slm_model_params_init(&params);
  for (const char* path : {"no/such/folder", "", "/"}) {
    params.path = path;
    EXPECT_EQ(slm_model_open(&params, &model, &error), SLM_NOT_FOUND)
        << "\"" << path << "\" " << error.message;
    EXPECT_EQ(model, nullptr);
  }
}

// A long path: the message is cut at a character and ends with NUL.
TEST(CApiOpen, LongMessagesAreCutAtACharacter) {
  std::string path;
  for (int i = 0; i < 1000; ++i) path += "\xC3\xA4";
  slm_model* model = nullptr;
  slm_error error;
  std::memset(&error, 'x', sizeof error);
  slm_model_params params;
  slm_model_params_init(&params);
  params.path = path.c_str();
  EXPECT_NE(slm_model_open(&params, &model, &error), SLM_OK);
  const size_t size = strnlen(error.message, sizeof error.message);
  ASSERT_LT(size, sizeof error.message);
  EXPECT_EQ(std::strchr(error.message, '\n'), nullptr);
}

TEST(CApiOpen, FreeingNothingIsFine) {
  slm_model_free(nullptr);
  slm_chat_free(nullptr);
}

TEST_F(CApi, TokensAndTemplateOfTheModel) {
  std::vector<int32_t> tokens;
  ASSERT_FALSE(api::Tokenize(model_.get(), "hi<|im_end|>", &tokens));
  // Two letters and the ten characters of a name that is only text here.
  EXPECT_EQ(tokens.size(), 12u);
  std::string text;
  ASSERT_FALSE(api::TokenText(model_.get(), tokens[0], &text));
  EXPECT_EQ(text, "h");
  ASSERT_FALSE(api::Template(model_.get(), &text));
  EXPECT_NE(text.find("add_generation_prompt"), std::string::npos);
}

TEST_F(CApi, VersionsAgree) {
  EXPECT_EQ(slm_api_version(), SLM_API_VERSION);
  EXPECT_STRNE(slm_version(), "");
}

// The figures are those of make_tiny_model.py.
TEST_F(CApi, InfoTellsTheModel) {
  slm_model_info info;
  slm_model_get_info(model_.get(), &info);
  EXPECT_STREQ(info.type, "qwen2");
  EXPECT_NE(std::strstr(info.template_file, "chat_template.jinja"), nullptr)
      << info.template_file;
  EXPECT_EQ(info.context_length, 256u);
  EXPECT_EQ(info.vocab_size, 288u);
  // K and V of two layers, 2 heads of 16 floats.
  EXPECT_EQ(info.kv_bytes_per_token, 2u * 2 * 2 * 16 * 4);
  EXPECT_GT(info.weight_bytes, 120000u);
}

TEST_F(CApi, MemoryIsALineForEachPart) {
  std::string text;
  ASSERT_FALSE(api::Memory(model_.get(), &text));
  for (const char* line : {"weights ", "\nKV cache ", "at 256 tokens in int8",
                           "\nscratch ", "for 1 new tokens"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
  // A short buffer is filled with what fits; the size is that of the whole.
  char part[8];
  size_t size = 0;
  ASSERT_EQ(slm_model_memory(model_.get(), part, sizeof part, &size, &error_),
            SLM_OK);
  EXPECT_EQ(size, text.size());
  EXPECT_EQ(part, text.substr(0, sizeof part - 1));
}

TEST(CApiConfig, SpeculationOfTheConfigIsTheDefault) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "slm_speculative";
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (const auto& entry : fs::directory_iterator(TinyModelPath())) {
    const fs::path to = folder / entry.path().filename();
    if (to.filename() != "genai_config.json") fs::copy_file(entry.path(), to);
  }
  std::ifstream in(TinyModelPath() + "/genai_config.json");
  std::string config{std::istreambuf_iterator<char>(in), {}};
  config.insert(config.find("\"search\""),
                R"("speculative": {"max_draft_tokens": 5, "ngram_size": 3,
                   "ngram_chained_lookup": true, "min_adaptive_k": 2,
                   "cooldown": true}, )");
  std::ofstream(folder / "genai_config.json") << config;

  slm_model_params params;
  slm_model_params_init(&params);
  const std::string path = folder.string();
  params.path = path.c_str();
  api::ModelPtr model;
  const api::Failure failure = api::OpenModel(params, &model);
  ASSERT_FALSE(failure) << failure.message();
  slm_sampling sampling;
  slm_sampling_init(model.get(), &sampling);
  EXPECT_EQ(sampling.max_draft_tokens, 5);
  EXPECT_EQ(sampling.ngram_size, 3);
  EXPECT_EQ(sampling.ngram_chained_lookup, 1);
  EXPECT_EQ(sampling.min_adaptive_k, 2);
  EXPECT_EQ(sampling.draft_cooldown, 1);
}

TEST_F(CApi, CallsOutOfOrderAreUsageErrors) {
  slm_event event;
  EXPECT_EQ(Step(&event), SLM_USAGE_ERROR);
  EXPECT_NE(std::strstr(error_.message, "slm_chat_start"), nullptr);
  Add("user", "hi");
  ASSERT_EQ(slm_chat_start(chat_.get(), &sampling_, &error_), SLM_OK);
  EXPECT_EQ(slm_chat_add(chat_.get(), "user", "x", 1, &error_),
            SLM_USAGE_ERROR);
  event.struct_size = 1;
  EXPECT_EQ(slm_chat_step(chat_.get(), &event, &error_), SLM_USAGE_ERROR);
  slm_sampling wrong = sampling_;
  wrong.struct_size = 0;
  EXPECT_EQ(slm_chat_start(chat_.get(), &wrong, &error_), SLM_USAGE_ERROR);
  // After the end of an answer there is nothing to step.
  EXPECT_EQ(Answer(), kSentence);
  EXPECT_EQ(Step(&event), SLM_USAGE_ERROR);
}

TEST_F(CApi, BadArgumentsAreUsageErrors) {
  EXPECT_EQ(slm_chat_add(chat_.get(), "robot", "x", 1, &error_),
            SLM_USAGE_ERROR);
  EXPECT_NE(std::strstr(error_.message, "robot"), nullptr);
  EXPECT_EQ(slm_chat_set(chat_.get(), "x", "{", &error_), SLM_USAGE_ERROR);
  slm_chat* chat = nullptr;
  slm_chat_params params = params_;
  params.context = 257;
  EXPECT_EQ(slm_chat_new(model_.get(), &params, &chat, &error_),
            SLM_USAGE_ERROR);
  EXPECT_NE(std::strstr(error_.message, "257"), nullptr);
  EXPECT_NE(std::strstr(error_.message, "256"), nullptr);
  params = params_;
  params.struct_size = 3;
  EXPECT_EQ(slm_chat_new(model_.get(), &params, &chat, &error_),
            SLM_USAGE_ERROR);
  Add("user", "hi");
  sampling_.temperature = -1;
  sampling_.do_sample = 1;
  EXPECT_EQ(slm_chat_start(chat_.get(), &sampling_, &error_), SLM_USAGE_ERROR);
  const char* empty[] = {""};
  slm_sampling_init(model_.get(), &sampling_);
  sampling_.stop = empty;
  sampling_.stop_count = 1;
  EXPECT_EQ(slm_chat_start(chat_.get(), &sampling_, &error_), SLM_USAGE_ERROR);
  char buffer[16];
  size_t size = 0;
  for (int32_t token : {-1, 288, 1 << 30}) {
    (void)slm_token_text(model_.get(), token, buffer, sizeof buffer, &size,
                         &error_);
  }
}

TEST_F(CApi, AnAnswerCanBeKeptToJson) {
  // Tokens 90 and 92 are { and }.
  const slm_logit_bias braces[] = {{90, 50}, {92, 100}};
  sampling_.logit_bias = braces;
  sampling_.logit_bias_count = 2;
  sampling_.json = 1;
  Add("user", "hi");
  slm_finish finish = SLM_FINISH_NONE;
  EXPECT_EQ(Answer(&finish), "{}");
  EXPECT_EQ(finish, SLM_FINISH_STOP);
  EXPECT_EQ(Stats().json_cut, 0);
  Add("user", "hi");
  sampling_.max_tokens = 1;
  EXPECT_EQ(Answer(&finish), "{");
  EXPECT_EQ(finish, SLM_FINISH_LENGTH);
  EXPECT_EQ(Stats().json_cut, 1);
  sampling_.num_beams = 2;
  Add("user", "hi");
  EXPECT_EQ(slm_chat_start(chat_.get(), &sampling_, &error_), SLM_USAGE_ERROR);
  EXPECT_NE(std::strstr(error_.message, "json"), nullptr);
}

TEST_F(CApi, AThinkBudgetNeedsAModelThatThinks) {
  slm_model_info info;
  slm_model_get_info(model_.get(), &info);
  EXPECT_EQ(info.thinks, 0);
  EXPECT_EQ(sampling_.think_budget, -1);
  Add("user", "hi");
  for (const int64_t budget : {0, 5, -2}) {
    sampling_.think_budget = budget;
    EXPECT_EQ(slm_chat_start(chat_.get(), &sampling_, &error_),
              SLM_USAGE_ERROR);
    EXPECT_NE(std::strstr(error_.message, "think_budget"), nullptr);
  }
}

TEST_F(CApi, MemoryLimitsAreNamed) {
  params_.max_memory = 1000;
  slm_chat* chat = nullptr;
  EXPECT_EQ(slm_chat_new(model_.get(), &params_, &chat, &error_),
            SLM_OUT_OF_MEMORY);
  EXPECT_EQ(chat, nullptr);
  EXPECT_NE(std::strstr(error_.message, "limit"), nullptr) << error_.message;
}

TEST_F(CApi, AnswersAreTurns) {
  Add("user", "hi");
  slm_finish finish = SLM_FINISH_NONE;
  EXPECT_EQ(Answer(&finish), kSentence);
  EXPECT_EQ(finish, SLM_FINISH_EOS);
  EXPECT_EQ(Prompt(), std::string("<|im_start|>user\nhi<|im_end|>\n"
                                  "<|im_start|>assistant\n") +
                          kSentence + "<|im_end|>\n<|im_start|>assistant\n");
  const size_t first = Stats().prompt_tokens;
  EXPECT_EQ(first, 10u);  // the ids in tiny-model-reference.json
  EXPECT_EQ(Stats().output_tokens, kWords + 1);
  Add("user", "and?");
  EXPECT_EQ(Answer(), kSentence);
  EXPECT_EQ(Stats().cached_tokens, first + kWords);
  slm_chat_undo(chat_.get(), 3);
  EXPECT_EQ(Prompt(),
            "<|im_start|>user\nhi<|im_end|>\n"
            "<|im_start|>assistant\n");
  slm_chat_clear(chat_.get());
  EXPECT_EQ(Prompt(), "<|im_start|>assistant\n");
}

TEST_F(CApi, PromptsAreCutToTheBuffer) {
  Add("user", "hi");
  char buffer[8];
  size_t size = 0;
  EXPECT_EQ(slm_chat_prompt(chat_.get(), buffer, sizeof buffer, &size, &error_),
            SLM_OK);
  EXPECT_STREQ(buffer, "<|im_st");
  EXPECT_EQ(size, Prompt().size());
}

// Each byte of typed control tokens is a token of its own here, so a control
// token would shorten the prompt.
TEST_F(CApi, TypedControlTokensStayText) {
  Add("user", "a");
  const size_t with_one_byte = PromptTokens();
  slm_chat_clear(chat_.get());
  Add("user", "<|im_end|>");
  // "<|im_end|>": "<", "|", "im", "_", "end", "|", ">" in single bytes.
  EXPECT_EQ(PromptTokens(), with_one_byte - 1 + 10);
  EXPECT_EQ(Answer(), kSentence);
  // Raw texts are the caller's own.
  params_.raw = 1;
  Renew();
  Add("user", "<|im_end|>");
  EXPECT_EQ(Prompt(), "<|im_end|>");
  EXPECT_EQ(PromptTokens(), 1u);
}

TEST_F(CApi, RawTextIsContinued) {
  params_.raw = 1;
  Renew();
  Add("user", "Hello");
  EXPECT_EQ(Answer(), std::string(kSentence).substr(5));
}

TEST_F(CApi, CancelEndsTheAnswerFromAnotherThread) {
  Add("user", "hi");
  sampling_.ignore_eos = 1;
  ASSERT_EQ(slm_chat_start(chat_.get(), &sampling_, &error_), SLM_OK);
  slm_event event;
  ASSERT_EQ(Step(&event), SLM_OK);
  const std::string so_far(event.text, event.text_size);
  std::thread other([this] { slm_chat_cancel(chat_.get()); });
  other.join();
  EXPECT_EQ(Step(&event), SLM_CANCELLED);
  EXPECT_EQ(Step(&event), SLM_USAGE_ERROR);
  EXPECT_NE(Prompt().find("assistant\n" + so_far + "<|im_end|>"),
            std::string::npos);
  // The next answer is not cancelled.
  sampling_.ignore_eos = 0;
  Add("user", "hi");
  EXPECT_EQ(Answer(), kSentence);
}

// A cancel that comes at any moment: the loop ends, whichever step it hits.
TEST_F(CApi, CancelMayRaceWithSteps) {
  Add("user", "hi");
  sampling_.ignore_eos = 1;
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(slm_chat_start(chat_.get(), &sampling_, &error_), SLM_OK);
    std::atomic<int> steps{0};
    std::thread other([&] {
      while (steps.load() < i) std::this_thread::yield();
      slm_chat_cancel(chat_.get());
    });
    slm_event event{};
    slm_status status = SLM_OK;
    while (status == SLM_OK && event.finish == SLM_FINISH_NONE) {
      status = Step(&event);
      ++steps;
    }
    steps = 1000;
    other.join();
    EXPECT_TRUE(status == SLM_CANCELLED || event.finish == SLM_FINISH_LENGTH);
    slm_chat_undo(chat_.get(), 1);
  }
}

TEST_F(CApi, AFullContextIsAnErrorWithBothNumbers) {
  Add("user", std::string(300, 'x'));
  EXPECT_EQ(slm_chat_start(chat_.get(), &sampling_, &error_),
            SLM_CONTEXT_OVERFLOW);
  // 8 of the template and 300 bytes.
  EXPECT_NE(std::strstr(error_.message, "308"), nullptr) << error_.message;
  EXPECT_NE(std::strstr(error_.message, "256"), nullptr) << error_.message;
}

TEST_F(CApi, TheOldestTurnsAreDroppedIfAllowed) {
  params_.on_overflow = SLM_OVERFLOW_DROP_OLDEST;
  params_.context = 128;
  Renew();
  Add("system", "Be brief.");
  for (int i = 0; i < 6; ++i) {
    Add("user", "question " + std::to_string(i));
    EXPECT_EQ(Answer(), kSentence) << i;
  }
  EXPECT_GT(Stats().dropped_turns, 0u);
  const std::string prompt = Prompt();
  EXPECT_EQ(prompt.find("<|im_start|>system\nBe brief."), 0u);
  EXPECT_EQ(prompt.find("question 0"), std::string::npos);
  EXPECT_NE(prompt.find("question 5"), std::string::npos);
  // One question that is too long by itself cannot be helped.
  Add("user", std::string(200, 'x'));
  EXPECT_EQ(slm_chat_start(chat_.get(), &sampling_, &error_),
            SLM_CONTEXT_OVERFLOW);
}

TEST_F(CApi, SamplingDefaultsAreTheModels) {
  EXPECT_EQ(sampling_.do_sample, 0);
  EXPECT_EQ(sampling_.top_k, 50);
  EXPECT_EQ(sampling_.top_p, 1.0f);
  EXPECT_EQ(sampling_.num_beams, 1);
  EXPECT_EQ(sampling_.top_logprobs, -1);
}

TEST_F(CApi, OptionsReachTheSearch) {
  Add("user", "hi");
  sampling_.max_tokens = 3;
  slm_finish finish = SLM_FINISH_NONE;
  EXPECT_EQ(Answer(&finish), "Hello, I");
  EXPECT_EQ(finish, SLM_FINISH_LENGTH);
  slm_chat_undo(chat_.get(), 1);
  const char* stop[] = {" am", "zzz"};
  sampling_.max_tokens = 0;
  sampling_.stop = stop;
  sampling_.stop_count = 2;
  EXPECT_EQ(Answer(&finish), "Hello, I");
  EXPECT_EQ(finish, SLM_FINISH_STOP);
  slm_chat_undo(chat_.get(), 1);
  sampling_.stop_count = 0;
  const slm_logit_bias bias = {256, -100};  // "Hello"
  sampling_.logit_bias = &bias;
  sampling_.logit_bias_count = 1;
  EXPECT_NE(Answer().substr(0, 5), "Hello");
  slm_chat_undo(chat_.get(), 1);
  sampling_.logit_bias_count = 0;
  sampling_.num_beams = 3;
  sampling_.early_stopping = 0;
  EXPECT_EQ(Answer(), kSentence);
  slm_chat_undo(chat_.get(), 1);
  sampling_.num_beams = 1;
  sampling_.ignore_eos = 1;
  sampling_.ngram_size = 3;
  sampling_.max_draft_tokens = 8;
  sampling_.ngram_chained_lookup = 1;
  sampling_.draft_cooldown = 1;
  const std::string looped = Answer(&finish);
  EXPECT_EQ(finish, SLM_FINISH_LENGTH);
  EXPECT_EQ(looped.substr(0, std::strlen(kSentence)), kSentence);
  EXPECT_GT(Stats().accepted_tokens, 50u);
  EXPECT_EQ(Stats().context_used, 256u);
}

TEST_F(CApi, LogprobsAreThoseOfTheChosenToken) {
  Add("user", "hi");
  sampling_.top_logprobs = 2;
  ASSERT_EQ(slm_chat_start(chat_.get(), &sampling_, &error_), SLM_OK);
  slm_event event;
  ASSERT_EQ(Step(&event), SLM_OK);
  ASSERT_EQ(event.token_count, 1u);
  EXPECT_EQ(event.chosen.token, event.tokens[0]);
  ASSERT_EQ(event.top_count, 2u);
  EXPECT_EQ(event.top[0].token, event.tokens[0]);
  EXPECT_LT(event.top[1].logprob, event.top[0].logprob);
}

TEST_F(CApi, TemplatesCanBeReplacedAndHaveVariables) {
  slm_model_params params;
  slm_model_params_init(&params);
  const std::string path = TinyModelPath();
  params.path = path.c_str();
  params.template_text =
      "{% for m in messages %}{{ name }}: {{ m.content }}\n{% endfor %}";
  api::ModelPtr model;
  ASSERT_FALSE(api::OpenModel(params, &model));
  api::ChatPtr chat;
  ASSERT_FALSE(api::NewChat(model.get(), params_, &chat));
  ASSERT_FALSE(api::AddTurn(chat.get(), "user", "hi"));
  ASSERT_EQ(slm_chat_set(chat.get(), "name", "\"Bo\"", &error_), SLM_OK);
  std::string prompt;
  ASSERT_FALSE(api::Prompt(chat.get(), &prompt));
  EXPECT_EQ(prompt, "Bo: hi\n");
  chat.reset();
  params.template_text = "{% for m in messages %}";
  EXPECT_EQ(api::OpenModel(params, &model).error.status, SLM_INVALID_MODEL);
}

TEST_F(CApi, OneModelServesManyThreads) {
  std::vector<std::thread> threads;
  std::vector<std::string> said(3);
  for (size_t i = 0; i < said.size(); ++i) {
    threads.emplace_back([&, i] {
      api::ChatPtr chat;
      if (api::NewChat(model_.get(), params_, &chat)) return;
      if (api::AddTurn(chat.get(), "user", "hi")) return;
      (void)api::Answer(chat.get(), sampling_, [&](std::string_view piece) {
        said[i] += piece;
        return true;
      });
    });
  }
  for (std::thread& t : threads) t.join();
  for (const std::string& s : said) EXPECT_EQ(s, kSentence);
}

}  // namespace
}  // namespace slm
