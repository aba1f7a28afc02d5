// SPDX-License-Identifier: MIT
#include <algorithm>
#include <limits>
#include <utility>

#include "loader/config.h"
#include "loader/fields.h"

namespace slm {
namespace {

constexpr double kIntMin = std::numeric_limits<int32_t>::min();
constexpr double kIntMax = std::numeric_limits<int32_t>::max();

void Append(std::vector<Field> from, std::vector<Field>* to) {
  for (Field& field : from) to->push_back(std::move(field));
}

// Keys of that object whose values concern other models or other machines.
void Ignore(const std::string& prefix, std::initializer_list<const char*> names,
            std::vector<Field>* fields) {
  for (const char* name : names) fields->push_back({prefix + name, Ignored{}});
}

// [{"cuda": {...}}, ...]: the names matter, their options do not here.
Status ReadProviders(const JsonValue& value, const std::string& path,
                     std::vector<std::string>* providers) {
  if (!value.IsArray()) {
    return Invalid("%s = %s, expected a list", path.c_str(),
                   ShowJson(value).c_str());
  }
  for (const JsonValue& item : value.Items()) {
    if (!item.IsObject() || item.Members().size() != 1) {
      return Invalid("%s holds %s, expected objects with one key", path.c_str(),
                     ShowJson(item).c_str());
    }
    const JsonMember& provider = item.Members()[0];
    std::string name(provider.key);
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
    if (name == "cpuexecutionprovider") name = "cpu";
    if (name == "cpu" && provider.value.IsObject() &&
        !provider.value.Members().empty()) {
      return Invalid("%s: the cpu provider has no option \"%s\"", path.c_str(),
                     Printable(provider.value.Members()[0].key).c_str());
    }
    providers->push_back(std::move(name));
  }
  return OkStatus();
}

std::vector<Field> SessionFields(const std::string& prefix,
                                 OrtSessionConfig* session) {
  std::vector<Field> fields = {
      {prefix + "intra_op_num_threads", &session->intra_op_num_threads, 0,
       4096},
      {prefix + "provider_options",
       FieldFunction(
           [session](const JsonValue& value, const std::string& path) {
             return ReadProviders(value, path, &session->providers);
           })},
      {prefix + "custom_ops_library",
       Unsupported{"operators of other libraries cannot be loaded"}},
      {prefix + "*", &session->entries},
  };
  Ignore(prefix,
         {"inter_op_num_threads", "enable_cpu_mem_arena", "enable_mem_pattern",
          "log_id", "log_severity_level", "log_verbosity_level",
          "enable_profiling", "graph_optimization_level"},
         &fields);
  return fields;
}

std::vector<Field> InputFields(const std::string& prefix, DecoderInputs* in) {
  std::vector<Field> fields = {
      {prefix + "input_ids", &in->input_ids},
      {prefix + "inputs_embeds", &in->inputs_embeds},
      {prefix + "attention_mask", &in->attention_mask},
      {prefix + "position_ids", &in->position_ids},
      {prefix + "past_key_names", &in->past_key_names},
      {prefix + "past_value_names", &in->past_value_names},
      {prefix + "past_names", &in->past_names},
      {prefix + "past_conv_names", &in->past_conv_names},
      {prefix + "past_key_values_length", &in->past_key_values_length},
      {prefix + "past_sequence_length", &in->past_sequence_length},
      {prefix + "current_sequence_length", &in->current_sequence_length},
      {prefix + "total_sequence_length", &in->total_sequence_length},
  };
  // Of encoder-decoders, speech, paged attention and beams in the graph.
  Ignore(prefix,
         {"cache_indirection", "cumulative_sequence_lengths",
          "past_sequence_lengths", "block_table", "block_table_windowed",
          "attention_metadata", "hidden_states", "per_layer_inputs",
          "cross_past_key_names", "cross_past_value_names",
          "encoder_hidden_states", "encoder_attention_mask", "rnn_states_prev",
          "targets", "lstm_hidden_state", "lstm_cell_state", "targets_length"},
         &fields);
  return fields;
}

std::vector<Field> OutputFields(const std::string& prefix,
                                DecoderOutputs* out) {
  std::vector<Field> fields = {
      {prefix + "logits", &out->logits},
      {prefix + "present_key_names", &out->present_key_names},
      {prefix + "present_value_names", &out->present_value_names},
      {prefix + "present_names", &out->present_names},
      {prefix + "present_conv_names", &out->present_conv_names},
      {prefix + "hidden_states", &out->hidden_states},
  };
  Ignore(prefix,
         {"output_cross_qk_names", "rnn_states", "outputs", "lstm_hidden_state",
          "lstm_cell_state", "outputs_length"},
         &fields);
  return fields;
}

std::vector<Field> WindowFields(const std::string& prefix, SlidingWindow* w) {
  return {
      {prefix + "window_size", &w->window_size, 0, kMaxContext},
      {prefix + "pad_value", &w->pad_value, kIntMin, kIntMax},
      {prefix + "alignment", &w->alignment},
      {prefix + "slide_key_value_cache", &w->slide_key_value_cache},
      {prefix + "slide_inputs", &w->slide_inputs},
      {prefix + "layers", &w->layers, 0, kMaxLayers},
      {prefix + "cache_slack", &w->cache_slack, 0, kMaxContext},
  };
}

// `object` is the decoder's, to see which optional parts it has.
std::vector<Field> DecoderFields(const std::string& prefix,
                                 const JsonValue& object,
                                 DecoderConfig* decoder) {
  std::vector<Field> fields = {
      {prefix + "filename", &decoder->filename},
      {prefix + "hidden_size", &decoder->hidden_size, 0, kMaxHidden},
      {prefix + "num_attention_heads", &decoder->num_attention_heads, 0,
       kMaxHeads},
      {prefix + "num_key_value_heads", &decoder->num_key_value_heads, 0,
       kMaxHeads},
      {prefix + "head_size", &decoder->head_size, 0, kMaxHeadSize},
      {prefix + "num_hidden_layers", &decoder->num_hidden_layers, 0,
       kMaxLayers},
      {prefix + "layer_types", &decoder->layer_types},
      {prefix + "conv_cache_size", &decoder->conv_cache_size, 0, kMaxHidden},
      // Without its own key it is a pipeline: refused before.
      {prefix + "pipeline", Ignored{}},
      // Where a weight lies in a file of several graphs; ours has one graph.
      {prefix + "shared_initializers", Ignored{}},
      {prefix + "run_options", Ignored{}},
  };
  Append(InputFields(prefix + "inputs.", &decoder->inputs), &fields);
  Append(OutputFields(prefix + "outputs.", &decoder->outputs), &fields);
  Append(SessionFields(prefix + "session_options.", &decoder->session),
         &fields);
  const JsonValue* window = object.Find("sliding_window");
  if (window && window->IsObject()) decoder->sliding_window.emplace();
  // Without the object the rows have no target: only null may stand there.
  if (decoder->sliding_window) {
    Append(WindowFields(prefix + "sliding_window.", &*decoder->sliding_window),
           &fields);
  } else {
    fields.push_back(
        {prefix + "sliding_window",
         FieldFunction([](const JsonValue& value, const std::string& path) {
           return Invalid("%s = %s, expected an object", path.c_str(),
                          ShowJson(value).c_str());
         })});
  }
  return fields;
}

std::vector<Field> SpeculativeFields(SpeculativeConfig* guess) {
  return {
      {"speculative.max_draft_tokens", &guess->max_draft_tokens, 1, 16},
      {"speculative.ngram_size", &guess->ngram_size, 0, 16},
      {"speculative.ngram_chained_lookup", &guess->ngram_chained_lookup},
      {"speculative.min_adaptive_k", &guess->min_adaptive_k, 0, 16},
      {"speculative.cooldown", &guess->cooldown},
  };
}

std::vector<Field> ModelFields(const JsonValue& decoder, const JsonValue* draft,
                               ModelConfig* config) {
  std::vector<Field> fields = {
      {"model.type", &config->type},
      {"model.tokenizer_dir", &config->tokenizer_dir},
      {"model.vocab_size", &config->vocab_size, 1, kMaxVocab},
      {"model.context_length", &config->context_length, 1, kMaxContext},
      // Ids are held against the vocabulary when its size is known.
      {"model.eos_token_id", IntOrList{&config->eos_token_ids}, kIntMin,
       kIntMax},
      {"model.pad_token_id", &config->pad_token_id, kIntMin, kIntMax},
      {"model.bos_token_id", &config->bos_token_id, kIntMin, kIntMax},
      {"model.bot_token_id", &config->bot_token_id, kIntMin, kIntMax},
      {"model.eot_token_id", &config->eot_token_id, kIntMin, kIntMax},
      {"model.bor_token_id", &config->bor_token_id, kIntMin, kIntMax},
      {"model.eor_token_id", &config->eor_token_id, kIntMin, kIntMax},
      // Foundry's own reader knows it, ORT GenAI refuses it; the template files
      // count.
      {"model.prompt_templates", Ignored{}},
      // Heads that guess several tokens: speed, never another text.
      {"model.mtp", Ignored{}},
  };
  Ignore("model.",
         {"sep_token_id",
          "decoder_start_token_id",
          "image_token_id",
          "audio_token_id",
          "boa_token_id",
          "video_token_id",
          "vision_start_token_id",
          "num_mels",
          "fft_size",
          "hop_length",
          "win_length",
          "preemph",
          "log_eps",
          "norm_eps",
          "subsampling_factor",
          "left_context",
          "conv_context",
          "pre_encode_cache_size",
          "sample_rate",
          "chunk_samples",
          "blank_id",
          "max_symbols_per_step",
          "left_context_samples",
          "right_context_samples",
          "tdt_durations"},
         &fields);
  Append(DecoderFields("model.decoder.", decoder, &config->decoder), &fields);
  if (draft && draft->IsObject()) {
    Append(DecoderFields("model.draft.", *draft, &config->draft.emplace()),
           &fields);
  }
  Append(SearchFields("search.", &config->search), &fields);
  Append(SpeculativeFields(&config->speculative), &fields);
  // Sizes of the packaged runtime's batching engine on GPUs.
  fields.push_back({"engine", Ignored{}});
  return fields;
}

// Sections that only models of other kinds have.
struct Section {
  const char* path;
  ModelKind kind;
};
constexpr Section kForeignSections[] = {
    {"model.decoder.pipeline", ModelKind::kPipeline},
    {"model.vision", ModelKind::kVision},
    {"model.speech", ModelKind::kAudio},
    {"model.joiner", ModelKind::kAudio},
    {"model.vad", ModelKind::kAudio},
    {"model.encoder", ModelKind::kEncoderDecoder},
    {"model.embedding", ModelKind::kMultimodal},
};

bool IsPresent(const JsonValue* section) {
  if (!section || section->IsNull()) return false;
  if (section->IsArray()) return !section->Items().empty();
  if (section->IsObject()) return !section->Members().empty();
  return true;
}

Status RefuseOtherKinds(const JsonValue& root, const std::string& file) {
  for (const Section& section : kForeignSections) {
    if (!IsPresent(FindPath(root, section.path))) continue;
    return Invalid("%s: %s is present: this is %s, slm runs text decoders",
                   file.c_str(), section.path, ModelKindText(section.kind));
  }
  const JsonValue* type = FindPath(root, "model.type");
  const Architecture* row =
      type && type->IsString() ? FindArchitecture(type->String()) : nullptr;
  if (row && row->kind != ModelKind::kTextDecoder) {
    return Invalid("%s: model.type = %s: this is %s, slm runs text decoders",
                   file.c_str(), ShowJson(*type).c_str(),
                   ModelKindText(row->kind));
  }
  return OkStatus();
}

// What the table cannot say with ranges.
Status CheckDecoder(const std::string& file, const std::string& prefix,
                    const LogSink& log, const DecoderConfig& decoder) {
  if (decoder.filename.empty()) {
    return Invalid("%s: %sfilename is missing; it names the .onnx file",
                   file.c_str(), prefix.c_str());
  }
  for (const std::string& provider : decoder.session.providers) {
    if (provider == "cpu") continue;
    Log(log, LogLevel::kWarn,
        file + ": made for \"" + Printable(provider) +
            "\"; slm runs it on the CPU");
  }
  if (!decoder.sliding_window) return OkStatus();
  const SlidingWindow& window = *decoder.sliding_window;
  if (window.alignment != "right" && window.alignment != "left") {
    return Invalid(
        "%s: %ssliding_window.alignment = \"%s\", expected \"right\" or "
        "\"left\"",
        file.c_str(), prefix.c_str(), Printable(window.alignment).c_str());
  }
  for (const int64_t layer : window.layers) {
    if (layer < decoder.num_hidden_layers || decoder.num_hidden_layers == 0) {
      continue;
    }
    return Invalid(
        "%s: %ssliding_window.layers holds %lld, num_hidden_layers is %lld",
        file.c_str(), prefix.c_str(), static_cast<long long>(layer),
        static_cast<long long>(decoder.num_hidden_layers));
  }
  // Graphs of fixed length for NPUs want their prompt cut and padded so; one
  // with free lengths computes the same without.
  if (window.slide_inputs) {
    Log(log, LogLevel::kWarn,
        file + ": " + prefix +
            "sliding_window.slide_inputs = true is not honoured: prompts are "
            "not padded to windows");
  }
  return OkStatus();
}

}  // namespace

Result<ModelConfig> ParseGenAiConfig(const JsonValue& root,
                                     const std::string& file,
                                     const LogSink& log) {
  const std::string shown = Printable(file, 400);
  const JsonValue* model = root.Find("model");
  if (!model || !model->IsObject()) {
    return Invalid("%s: object \"model\" is missing", shown.c_str());
  }
  SLM_RETURN_IF_ERROR(RefuseOtherKinds(root, shown));
  const JsonValue* decoder = model->Find("decoder");
  if (!decoder || !decoder->IsObject()) {
    return Invalid(
        "%s: model.decoder is %s, expected an object: only models with a text "
        "decoder can run",
        shown.c_str(), decoder ? ShowJson(*decoder).c_str() : "missing");
  }
  ModelConfig config;
  FieldReader reader;
  reader.file = file;
  reader.fields = ModelFields(*decoder, model->Find("draft"), &config);
  reader.log = log;
  reader.source = ConfigSource::kGenAiConfig;
  reader.warn_unknown = true;
  reader.warn_null = true;
  SLM_RETURN_IF_ERROR(ReadFields(root, reader));
  for (const char* key : {"vocab_size", "context_length"}) {
    const JsonValue* value = model->Find(key);
    if (!value || value->IsNull()) {
      return Invalid("%s: model.%s is missing", shown.c_str(), key);
    }
  }
  SLM_RETURN_IF_ERROR(
      CheckDecoder(shown, "model.decoder.", log, config.decoder));
  if (config.draft) {
    SLM_RETURN_IF_ERROR(
        CheckDecoder(shown, "model.draft.", log, *config.draft));
  }
  const int64_t beams = config.search.num_beams.value;
  const int64_t sequences = config.search.num_return_sequences.value;
  if (sequences > beams) {
    return Invalid(
        "%s: search.num_return_sequences = %lld, search.num_beams is %lld",
        shown.c_str(), static_cast<long long>(sequences),
        static_cast<long long>(beams));
  }
  if (config.speculative.ngram_size == 1) {
    return Invalid("%s: speculative.ngram_size = 1, expected 0 or 2 to 16",
                   shown.c_str());
  }
  // The packaged runtime's fallback.
  if (config.eos_token_ids.empty() && config.pad_token_id) {
    config.eos_token_ids.push_back(*config.pad_token_id);
  }
  SLM_RETURN_IF_ERROR(FinishConfig(file, log, &config));
  return config;
}

}  // namespace slm
