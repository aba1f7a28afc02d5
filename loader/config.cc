// SPDX-License-Identifier: MIT
#include "loader/config.h"

#include <algorithm>

namespace slm {
namespace {

long long Wide(int64_t value) { return static_cast<long long>(value); }

// Names of tensors of one layer each: exactly one "%d" and no other "%", so
// that nothing but the layer's number is ever put in.
Status CheckPattern(const std::string& file, const char* key,
                    const std::string& name) {
  const size_t percent = name.find('%');
  const bool good = percent != std::string::npos && percent + 1 < name.size() &&
                    name[percent + 1] == 'd' &&
                    name.find('%', percent + 1) == std::string::npos;
  if (good) return OkStatus();
  return Invalid(
      "%s: %s = \"%s\", expected a name with exactly one %%d for the layer",
      file.c_str(), key, Printable(name).c_str());
}

struct NamePattern {
  const char* key;
  const std::string& name;
  bool may_be_empty;
};

Status CheckDecoderConfig(const std::string& file, const std::string& prefix,
                          const DecoderConfig& decoder) {
  const DecoderInputs& in = decoder.inputs;
  const DecoderOutputs& out = decoder.outputs;
  const NamePattern patterns[] = {
      {"inputs.past_key_names", in.past_key_names, false},
      {"inputs.past_value_names", in.past_value_names, false},
      {"inputs.past_names", in.past_names, true},
      {"inputs.past_conv_names", in.past_conv_names, true},
      {"outputs.present_key_names", out.present_key_names, false},
      {"outputs.present_value_names", out.present_value_names, false},
      {"outputs.present_names", out.present_names, true},
      {"outputs.present_conv_names", out.present_conv_names, true},
  };
  // Where key and value are one tensor their own names are of no use.
  const bool combined = !in.past_names.empty();
  for (const NamePattern& p : patterns) {
    if (p.name.empty() && (p.may_be_empty || combined)) continue;
    SLM_RETURN_IF_ERROR(CheckPattern(file, (prefix + p.key).c_str(), p.name));
  }
  const size_t types = decoder.layer_types.size();
  if (types != 0 && decoder.num_hidden_layers != 0 &&
      types != static_cast<size_t>(decoder.num_hidden_layers)) {
    return Invalid("%s: layer_types has %zu items, num_hidden_layers is %lld",
                   file.c_str(), types, Wide(decoder.num_hidden_layers));
  }
  return OkStatus();
}

// An id that no token has: the packaged runtime lets it pass, as it never meets
// it with one sequence; here nobody shall index with it.
void DropForeignId(const std::string& file, const LogSink& log,
                   const char* name, int64_t vocab_size,
                   std::optional<int64_t>* id) {
  if (!*id || (**id >= 0 && **id < vocab_size)) return;
  Log(log, LogLevel::kWarn,
      Format("%s: %s = %lld is not in the vocabulary of %lld: not used",
             file.c_str(), name, Wide(**id), Wide(vocab_size)));
  id->reset();
}

void ApplyTagFallback(TagIds tags, int64_t vocab_size,
                      std::optional<int64_t>* begin,
                      std::optional<int64_t>* end) {
  if (tags.begin >= 0 && tags.begin < vocab_size && !*begin) {
    *begin = tags.begin;
  }
  if (tags.end >= 0 && tags.end < vocab_size && !*end) *end = tags.end;
}

}  // namespace

void FinishSearch(const std::string& file, const LogSink& log,
                  ModelConfig* config) {
  SearchConfig* search = &config->search;
  const int64_t context = config->context_length;
  if (search->max_length.value > context) {
    Log(log, LogLevel::kWarn,
        Format("%s: max_length %lld is over the context of %lld: cut",
               Printable(file, 400).c_str(), Wide(search->max_length.value),
               Wide(context)));
    search->max_length.value = context;
  }
  // The best 50 of 40 tokens are all of them.
  search->top_k.value =
      std::clamp<int64_t>(search->top_k.value, 0, config->vocab_size);
  search->chunk_size.value = std::max<int64_t>(search->chunk_size.value, 0);
}

Status FinishConfig(const std::string& file, const LogSink& log,
                    ModelConfig* config) {
  const std::string shown = Printable(file, 400);
  const int64_t vocab = config->vocab_size;
  const Architecture* row = FindArchitecture(config->type);
  config->known_architecture = row != nullptr;
  config->architecture = row ? *row : Architecture{};

  for (const int64_t id : config->eos_token_ids) {
    if (id >= 0 && id < vocab) continue;
    return Invalid("%s: eos_token_id = %lld, expected 0 to %lld (vocab_size)",
                   shown.c_str(), Wide(id), Wide(vocab - 1));
  }
  if (config->eos_token_ids.empty()) {
    Log(log, LogLevel::kWarn,
        shown + ": no eos_token_id: only the length limit ends a text");
  }
  DropForeignId(shown, log, "pad_token_id", vocab, &config->pad_token_id);
  DropForeignId(shown, log, "bos_token_id", vocab, &config->bos_token_id);
  DropForeignId(shown, log, "bot_token_id", vocab, &config->bot_token_id);
  DropForeignId(shown, log, "eot_token_id", vocab, &config->eot_token_id);
  DropForeignId(shown, log, "bor_token_id", vocab, &config->bor_token_id);
  DropForeignId(shown, log, "eor_token_id", vocab, &config->eor_token_id);
  const Architecture& architecture = config->architecture;
  ApplyTagFallback(architecture.tool_call, vocab, &config->bot_token_id,
                   &config->eot_token_id);
  ApplyTagFallback(architecture.reasoning, vocab, &config->bor_token_id,
                   &config->eor_token_id);

  SLM_RETURN_IF_ERROR(
      CheckDecoderConfig(shown, "model.decoder.", config->decoder));
  if (config->draft) {
    SLM_RETURN_IF_ERROR(
        CheckDecoderConfig(shown, "model.draft.", *config->draft));
  }
  FinishSearch(file, log, config);
  return OkStatus();
}

Status CheckAgainstGraph(const ModelConfig& config, const GraphFacts& facts) {
  const std::string file = Printable(facts.file, 400);
  const int64_t layers = config.decoder.num_hidden_layers;
  const bool every_layer =
      config.known_architecture &&
      config.architecture.state_layers == StateLayers::kAll;
  if (layers > 0 && facts.state_layers > 0 &&
      (facts.last_layer >= layers ||
       (every_layer && facts.state_layers != layers))) {
    return Invalid(
        "%s: num_hidden_layers = %lld in the config, the graph has the caches "
        "of %lld layers (last: %lld); config and graph are of different models",
        file.c_str(), Wide(layers), Wide(facts.state_layers),
        Wide(facts.last_layer));
  }
  if (facts.logits_size > 0 && facts.logits_size != config.vocab_size) {
    return Invalid(
        "%s: vocab_size = %lld in the config, the graph's logits have %lld; "
        "config and graph are of different models",
        file.c_str(), Wide(config.vocab_size), Wide(facts.logits_size));
  }
  return OkStatus();
}

}  // namespace slm
