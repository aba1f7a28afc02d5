// SPDX-License-Identifier: MIT
#include "tools/convert/pack_config.h"

#include <initializer_list>
#include <utility>

#include "loader/fields.h"
#include "loader/json_fields.h"
#include "runtime/core/file.h"

namespace slm::convert {
namespace {

constexpr int64_t kMostColumns = int64_t{1} << 31;

// -1 (all columns) or a count; absent or null gives -1.
Result<int64_t> GroupField(const JsonValue& object, std::string_view name) {
  const JsonValue* value = FindField(object, name);
  if (!value) return int64_t{-1};
  if (!value->IsInt()) return WrongField(name, value, "integer");
  if (value->Int() == -1) return int64_t{-1};
  SLM_ASSIGN_OR_RETURN(const int64_t size,
                       CountField(object, name, kMostColumns));
  if (size == 0) {
    return Invalid("\"%s\" is 0, supported: -1 or a number of columns",
                   Printable(name).c_str());
  }
  return size;
}

Result<int> BitsField(const JsonValue& object, std::string_view name,
                      std::initializer_list<int> supported) {
  SLM_ASSIGN_OR_RETURN(const int64_t bits, CountField(object, name, 64));
  std::string list;
  for (const int known : supported) {
    if (bits == known) return known;
    list += (list.empty() ? "" : ", ") + std::to_string(known);
  }
  return Invalid("\"%s\" is %lld, supported: %s", Printable(name).c_str(),
                 static_cast<long long>(bits), list.c_str());
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// The string of the first key that is there, in small letters, or `fallback`.
Result<std::string> NameField(const JsonValue& object,
                              std::initializer_list<const char*> keys,
                              const char* fallback) {
  for (const char* key : keys) {
    if (!FindField(object, key)) continue;
    SLM_ASSIGN_OR_RETURN(const std::string_view text, StringField(object, key));
    return Lower(text);
  }
  return std::string(fallback);
}

// Keys "dynamic" and "modules_in_block_to_quantize" say which modules are
// quantised and how: the tensors' own shapes say it, too.
Status ReadGptq(const JsonValue& q, PackConfig* config) {
  config->name = "GPTQ";
  SLM_ASSIGN_OR_RETURN(config->bits, BitsField(q, "bits", {2, 4, 8}));
  SLM_ASSIGN_OR_RETURN(config->group_size, GroupField(q, "group_size"));
  SLM_ASSIGN_OR_RETURN(config->reordered, BoolField(q, "desc_act", false));
  SLM_ASSIGN_OR_RETURN(const std::string format,
                       NameField(q, {"checkpoint_format", "format"}, "gptq"));
  if (format != "gptq" && format != "gptq_v2") {
    return Invalid("format \"%s\" is not supported: gptq and gptq_v2 are",
                   Printable(format).c_str());
  }
  SLM_ASSIGN_OR_RETURN(const bool marlin,
                       BoolField(q, "is_marlin_format", false));
  if (marlin) return Invalid("is_marlin_format is not supported");
  config->zeros_less_one = format == "gptq";
  return OkStatus();
}

Status ReadAwq(const JsonValue& q, PackConfig* config) {
  config->name = "AWQ";
  const char* bits = FindField(q, "w_bit") ? "w_bit" : "bits";
  SLM_ASSIGN_OR_RETURN(config->bits, BitsField(q, bits, {4}));
  const char* group =
      FindField(q, "q_group_size") ? "q_group_size" : "group_size";
  SLM_ASSIGN_OR_RETURN(config->group_size, GroupField(q, group));
  SLM_ASSIGN_OR_RETURN(
      const std::string version,
      NameField(q, {"version", "checkpoint_format", "format"}, "gemm"));
  if (version != "gemm") {
    return Invalid("version \"%s\" is not supported: gemm is",
                   Printable(version).c_str());
  }
  SLM_ASSIGN_OR_RETURN(const std::string backend,
                       NameField(q, {"backend"}, "autoawq"));
  if (backend == "llm-awq") {
    return Invalid("backend \"llm-awq\" is not supported: autoawq is");
  }
  return OkStatus();
}

// Groups and zero points are in the tensors' shapes; bits are not.
Status ReadOlive(const JsonValue& q, PackConfig* config) {
  config->name = "Olive";
  SLM_ASSIGN_OR_RETURN(config->bits, BitsField(q, "bits", {4, 8}));
  const JsonValue* overrides = FindField(q, "overrides");
  if (!overrides) return OkStatus();
  if (!overrides->IsObject()) {
    return WrongField("overrides", overrides, "object");
  }
  for (const JsonMember& member : overrides->Members()) {
    if (!member.value.IsObject()) {
      return WrongField(member.key, &member.value, "object");
    }
    if (!FindField(member.value, "bits")) continue;
    SLM_ASSIGN_OR_RETURN(const int bits,
                         BitsField(member.value, "bits", {4, 8}));
    if (member.key.find_first_of("*?:[") != std::string_view::npos) {
      return Invalid("overrides: \"%s\" is not supported: plain names are",
                     Printable(member.key).c_str());
    }
    config->bits_of.emplace(member.key, bits);
  }
  return OkStatus();
}

Status ReadBlockSize(const JsonValue& q, PackConfig* config) {
  const JsonValue* size = FindField(q, "weight_block_size");
  if (!size) return OkStatus();
  const auto fits = [](const JsonValue& v) {
    return v.IsInt() && v.Int() > 0 && v.Int() <= kMostColumns;
  };
  if (!size->IsArray() || size->Items().size() != 2 ||
      !fits(size->Items()[0]) || !fits(size->Items()[1])) {
    return WrongField("weight_block_size", size, "two numbers above 0");
  }
  config->block_rows = size->Items()[0].Int();
  config->block_columns = size->Items()[1].Int();
  return OkStatus();
}

Status ReadFloat8(const JsonValue& q, PackConfig* config) {
  config->name = "float8";
  config->method = PackMethod::kFloat8;
  config->bits = 8;
  SLM_ASSIGN_OR_RETURN(const std::string format, NameField(q, {"fmt"}, "e4m3"));
  if (format != "e4m3" && format != "float8_e4m3fn") {
    return Invalid("fmt \"%s\" is not supported: e4m3 is",
                   Printable(format).c_str());
  }
  return ReadBlockSize(q, config);
}

// Keys that change what the codes mean, each with what makes it neutral: null,
// false, or an object that is empty or says so.
Status CheckForeign(const JsonValue& q) {
  for (const char* key : {"adapter", "kv_cache_scheme", "rotation",
                          "sparsity_config", "transform_config"}) {
    const JsonValue* value = FindField(q, key);
    if (!value || (value->IsBool() && !value->Bool())) continue;
    if (value->IsObject()) {
      const JsonValue* format = FindField(*value, "format");
      if (value->Members().empty() ||
          (format && format->IsString() && format->String() == "dense")) {
        continue;
      }
    }
    return Invalid("%s is not supported", key);
  }
  return OkStatus();
}

// Every group of modules has the same kind of weights; shapes say the rest.
Status ReadCompressed(const JsonValue& q, PackConfig* config) {
  SLM_ASSIGN_OR_RETURN(const std::string format,
                       NameField(q, {"format"}, "none"));
  if (format == "float-quantized" || format == "naive-quantized") {
    return ReadFloat8(q, config);
  }
  if (format == "int-quantized") config->method = PackMethod::kBytes;
  if (format != "pack-quantized" && format != "int-quantized") {
    return Invalid(
        "format \"%s\" is not supported: pack-quantized, int-quantized and "
        "float-quantized are",
        Printable(format).c_str());
  }
  config->name = "compressed-tensors";
  SLM_ASSIGN_OR_RETURN(const JsonValue* groups,
                       ObjectField(q, "config_groups"));
  int bits = 0;
  for (const JsonMember& group : groups->Members()) {
    if (!group.value.IsObject()) {
      return WrongField(group.key, &group.value, "object");
    }
    SLM_ASSIGN_OR_RETURN(const JsonValue* weights,
                         ObjectField(group.value, "weights"));
    SLM_ASSIGN_OR_RETURN(const int own,
                         BitsField(*weights, "num_bits", {4, 8}));
    SLM_ASSIGN_OR_RETURN(const std::string type,
                         NameField(*weights, {"type"}, "int"));
    if (type != "int" || (bits != 0 && own != bits)) {
      return Invalid(
          "config_groups: weights of %d bits and type \"%s\" are not "
          "supported: int of one width is",
          own, Printable(type).c_str());
    }
    bits = own;
    if (FindField(*weights, "actorder")) config->reordered = true;
  }
  if (bits == 0) return Invalid("config_groups is empty");
  config->bits = bits;
  return OkStatus();
}

// `fallback`: the method of a file that need not say it.
Status ReadMethod(const JsonValue& q, const char* fallback,
                  PackConfig* config) {
  struct Row {
    const char* name;
    PackMethod method;
    Status (*read)(const JsonValue&, PackConfig*);
  };
  static constexpr Row kRows[] = {
      {"awq", PackMethod::kAwq, ReadAwq},
      {"compressed-tensors", PackMethod::kCompressed, ReadCompressed},
      {"fbgemm_fp8", PackMethod::kFloat8, ReadFloat8},
      {"fp8", PackMethod::kFloat8, ReadFloat8},
      {"gptq", PackMethod::kGptq, ReadGptq},
      {"olive", PackMethod::kOlive, ReadOlive},
  };
  SLM_ASSIGN_OR_RETURN(const std::string name,
                       NameField(q, {"quant_method"}, fallback));
  if (name.empty()) return WrongField("quant_method", nullptr, "string");
  SLM_RETURN_IF_ERROR(CheckForeign(q));
  std::string known;
  for (const Row& row : kRows) {
    if (name == row.name) {
      config->method = row.method;
      return row.read(q, config);
    }
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  return Invalid("quant_method \"%s\" is not supported: %s are",
                 Printable(name).c_str(), known.c_str());
}

}  // namespace

Result<std::optional<PackConfig>> ReadPackConfig(const JsonValue& root) {
  const JsonValue* object = FindField(root, "quantization_config");
  if (!object) object = FindField(root, "compression_config");
  if (!object) return std::optional<PackConfig>();
  if (!object->IsObject()) {
    return WrongField("quantization_config", object, "object");
  }
  // Of gpt-oss: its experts' tensors say so themselves (experts.h).
  const JsonValue* method = FindField(*object, "quant_method");
  if (method && method->IsString() && method->String() == "mxfp4") {
    return std::optional<PackConfig>();
  }
  PackConfig config;
  const Status read = ReadMethod(*object, "", &config);
  if (!read.ok()) return read.In("quantization_config");
  return std::optional<PackConfig>(std::move(config));
}

Result<std::optional<PackConfig>> ReadOldPackConfig(const std::string& folder) {
  static constexpr std::pair<const char*, const char*> kFiles[] = {
      {"quantize_config.json", "gptq"}, {"quant_config.json", "awq"}};
  for (const auto& [name, method] : kFiles) {
    const std::string path = folder + "/" + name;
    if (!IsFile(path)) continue;
    SLM_ASSIGN_OR_RETURN(const JsonDocument document, LoadJsonObject(path));
    PackConfig config;
    const Status read = ReadMethod(document.root(), method, &config);
    if (!read.ok()) return read.In(Printable(path, 400));
    return std::optional<PackConfig>(std::move(config));
  }
  return std::optional<PackConfig>();
}

}  // namespace slm::convert
