// SPDX-License-Identifier: MIT
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "loader/config.h"
#include "loader/inference_model.h"
#include "tests/loader/shared_fixtures.h"

namespace slm {
namespace {

Result<ModelConfig> ParseTexts(const std::string& config,
                               const std::string& generation, LogLines* log) {
  const auto document = JsonDocument::Parse(config);
  EXPECT_TRUE(document.ok()) << document.status().message() << "\n" << config;
  if (generation.empty()) {
    return ParseHfConfig(document->root(), "config.json", nullptr, "",
                         log->Sink());
  }
  const auto second = JsonDocument::Parse(generation);
  EXPECT_TRUE(second.ok()) << second.status().message() << "\n" << generation;
  return ParseHfConfig(document->root(), "config.json", &second->root(),
                       "generation_config.json", log->Sink());
}

constexpr const char* kLlama = R"({"model_type": "llama", "vocab_size": 100,
    "max_position_embeddings": 64, "num_hidden_layers": 2, "hidden_size": 64,
    "num_attention_heads": 4, "eos_token_id": 2, "bos_token_id": null,
    "pad_token_id": -1, "rope_scaling": {"factor": 8.0}, "use_cache": true})";

TEST(HfConfig, FillsWhatTheFileLeavesOut) {
  LogLines log;
  const auto config = ParseTexts(kLlama, "", &log);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->type, "llama");
  EXPECT_EQ(config->vocab_size, 100);
  EXPECT_EQ(config->context_length, 64);
  EXPECT_EQ(config->decoder.num_hidden_layers, 2);
  EXPECT_EQ(config->decoder.num_key_value_heads, 4);
  EXPECT_EQ(config->decoder.head_size, 16);
  EXPECT_EQ(config->decoder.inputs.past_key_names, "past_key_values.%d.key");
  EXPECT_EQ(config->eos_token_ids, std::vector<int64_t>{2});
  EXPECT_FALSE(config->bos_token_id.has_value());
  EXPECT_FALSE(config->pad_token_id.has_value());
  EXPECT_FALSE(config->search.do_sample.value);
  EXPECT_EQ(config->search.top_p.value, 1.0);
}

TEST(HfConfig, GenerationConfigWins) {
  LogLines log;
  const auto config = ParseTexts(
      kLlama,
      R"({"do_sample": true, "temperature": 0.6, "top_k": -1, "top_p": 0.95,
          "repetition_penalty": 1.1, "max_length": 50, "min_p": 0.05,
          "max_new_tokens": 10, "eos_token_id": [5, 6], "bos_token_id": 1,
          "pad_token_id": 3, "early_stopping": "never", "typical_p": 1.0,
          "transformers_version": "4.57.6"})",
      &log);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_TRUE(log.lines.empty()) << log.lines[0];
  EXPECT_EQ(config->eos_token_ids, (std::vector<int64_t>{5, 6}));
  EXPECT_EQ(config->bos_token_id, 1);
  EXPECT_EQ(config->pad_token_id, 3);
  EXPECT_TRUE(config->search.do_sample.value);
  EXPECT_EQ(config->search.do_sample.source, ConfigSource::kGenerationConfig);
  EXPECT_EQ(config->search.temperature.value, 0.6);
  EXPECT_EQ(config->search.top_k.value, 0);
  EXPECT_EQ(config->search.top_p.value, 0.95);
  EXPECT_EQ(config->search.min_p.value, 0.05);
  EXPECT_EQ(config->search.repetition_penalty.value, 1.1);
  EXPECT_EQ(config->search.max_length.value, 50);
  EXPECT_EQ(config->search.max_new_tokens.value, 10);
}

TEST(HfConfig, WarnsOfWhatItCannotHonour) {
  LogLines log;
  const auto config = ParseTexts(
      kLlama, R"({"suppress_tokens": [1, 2], "typical_p": 0.9})", &log);
  ASSERT_TRUE(config.ok());
  EXPECT_TRUE(log.Holds("suppress_tokens = a list of 2 items"));
  EXPECT_TRUE(log.Holds("typical_p = 0.9"));
}

TEST(HfConfig, TakesTheTextPartOfAWrapper) {
  LogLines log;
  const auto config = ParseTexts(
      R"({"model_type": "gemma3", "eos_token_id": [1, 7],
          "vision_config": {"hidden_size": 9},
          "text_config": {"model_type": "gemma3_text", "vocab_size": 50,
            "max_position_embeddings": 32, "num_hidden_layers": 6,
            "num_attention_heads": 4, "num_key_value_heads": 1,
            "head_dim": 32, "hidden_size": 64}})",
      "", &log);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->type, "gemma3_text");
  EXPECT_EQ(config->vocab_size, 50);
  EXPECT_EQ(config->decoder.head_size, 32);
  EXPECT_EQ(config->eos_token_ids, (std::vector<int64_t>{1, 7}));
}

TEST(HfConfig, ReadsTheOldNames) {
  LogLines log;
  const auto config = ParseTexts(
      R"({"model_type": "gpt2", "vocab_size": 50257, "n_positions": 1024,
          "n_ctx": 1024, "n_layer": 12, "n_head": 12, "n_embd": 768,
          "eos_token_id": 50256, "bos_token_id": 50256})",
      "", &log);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->context_length, 1024);
  EXPECT_EQ(config->decoder.num_hidden_layers, 12);
  EXPECT_EQ(config->decoder.num_key_value_heads, 12);
  EXPECT_EQ(config->decoder.head_size, 64);
}

TEST(HfConfig, Refuses) {
  struct Case {
    const char* config;
    const char* generation;
    const char* part;
  };
  const Case cases[] = {
      {"{}", "", "config.json: vocab_size is missing"},
      {R"({"vocab_size": 5})", "", "max_position_embeddings is missing"},
      {R"({"vocab_size": "5"})", "", "vocab_size = \"5\", expected an integer"},
      {R"({"model_type": "whisper"})", "", "an audio model"},
      {R"({"model_type": "bert"})", "", "a text encoder"},
      {R"({"model_type": "phi3_v"})", "", "a vision-language model"},
      {R"({"model_type": "q", "is_encoder_decoder": true})", "",
       "an encoder-decoder model"},
      {R"({"text_config": {"vocab_size": -1}})", "",
       "config.json: text_config: vocab_size = -1"},
      {kLlama, R"({"eos_token_id": [100]})", "eos_token_id = 100"},
      {kLlama, R"({"temperature": "hot"})",
       "generation_config.json: temperature = \"hot\""},
      {kLlama, R"({"top_p": 2})", "top_p = 2, expected 0 to 1"},
  };
  for (const Case& c : cases) {
    LogLines log;
    const auto config = ParseTexts(c.config, c.generation, &log);
    ASSERT_FALSE(config.ok()) << c.config << c.generation;
    EXPECT_EQ(config.status().kind(), ErrorKind::kInvalid);
    EXPECT_NE(config.status().message().find(c.part), std::string::npos)
        << config.status().message();
  }
}

// The file of the tutorial.
TEST(InferenceModel, ReadsNameTemplatesAndWeakDefaults) {
  const auto document = JsonDocument::Parse(R"({"Name": "NAME-int4",
    "Description": "...", "Version": "1.0", "PromptTemplate": {
      "system": "<|im_start|>system\n{Content}<|im_end|>",
      "user": "<|im_start|>user\n{Content}<|im_end|>",
      "assistant": "<|im_start|>assistant\n{Content}<|im_end|>",
      "prompt": "<|im_start|>user\n{Content}<|im_end|>\n<|im_start|>assistant"},
    "ModelConfig": {"max_length": 2048, "temperature": 0.7, "top_p": 0.9,
      "repetition_penalty": 1.1}})");
  ASSERT_TRUE(document.ok());
  SearchConfig search;
  search.top_p.Set(0.8, ConfigSource::kGenAiConfig);
  const auto model = ParseInferenceModel(document->root(),
                                         "inference_model.json", {}, &search);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->name, "NAME-int4");
  ASSERT_TRUE(model->prompt_template.has_value());
  EXPECT_EQ(model->prompt_template->user,
            "<|im_start|>user\n{Content}<|im_end|>");
  EXPECT_EQ(search.max_length.value, 2048);
  EXPECT_EQ(search.temperature.value, 0.7);
  EXPECT_EQ(search.temperature.source, ConfigSource::kInferenceModel);
  EXPECT_EQ(search.top_p.value, 0.8);
  EXPECT_TRUE(search.do_sample.value);
}

TEST(InferenceModel, NullTemplateIsNone) {
  const auto document =
      JsonDocument::Parse(R"({"Name": "a:3", "PromptTemplate": null})");
  SearchConfig search;
  const auto model = ParseInferenceModel(document->root(), "i", {}, &search);
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(model->name, "a:3");
  EXPECT_FALSE(model->prompt_template.has_value());
  EXPECT_FALSE(search.do_sample.IsSet());
}

TEST(InferenceModel, RefusesWrongTypes) {
  for (const char* json :
       {R"({"Name": 3})", R"({"PromptTemplate": "x"})",
        R"({"PromptTemplate": {"user": 3}})", R"({"ModelConfig": []})",
        R"({"ModelConfig": {"top_p": 3}})"}) {
    const auto document = JsonDocument::Parse(json);
    SearchConfig search;
    const auto model = ParseInferenceModel(document->root(),
                                           "inference_model.json", {}, &search);
    ASSERT_FALSE(model.ok()) << json;
    EXPECT_EQ(model.status().message().find("inference_model.json: "), 0u);
  }
}

}  // namespace
}  // namespace slm
