// SPDX-License-Identifier: MIT
#include "tools/convert/output.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "loader/fields.h"
#include "runtime/core/file.h"
#include "slm/slm.h"
#include "tools/convert/chat_strings.h"
#include "tools/convert/file_hash.h"
#include "tools/convert/json_text.h"
#include "tools/convert/onnx_source.h"

namespace slm::convert {
namespace {

// Copied as they are where they are there.
constexpr const char* kCopied[] = {
    "added_tokens.json", "generation_config.json",
    "merges.txt",        "special_tokens_map.json",
    "tokenizer.json",    "tokenizer.model",
    "vocab.json",
};

void AddSlidingWindow(const DecoderSpec& spec, JsonText* json) {
  if (!spec.has_windows) return;
  int64_t window = 0;
  for (const LayerSpec& layer : spec.layers) {
    if (layer.window > 0) window = layer.window;
  }
  json->BeginObject("sliding_window");
  json->Int("window_size", window);
  json->Bool("slide_key_value_cache", false);
  json->Bool("slide_inputs", false);
  json->BeginArray("layers");  // empty: all
  for (size_t i = 0; i < spec.layers.size() && !spec.AllLayersSlide(); ++i) {
    if (spec.layers[i].window > 0) json->Int(static_cast<int64_t>(i));
  }
  json->EndArray();
  json->Int("cache_slack", 0);
  json->EndObject();
}

void AddDecoder(const DecoderSpec& spec, JsonText* json) {
  json->BeginObject("decoder");
  json->BeginObject("session_options");
  json->String("log_id", "onnxruntime-genai");
  json->BeginArray("provider_options");
  json->EndArray();
  json->EndObject();
  json->String("filename", "model.onnx");
  json->Int("head_size", spec.head_size);
  json->Int("hidden_size", spec.hidden);
  json->BeginObject("inputs");
  json->String("input_ids", "input_ids");
  json->String("attention_mask", "attention_mask");
  json->String("past_key_names", "past_key_values.%d.key");
  json->String("past_value_names", "past_key_values.%d.value");
  if (spec.conv_taps > 0) json->String("past_conv_names", "past.%d.conv");
  json->EndObject();
  json->BeginObject("outputs");
  json->String("logits", "logits");
  json->String("present_key_names", "present.%d.key");
  json->String("present_value_names", "present.%d.value");
  if (spec.conv_taps > 0) json->String("present_conv_names", "present.%d.conv");
  json->EndObject();
  json->Int("num_attention_heads", spec.heads);
  json->Int("num_hidden_layers", static_cast<int64_t>(spec.layers.size()));
  json->Int("num_key_value_heads", spec.kv_heads);
  AddSlidingWindow(spec, json);
  if (spec.conv_taps > 0) {
    json->BeginArray("layer_types");
    for (const LayerSpec& layer : spec.layers) {
      json->String(layer.convolution ? "conv" : "full_attention");
    }
    json->EndArray();
    json->Int("conv_cache_size", spec.conv_taps - 1);
  }
  json->EndObject();
}

void AddSearch(const ModelConfig& config, JsonText* json) {
  const SearchConfig& s = config.search;
  json->BeginObject("search");
  json->Double("diversity_penalty", 0);
  json->Bool("do_sample", s.do_sample.value);
  json->Bool("early_stopping", true);
  json->Double("length_penalty", s.length_penalty.value);
  json->Int("max_length", config.context_length);
  json->Int("min_length", 0);
  json->Int("no_repeat_ngram_size", s.no_repeat_ngram_size.value);
  json->Int("num_beams", 1);
  json->Int("num_return_sequences", 1);
  json->Bool("past_present_share_buffer", true);
  json->Double("repetition_penalty", s.repetition_penalty.value);
  json->Double("temperature", s.temperature.value);
  json->Int("top_k", s.top_k.value);
  json->Double("top_p", s.top_p.value);
  json->EndObject();
}

Status CopyFile(const std::string& from, const std::string& to) {
  std::error_code error;
  std::filesystem::copy_file(from, to, error);
  if (!error) return OkStatus();
  return Error(ErrorKind::kRuntime, "cannot copy \"%s\" to \"%s\": %s",
               Printable(from, 400).c_str(), Printable(to, 400).c_str(),
               error.message().c_str());
}

Status WriteTokenizerConfig(const Source& source, const std::string& folder) {
  const std::string path = source.folder + "/tokenizer_config.json";
  JsonText json(2);
  json.BeginObject();
  bool length_written = false;
  std::optional<JsonDocument> document;
  if (const auto found = source.texts.find("tokenizer_config.json");
      found != source.texts.end()) {
    SLM_ASSIGN_OR_RETURN(document, JsonDocument::Parse(found->second));
  } else if (IsFile(path)) {
    SLM_ASSIGN_OR_RETURN(document, LoadJsonObject(path));
  }
  if (document) {
    for (const JsonMember& member : document->root().Members()) {
      if (member.key == "chat_template") continue;
      if (member.key == "model_max_length") {
        json.Int(member.key, source.spec.context);
        length_written = true;
        continue;
      }
      json.Key(member.key);
      json.Value(member.value);
    }
  }
  if (!length_written) json.Int("model_max_length", source.spec.context);
  json.EndObject();
  return WriteFileAtomic(folder + "/tokenizer_config.json", json.text());
}

// What --mixed auto measured: each matrix alone in 4 bits.
void AddMixedUnits(const Options& options, const std::vector<MixedUnit>& units,
                   JsonText* json) {
  if (units.empty()) return;
  json->Double("target_bits_per_weight", options.target_bpw);
  json->BeginArray("mixed");
  for (const MixedUnit& unit : units) {
    json->BeginObject();
    json->String("node", unit.node);
    json->Double("kl", unit.kl);
    json->Int("more_bytes", static_cast<int64_t>(unit.more_bytes));
    json->Int("bits", unit.promoted ? 8 : 4);
    json->EndObject();
  }
  json->EndArray();
}

}  // namespace

std::string LastName(const std::string& path) {
  std::string_view view = path;
  while (view.size() > 1 && view.back() == '/') view.remove_suffix(1);
  return std::string(view.substr(view.find_last_of('/') + 1));
}

std::string GenAiConfigText(const Source& source) {
  const ModelConfig& config = source.config;
  JsonText json;
  json.BeginObject();
  json.BeginObject("model");
  json.Int("bos_token_id", config.bos_token_id.value_or(1));
  json.Int("context_length", config.context_length);
  AddDecoder(source.spec, &json);
  if (source.eos_is_list) {
    json.BeginArray("eos_token_id");
    for (const int64_t id : config.eos_token_ids) json.Int(id);
    json.EndArray();
  } else {
    json.Int("eos_token_id", config.eos_token_ids[0]);
  }
  json.Int("pad_token_id",
           config.pad_token_id.value_or(config.eos_token_ids[0]));
  json.String("type", source.spec.type);
  json.Int("vocab_size", config.vocab_size);
  json.EndObject();
  AddSearch(config, &json);
  json.EndObject();
  return json.text();
}

Status WriteTokenizerFiles(const Source& source, const std::string& folder) {
  for (const auto& [name, text] : source.texts) {
    SLM_RETURN_IF_ERROR(WriteFileAtomic(folder + "/" + name, text));
  }
  for (const char* name : kCopied) {
    const std::string from = source.folder + "/" + name;
    if (!IsFile(from)) continue;
    SLM_RETURN_IF_ERROR(CopyFile(from, folder + "/" + name));
  }
  SLM_RETURN_IF_ERROR(WriteTokenizerConfig(source, folder));
  if (source.chat_template.source.empty()) return OkStatus();
  return WriteFileAtomic(folder + "/chat_template.jinja",
                         source.chat_template.source);
}

Result<std::string> InferenceModelText(const Source& source,
                                       const std::string& name) {
  SLM_ASSIGN_OR_RETURN(const PromptTemplate strings, ChatStrings(source));
  JsonText json(2);
  json.BeginObject();
  json.String("Name", name);
  json.String("Description", LastName(source.folder) + ", converted by slm");
  json.String("Version", "1");
  json.Key("PromptTemplate");
  if (strings.empty()) {
    json.Null();
  } else {
    json.BeginObject();
    const std::pair<const char*, const std::string*> fields[] = {
        {"system", &strings.system},
        {"user", &strings.user},
        {"assistant", &strings.assistant},
        {"prompt", &strings.prompt}};
    for (const auto& [key, text] : fields) {
      if (!text->empty()) json.String(key, *text);
    }
    json.EndObject();
  }
  const SearchConfig& s = source.config.search;
  json.BeginObject("ModelConfig");
  json.Int("max_length", source.config.context_length);
  json.Double("temperature", s.temperature.value);
  json.Double("top_p", s.top_p.value);
  json.Double("repetition_penalty", s.repetition_penalty.value);
  json.EndObject();
  json.EndObject();
  return json.text();
}

Result<std::string> ProvenanceText(const Source& source, const Options& options,
                                   const std::vector<Weight>& weights,
                                   const std::vector<MixedUnit>& units,
                                   const std::string& folder) {
  const GraphOptions& graph = options.graph;
  JsonText json(2);
  json.BeginObject();
  json.String("producer", "slm-convert");
  json.String("version", slm_version());
  json.BeginObject("source");
  json.String("name", LastName(source.folder));
  json.String("architecture", source.spec.hf_class);
  json.BeginArray("files");
  for (const std::string& name : source.weights->files()) json.String(name);
  json.EndArray();
  json.Int("weight_bytes", static_cast<int64_t>(source.weights->total_bytes()));
  json.EndObject();
  json.BeginArray("adapters");
  for (const AdapterRequest& adapter : options.adapters) {
    json.BeginObject();
    json.String("name", LastName(adapter.folder));
    json.Double("scale", adapter.scale);
    json.EndObject();
  }
  json.EndArray();
  // Of an ONNX source that was packed anew alone.
  const bool unchanged = source.onnx && source.onnx->plan.weights.empty();
  json.String("precision",
              unchanged ? "unchanged" : PrecisionName(graph.precision));
  if (graph.quantized() && !unchanged) {
    json.String("algorithm", AlgorithmName(options));
    json.Int("block_size", static_cast<int64_t>(graph.quantize.block_size));
    json.Bool("symmetric", graph.quantize.symmetric);
    json.Int("accuracy_level", graph.accuracy_level);
    json.Bool("qdq", graph.qdq);
    const auto kept =
        std::count_if(weights.begin(), weights.end(),
                      [](const Weight& weight) { return weight.kept; });
    if (kept > 0) json.Int("kept_matrices", static_cast<int64_t>(kept));
    json.BeginArray("rules");
    for (const PrecisionRule& rule : graph.rules) json.String(Describe(rule));
    json.EndArray();
    AddMixedUnits(options, units, &json);
  }
  if (options.calibration.used) {
    const std::string& file = options.calibration.file;
    json.String("imatrix", file.empty() ? "sampled" : LastName(file));
  }
  json.BeginObject("files");
  for (const std::string& name : ListFolder(folder)) {
    uint64_t bytes = 0;
    SLM_ASSIGN_OR_RETURN(const std::string hash,
                         HashFile(folder + "/" + name, &bytes));
    json.BeginObject(name);
    json.Int("bytes", static_cast<int64_t>(bytes));
    json.String("sha256", hash);
    json.EndObject();
  }
  json.EndObject();
  json.EndObject();
  return json.text();
}

}  // namespace slm::convert
