// SPDX-License-Identifier: MIT
#include "tools/convert/olive_commands.h"

#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "loader/fields.h"
#include "tools/convert/olive_arguments.h"
#include "tools/convert/olive_values.h"

namespace slm::convert {
namespace {

// Of every command that takes a model.
constexpr Flag kCommon[] = {
    {"model_name_or_path", 'm', Takes::kOne, Use::kSet},
    {"output_path", 'o', Takes::kOne, Use::kSet},
    {"adapter_path", 'a', Takes::kOne, Use::kSet},
    {"task", 't', Takes::kOne, Use::kSet},
    {"precision", 0, Takes::kOne, Use::kSet},
    {"dry_run", 0, Takes::kNothing, Use::kSet},
    {"force", 0, Takes::kNothing, Use::kSet},  // ours
    {"log_level", 0, Takes::kOne, Use::kSilent},
    {"disable_telemetry", 0, Takes::kNothing, Use::kSilent},
    {"trust_remote_code", 0, Takes::kNothing, Use::kIgnore},
    {"save_config_file", 0, Takes::kNothing, Use::kIgnore},
    {"account_name", 0, Takes::kOne, Use::kIgnore},
    {"container_name", 0, Takes::kOne, Use::kIgnore},
    {"model_script", 0, Takes::kOne, Use::kRefuse},
    {"script_dir", 0, Takes::kOne, Use::kRefuse},
    {"test", 0, Takes::kNothing, Use::kRefuse},
    {"test_metrics", 0, Takes::kOne, Use::kRefuse},
    {"test_llama_path", 0, Takes::kOne, Use::kRefuse},
};

constexpr Flag kOptimize[] = {
    {"provider", 0, Takes::kOne, Use::kSet},
    {"device", 0, Takes::kOne, Use::kSet},
    {"exporter", 0, Takes::kOne, Use::kSet},
    {"modality", 0, Takes::kOne, Use::kSet},
    {"block_size", 0, Takes::kOne, Use::kSet},
    {"use_qdq_format", 0, Takes::kNothing, Use::kSet},
    {"extra_mb_options", 0, Takes::kOne, Use::kSet},
    {"memory", 0, Takes::kOne, Use::kIgnore},
    {"qnn_env_path", 0, Takes::kOne, Use::kIgnore},
    {"act_precision", 0, Takes::kOne, Use::kRefuse},
    {"num_split", 0, Takes::kOne, Use::kRefuse},
    {"dim_param", 0, Takes::kOne, Use::kRefuse},
    {"dim_value", 0, Takes::kOne, Use::kRefuse},
    {"surgeries", 0, Takes::kOne, Use::kRefuse},
    {"enable_aot", 0, Takes::kNothing, Use::kRefuse},
};

constexpr Flag kQuantize[] = {
    {"algorithm", 0, Takes::kOne, Use::kSet},
    {"implementation", 0, Takes::kOne, Use::kSet},
    {"use_qdq_encoding", 0, Takes::kNothing, Use::kSet},
    {"data_name", 'd', Takes::kOne, Use::kIgnore},
    {"subset", 0, Takes::kOne, Use::kIgnore},
    {"split", 0, Takes::kOne, Use::kIgnore},
    {"data_files", 0, Takes::kOne, Use::kIgnore},
    {"text_field", 0, Takes::kOne, Use::kIgnore},
    {"text_template", 0, Takes::kOne, Use::kIgnore},
    {"use_chat_template", 0, Takes::kNothing, Use::kIgnore},
    {"max_seq_len", 0, Takes::kOne, Use::kIgnore},
    {"max_samples", 0, Takes::kOne, Use::kIgnore},
    {"batch_size", 0, Takes::kOne, Use::kIgnore},
    {"add_special_tokens", 0, Takes::kOne, Use::kIgnore},
    {"input_cols", 0, Takes::kMany, Use::kIgnore},
    {"act_precision", 0, Takes::kOne, Use::kRefuse},
};

constexpr Flag kCapture[] = {
    {"conversion_device", 0, Takes::kOne, Use::kSet},
    {"int4_block_size", 0, Takes::kOne, Use::kSet},
    {"int4_accuracy_level", 0, Takes::kOne, Use::kSet},
    {"extra_mb_options", 0, Takes::kOne, Use::kSet},
    {"use_model_builder", 0, Takes::kNothing, Use::kSilent},
    {"use_ort_genai", 0, Takes::kNothing, Use::kSilent},
    {"use_dynamo_exporter", 0, Takes::kNothing, Use::kIgnore},
    {"use_mobius_builder", 0, Takes::kNothing, Use::kIgnore},
    {"torch_dtype", 0, Takes::kOne, Use::kIgnore},
    {"target_opset", 0, Takes::kOne, Use::kIgnore},
    {"exclude_embeds", 0, Takes::kNothing, Use::kRefuse},
    {"exclude_lm_head", 0, Takes::kNothing, Use::kRefuse},
    {"enable_cuda_graph", 0, Takes::kNothing, Use::kRefuse},
    {"fixed_param_dict", 0, Takes::kOne, Use::kRefuse},
};

struct Command {
  std::string_view name;
  std::span<const Flag> flags;
  const char* output;     // where -o is absent
  const char* precision;  // where --precision is
};

constexpr Command kCommands[] = {
    {"optimize", kOptimize, "optimized-model", "fp32"},
    {"quantize", kQuantize, "quantized-model", "int8"},
    {"capture-onnx-graph", kCapture, "onnx-model", "fp16"},
};

// Known, and nothing like what this program does.
constexpr std::string_view kRefused[] = {
    "run-pass",
    "convert-adapters",
    "generate-adapter",
    "extract-adapters",
    "finetune",
    "diffusion-lora",
    "tune-session-params",
    "benchmark",
    "generate-cost-model",
    "configure-qualcomm-sdk",
    "shared-cache",
};

// Olive takes the nearest that its builder knows.
Status SetNearestBlock(const std::string& text, Options* o) {
  SLM_ASSIGN_OR_RETURN(const int64_t wanted, NumberOf("--block_size", text));
  if (wanted <= 0) {
    return Usage(
        "--block_size %lld: one scale for a column is not supported: "
        "16, 32, 64, 128, 256",
        static_cast<long long>(wanted));
  }
  int64_t nearest = 16;
  for (const int64_t known : {32, 64, 128, 256}) {
    if (std::llabs(known - wanted) < std::llabs(nearest - wanted)) {
      nearest = known;
    }
  }
  if (nearest != wanted) {
    o->notes.push_back(Format("--block_size %lld: %lld is taken",
                              static_cast<long long>(wanted),
                              static_cast<long long>(nearest)));
  }
  o->graph.quantize.block_size = static_cast<size_t>(nearest);
  o->given.block_size = true;
  return OkStatus();
}

// "k=v,k=v"
Status SetBuilderOptions(const std::string& text, Options* o) {
  for (const std::string& option : ListOf(text, ',')) {
    const size_t equals = option.find('=');
    if (equals == std::string::npos) {
      return Usage("--extra_mb_options \"%s\": expected key=value",
                   Printable(option).c_str());
    }
    SLM_RETURN_IF_ERROR(SetBuilderOption(option.substr(0, equals),
                                         option.substr(equals + 1), o));
  }
  return OkStatus();
}

Status SetMethod(const std::string& method, Options* o) {
  const std::string lower = Lower(method);
  if (lower == "rtn") return OkStatus();  // already set
  if (lower == "kquant") return SetBuilderOption("algo_config", "k_quant", o);
  return Usage("--algorithm \"%s\" is not supported: rtn, kquant",
               Printable(method).c_str());
}

Status CheckOneOf(const Argument& a, std::initializer_list<const char*> known) {
  std::string all;
  for (const char* name : known) {
    if (Lower(a.value()) == name) return OkStatus();
    all += (all.empty() ? "" : ", ") + std::string(name);
  }
  return Usage("--%s \"%s\" is not supported: %s", std::string(a.name).c_str(),
               Printable(a.value()).c_str(), all.c_str());
}

// Flags that all commands have in common; precisions come before.
Status SetCommon(const Argument& a, Options* o) {
  if (a.name == "model_name_or_path") o->source = a.value();
  if (a.name == "output_path") o->output = a.value();
  if (a.name == "adapter_path") o->adapters.push_back({a.value(), 1});
  if (a.name == "dry_run") o->dry_run = true;
  if (a.name == "force") o->force = true;
  if (a.name == "task") return CheckTask(a.value());
  if (a.name == "provider" || a.name == "device" ||
      a.name == "conversion_device") {
    return CheckProvider(a.name, a.value());
  }
  return OkStatus();
}

Status SetFlag(const Argument& a, Options* o) {
  if (a.name == "exporter") {
    if (a.value() == "model_builder") return OkStatus();
    SLM_RETURN_IF_ERROR(
        CheckOneOf(a, {"model_builder", "dynamo_exporter",
                       "torchscript_exporter", "optimum_exporter"}));
    o->notes.push_back("--exporter " + a.value() +
                       ": the graph is the model builder's");
  }
  if (a.name == "modality") return CheckOneOf(a, {"text"});
  if (a.name == "implementation") return CheckOneOf(a, {"olive", "ort"});
  if (a.name == "block_size") return SetNearestBlock(a.value(), o);
  if (a.name == "algorithm") return SetMethod(a.value(), o);
  if (a.name == "extra_mb_options") return SetBuilderOptions(a.value(), o);
  if (a.name == "use_qdq_format" || a.name == "use_qdq_encoding") {
    o->graph.qdq = true;
  }
  if (a.name == "int4_block_size" || a.name == "int4_accuracy_level") {
    return SetBuilderOption(std::string(a.name), a.value(), o);
  }
  return SetCommon(a, o);
}

// What the command does there and not here.
Status SetDefaults(const Command& command, Options* o) {
  GraphOptions& graph = o->graph;
  if (command.name == "optimize" && graph.quantized()) {
    graph.quantize.block_size = 128;
    o->notes.push_back(
        "olive optimize quantises by GPTQ on wikitext in blocks of 128: here "
        "scales are searched, in blocks of 128");
  }
  if (command.name == "quantize") {
    if (!graph.quantized()) {
      return Usage("quantize --precision: int4, int8, uint4, uint8");
    }
    graph.quantize.algorithm = QuantAlgorithm::kRtn;
    graph.quantize.block_size = 128;
    o->notes.push_back(
        "the output is an ONNX model folder, no checkpoint of "
        "PyTorch");
  }
  return OkStatus();
}

std::string Names() {
  std::string names = "auto-opt, run";
  for (const Command& command : kCommands) {
    names += ", " + std::string(command.name);
  }
  return names;
}

Result<Options> Parse(const Command& command,
                      std::span<const std::string> args) {
  std::vector<Flag> flags(std::begin(kCommon), std::end(kCommon));
  flags.insert(flags.end(), command.flags.begin(), command.flags.end());
  Options o;
  o.output = command.output;
  SLM_ASSIGN_OR_RETURN(const auto arguments,
                       SplitArguments(flags, args, &o.notes));
  std::string precision = command.precision;
  for (const Argument& a : arguments) {
    if (a.name == "precision") precision = a.value();
  }
  SLM_RETURN_IF_ERROR(SetPrecision(precision, &o.graph));
  SLM_RETURN_IF_ERROR(SetDefaults(command, &o));
  for (const Argument& a : arguments) SLM_RETURN_IF_ERROR(SetFlag(a, &o));
  if (o.source.empty()) return Usage("--model_name_or_path is missing");
  return o;
}

}  // namespace

bool IsOliveCommand(std::span<const std::string> args) {
  if (args.empty() || (args.size() > 1 && args[1].substr(0, 1) != "-")) {
    return false;
  }
  for (const Command& command : kCommands) {
    if (args[0] == command.name) return true;
  }
  for (const std::string_view name : kRefused) {
    if (args[0] == name) return true;
  }
  return false;
}

Result<Options> ParseOliveCommand(std::span<const std::string> args) {
  for (const Command& command : kCommands) {
    if (args[0] == command.name) return Parse(command, args.subspan(1));
  }
  return Usage("olive's command \"%s\" is not supported: %s",
               Printable(args[0]).c_str(), Names().c_str());
}

}  // namespace slm::convert
