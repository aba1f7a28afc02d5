// SPDX-License-Identifier: MIT
// config.json and generation_config.json as transformers writes them.
#include <algorithm>
#include <limits>
#include <utility>

#include "loader/config.h"
#include "loader/fields.h"

namespace slm {
namespace {

constexpr double kIntMin = std::numeric_limits<int32_t>::min();
constexpr double kIntMax = std::numeric_limits<int32_t>::max();

struct HfExtra {
  bool is_encoder_decoder = false;
};

// The same value under the names of several families; a file has one of them.
std::vector<Field> HfFields(ModelConfig* config, HfExtra* extra) {
  DecoderConfig* decoder = &config->decoder;
  return {
      {"model_type", &config->type},
      {"is_encoder_decoder", &extra->is_encoder_decoder},
      {"vocab_size", &config->vocab_size, 1, kMaxVocab},
      {"padded_vocab_size", &config->vocab_size, 1, kMaxVocab},
      {"max_position_embeddings", &config->context_length, 1, kMaxContext},
      {"n_positions", &config->context_length, 1, kMaxContext},
      {"n_ctx", &config->context_length, 1, kMaxContext},
      {"seq_length", &config->context_length, 1, kMaxContext},
      {"hidden_size", &decoder->hidden_size, 1, kMaxHidden},
      {"n_embd", &decoder->hidden_size, 1, kMaxHidden},
      {"num_hidden_layers", &decoder->num_hidden_layers, 1, kMaxLayers},
      {"n_layer", &decoder->num_hidden_layers, 1, kMaxLayers},
      {"num_layers", &decoder->num_hidden_layers, 1, kMaxLayers},
      {"num_attention_heads", &decoder->num_attention_heads, 1, kMaxHeads},
      {"n_head", &decoder->num_attention_heads, 1, kMaxHeads},
      {"num_key_value_heads", &decoder->num_key_value_heads, 1, kMaxHeads},
      {"multi_query_group_num", &decoder->num_key_value_heads, 1, kMaxHeads},
      {"head_dim", &decoder->head_size, 1, kMaxHeadSize},
      {"layer_types", &decoder->layer_types},
      {"conv_L_cache", &decoder->conv_cache_size, 0, kMaxHidden},
      {"eos_token_id", IntOrList{&config->eos_token_ids}, kIntMin, kIntMax},
      {"bos_token_id", &config->bos_token_id, kIntMin, kIntMax},
      {"pad_token_id", &config->pad_token_id, kIntMin, kIntMax},
  };
}

// What transformers' own code does and this runtime does not.
void AppendUnsupported(std::vector<Field>* fields) {
  static constexpr std::string_view kWhy = "no such processor of logits";
  for (const char* key :
       {"suppress_tokens", "begin_suppress_tokens", "bad_words_ids",
        "forced_bos_token_id", "forced_eos_token_id", "sequence_bias"}) {
    fields->push_back({key, Unsupported{kWhy}});
  }
  fields->push_back({"typical_p", Unsupported{kWhy, 1}});
  fields->push_back({"epsilon_cutoff", Unsupported{kWhy, 0}});
  fields->push_back({"eta_cutoff", Unsupported{kWhy, 0}});
  fields->push_back({"guidance_scale", Unsupported{kWhy, 1}});
}

// Of the settings that ORT GenAI invented, transformers has none, and its
// early_stopping may be a word.
bool IsHfSetting(const Field& field) {
  static constexpr std::string_view kForeign[] = {
      "early_stopping", "batch_size", "past_present_share_buffer", "chunk_size",
      "random_seed"};
  return std::find(std::begin(kForeign), std::end(kForeign), field.path) ==
         std::end(kForeign);
}

Status ReadGenerationIds(const JsonValue& root, const std::string& file,
                         const LogSink& log, ModelConfig* config) {
  FieldReader reader;
  reader.file = file;
  reader.log = log;
  reader.fields = {
      {"eos_token_id", IntOrList{&config->eos_token_ids}, kIntMin, kIntMax},
      {"bos_token_id", &config->bos_token_id, kIntMin, kIntMax},
      {"pad_token_id", &config->pad_token_id, kIntMin, kIntMax},
  };
  return ReadFields(root, reader);
}

// A wrapper of several models keeps the text decoder's numbers in text_config;
// what it leaves out stands outside. Its type counts, the wrapper's does not:
// the graph of such a folder may well be the text decoder alone.
Status ReadTextConfig(const JsonValue& root, const std::string& file,
                      const LogSink& log, FieldReader* reader,
                      ModelConfig* config) {
  const JsonValue* text = root.Find("text_config");
  if (!text || !text->IsObject()) return OkStatus();
  const std::string outer = std::exchange(config->type, "");
  reader->file = file + ": text_config";
  SLM_RETURN_IF_ERROR(ReadFields(*text, *reader));
  if (config->type.empty()) config->type = outer;
  if (config->type != outer) {
    Log(log, LogLevel::kInfo,
        Printable(file, 400) + ": the text part of \"" + Printable(outer) +
            "\" is used");
  }
  return OkStatus();
}

Status CheckKind(const std::string& file, const ModelConfig& config,
                 const HfExtra& extra) {
  const Architecture* row = FindArchitecture(config.type);
  ModelKind kind = row ? row->kind : ModelKind::kTextDecoder;
  if (kind == ModelKind::kTextDecoder && extra.is_encoder_decoder) {
    kind = ModelKind::kEncoderDecoder;
  }
  if (kind == ModelKind::kTextDecoder) return OkStatus();
  return Invalid("%s: model_type = \"%s\": this is %s, slm runs text decoders",
                 file.c_str(), Printable(config.type).c_str(),
                 ModelKindText(kind));
}

}  // namespace

Result<ModelConfig> ParseHfConfig(const JsonValue& root,
                                  const std::string& file,
                                  const JsonValue* generation,
                                  const std::string& generation_file,
                                  const LogSink& log) {
  const std::string shown = Printable(file, 400);
  ModelConfig config;
  config.decoder.filename = "model.onnx";
  config.search.top_p.value = 1.0;  // transformers' default
  HfExtra extra;
  FieldReader reader;
  reader.file = file;
  reader.log = log;
  reader.fields = HfFields(&config, &extra);
  SLM_RETURN_IF_ERROR(ReadFields(root, reader));
  SLM_RETURN_IF_ERROR(ReadTextConfig(root, file, log, &reader, &config));
  SLM_RETURN_IF_ERROR(CheckKind(shown, config, extra));
  if (config.vocab_size == 0) {
    return Invalid("%s: vocab_size is missing", shown.c_str());
  }
  if (config.context_length == 0) {
    return Invalid("%s: max_position_embeddings is missing", shown.c_str());
  }
  DecoderConfig* decoder = &config.decoder;
  if (decoder->num_key_value_heads == 0) {
    decoder->num_key_value_heads = decoder->num_attention_heads;
  }
  if (decoder->head_size == 0 && decoder->num_attention_heads > 0) {
    decoder->head_size = decoder->hidden_size / decoder->num_attention_heads;
  }
  if (generation) {
    SLM_RETURN_IF_ERROR(
        ReadGenerationIds(*generation, generation_file, log, &config));
    SLM_RETURN_IF_ERROR(ReadGenerationSettings(*generation, generation_file,
                                               log, &config.search));
  }
  SLM_RETURN_IF_ERROR(FinishConfig(file, log, &config));
  return config;
}

Status ReadGenerationSettings(const JsonValue& root, const std::string& file,
                              const LogSink& log, SearchConfig* search) {
  FieldReader reader;
  reader.file = file;
  reader.log = log;
  reader.source = ConfigSource::kGenerationConfig;
  for (Field& field : SearchFields("", search)) {
    if (IsHfSetting(field)) reader.fields.push_back(std::move(field));
  }
  AppendUnsupported(&reader.fields);
  return ReadFields(root, reader);
}

}  // namespace slm
