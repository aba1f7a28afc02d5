// SPDX-License-Identifier: MIT
#include "tools/convert/olive_onnx.h"

#include <algorithm>
#include <cctype>
#include <utility>
#include <vector>

#include "loader/fields.h"
#include "loader/json_fields.h"
#include "tools/convert/olive_values.h"

namespace slm::convert {
namespace {

// Only the layout of the file, which is always the same here.
bool IsStorageKey(std::string_view key) {
  for (const char* known :
       {"type", "save_as_external_data", "all_tensors_to_one_file",
        "external_data_name", "size_threshold", "convert_attribute", "host",
        "evaluator"}) {
    if (key == known) return true;
  }
  return false;
}

Status NotSupported(const std::string& key, const JsonValue& value) {
  return Usage("%s = %s is not supported", Printable(key).c_str(),
               ShowJson(value).c_str());
}

// An integer, or the text of one: enumerations of Olive may be either.
Result<int64_t> NumberOf(const std::string& key, const JsonValue& value) {
  if (value.IsInt()) return value.Int();
  if (value.IsString() && value.String().size() == 1 &&
      std::isdigit(static_cast<unsigned char>(value.String()[0]))) {
    return value.String()[0] - '0';
  }
  return NotSupported(key, value);
}

Status SetBits(const std::string& key, const JsonValue& value,
               GraphOptions* graph) {
  SLM_ASSIGN_OR_RETURN(const int64_t bits, NumberOf(key, value));
  if (bits != 4 && bits != 8) return NotSupported(key, value);
  graph->quantize.bits = static_cast<int>(bits);
  graph->precision = bits == 8 ? Precision::kInt8 : Precision::kInt4;
  return OkStatus();
}

Status SetBlock(const std::string& key, const JsonValue& value,
                GraphOptions* graph) {
  for (const int64_t known : {16, 32, 64, 128, 256}) {
    if (!value.IsInt() || value.Int() != known) continue;
    graph->quantize.block_size = static_cast<size_t>(known);
    return OkStatus();
  }
  return NotSupported(key, value);
}

Status SetLevel(const std::string& key, const JsonValue& value,
                GraphOptions* graph) {
  SLM_ASSIGN_OR_RETURN(const int64_t level, NumberOf(key, value));
  if (level < 0 || level > 4) return NotSupported(key, value);
  graph->accuracy_level = level;
  return OkStatus();
}

Status AddRules(const std::string& key, const JsonValue& list, int bits,
                std::vector<PrecisionRule>* rules) {
  if (!list.IsArray()) return WrongField(key, &list, "list");
  for (const JsonValue& item : list.Items()) {
    if (!item.IsString()) return WrongField(key, &item, "string");
    rules->push_back({NodeGroup::kPattern, std::string(item.String()), bits});
  }
  return OkStatus();
}

// {"/lm_head/MatMul": {"bits": 8, "group_size": 32}}; the group is the pass's.
Status AddCustom(const std::string& key, const JsonValue& object,
                 GraphOptions* graph) {
  if (!object.IsObject()) return WrongField(key, &object, "object");
  for (const JsonMember& node : object.Members()) {
    if (!node.value.IsObject()) return WrongField(key, &node.value, "object");
    GraphOptions own = *graph;
    for (const JsonMember& field : node.value.Members()) {
      const std::string name = key + "." + std::string(field.key);
      if (field.key == "bits") {
        SLM_RETURN_IF_ERROR(SetBits(name, field.value, &own));
      } else if (field.key == "group_size") {
        SLM_RETURN_IF_ERROR(SetBlock(name, field.value, &own));
      } else {
        return NotSupported(name, field.value);
      }
    }
    if (own.quantize.block_size != graph->quantize.block_size) {
      return Usage("%s: group_size %zu beside blocks of %zu is not supported",
                   key.c_str(), own.quantize.block_size,
                   graph->quantize.block_size);
    }
    graph->rules.push_back(
        {NodeGroup::kPattern, std::string(node.key), own.quantize.bits});
  }
  return OkStatus();
}

// OnnxBlockWiseRtnQuantization, OnnxKQuantQuantization and their forerunner.
Status ReadBlockwise(const JsonValue& config, Options* o) {
  GraphOptions* graph = &o->graph;
  std::vector<PrecisionRule> excluded, included;
  const JsonValue* custom = nullptr;
  for (const JsonMember& member : config.Members()) {
    const std::string key(member.key);
    const JsonValue& value = member.value;
    if (value.IsNull() || IsStorageKey(key)) continue;
    if (key == "bits") {
      SLM_RETURN_IF_ERROR(SetBits(key, value, graph));
    } else if (key == "block_size") {
      SLM_RETURN_IF_ERROR(SetBlock(key, value, graph));
      o->given.block_size = true;
    } else if (key == "accuracy_level") {
      SLM_RETURN_IF_ERROR(SetLevel(key, value, graph));
      o->given.accuracy = true;
    } else if (key == "is_symmetric" && value.IsBool()) {
      graph->quantize.symmetric = value.Bool();
      o->given.symmetry = true;
    } else if (key == "axis" && value.IsInt() && value.Int() == 0) {
      continue;  // along the inputs, as every MatMulNBits has it
    } else if (key == "nodes_to_exclude") {
      SLM_RETURN_IF_ERROR(AddRules(key, value, 0, &excluded));
    } else if (key == "nodes_to_include") {
      SLM_RETURN_IF_ERROR(AddRules(key, value, -1, &included));
    } else if (key == "customized_weight_config") {
      custom = &value;
    } else {
      return NotSupported(key, value);
    }
  }
  graph->rules.insert(graph->rules.end(), excluded.begin(), excluded.end());
  if (custom) {
    SLM_RETURN_IF_ERROR(AddCustom("customized_weight_config", *custom, graph));
  }
  if (included.empty()) return OkStatus();
  for (PrecisionRule& rule : included) {
    rule.bits = graph->quantize.bits;
    graph->rules.push_back(std::move(rule));
  }
  graph->rules.push_back({NodeGroup::kPattern, "*", 0});
  return OkStatus();
}

void Begin(QuantAlgorithm algorithm, size_t block, Options* o) {
  o->graph.precision = Precision::kInt4;
  o->graph.quantize = {};
  o->graph.quantize.algorithm = algorithm;
  o->graph.quantize.block_size = block;
  o->graph.accuracy_level = 0;
}

// Its default form is 8-bit integers; 4-bit ones have zero points where the
// weights do.
Status ReadToQdq(const JsonValue& config, Options* o) {
  bool four = false;
  for (const JsonMember& member : config.Members()) {
    const std::string key(member.key);
    const JsonValue& value = member.value;
    if (value.IsNull() || IsStorageKey(key)) continue;
    const bool off = value.IsBool() && !value.Bool();
    if (key == "use_int4" && value.IsBool()) {
      four = value.Bool();
    } else if (key == "use_signed_int" && value.IsBool()) {
      continue;  // symmetric ones are signed, others are not
    } else if (!off) {
      return NotSupported(key, value);
    }
  }
  if (!four) {
    return Usage("MatMulNBitsToQDQ without use_int4 is not supported");
  }
  if (!o->graph.quantized()) {
    o->graph.precision = Precision::kInt4;
    o->graph.quantize.bits = 4;
  }
  o->graph.qdq = true;
  return OkStatus();
}

}  // namespace

Status ReadOnnxPass(std::string_view type, const JsonValue& config,
                    Options* o) {
  const std::string name = Lower(type);
  // Nothing of these is left to do: names, fusions, constants, an exporter.
  for (const char* clean :
       {"onnxpeepholeoptimizer", "orttransformersoptimization",
        "onnxmodeloptimizer", "onnxconversion", "optimumconversion",
        "extractadapters", "capturesplitinfo"}) {
    if (name != clean) continue;
    o->notes.push_back("pass " + std::string(type) + " means nothing here");
    return OkStatus();
  }
  if (name == "onnxblockwisertnquantization") {
    Begin(QuantAlgorithm::kDefault, 128, o);
    o->graph.quantize_embedding = true;
    return ReadBlockwise(config, o);
  }
  if (name == "onnxkquantquantization") {
    Begin(QuantAlgorithm::kKQuant, 32, o);
    return ReadBlockwise(config, o);
  }
  if (name == "matmulnbitstoqdq") return ReadToQdq(config, o);
  return Usage("pass \"%s\" is not supported", Printable(type).c_str());
}

void AdaptAutoOptToOnnx(Options* o) {
  if (!o->graph.quantized()) return;
  const bool four = o->graph.precision == Precision::kInt4;
  o->graph.quantize.block_size = 128;
  o->graph.quantize_embedding = four && !o->graph.qdq;
  o->graph.accuracy_level = 0;
  o->notes.push_back(
      four ? "ONNX sources: blocks of 128, for embeddings as well, no accuracy "
             "level, as Olive's OnnxBlockWiseRtnQuantization"
           : "ONNX sources: int8 is MatMulNBits in blocks of 128, not Olive's "
             "MatMulInteger");
}

}  // namespace slm::convert
