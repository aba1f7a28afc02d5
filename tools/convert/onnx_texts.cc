// SPDX-License-Identifier: MIT
// The configuration files of a conversion from ONNX.
#include <algorithm>
#include <iterator>
#include <string_view>

#include "loader/fields.h"
#include "loader/json.h"
#include "runtime/core/file.h"
#include "tools/convert/json_text.h"
#include "tools/convert/onnx_source.h"

namespace slm::convert {
namespace {

// What ONNX Runtime GenAI 0.18 accepts of a text decoder; it refuses other keys
// in these objects.
constexpr std::string_view kModelKeys[] = {
    "type",         "vocab_size",   "context_length", "eos_token_id",
    "pad_token_id", "bos_token_id", "sep_token_id",   "decoder_start_token_id",
    "bot_token_id", "eot_token_id", "bor_token_id",   "eor_token_id",
    "decoder"};
constexpr std::string_view kDecoderKeys[] = {
    "session_options",   "run_options",
    "filename",          "head_size",
    "hidden_size",       "inputs",
    "outputs",           "layer_types",
    "conv_cache_size",   "num_attention_heads",
    "num_hidden_layers", "num_key_value_heads",
    "sliding_window"};
constexpr std::string_view kSearchKeys[] = {
    "do_sample",          "min_length",     "max_length",
    "batch_size",         "num_beams",      "num_return_sequences",
    "repetition_penalty", "top_k",          "top_p",
    "temperature",        "early_stopping", "no_repeat_ngram_size",
    "diversity_penalty",  "length_penalty", "past_present_share_buffer",
    "random_seed",        "chunk_size",     "blank_penalty"};
// More graphs than one.
constexpr std::string_view kOtherGraphs[] = {"draft",     "mtp",    "encoder",
                                             "embedding", "vision", "speech",
                                             "joiner",    "vad"};

template <size_t n>
bool IsOneOf(const std::string_view (&keys)[n], std::string_view key) {
  return std::find(std::begin(keys), std::end(keys), key) != std::end(keys);
}

bool HasInput(const OnnxSource& source, const std::string& name) {
  for (const OnnxValue& input : source.document->graphs()[0].inputs) {
    if (input.name == name) return true;
  }
  return false;
}

bool HasNode(const OnnxSource& source, std::string_view type) {
  for (const DocumentNode& node : source.document->graphs()[0].nodes) {
    if (node.type == type) return true;
  }
  return false;
}

void AddInputs(const OnnxSource& source, const JsonValue& inputs, bool made,
               JsonText* json) {
  json->BeginObject("inputs");
  for (const JsonMember& member : inputs.Members()) {
    json->Key(member.key);
    json->Value(member.value);
  }
  if (made && HasInput(source, "position_ids")) {
    json->String("position_ids", "position_ids");
  }
  json->EndObject();
}

void AddDecoder(const OnnxSource& source, const JsonValue& decoder, bool made,
                JsonText* json) {
  json->BeginObject("decoder");
  bool named = false;
  for (const JsonMember& member : decoder.Members()) {
    if (!IsOneOf(kDecoderKeys, member.key) || member.value.IsNull()) continue;
    if (member.key == "filename") {
      json->String("filename", "model.onnx");
      named = true;
    } else if (member.key == "inputs" && member.value.IsObject()) {
      AddInputs(source, member.value, made, json);
    } else {
      json->Key(member.key);
      json->Value(member.value);
    }
  }
  if (!named) json->String("filename", "model.onnx");
  json->EndObject();
}

void AddModel(const OnnxSource& source, const JsonValue& model, bool made,
              JsonText* json) {
  json->BeginObject("model");
  for (const JsonMember& member : model.Members()) {
    if (!IsOneOf(kModelKeys, member.key) || member.value.IsNull()) continue;
    if (member.key == "decoder") {
      AddDecoder(source, member.value, made, json);
    } else {
      json->Key(member.key);
      json->Value(member.value);
    }
  }
  json->EndObject();
}

void AddSearch(const OnnxSource& source, const JsonValue& search, bool made,
               JsonText* json) {
  json->BeginObject("search");
  for (const JsonMember& member : search.Members()) {
    if (!IsOneOf(kSearchKeys, member.key) || member.value.IsNull()) continue;
    const bool share = member.key == "past_present_share_buffer";
    json->Key(member.key);
    if (made && share && !HasNode(source, "GroupQueryAttention")) {
      json->Bool(false);  // the graph concatenates
    } else {
      json->Value(member.value);
    }
  }
  json->EndObject();
}

}  // namespace

Result<std::string> OnnxGenAiConfig(const OnnxSource& source,
                                    const std::string& made) {
  const bool is_made = !source.folder->has_genai_config;
  if (is_made && !HasInput(source, "past_key_values.0.key"))
    return std::string();
  const std::string& path = source.folder->config_path;
  SLM_ASSIGN_OR_RETURN(
      const JsonDocument document,
      is_made ? JsonDocument::Parse(made) : LoadJsonObject(path));
  const JsonValue& root = document.root();
  const JsonValue* model = root.Find("model");
  if (!model || !model->IsObject()) return std::string();  // OpenFolder fails
  for (const JsonMember& member : model->Members()) {
    if (IsOneOf(kOtherGraphs, member.key)) {
      return Invalid("%s: model.%s: models of several graphs are not converted",
                     Printable(path, 400).c_str(),
                     Printable(member.key).c_str());
    }
  }
  JsonText json;
  json.BeginObject();
  AddModel(source, *model, is_made, &json);
  for (const JsonMember& member : root.Members()) {
    if (!member.value.IsObject()) continue;
    if (member.key == "search") {
      AddSearch(source, member.value, is_made, &json);
    } else if (member.key == "speculative" || member.key == "engine") {
      json.Key(member.key);
      json.Value(member.value);
    }
  }
  json.EndObject();
  return json.text();
}

Result<std::optional<std::string>> OnnxInferenceModel(const OnnxSource& source,
                                                      const std::string& name) {
  for (const std::string& at : {source.folder->folder, source.outer}) {
    const std::string path = at + "/inference_model.json";
    if (at.empty() || !IsFile(path)) continue;
    SLM_ASSIGN_OR_RETURN(const JsonDocument document, LoadJsonObject(path));
    JsonText json(2);
    json.BeginObject();
    json.String("Name", name);
    for (const JsonMember& member : document.root().Members()) {
      if (member.key == "Name") continue;
      json.Key(member.key);
      json.Value(member.value);
    }
    json.EndObject();
    return std::optional<std::string>(json.text());
  }
  return std::optional<std::string>();
}

}  // namespace slm::convert
