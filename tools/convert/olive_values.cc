// SPDX-License-Identifier: MIT
#include "tools/convert/olive_values.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "loader/fields.h"
#include "tools/convert/precision.h"

namespace slm::convert {
namespace {

Result<bool> BooleanOf(const std::string& key, const std::string& text) {
  const std::string lower = Lower(text);
  if (lower == "true" || lower == "1") return true;
  if (lower == "false" || lower == "0") return false;
  return Usage("%s = \"%s\", expected true or false", key.c_str(),
               Printable(text).c_str());
}

Status AddGroup(const std::string& key, const std::string& group,
                const std::string& type, GraphOptions* graph) {
  static constexpr std::pair<const char*, NodeGroup> kGroups[] = {
      {"last_matmul", NodeGroup::kLast},
      {"mixed_layers", NodeGroup::kMixedLayers},
      {"linear_attn", NodeGroup::kLinearAttention},
  };
  SLM_ASSIGN_OR_RETURN(const int bits, BitsOfType(key + " " + group, type));
  for (const auto& [name, value] : kGroups) {
    if (group != name) continue;
    if (bits == 0) break;
    graph->rules.push_back({value, "", bits});
    return OkStatus();
  }
  return Usage(
      "%s = \"%s:%s\", supported: last_matmul, mixed_layers, linear_attn with "
      "int4 or int8",
      key.c_str(), Printable(group).c_str(), Printable(type).c_str());
}

// "last_matmul:int8,mixed_layers:int8"
Status SetMixedPrecision(const std::string& key, const std::string& value,
                         GraphOptions* graph) {
  for (const std::string& entry : ListOf(value, ',')) {
    const size_t colon = std::min(entry.find(':'), entry.size());
    SLM_RETURN_IF_ERROR(
        AddGroup(key, entry.substr(0, colon),
                 entry.substr(std::min(colon + 1, entry.size())), graph));
  }
  return OkStatus();
}

// Methods, and the builder's old names for a method with mixed precision.
Status SetAlgorithm(const std::string& key, const std::string& value,
                    GraphOptions* graph) {
  struct Row {
    const char* name;
    QuantAlgorithm algorithm;
    const char* groups;
  };
  static constexpr Row kRows[] = {
      {"default", QuantAlgorithm::kDefault, ""},
      {"rtn", QuantAlgorithm::kRtn, ""},
      {"k_quant", QuantAlgorithm::kKQuant, ""},
      {"rtn_last", QuantAlgorithm::kRtn, "last_matmul:int8"},
      {"k_quant_last", QuantAlgorithm::kKQuant, "last_matmul:int8"},
      {"k_quant_mixed", QuantAlgorithm::kKQuant,
       "last_matmul:int8,mixed_layers:int8"},
      {"k_quant_linear", QuantAlgorithm::kKQuant,
       "last_matmul:int8,linear_attn:int8"},
  };
  for (const Row& row : kRows) {
    if (value != row.name) continue;
    graph->quantize.algorithm = row.algorithm;
    return SetMixedPrecision(key, row.groups, graph);
  }
  return Usage("%s = \"%s\" is not supported", Printable(key).c_str(),
               Printable(value).c_str());
}

// Embeddings are Gather; those of tied models are quantised with the head.
Status SetOpTypes(const std::string& key, const std::string& value,
                  GraphOptions* graph) {
  bool matmul = false;
  for (const std::string& type : ListOf(value, '/')) {
    if (type == "MatMul") {
      matmul = true;
    } else if (type == "Gather") {
      graph->quantize_embedding = true;
    } else {
      return Usage("%s: \"%s\" is not supported: MatMul and Gather are",
                   key.c_str(), Printable(type).c_str());
    }
  }
  if (matmul) return OkStatus();
  return Usage("%s = \"%s\" leaves the matrices float: use precision fp32",
               key.c_str(), Printable(value).c_str());
}

// The builder's options of experts. Its block size is 32 whatever that of the
// other weights is, 0 and less a whole row.
Status SetExpertOption(const std::string& key, const std::string& value,
                       GraphOptions* graph) {
  if (key == "use_8bits_moe") {
    SLM_ASSIGN_OR_RETURN(const bool eight, BooleanOf(key, value));
    graph->expert_bits = eight ? 8 : 4;
    return OkStatus();
  }
  if (!graph->quantized() && key == "moe_quant_type") {
    return Usage("moe_quant_type means nothing with precision %s",
                 PrecisionName(graph->precision));
  }
  if (key == "moe_quant_type") {
    graph->expert_bits = value == "int8" ? 8 : 4;
    if (value == "int4" || value == "int8") return OkStatus();
    return Usage("moe_quant_type = \"%s\" is not supported: int4, int8",
                 Printable(value).c_str());
  }
  SLM_ASSIGN_OR_RETURN(const int64_t size, NumberOf(key, value));
  for (const int64_t known : {0, 16, 32, 64, 128, 256}) {
    if (size > known || (known > 0 && size < known)) continue;
    graph->expert_block_size = static_cast<size_t>(known);
    return OkStatus();
  }
  return Usage("qmoe_block_size = %s, supported: 0, 16, 32, 64, 128, 256",
               value.c_str());
}

}  // namespace

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return lower;
}

Status SetPrecision(const std::string& text, GraphOptions* graph) {
  struct Row {
    const char* name;
    Precision precision;
    bool symmetric;
  };
  static constexpr Row kRows[] = {
      {"fp16", Precision::kFp16, true},   {"fp32", Precision::kFp32, true},
      {"int4", Precision::kInt4, true},   {"int8", Precision::kInt8, true},
      {"uint4", Precision::kInt4, false}, {"uint8", Precision::kInt8, false},
  };
  for (const Row& row : kRows) {
    if (text != row.name) continue;
    graph->precision = row.precision;
    graph->quantize.bits = row.precision == Precision::kInt8 ? 8 : 4;
    graph->quantize.symmetric = row.symmetric;
    return OkStatus();
  }
  return Usage(
      "precision \"%s\" is not supported: int4, int8, uint4, uint8, "
      "fp16, fp32",
      Printable(text).c_str());
}

Status CheckProvider(std::string_view what, const std::string& text) {
  const std::string lower = Lower(text);
  if (lower == "cpu" || lower == "cpuexecutionprovider") return OkStatus();
  return Usage("%s \"%s\" is not supported: CPU is", std::string(what).c_str(),
               Printable(text).c_str());
}

Status CheckTask(const std::string& task) {
  if (task == "text-generation" || task == "text-generation-with-past") {
    return OkStatus();
  }
  return Usage("task \"%s\" is not supported: text-generation is",
               Printable(task).c_str());
}

Result<int64_t> NumberOf(const std::string& key, const std::string& text) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc() && stop == end && !text.empty()) return value;
  return Usage("%s = \"%s\", expected a whole number", key.c_str(),
               Printable(text).c_str());
}

Status SetBlockSize(const std::string& key, const std::string& text,
                    GraphOptions* graph) {
  SLM_ASSIGN_OR_RETURN(const int64_t size, NumberOf(key, text));
  for (const int64_t known : {16, 32, 64, 128, 256}) {
    if (size != known) continue;
    graph->quantize.block_size = static_cast<size_t>(size);
    return OkStatus();
  }
  return Usage("%s = %lld, supported: 16, 32, 64, 128, 256", key.c_str(),
               static_cast<long long>(size));
}

std::vector<std::string> ListOf(const std::string& text, char separator) {
  const bool json = !text.empty() && text.front() == '[' && text.back() == ']';
  std::string_view rest = text;
  if (json) rest = rest.substr(1, rest.size() - 2);
  std::vector<std::string> items;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(json ? ',' : separator), rest.size());
    std::string_view item = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    while (!item.empty() && (item.front() == ' ' || item.front() == '"')) {
      item.remove_prefix(1);
    }
    while (!item.empty() && (item.back() == ' ' || item.back() == '"')) {
      item.remove_suffix(1);
    }
    if (!item.empty()) items.emplace_back(item);
  }
  return items;
}

Status SetBuilderOption(const std::string& given, const std::string& value,
                        Options* o) {
  GraphOptions* graph = &o->graph;
  std::string key = given;
  if (key.rfind("int4_", 0) == 0) key = key.substr(5);
  if (key == "block_size") {
    o->given.block_size = true;
    return SetBlockSize(given, value, graph);
  }
  if (key == "accuracy_level") {
    SLM_ASSIGN_OR_RETURN(graph->accuracy_level, NumberOf(given, value));
    if (graph->accuracy_level >= 0 && graph->accuracy_level <= 4) {
      return OkStatus();
    }
    return Usage("%s = %s, supported: 0..4", given.c_str(), value.c_str());
  }
  if (key == "is_symmetric") {
    o->given.symmetry = true;
    SLM_ASSIGN_OR_RETURN(graph->quantize.symmetric, BooleanOf(given, value));
    return OkStatus();
  }
  if (key == "algo_config") return SetAlgorithm(given, value, graph);
  if (key == "matmul_mixed_precision") {
    return SetMixedPrecision(given, value, graph);
  }
  if (key == "nodes_to_exclude") {
    // They win over everything else.
    std::vector<PrecisionRule> rules;
    for (const std::string& node : ListOf(value, ',')) {
      rules.push_back({NodeGroup::kPattern, node, 0});
    }
    graph->rules.insert(graph->rules.begin(), rules.begin(), rules.end());
    return OkStatus();
  }
  if (key == "op_types_to_quantize") return SetOpTypes(given, value, graph);
  if (key == "use_qdq") {
    SLM_ASSIGN_OR_RETURN(graph->qdq, BooleanOf(given, value));
    return OkStatus();
  }
  if (key == "shared_embeddings") {
    SLM_ASSIGN_OR_RETURN(graph->share_embeddings, BooleanOf(given, value));
    graph->must_share = graph->share_embeddings;
    return OkStatus();
  }
  if (key == "adapter_path") {
    o->adapters.push_back({value, 1});
    return OkStatus();
  }
  if (key == "moe_quant_type" || key == "use_8bits_moe" ||
      key == "qmoe_block_size") {
    return SetExpertOption(key, value, graph);
  }
  if (key == "hf_token" || key == "hf_remote") return OkStatus();
  // Whatever is off by default may be said to be off.
  const bool off = Lower(value) == "false" || value == "0";
  const bool usual = key == "filename" && value == "model.onnx";
  if (off || usual) return OkStatus();
  return Usage("%s = \"%s\" is not supported", Printable(given).c_str(),
               Printable(value).c_str());
}

}  // namespace slm::convert
