// SPDX-License-Identifier: MIT
#include "tools/convert/source.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "loader/fields.h"
#include "loader/gguf.h"
#include "loader/json_fields.h"
#include "runtime/core/file.h"
#include "tools/convert/families.h"
#include "tools/convert/gguf_source.h"
#include "tools/convert/onnx_source.h"
#include "tools/convert/onnx_tensors.h"
#include "tools/convert/pack_config.h"
#include "tools/convert/packed_source.h"
#include "tools/convert/safetensor_source.h"

namespace slm::convert {
namespace {

Status CheckFolder(const std::string& folder) {
  const std::string shown = Printable(folder, 400);
  if (IsFolder(folder)) return OkStatus();
  if (IsFile(folder)) {
    return Error(ErrorKind::kNotFound,
                 "cannot open \"%s\": it is a file; pass a .gguf or .onnx "
                 "file or a folder that holds config.json and "
                 "model.safetensors",
                 shown.c_str());
  }
  return Error(
      ErrorKind::kNotFound,
      "cannot open \"%s\": no such folder; pass a local folder (models "
      "are not downloaded)",
      shown.c_str());
}

// As quantization_config says that they are stored.
Result<std::unique_ptr<TensorSource>> OpenTensors(
    const JsonValue& config, const std::string& config_path,
    const std::string& folder) {
  Result<std::optional<PackConfig>> packing = ReadPackConfig(config);
  if (!packing.ok()) return packing.status().In(Printable(config_path, 400));
  SLM_ASSIGN_OR_RETURN(SafeTensors file, SafeTensors::Open(folder));
  const bool has_codes = std::any_of(
      file.tensors().begin(), file.tensors().end(), [](const auto& entry) {
        return std::string_view(entry.first).ends_with(".qweight");
      });
  if (!*packing && has_codes) {
    packing = ReadOldPackConfig(folder);
    if (!packing.ok()) return packing.status();
  }
  if (*packing) return OpenPackedSource(std::move(file), **packing);
  if (has_codes) {
    return Invalid(
        "\"%s\" holds quantised tensors (.qweight), its config.json has no "
        "quantization_config",
        Printable(folder, 400).c_str());
  }
  return std::unique_ptr<TensorSource>(
      std::make_unique<SafeTensorSource>(std::move(file)));
}

// As far as the texts of the output need it.
void FillSpec(const OnnxSource& onnx, Source* source) {
  const DecoderConfig& decoder = source->config.decoder;
  DecoderSpec& spec = source->spec;
  spec.type = source->config.type;
  if (!source->config.known_architecture) spec.type = "decoder";
  spec.hf_class = source->config.type;
  spec.context = source->config.context_length;
  spec.vocab = source->config.vocab_size;
  spec.hidden = decoder.hidden_size;
  spec.heads = decoder.num_attention_heads;
  spec.kv_heads = decoder.num_key_value_heads;
  spec.head_size = decoder.head_size;
  size_t layers = 0;
  for (const OnnxValue& input : onnx.document->graphs()[0].inputs) {
    if (input.name != "past_key_values." + std::to_string(layers) + ".key") {
      continue;
    }
    ++layers;
    if (input.dims.size() != 4) continue;
    if (input.dims[1].size > 0) spec.kv_heads = input.dims[1].size;
    if (input.dims[3].size > 0) spec.head_size = input.dims[3].size;
  }
  spec.layers.resize(layers);
}

Result<Source> OpenOnnx(const std::string& path,
                        const std::vector<AdapterRequest>& adapters,
                        const LogSink& log) {
  if (!adapters.empty()) {
    return Usage(
        "adapters are merged into checkpoints, \"%s\" is ONNX: convert the "
        "model that it was made of",
        Printable(path, 400).c_str());
  }
  Source source;
  SLM_ASSIGN_OR_RETURN(source.onnx, OpenOnnxSource(path, log));
  source.weights = std::make_unique<OnnxTensors>(*source.onnx->document);
  source.spec.hf_class = "onnx";
  const size_t slash = source.onnx->path.find_last_of('/');
  source.folder =
      slash == std::string::npos ? "." : source.onnx->path.substr(0, slash);
  if (!source.onnx->folder) return source;
  ModelFolder& folder = *source.onnx->folder;
  source.folder = folder.tokenizer_dir;
  source.config = folder.config;
  source.eos_is_list = source.config.eos_token_ids.size() > 1;
  source.tokenizer = folder.tokenizer;
  source.chat_template = folder.chat_template;
  if (source.config.draft) {
    return Invalid(
        "%s: model.draft: models of several graphs are not converted",
        Printable(folder.config_path, 400).c_str());
  }
  FillSpec(*source.onnx, &source);
  return source;
}

// config.json and, where there is one, generation_config.json.
Status ReadConfigs(const JsonValue& root, const std::string& config_path,
                   const JsonValue* generation,
                   const std::string& generation_path, const LogSink& log,
                   Source* source) {
  SLM_ASSIGN_OR_RETURN(
      source->config,
      ParseHfConfig(root, config_path, generation, generation_path, log));
  if (source->config.eos_token_ids.empty()) {
    return Invalid(
        "%s: eos_token_id is missing, there and in "
        "generation_config.json",
        Printable(config_path, 400).c_str());
  }
  const JsonValue* eos = FindField(root, "eos_token_id");
  if (generation && FindField(*generation, "eos_token_id")) {
    eos = FindField(*generation, "eos_token_id");
  }
  source->eos_is_list = eos != nullptr && eos->IsArray();
  Result<DecoderSpec> spec = ReadDecoderSpec(root, source->config);
  if (!spec.ok()) return spec.status().In(Printable(config_path, 400));
  source->spec = std::move(spec).value();
  return OkStatus();
}

Result<Source> OpenGgufSource(const std::string& path,
                              const std::vector<AdapterRequest>& adapters,
                              const LogSink& log) {
  Source source;
  source.folder = path;
  SLM_ASSIGN_OR_RETURN(GgufModel model, OpenGguf(path));
  SLM_ASSIGN_OR_RETURN(const JsonDocument document,
                       JsonDocument::Parse(model.config));
  std::optional<JsonDocument> generation;
  if (!model.generation.empty()) {
    SLM_ASSIGN_OR_RETURN(generation, JsonDocument::Parse(model.generation));
  }
  SLM_RETURN_IF_ERROR(ReadConfigs(document.root(), path,
                                  generation ? &generation->root() : nullptr,
                                  path, log, &source));
  if (model.plus_one) source.spec.norm_plus_one = false;
  source.spec.notes.insert(source.spec.notes.end(), model.notes.begin(),
                           model.notes.end());
  source.weights = std::move(model.tensors);
  SLM_ASSIGN_OR_RETURN(source.adapters,
                       AdapterSet::Open(adapters, *source.weights));
  source.tokenizer = std::move(model.tokenizer.config);
  source.chat_template = {std::move(model.tokenizer.chat_template), path};
  source.texts = std::move(model.tokenizer.files);
  return source;
}

bool HasSafeTensors(const std::string& folder) {
  return IsFile(folder + "/model.safetensors") ||
         IsFile(folder + "/model.safetensors.index.json");
}

// The GGUF file that is meant; empty: a folder of Hugging Face.
Result<std::string> GgufPath(const std::string& path) {
  if (IsFile(path) && path.ends_with(".gguf")) return path;
  if (!IsFolder(path) || HasSafeTensors(path)) return std::string();
  SLM_ASSIGN_OR_RETURN(const std::optional<std::string> found, FindGguf(path));
  return found.value_or("");
}

}  // namespace

Result<Source> OpenSource(const std::string& folder,
                          const std::vector<AdapterRequest>& adapters,
                          const LogSink& log) {
  if (IsOnnxSource(folder)) return OpenOnnx(folder, adapters, log);
  SLM_ASSIGN_OR_RETURN(const std::string gguf, GgufPath(folder));
  if (!gguf.empty()) return OpenGgufSource(gguf, adapters, log);
  SLM_RETURN_IF_ERROR(CheckFolder(folder));
  Source source;
  source.folder = folder;
  const std::string config_path = folder + "/config.json";
  SLM_ASSIGN_OR_RETURN(const JsonDocument document,
                       LoadJsonObject(config_path));
  const JsonValue& root = document.root();
  const std::string generation_path = folder + "/generation_config.json";
  std::optional<JsonDocument> generation;
  if (IsFile(generation_path)) {
    SLM_ASSIGN_OR_RETURN(generation, LoadJsonObject(generation_path));
  }
  SLM_RETURN_IF_ERROR(ReadConfigs(root, config_path,
                                  generation ? &generation->root() : nullptr,
                                  generation_path, log, &source));
  SLM_ASSIGN_OR_RETURN(source.weights, OpenTensors(root, config_path, folder));
  SLM_ASSIGN_OR_RETURN(source.adapters,
                       AdapterSet::Open(adapters, *source.weights));
  // A head that the file leaves out is the embedding's table.
  if (!source.weights->Find("lm_head.weight")) source.spec.tied = true;
  if (!IsFile(folder + "/tokenizer.json")) {
    return Error(ErrorKind::kNotFound,
                 "\"%s\": tokenizer.json not found; save the model's fast "
                 "tokenizer into the folder",
                 Printable(folder, 400).c_str());
  }
  SLM_ASSIGN_OR_RETURN(source.tokenizer, LoadTokenizerConfig(folder, log));
  SLM_ASSIGN_OR_RETURN(
      source.chat_template,
      FindTemplate(folder, source.tokenizer, TemplateOrder::kHuggingFace));
  return source;
}

}  // namespace slm::convert
