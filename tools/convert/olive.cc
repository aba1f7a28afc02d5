// SPDX-License-Identifier: MIT
#include "tools/convert/olive.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "loader/fields.h"
#include "loader/json_fields.h"
#include "tools/convert/olive_arguments.h"
#include "tools/convert/olive_commands.h"
#include "tools/convert/olive_onnx.h"
#include "tools/convert/olive_values.h"
#include "tools/convert/onnx_source.h"

namespace slm::convert {
namespace {

constexpr Flag kAutoOpt[] = {
    {"model_name_or_path", 'm', Takes::kOne, Use::kSet},
    {"output_path", 'o', Takes::kOne, Use::kSet},
    {"adapter_path", 'a', Takes::kOne, Use::kSet},
    {"precision", 0, Takes::kOne, Use::kSet},
    {"device", 0, Takes::kOne, Use::kSet},
    {"provider", 0, Takes::kOne, Use::kSet},
    {"dry_run", 0, Takes::kNothing, Use::kSet},
    {"task", 't', Takes::kOne, Use::kSet},
    {"use_model_builder", 0, Takes::kNothing, Use::kSilent},
    {"use_ort_genai", 0, Takes::kNothing, Use::kSilent},
    {"log_level", 0, Takes::kOne, Use::kSilent},
    {"disable_telemetry", 0, Takes::kNothing, Use::kSilent},
    {"trust_remote_code", 0, Takes::kNothing, Use::kIgnore},
    {"use_dynamo_exporter", 0, Takes::kNothing, Use::kIgnore},
    {"save_config_file", 0, Takes::kNothing, Use::kIgnore},
    {"data_name", 'd', Takes::kOne, Use::kIgnore},
    {"split", 0, Takes::kOne, Use::kIgnore},
    {"subset", 0, Takes::kOne, Use::kIgnore},
    {"input_cols", 0, Takes::kMany, Use::kIgnore},
    {"batch_size", 0, Takes::kOne, Use::kIgnore},
    {"memory", 0, Takes::kOne, Use::kIgnore},
    {"account_name", 0, Takes::kOne, Use::kIgnore},
    {"container_name", 0, Takes::kOne, Use::kIgnore},
    {"model_script", 0, Takes::kOne, Use::kRefuse},
    {"script_dir", 0, Takes::kOne, Use::kRefuse},
    {"use_qdq_encoding", 0, Takes::kNothing, Use::kSet},
    {"num-splits", 0, Takes::kOne, Use::kRefuse},
    {"cost-model", 0, Takes::kOne, Use::kRefuse},
    {"mixed-precision-overrides-config", 0, Takes::kMany, Use::kRefuse},
    {"dynamic-to-fixed-shape-dim-param", 0, Takes::kMany, Use::kRefuse},
    {"dynamic-to-fixed-shape-dim-value", 0, Takes::kMany, Use::kRefuse},
    {"test", 0, Takes::kNothing, Use::kRefuse},
    {"test_metrics", 0, Takes::kOne, Use::kRefuse},
    {"test_llama_path", 0, Takes::kOne, Use::kRefuse},
    {"force", 0, Takes::kNothing, Use::kSet},  // ours
};

constexpr Flag kRun[] = {
    {"config", 0, Takes::kOne, Use::kSet},
    {"run-config", 0, Takes::kOne, Use::kSet},
    {"model_name_or_path", 'm', Takes::kOne, Use::kSet},
    {"output_path", 'o', Takes::kOne, Use::kSet},
    {"adapter_path", 'a', Takes::kOne, Use::kSet},
    {"task", 't', Takes::kOne, Use::kSet},
    {"tempdir", 0, Takes::kOne, Use::kIgnore},
    {"log_level", 0, Takes::kOne, Use::kSilent},
    {"list_required_packages", 0, Takes::kNothing, Use::kRefuse},
    {"package-config", 0, Takes::kOne, Use::kRefuse},
    {"force", 0, Takes::kNothing, Use::kSet},
};

constexpr Flag kBuilder[] = {
    {"model_name", 'm', Takes::kOne, Use::kSet},
    {"input", 'i', Takes::kOne, Use::kSet},
    {"output", 'o', Takes::kOne, Use::kSet},
    {"precision", 'p', Takes::kOne, Use::kSet},
    {"execution_provider", 'e', Takes::kOne, Use::kSet},
    {"extra_options", 0, Takes::kMany, Use::kSet},
    {"cache_dir", 'c', Takes::kOne, Use::kSilent},
    {"force", 0, Takes::kNothing, Use::kSet},
};

Result<Options> ParseAutoOpt(std::span<const std::string> args) {
  Options o;
  o.output = "auto-opt-output";
  SLM_RETURN_IF_ERROR(SetPrecision("fp32", &o.graph));  // Olive's default
  SLM_ASSIGN_OR_RETURN(const auto arguments,
                       SplitArguments(kAutoOpt, args, &o.notes));
  for (const Argument& a : arguments) {
    if (a.name == "model_name_or_path") o.source = a.value();
    if (a.name == "output_path") o.output = a.value();
    if (a.name == "adapter_path") o.adapters.push_back({a.value(), 1});
    if (a.name == "dry_run") o.dry_run = true;
    if (a.name == "use_qdq_encoding") o.graph.qdq = true;
    if (a.name == "force") o.force = true;
    if (a.name == "task") SLM_RETURN_IF_ERROR(CheckTask(a.value()));
    if (a.name == "precision") {
      SLM_RETURN_IF_ERROR(SetPrecision(a.value(), &o.graph));
    }
    if (a.name == "device" || a.name == "provider") {
      SLM_RETURN_IF_ERROR(CheckProvider(a.name, a.value()));
    }
  }
  if (o.source.empty()) return Usage("--model_name_or_path is missing");
  if (IsOnnxSource(o.source)) AdaptAutoOptToOnnx(&o);
  return o;
}

Result<Options> ParseBuilder(std::span<const std::string> args) {
  Options o;
  o.graph.expert_block_size = 32;
  bool precision = false;
  SLM_ASSIGN_OR_RETURN(const auto arguments,
                       SplitArguments(kBuilder, args, &o.notes));
  for (const Argument& a : arguments) {
    // A name of the hub, where a local folder is not given as well.
    if (a.name == "model_name" && o.source.empty()) o.source = a.value();
    if (a.name == "input") o.source = a.value();
    if (a.name == "output") o.output = a.value();
    if (a.name == "force") o.force = true;
    if (a.name == "precision") {
      SLM_RETURN_IF_ERROR(SetPrecision(a.value(), &o.graph));
      precision = true;
    }
    if (a.name == "execution_provider") {
      SLM_RETURN_IF_ERROR(CheckProvider(a.name, a.value()));
    }
  }
  for (const Argument& a : arguments) {
    if (a.name != "extra_options") continue;
    for (const std::string& option : a.values) {
      const size_t equals = option.find('=');
      if (equals == std::string::npos) {
        return Usage("--extra_options \"%s\": expected key=value",
                     Printable(option).c_str());
      }
      SLM_RETURN_IF_ERROR(SetBuilderOption(option.substr(0, equals),
                                           option.substr(equals + 1), &o));
    }
  }
  if (o.source.empty()) return Usage("-i FOLDER is missing");
  if (o.output.empty()) return Usage("-o FOLDER is missing");
  if (!precision) return Usage("-p is missing");
  return o;
}

// {"type": T, "config": {...}} or {"type": T, ...}.
const JsonValue& ConfigOf(const JsonValue& object) {
  const JsonValue* inner = FindField(object, "config");
  return inner && inner->IsObject() ? *inner : object;
}

// A scalar as a command line would have it.
std::string TextOf(const JsonValue& value) {
  if (value.IsString()) return std::string(value.String());
  if (value.IsBool()) return value.Bool() ? "true" : "false";
  return ShowJson(value);
}

Status ReadInputModel(const JsonValue& root, Options* o) {
  SLM_ASSIGN_OR_RETURN(const JsonValue* model,
                       ObjectField(root, "input_model"));
  SLM_ASSIGN_OR_RETURN(const std::string_view type,
                       StringField(*model, "type"));
  const bool onnx = Lower(type) == "onnxmodel";
  if (Lower(type) != "hfmodel" && !onnx) {
    return Usage(
        "input_model.type = \"%s\" is not supported: HfModel and OnnxModel are",
        Printable(type).c_str());
  }
  std::string file;
  for (const JsonMember& member : ConfigOf(*model).Members()) {
    const std::string key(member.key);
    if (member.value.IsNull()) continue;
    if (key == "model_path") {
      o->source = TextOf(member.value);
    } else if (onnx && key == "onnx_file_name") {
      file = TextOf(member.value);
    } else if (key == "adapter_path") {
      o->adapters.push_back({TextOf(member.value), 1});
    } else if (key == "task") {
      SLM_RETURN_IF_ERROR(CheckTask(TextOf(member.value)));
    } else if (key == "load_kwargs" || key == "model_attributes") {
      o->notes.push_back("input_model." + key + " means nothing here");
    } else if (key != "type") {
      return Usage("input_model.%s is not supported", Printable(key).c_str());
    }
  }
  if (!file.empty()) o->source += "/" + file;
  return OkStatus();
}

// Every accelerator and provider that the file names.
Status CheckSystems(const JsonValue& root) {
  const JsonValue* systems = FindField(root, "systems");
  if (!systems) return OkStatus();
  if (!systems->IsObject()) return WrongField("systems", systems, "object");
  for (const JsonMember& system : systems->Members()) {
    if (!system.value.IsObject()) {
      return WrongField(system.key, &system.value, "object");
    }
    const JsonValue* list = FindField(ConfigOf(system.value), "accelerators");
    if (!list || !list->IsArray()) continue;
    for (const JsonValue& accelerator : list->Items()) {
      if (const JsonValue* device = FindField(accelerator, "device")) {
        SLM_RETURN_IF_ERROR(CheckProvider("device", TextOf(*device)));
      }
      const JsonValue* providers =
          FindField(accelerator, "execution_providers");
      if (!providers || !providers->IsArray()) continue;
      for (const JsonValue& provider : providers->Items()) {
        SLM_RETURN_IF_ERROR(CheckProvider("provider", TextOf(provider)));
      }
    }
  }
  return OkStatus();
}

// Olive drops this key with a warning that is easily overlooked, and quantises
// in its default blocks of 32 without zero points.
Status ReadQuantizationConfig(const JsonValue& object, Options* o) {
  if (!object.IsObject()) {
    return WrongField("quantization_config", &object, "object");
  }
  for (const JsonMember& member : object.Members()) {
    SLM_RETURN_IF_ERROR(
        SetBuilderOption(std::string(member.key), TextOf(member.value), o));
  }
  o->notes.push_back("quantization_config is honoured (Olive ignores it)");
  return OkStatus();
}

Status ReadModelBuilder(const JsonValue& pass, Options* o) {
  o->graph.expert_block_size = 32;
  const JsonValue& config = ConfigOf(pass);
  const JsonValue* precision = FindField(config, "precision");
  if (!precision || !precision->IsString()) {
    return WrongField("ModelBuilder: precision", precision, "string");
  }
  SLM_RETURN_IF_ERROR(
      SetPrecision(std::string(precision->String()), &o->graph));
  for (const JsonMember& member : config.Members()) {
    const std::string key(member.key);
    if (key == "precision" || key == "type" || member.value.IsNull()) continue;
    if (key == "quantization_config") {
      SLM_RETURN_IF_ERROR(ReadQuantizationConfig(member.value, o));
    } else if (key == "extra_options") {
      if (!member.value.IsObject()) {
        return WrongField("extra_options", &member.value, "object");
      }
      for (const JsonMember& option : member.value.Members()) {
        SLM_RETURN_IF_ERROR(
            SetBuilderOption(std::string(option.key), TextOf(option.value), o));
      }
    } else {
      SLM_RETURN_IF_ERROR(SetBuilderOption(key, TextOf(member.value), o));
    }
  }
  return OkStatus();
}

// Of a graph: the files around it are made anyway.
bool IsMetadataOnly(const JsonValue& config, const Options& o) {
  const JsonValue* only = FindField(config, "metadata_only");
  return only && only->IsBool() && only->Bool() && IsOnnxSource(o.source);
}

Status ReadPass(const JsonValue& pass, Options* o) {
  if (!pass.IsObject()) return WrongField("passes", &pass, "an object");
  SLM_ASSIGN_OR_RETURN(const std::string_view type, StringField(pass, "type"));
  const JsonValue& config = ConfigOf(pass);
  if (Lower(type) != "modelbuilder") {
    const Status read = ReadOnnxPass(type, config, o);
    return read.ok() ? read : read.In(std::string(type));
  }
  if (IsMetadataOnly(config, *o)) return OkStatus();
  if (IsOnnxSource(o->source)) {
    return Usage("pass ModelBuilder needs a HfModel, or metadata_only");
  }
  return ReadModelBuilder(pass, o);
}

// In their order; without one that quantises, weights stay as they are.
Status ReadPasses(const JsonValue& root, Options* o) {
  SLM_ASSIGN_OR_RETURN(const JsonValue* passes, ObjectField(root, "passes"));
  if (passes->Members().empty()) return Usage("passes: there is none");
  SLM_RETURN_IF_ERROR(SetPrecision("fp32", &o->graph));
  for (const JsonMember& member : passes->Members()) {
    const JsonValue* pass = &member.value;
    if (pass->IsArray() && pass->Items().size() == 1) pass = &pass->Items()[0];
    SLM_RETURN_IF_ERROR(ReadPass(*pass, o));
  }
  return OkStatus();
}

// Keys of Olive's engine that say where and how loudly it works; unknown ones
// are errors there, too.
bool IsEngineKey(std::string_view key) {
  static constexpr std::string_view kKeys[] = {"cache_config",
                                               "cache_dir",
                                               "clean_cache",
                                               "clean_evaluation_cache",
                                               "data_configs",
                                               "enable_shared_cache",
                                               "engine",
                                               "evaluate_input_model",
                                               "host",
                                               "log_severity_level",
                                               "log_to_file",
                                               "max_concurrent_builds",
                                               "no_artifacts",
                                               "ort_log_severity_level",
                                               "ort_py_log_severity_level",
                                               "plot_pareto_frontier",
                                               "target",
                                               "workflow_id"};
  return std::find(std::begin(kKeys), std::end(kKeys), key) != std::end(kKeys);
}

Status ReadRunConfig(const JsonValue& root, Options* o) {
  for (const JsonMember& member : root.Members()) {
    const std::string_view key = member.key;
    if (key == "input_model" || key == "passes" || key == "systems" ||
        key == "output_dir" || IsEngineKey(key) || member.value.IsNull()) {
      continue;
    }
    return Usage("\"%s\" is not supported", Printable(key).c_str());
  }
  SLM_RETURN_IF_ERROR(ReadInputModel(root, o));
  SLM_RETURN_IF_ERROR(CheckSystems(root));
  SLM_RETURN_IF_ERROR(ReadPasses(root, o));
  const JsonValue* engine = FindField(root, "engine");
  for (const JsonValue* from : {engine, &root}) {
    const JsonValue* output = from ? FindField(*from, "output_dir") : nullptr;
    if (output) o->output = TextOf(*output);
  }
  return OkStatus();
}

Result<Options> ParseRun(std::span<const std::string> args) {
  Options o;
  SLM_ASSIGN_OR_RETURN(const auto arguments,
                       SplitArguments(kRun, args, &o.notes));
  std::string file;
  for (const Argument& a : arguments) {
    if (a.name == "config" || a.name == "run-config") file = a.value();
  }
  if (file.empty()) return Usage("--config FILE is missing");
  if (file.ends_with(".yaml") || file.ends_with(".yml")) {
    return Usage("\"%s\": YAML is not supported; convert it to JSON",
                 Printable(file, 400).c_str());
  }
  SLM_ASSIGN_OR_RETURN(const JsonDocument document, LoadJsonObject(file));
  const Status status = ReadRunConfig(document.root(), &o);
  if (!status.ok()) return status.In(Printable(file, 400));
  for (const Argument& a : arguments) {
    if (a.name == "model_name_or_path") o.source = a.value();
    if (a.name == "output_path") o.output = a.value();
    if (a.name == "adapter_path") o.adapters = {{a.value(), 1}};
    if (a.name == "task") SLM_RETURN_IF_ERROR(CheckTask(a.value()));
    if (a.name == "force") o.force = true;
  }
  if (o.source.empty()) return Usage("input_model.model_path is missing");
  if (o.output.empty()) return Usage("output_dir is missing");
  return o;
}

}  // namespace

bool IsForeignCommand(std::span<const std::string> args) {
  if (args.empty()) return false;
  if (args[0] == "auto-opt" || args[0] == "run") return true;
  if (IsOliveCommand(args)) return true;
  for (const std::string& arg : args) {
    const std::string name = arg.substr(0, arg.find('='));
    for (const char* flag :
         {"-i", "-o", "-e", "-m", "--input", "--output", "--model_name",
          "--execution_provider", "--extra_options"}) {
      if (name == flag) return true;
    }
  }
  return false;
}

Result<Options> ParseForeignCommand(std::span<const std::string> args) {
  const std::span<const std::string> rest = args.subspan(1);
  Result<Options> options = args[0] == "auto-opt"  ? ParseAutoOpt(rest)
                            : args[0] == "run"     ? ParseRun(rest)
                            : IsOliveCommand(args) ? ParseOliveCommand(args)
                                                   : ParseBuilder(args);
  if (options.ok()) {
    const QuantizeOptions& q = options->graph.quantize;
    if (q.algorithm == QuantAlgorithm::kKQuant && q.symmetric &&
        options->given.symmetry) {
      options->notes.push_back("k_quant has zero points, symmetric or not");
    }
    SLM_RETURN_IF_ERROR(SettleGraphOptions(&options->graph));
  }
  return options;
}

}  // namespace slm::convert
