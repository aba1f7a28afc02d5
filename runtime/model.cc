// SPDX-License-Identifier: MIT
#include "runtime/model.h"

#include <algorithm>
#include <set>

#include "loader/onnx_graph.h"
#include "loader/tokenizer_json.h"

namespace slm {
namespace {

DecoderNames NamesOf(const DecoderConfig& decoder) {
  DecoderNames names;
  names.input_ids = decoder.inputs.input_ids;
  names.attention_mask = decoder.inputs.attention_mask;
  names.position_ids = decoder.inputs.position_ids;
  names.past_key = decoder.inputs.past_key_names;
  names.past_value = decoder.inputs.past_value_names;
  names.present_key = decoder.outputs.present_key_names;
  names.present_value = decoder.outputs.present_value_names;
  names.past_conv = decoder.inputs.past_conv_names;
  names.present_conv = decoder.outputs.present_conv_names;
  names.logits = decoder.outputs.logits;
  return names;
}

// What the config is held against, and what it may not say itself.
GraphFacts FactsOf(const Graph& graph, const DecoderNames& names) {
  GraphFacts facts;
  facts.file = graph.file;
  std::set<int64_t> layers;
  for (ValueId id : graph.inputs) {
    const int64_t layer = StateLayerOf(graph.values[id].name, names);
    if (layer >= 0) layers.insert(layer);
  }
  facts.state_layers = static_cast<int64_t>(layers.size());
  if (!layers.empty()) facts.last_layer = *layers.rbegin();
  for (ValueId id : graph.outputs) {
    const Value& value = graph.values[id];
    if (value.name != names.logits || !value.shape || value.shape->empty()) {
      continue;
    }
    facts.logits_size = std::max<int64_t>(0, value.shape->back().size);
  }
  return facts;
}

Status CheckIsDecoder(const Graph& graph, const DecoderNames& names) {
  const auto has = [&](const std::vector<ValueId>& ids,
                       const std::string& name) {
    return std::any_of(ids.begin(), ids.end(), [&](ValueId id) {
      return graph.values[id].name == name;
    });
  };
  for (ValueId id : graph.inputs) {
    if (graph.values[id].name == "inputs_embeds") {
      return Invalid("%s: its input is inputs_embeds: a part of a multimodal "
                     "model, not a text decoder",
                     graph.file.c_str());
    }
  }
  if (!has(graph.inputs, names.input_ids)) {
    return Invalid("%s: no input \"%s\"; not a text decoder",
                   graph.file.c_str(), Printable(names.input_ids).c_str());
  }
  if (!has(graph.outputs, names.logits)) {
    return Invalid("%s: no output \"%s\"; not a text decoder with a language "
                   "model head",
                   graph.file.c_str(), Printable(names.logits).c_str());
  }
  return OkStatus();
}

Status CheckSeparateCaches(const ModelFolder& folder) {
  const DecoderConfig& decoder = folder.config.decoder;
  const bool in = !decoder.inputs.past_names.empty();
  if (!in && decoder.outputs.present_names.empty()) return OkStatus();
  return Invalid("%s: %s = \"%s\": keys and values in one tensor (gpt2) are "
                 "not supported; export them as tensors of their own",
                 Printable(folder.config_path, 400).c_str(),
                 in ? "past_names" : "present_names",
                 Printable(in ? decoder.inputs.past_names
                              : decoder.outputs.present_names)
                     .c_str());
}

}  // namespace

Result<std::unique_ptr<Model>> Model::Open(const std::string& path,
                                           const ModelOptions& options) {
  std::unique_ptr<Model> model(new Model());
  OpenOptions open;
  open.template_order = options.template_order;
  open.log = options.log;
  SLM_ASSIGN_OR_RETURN(model->folder_, OpenFolder(path, open));
  const ModelConfig& config = model->folder_.config;
  DecoderSpec& decoder = model->decoder_;
  decoder.names = NamesOf(config.decoder);
  decoder.vocab_size = static_cast<size_t>(config.vocab_size);
  decoder.context_length = static_cast<size_t>(config.context_length);
  decoder.kv_heads = static_cast<size_t>(config.decoder.num_key_value_heads);
  decoder.head_size = static_cast<size_t>(config.decoder.head_size);
  decoder.hidden_size = static_cast<size_t>(config.decoder.hidden_size);
  decoder.conv_cache_size =
      static_cast<size_t>(config.decoder.conv_cache_size);
  SLM_RETURN_IF_ERROR(CheckSeparateCaches(model->folder_));
  decoder.rope_recompute_at =
      static_cast<size_t>(config.architecture.reprefill_length);

  SLM_ASSIGN_OR_RETURN(auto graph, LoadOnnxGraph(model->folder_.onnx_path));
  SLM_RETURN_IF_ERROR(CheckIsDecoder(*graph, decoder.names));
  SLM_RETURN_IF_ERROR(
      CheckAgainstGraph(config, FactsOf(*graph, decoder.names)));
  PlanOptions plan;
  plan.decoder = &decoder.names;
  plan.force_dense = options.force_dense;
  plan.accuracy_level = options.accuracy_level;
  SLM_ASSIGN_OR_RETURN(model->plan_, BuildPlan(std::move(graph), plan));
  if (options.on_plan) options.on_plan(model->plan_.get());
  SLM_RETURN_IF_ERROR(model->OpenText(options));
  return model;
}

Status Model::OpenText(const ModelOptions& options) {
  SLM_ASSIGN_OR_RETURN(tokenizer_, LoadTokenizer(folder_.tokenizer_path));
  const bool own = options.template_text.has_value();
  const std::string& source =
      own ? *options.template_text : folder_.chat_template.source;
  if (source.empty()) return OkStatus();
  SLM_ASSIGN_OR_RETURN(
      chat_template_,
      ChatTemplate::Parse(
          source, own ? "chat template" : folder_.chat_template.file,
          TemplateDialect::kExtended));
  return OkStatus();
}

size_t Model::WeightBytes() const {
  size_t bytes = 0;
  std::set<const void*> seen;
  for (const Value& value : plan_->graph->values) {
    if (value.constant && seen.insert(value.constant->data).second) {
      bytes += value.constant->Bytes();
    }
  }
  return bytes;
}

}  // namespace slm
