// SPDX-License-Identifier: MIT
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "loader/config.h"
#include "tests/loader/shared_fixtures.h"

namespace slm {
namespace {

Result<ModelConfig> ParseText(const std::string& json, LogLines* log) {
  auto document = JsonDocument::Parse(json);
  EXPECT_TRUE(document.ok()) << document.status().message() << "\n" << json;
  if (!document.ok()) return document.status();
  return ParseGenAiConfig(document->root(), "genai_config.json", log->Sink());
}

// A complete config with additions to the objects; a later duplicate wins.
std::string Config(const std::string& model, const std::string& decoder,
                   const std::string& search, const std::string& root = "") {
  return R"({"model": {"type": "llama", "vocab_size": 100,
    "context_length": 64, "eos_token_id": 2, "pad_token_id": 0,
    "decoder": {"filename": "model.onnx", "head_size": 16,
      "num_key_value_heads": 2, "num_hidden_layers": 3)" +
         decoder + "}" + model + R"(}, "search": {"max_length": 64)" + search +
         "}" + root + "}";
}

TEST(GenAiConfig, ReadsWhatTextDecodersNeed) {
  LogLines log;
  const auto config =
      ParseText(Config(R"(, "eos_token_id": [2, 7], "bos_token_id": 1,
                "bot_token_id": 11, "eot_token_id": 12, "tokenizer_dir": "t",
                "image_token_id": 5, "mtp": {"filename": "x"})",
                       R"(, "hidden_size": 64, "num_attention_heads": 4,
                "layer_types": ["conv", "full_attention", "conv"],
                "conv_cache_size": 3,
                "inputs": {"input_ids": "ids", "past_key_names": "k%dx",
                           "cache_indirection": "c"},
                "outputs": {"logits": "l", "present_conv_names": "pc.%d"},
                "session_options": {"intra_op_num_threads": 3, "log_id": "x",
                  "session.intra_op.allow_spinning": "0",
                  "provider_options": [{"CPU": {}}]},
                "sliding_window": {"window_size": 8, "layers": [0, 2],
                  "slide_key_value_cache": false, "slide_inputs": false,
                  "cache_slack": 4, "alignment": "left"})",
                       R"(, "do_sample": true, "temperature": 0.5, "top_k": 7.0,
                "chunk_size": -1)",
                       R"(, "speculative": {"ngram_size": 3, "cooldown": true},
                "engine": {"static_batching": {"max_batch_size": 4}})"),
                &log);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(log.lines, std::vector<std::string>());
  EXPECT_EQ(config->type, "llama");
  EXPECT_TRUE(config->known_architecture);
  EXPECT_EQ(config->vocab_size, 100);
  EXPECT_EQ(config->context_length, 64);
  EXPECT_EQ(config->eos_token_ids, (std::vector<int64_t>{2, 7}));
  EXPECT_EQ(config->bos_token_id, 1);
  EXPECT_EQ(config->bot_token_id, 11);
  EXPECT_EQ(config->eot_token_id, 12);
  EXPECT_EQ(config->tokenizer_dir, "t");
  const DecoderConfig& decoder = config->decoder;
  EXPECT_EQ(decoder.filename, "model.onnx");
  EXPECT_EQ(decoder.hidden_size, 64);
  EXPECT_EQ(decoder.num_attention_heads, 4);
  EXPECT_EQ(decoder.num_key_value_heads, 2);
  EXPECT_EQ(decoder.head_size, 16);
  EXPECT_EQ(decoder.num_hidden_layers, 3);
  EXPECT_EQ(decoder.layer_types.size(), 3u);
  EXPECT_EQ(decoder.conv_cache_size, 3);
  EXPECT_EQ(decoder.inputs.input_ids, "ids");
  EXPECT_EQ(decoder.inputs.attention_mask, "attention_mask");
  EXPECT_EQ(decoder.inputs.past_key_names, "k%dx");
  EXPECT_EQ(decoder.inputs.past_value_names, "past_key_values.%d.value");
  EXPECT_EQ(decoder.outputs.logits, "l");
  EXPECT_EQ(decoder.outputs.present_conv_names, "pc.%d");
  EXPECT_EQ(decoder.session.intra_op_num_threads, 3);
  EXPECT_EQ(decoder.session.providers, std::vector<std::string>{"cpu"});
  ASSERT_EQ(decoder.session.entries.size(), 1u);
  EXPECT_EQ(decoder.session.entries.at("session.intra_op.allow_spinning"), "0");
  ASSERT_TRUE(decoder.sliding_window.has_value());
  EXPECT_EQ(decoder.sliding_window->window_size, 8);
  EXPECT_EQ(decoder.sliding_window->layers, (std::vector<int64_t>{0, 2}));
  EXPECT_EQ(decoder.sliding_window->cache_slack, 4);
  EXPECT_EQ(decoder.sliding_window->alignment, "left");
  EXPECT_FALSE(decoder.sliding_window->slide_key_value_cache);
  EXPECT_TRUE(config->search.do_sample.value);
  EXPECT_EQ(config->search.do_sample.source, ConfigSource::kGenAiConfig);
  EXPECT_EQ(config->search.temperature.value, 0.5);
  EXPECT_EQ(config->search.top_k.value, 7);
  EXPECT_EQ(config->search.chunk_size.value, 0);
  EXPECT_EQ(config->search.top_p.value, 0.0);
  EXPECT_FALSE(config->search.top_p.IsSet());
  EXPECT_EQ(config->speculative.ngram_size, 3);
  EXPECT_TRUE(config->speculative.cooldown);
}

TEST(GenAiConfig, ReadsADraftDecoder) {
  LogLines log;
  const auto config = ParseText(
      Config(R"(, "draft": {"filename": "draft.onnx", "num_hidden_layers": 1,
                "inputs": {"past_key_names": "d.%d.k"}})",
             "", ""),
      &log);
  ASSERT_TRUE(config.ok()) << config.status().message();
  ASSERT_TRUE(config->draft.has_value());
  EXPECT_EQ(config->draft->filename, "draft.onnx");
  EXPECT_EQ(config->draft->inputs.past_key_names, "d.%d.k");
  EXPECT_EQ(config->decoder.inputs.past_key_names, "past_key_values.%d.key");
}

struct BadCase {
  const char* model;
  const char* decoder;
  const char* search;
  // Parts of the message; all must be there.
  std::vector<const char*> parts;
};

TEST(GenAiConfig, RefusesNamingKeyAndBothValues) {
  const BadCase cases[] = {
      {R"(, "context_length": -1)", "", "", {"model.context_length = -1", "1"}},
      {R"(, "context_length": 1e18)", "", "", {"context_length", "1073741824"}},
      {R"(, "context_length": 1.5)", "", "", {"= 1.5", "an integer"}},
      {R"(, "context_length": "64")", "", "", {R"(= "64")", "an integer"}},
      {R"(, "context_length": null)", "", "", {"context_length is missing"}},
      {R"(, "vocab_size": 0)", "", "", {"model.vocab_size = 0", "1 to"}},
      {R"(, "vocab_size": 99999999999)", "", "", {"vocab_size", "16777216"}},
      {R"(, "vocab_size": true)", "", "", {"vocab_size = true", "an integer"}},
      {R"(, "eos_token_id": [3, 100])", "", "", {"eos_token_id = 100", "99"}},
      {R"(, "eos_token_id": -1)", "", "", {"eos_token_id = -1", "99"}},
      {R"(, "eos_token_id": [3, "x"])", "", "", {"eos_token_id[1]", "\"x\""}},
      {R"(, "eos_token_id": {})", "", "", {"eos_token_id = an object"}},
      {R"(, "type": 3)", "", "", {"model.type = 3", "a string"}},
      {R"(, "decoder": 3)", "", "", {"model.decoder is 3", "an object"}},
      {R"(, "draft": {})", "", "", {"model.draft.filename is missing"}},
      {"",
       R"(, "num_hidden_layers": 1000000)",
       "",
       {"model.decoder.num_hidden_layers = 1000000", "4096"}},
      {"", R"(, "num_hidden_layers": -3)", "", {"num_hidden_layers = -3"}},
      {"",
       R"(, "num_key_value_heads": 99999)",
       "",
       {"num_key_value_heads", "4096"}},
      {"", R"(, "head_size": 1e9)", "", {"head_size = 1000000000", "16384"}},
      {"", R"(, "filename": "")", "", {"model.decoder.filename is missing"}},
      {"", R"(, "layer_types": ["conv"])", "", {"1 items", "is 3"}},
      {"",
       R"(, "inputs": {"past_key_names": "k"})",
       "",
       {"model.decoder.inputs.past_key_names = \"k\"", "exactly one %d"}},
      {"", R"(, "inputs": {"past_key_names": "k%d%d"})", "", {"%d"}},
      {"", R"(, "inputs": {"past_value_names": "%s%d"})", "", {"%d"}},
      {"", R"(, "inputs": {"past_value_names": "a%"})", "", {"%d"}},
      {"", R"(, "outputs": {"present_key_names": ""})", "", {"%d"}},
      {"", R"(, "inputs": [])", "", {"model.decoder.inputs = a list"}},
      {"",
       R"(, "sliding_window": {"layers": [3]})",
       "",
       {"sliding_window.layers holds 3", "num_hidden_layers is 3"}},
      {"",
       R"(, "sliding_window": {"alignment": "up"})",
       "",
       {"alignment = \"up\"", "right"}},
      {"", R"(, "sliding_window": 5)", "", {"sliding_window = 5"}},
      {"",
       R"(, "session_options": {"a.b": 0})",
       "",
       {"session_options.a.b = 0", "a string"}},
      {"",
       R"(, "session_options": {"provider_options": [{"cpu": {"x": "1"}}]})",
       "",
       {"the cpu provider has no option \"x\""}},
      {"",
       R"(, "session_options": {"provider_options": {"cuda": {}}})",
       "",
       {"provider_options = an object", "a list"}},
      {"", "", R"(, "do_sample": 1)", {"search.do_sample = 1", "true"}},
      {"", "", R"(, "temperature": -0.1)", {"search.temperature = -0.1", "0"}},
      {"", "", R"(, "top_p": 1.5)", {"search.top_p = 1.5", "0 to 1"}},
      {"", "", R"(, "repetition_penalty": 0)", {"repetition_penalty = 0"}},
      {"", "", R"(, "num_beams": 64)", {"search.num_beams = 64", "1 to 32"}},
      {"",
       "",
       R"(, "num_return_sequences": 2)",
       {"num_return_sequences = 2", "num_beams is 1"}},
      {"", "", R"(, "top_k": [])", {"search.top_k = a list of 0 items"}},
  };
  for (const BadCase& c : cases) {
    LogLines log;
    const auto config = ParseText(Config(c.model, c.decoder, c.search), &log);
    const std::string text = std::string(c.model) + c.decoder + c.search;
    ASSERT_FALSE(config.ok()) << text;
    const std::string message = config.status().message();
    EXPECT_EQ(config.status().kind(), ErrorKind::kInvalid) << text;
    EXPECT_EQ(message.find("genai_config.json: "), 0u) << message;
    for (const char* part : c.parts) {
      EXPECT_NE(message.find(part), std::string::npos)
          << text << "\n"
          << message << "\nlacks " << part;
    }
  }
}

TEST(GenAiConfig, RefusesOtherKindsOfModelsByWhatTheyAre) {
  const BadCase cases[] = {
      {R"(, "vision": {"filename": "v.onnx"})",
       "",
       "",
       {"model.vision", "a vision-language model"}},
      {R"(, "speech": {"filename": "s.onnx"})", "", "", {"an audio model"}},
      {R"(, "embedding": {"filename": "e.onnx"})",
       "",
       "",
       {"a multimodal model"}},
      {R"(, "encoder": {"filename": "e.onnx"})",
       "",
       "",
       {"an encoder-decoder model"}},
      {"",
       R"(, "pipeline": [{"a": {"filename": "e.onnx"}}])",
       "",
       {"model.decoder.pipeline", "a pipeline of several graphs"}},
      {R"(, "type": "decoder-pipeline")", "", "", {"a pipeline"}},
      {R"(, "type": "whisper")", "", "", {"\"whisper\"", "an audio model"}},
      {R"(, "type": "phi3v")", "", "", {"a vision-language model"}},
      {R"(, "type": "phi4mm")", "", "", {"a multimodal model"}},
  };
  for (const BadCase& c : cases) {
    LogLines log;
    const auto config = ParseText(Config(c.model, c.decoder, c.search), &log);
    ASSERT_FALSE(config.ok()) << c.model << c.decoder;
    for (const char* part : c.parts) {
      EXPECT_NE(config.status().message().find(part), std::string::npos)
          << config.status().message();
    }
  }
  LogLines log;
  EXPECT_TRUE(ParseText(Config(R"(, "vision": {}, "type": "brand_new")",
                               R"(, "pipeline": [])", ""),
                        &log)
                  .ok());
}

struct WarnCase {
  const char* model;
  const char* decoder;
  const char* search;
  const char* part;
};

TEST(GenAiConfig, WarnsAndRuns) {
  const WarnCase cases[] = {
      {R"(, "foo": 1)", "", "", "unknown key model.foo"},
      {"", R"(, "inputs": {"foo": "x"})", "",
       "unknown key model.decoder.inputs.foo"},
      {"", "", R"(, "foo": {"bar": 1})", "unknown key search.foo"},
      {"", "", R"(, "top_k.x": 1)", "unknown key search.top_k.x"},
      {R"(, "pad_token_id": null)", "", "", "model.pad_token_id is null"},
      {"", R"(, "sliding_window": null)", "", "sliding_window is null"},
      {R"(, "pad_token_id": 100)", "", "", "pad_token_id = 100"},
      {R"(, "bos_token_id": -1)", "", "", "bos_token_id = -1"},
      {"", "", R"(, "max_length": 65)", "65 is over the context of 64"},
      {R"(, "eos_token_id": [])", "", "", ""},  // falls back to the pad id
      {"", R"(, "sliding_window": {"window_size": 4})", "", "slide_inputs"},
      {"", R"(, "session_options": {"provider_options": [{"cuda": {}}]})", "",
       "made for \"cuda\""},
      {"", R"(, "session_options": {"custom_ops_library": "x.so"})", "",
       "custom_ops_library"},
  };
  for (const WarnCase& c : cases) {
    LogLines log;
    const auto config = ParseText(Config(c.model, c.decoder, c.search), &log);
    const std::string text = std::string(c.model) + c.decoder + c.search;
    ASSERT_TRUE(config.ok()) << text << config.status().message();
    EXPECT_EQ(log.lines.size(), *c.part ? 1u : 0u) << text;
    if (*c.part) {
      EXPECT_TRUE(log.Holds(c.part)) << text << "\n" << log.lines[0];
    }
    EXPECT_LE(config->search.max_length.value, 64);
    EXPECT_TRUE(!config->pad_token_id || *config->pad_token_id < 100);
  }
}

TEST(GenAiConfig, AFloodOfUnknownKeysIsBounded) {
  std::string extra;
  for (int i = 0; i < 100000; ++i) extra += Format(", \"k%d\": null", i);
  LogLines log;
  EXPECT_TRUE(ParseText(Config(extra, "", ""), &log).ok());
  EXPECT_LT(log.lines.size(), 30u);
}

// Any value in any place: an error with the file's name, or a config within its
// limits.
TEST(GenAiConfig, SurvivesEveryWrongValueEverywhere) {
  const std::string good =
      Config(R"(, "bos_token_id": 1, "tokenizer_dir": "t")",
             R"(, "inputs": {"past_key_names": "k.%d"}, "layer_types": [],
         "session_options": {"provider_options": []},
         "sliding_window": {"window_size": 8, "layers": [0]})",
             R"(, "top_k": 5, "do_sample": true)", R"(, "engine": 3)");
  const char* values[] = {"null",
                          "-1",
                          "1e300",
                          "\"x\"",
                          "[]",
                          "{}",
                          "true",
                          "1.5",
                          "[null]",
                          "[{}]",
                          "9223372036854775807",
                          "18446744073709551616"};
  int parsed = 0;
  for (size_t colon = good.find(": "); colon != std::string::npos;
       colon = good.find(": ", colon + 1)) {
    const size_t begin = colon + 2;
    size_t end = begin;  // of the value, which may be a container
    for (int depth = 0; end < good.size(); ++end) {
      const char c = good[end];
      if (depth == 0 && (c == ',' || c == '}')) break;
      depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    }
    for (const char* value : values) {
      const std::string text = good.substr(0, begin) + value + good.substr(end);
      LogLines log;
      const auto config = ParseText(text, &log);
      ++parsed;
      if (!config.ok()) {
        EXPECT_EQ(config.status().message().find("genai_config.json: "), 0u)
            << config.status().message();
        continue;
      }
      EXPECT_GE(config->vocab_size, 1) << text;
      EXPECT_GE(config->context_length, 1) << text;
      for (const int64_t id : config->eos_token_ids) {
        EXPECT_LT(static_cast<uint64_t>(id),
                  static_cast<uint64_t>(config->vocab_size));
      }
      EXPECT_LE(config->decoder.num_hidden_layers, kMaxLayers);
    }
  }
  EXPECT_GT(parsed, 200);
}

TEST(GenAiConfig, EosFallsBackToPad) {
  LogLines log;
  const char* json = R"({"model": {"type": "x", "vocab_size": 9,
      "context_length": 4, %s "decoder": {"filename": "m.onnx"}}})";
  auto config = ParseText(Format(json, R"("pad_token_id": 5,)"), &log);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->eos_token_ids, std::vector<int64_t>{5});
  EXPECT_TRUE(log.lines.empty());
  // 50, the default, of 9 tokens.
  EXPECT_EQ(config->search.top_k.value, 9);
  config = ParseText(Format(json, ""), &log);
  ASSERT_TRUE(config.ok());
  EXPECT_TRUE(config->eos_token_ids.empty());
  EXPECT_TRUE(log.Holds("no eos_token_id"));
}

TEST(GenAiConfig, TagIdsHaveFallbacksWithinTheVocabulary) {
  struct Case {
    const char* model;
    std::optional<int64_t> bot, eot, bor, eor;
  };
  const Case cases[] = {
      {R"(, "type": "qwen3", "vocab_size": 151936)", 151657, 151658, 151667,
       151668},
      {R"(, "type": "qwen2", "vocab_size": 151936)", 151657, 151658, {}, {}},
      {R"(, "type": "phi3", "vocab_size": 200064)", 200025, 200026, {}, {}},
      {R"(, "type": "phi3", "vocab_size": 32064)", {}, {}, {}, {}},
      {R"(, "type": "llama", "vocab_size": 999999)", {}, {}, {}, {}},
      {R"(, "type": "qwen3", "vocab_size": 151936, "bot_token_id": 5)", 5,
       151658, 151667, 151668},
  };
  for (const Case& c : cases) {
    LogLines log;
    const auto config = ParseText(Config(c.model, "", ""), &log);
    ASSERT_TRUE(config.ok()) << c.model;
    EXPECT_EQ(config->bot_token_id, c.bot) << c.model;
    EXPECT_EQ(config->eot_token_id, c.eot) << c.model;
    EXPECT_EQ(config->bor_token_id, c.bor) << c.model;
    EXPECT_EQ(config->eor_token_id, c.eor) << c.model;
  }
}

TEST(Architectures, KnowThePeculiarities) {
  EXPECT_EQ(FindArchitecture("phi3")->reprefill_length, 4097);
  EXPECT_EQ(FindArchitecture("phimoe")->reprefill_length, 4097);
  EXPECT_EQ(FindArchitecture("phi3small")->reprefill_length, 8193);
  EXPECT_FALSE(FindArchitecture("lfm2")->can_rewind);
  EXPECT_TRUE(FindArchitecture("llama")->can_rewind);
  EXPECT_EQ(FindArchitecture("decoder"), nullptr);
  EXPECT_EQ(FindArchitecture(""), nullptr);
  EXPECT_EQ(FindArchitecture("zzz"), nullptr);
  // Every text model of the packaged runtime runs.
  for (const char* type : {"chatglm",
                           "decoder",
                           "ernie4_5",
                           "gemma",
                           "gemma2",
                           "gemma3_text",
                           "gemma4_text",
                           "gpt2",
                           "gptoss",
                           "granite",
                           "granitemoehybrid",
                           "hunyuandensev1",
                           "internlm2",
                           "lfm2",
                           "llama",
                           "mistral",
                           "nemotron",
                           "olmo",
                           "phi",
                           "phimoe",
                           "phi3",
                           "phi3small",
                           "qwen2",
                           "qwen3",
                           "qwen3_5_moe_text",
                           "qwen3_5_text",
                           "smollm3"}) {
    const Architecture* row = FindArchitecture(type);
    EXPECT_TRUE(!row || row->kind == ModelKind::kTextDecoder) << type;
  }
}

TEST(CheckAgainstGraph, RefusesConfigsOfOtherModels) {
  ModelConfig config;
  config.type = "qwen2";
  config.vocab_size = 100;
  config.context_length = 10;
  config.decoder.num_hidden_layers = 4;
  config.eos_token_ids = {1};
  ASSERT_TRUE(FinishConfig("c", {}, &config).ok());
  struct Case {
    int64_t layers, last, logits;
    const char* part;  // empty: accepted
  };
  const Case cases[] = {
      {4, 3, 100, ""},       {4, 3, 0, ""},
      {0, -1, 100, ""},      {1, 0, 100, "the caches of 1 layers"},
      {5, 4, 100, "= 4"},    {4, 4, 100, "(last: 4)"},
      {4, 3, 99, "have 99"},
  };
  for (const Case& c : cases) {
    const Status status =
        CheckAgainstGraph(config, {"model.onnx", c.layers, c.last, c.logits});
    EXPECT_EQ(status.ok(), *c.part == 0) << status.message();
    EXPECT_NE(status.message().find(c.part), std::string::npos)
        << status.message();
  }
  // Layers that share a cache, and types that nobody listed.
  for (const char* type : {"gemma3n_text", "brand_new"}) {
    config.type = type;
    ASSERT_TRUE(FinishConfig("c", {}, &config).ok());
    EXPECT_TRUE(CheckAgainstGraph(config, {"m", 2, 1, 100}).ok());
    EXPECT_FALSE(CheckAgainstGraph(config, {"m", 2, 4, 100}).ok());
  }
}

TEST(SearchConfig, TheStrongerSourceWinsInAnyOrder) {
  Setting<double> temperature{1.0};
  temperature.Set(0.5, ConfigSource::kGenerationConfig);
  temperature.Set(0.7, ConfigSource::kInferenceModel);
  EXPECT_EQ(temperature.value, 0.5);
  temperature.Set(0.6, ConfigSource::kGenAiConfig);
  temperature.Set(0.4, ConfigSource::kFlag);
  temperature.Set(0.1, ConfigSource::kGenerationConfig);
  EXPECT_EQ(temperature.value, 0.4);
  EXPECT_EQ(temperature.source, ConfigSource::kFlag);

  SearchConfig search;
  search.temperature = temperature;
  const std::vector<std::string> lines = DescribeSearch(search);
  EXPECT_NE(std::find(lines.begin(), lines.end(), "temperature = 0.4 (flag)"),
            lines.end());
  EXPECT_NE(std::find(lines.begin(), lines.end(), "top_k = 50 (default)"),
            lines.end());
}

}  // namespace
}  // namespace slm
