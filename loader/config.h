// SPDX-License-Identifier: MIT
// What the configuration files of a model folder say about the model, as plain
// data: genai_config.json (ORT GenAI, Foundry Local), or config.json and
// generation_config.json (Hugging Face). Numbers are checked here, so that the
// runtime may size its tables by them; the graph has the last word on shapes
// (CheckAgainstGraph).
#ifndef SLM_LOADER_CONFIG_H_
#define SLM_LOADER_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "loader/architectures.h"
#include "loader/fields.h"
#include "loader/json.h"
#include "loader/search_config.h"
#include "runtime/core/log.h"
#include "runtime/core/result.h"

namespace slm {

// Upper bounds of counts: several times what the largest models have, small
// enough that a product of a few stays far from 2^63.
inline constexpr int64_t kMaxVocab = int64_t{1} << 24;
inline constexpr int64_t kMaxContext = int64_t{1} << 30;
inline constexpr int64_t kMaxLayers = 4096;
inline constexpr int64_t kMaxHeads = 4096;
inline constexpr int64_t kMaxHeadSize = 16384;
inline constexpr int64_t kMaxHidden = int64_t{1} << 20;

// Names of graph inputs. "%d" is the layer. A name that the graph lacks is not
// fed; an empty one is not used.
struct DecoderInputs {
  std::string input_ids = "input_ids";
  std::string inputs_embeds = "inputs_embeds";
  std::string attention_mask = "attention_mask";
  std::string position_ids = "position_ids";
  std::string past_key_names = "past_key_values.%d.key";
  std::string past_value_names = "past_key_values.%d.value";
  std::string past_names;  // key and value in one tensor [2, B, K, S, E]
  std::string past_conv_names = "past_conv.%d";
  std::string past_key_values_length = "past_key_values_length";
  std::string past_sequence_length = "past_sequence_length";
  std::string current_sequence_length = "current_sequence_length";
  std::string total_sequence_length = "total_sequence_length";
};

struct DecoderOutputs {
  std::string logits = "logits";
  std::string present_key_names = "present.%d.key";
  std::string present_value_names = "present.%d.value";
  std::string present_names;
  std::string present_conv_names = "present_conv.%d";
  std::string hidden_states;
};

// ORT GenAI's block for graphs with a windowed cache.
struct SlidingWindow {
  int64_t window_size = 0;
  int64_t pad_value = 0;
  std::string alignment = "right";
  bool slide_key_value_cache = true;
  bool slide_inputs = true;
  std::vector<int64_t> layers;  // empty: all
  int64_t cache_slack = 0;
};

struct OrtSessionConfig {
  std::optional<int64_t> intra_op_num_threads;
  std::vector<std::string> providers;  // lower case; empty: CPU
  StringMap entries;                   // ORT's configuration entries
};

struct DecoderConfig {
  std::string filename;
  int64_t hidden_size = 0;  // 0: the file does not say; likewise below
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_size = 0;
  int64_t num_hidden_layers = 0;
  std::vector<std::string> layer_types;  // empty, or one for each layer
  int64_t conv_cache_size = 0;
  std::optional<SlidingWindow> sliding_window;
  DecoderInputs inputs;
  DecoderOutputs outputs;
  OrtSessionConfig session;
};

struct SpeculativeConfig {
  int64_t max_draft_tokens = 4;  // where min_adaptive_k is 0
  int64_t ngram_size = 0;  // 0: off
  bool ngram_chained_lookup = false;
  int64_t min_adaptive_k = 0;  // 0: off; the least drafts of a step
  bool cooldown = false;
};

struct ModelConfig {
  std::string type;
  // The row of `type`, or a text decoder without peculiarities.
  Architecture architecture;
  // An unlisted type's number of layers is not held against the graph's.
  bool known_architecture = false;
  int64_t vocab_size = 0;
  int64_t context_length = 0;
  std::string tokenizer_dir;  // relative; empty: the folder itself

  std::vector<int64_t> eos_token_ids;  // any of them ends the text
  std::optional<int64_t> pad_token_id;
  std::optional<int64_t> bos_token_id;
  // Begin and end of tool calls and of reasoning.
  std::optional<int64_t> bot_token_id, eot_token_id;
  std::optional<int64_t> bor_token_id, eor_token_id;

  DecoderConfig decoder;
  std::optional<DecoderConfig> draft;
  SearchConfig search;
  SpeculativeConfig speculative;
};

// `file` is for messages. Sections and types of models that are no text decoder
// are refused by what they are.
Result<ModelConfig> ParseGenAiConfig(const JsonValue& root,
                                     const std::string& file,
                                     const LogSink& log);

// A folder without genai_config.json. `generation`, from generation_config.json
// `generation_file`, may be nullptr.
Result<ModelConfig> ParseHfConfig(const JsonValue& root,
                                  const std::string& file,
                                  const JsonValue* generation,
                                  const std::string& generation_file,
                                  const LogSink& log);

// generation_config.json's sampling settings, at its precedence.
Status ReadGenerationSettings(const JsonValue& root, const std::string& file,
                              const LogSink& log, SearchConfig* search);

// For both kinds of files, after their values are in: ids within the
// vocabulary, counts, names, fallbacks. Fails with FILE: KEY = ...
Status FinishConfig(const std::string& file, const LogSink& log,
                    ModelConfig* config);

// Puts config->search within the limits of context and vocabulary; FinishConfig
// does it, too. For settings that came in later.
void FinishSearch(const std::string& file, const LogSink& log,
                  ModelConfig* config);

// What a config can be held against.
struct GraphFacts {
  std::string file;          // for messages: "model.onnx"
  int64_t state_layers = 0;  // layers with a cache or another state; 0: none
  int64_t last_layer = -1;   // the highest index among them
  int64_t logits_size = 0;   // last dim of the logits; 0 if symbolic
};

// Where config and graph contradict each other, one of them belongs to another
// model: refused.
Status CheckAgainstGraph(const ModelConfig& config, const GraphFacts& facts);

}  // namespace slm

#endif  // SLM_LOADER_CONFIG_H_
