// SPDX-License-Identifier: MIT
#include "tools/convert/adapter.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "loader/fields.h"
#include "loader/json_fields.h"
#include "tools/convert/decode.h"

namespace slm::convert {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";

// Modules whose rank or alpha differ: PEFT matches a key as the end of a
// module's name, as a regular expression, of which names alone are known here.
using Pattern = std::map<std::string, double, std::less<>>;

struct AdapterConfig {
  double rank = 0, alpha = 0;
  bool rs = false, dora = false;
  Pattern ranks, alphas;
};

// Keys that change what an adapter means and are not supported unless they are
// null, false or empty.
constexpr const char* kUnsupported[] = {
    "alora_invocation_tokens",
    "fan_in_fan_out",
    "layer_replication",
    "lora_bias",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_qalora",
};

bool IsNeutral(const JsonValue& value) {
  switch (value.type()) {
    case JsonValue::Type::kBool:
      return !value.Bool();
    case JsonValue::Type::kArray:
      return value.Items().empty();
    case JsonValue::Type::kObject:
      return value.Members().empty();
    default:
      return value.IsNull();
  }
}

Result<Pattern> ReadPattern(const JsonValue& root, const char* key) {
  Pattern pattern;
  const JsonValue* object = FindField(root, key);
  if (!object) return pattern;
  if (!object->IsObject()) return WrongField(key, object, "object");
  for (const JsonMember& member : object->Members()) {
    const bool plain =
        std::all_of(member.key.begin(), member.key.end(), [](char c) {
          return std::isalnum(static_cast<unsigned char>(c)) || c == '_' ||
                 c == '.';
        });
    if (!plain || !member.value.IsNumber()) {
      return Invalid(
          "%s: \"%s\" is not supported: a plain module name and a "
          "number are",
          key, Printable(member.key).c_str());
    }
    pattern.emplace(member.key, member.value.Double());
  }
  return pattern;
}

Result<AdapterConfig> ReadConfig(const std::string& folder) {
  const std::string path = folder + "/adapter_config.json";
  SLM_ASSIGN_OR_RETURN(const JsonDocument document, LoadJsonObject(path));
  const JsonValue& root = document.root();
  const auto read = [&]() -> Result<AdapterConfig> {
    AdapterConfig config;
    SLM_ASSIGN_OR_RETURN(const std::string_view type,
                         StringField(root, "peft_type"));
    if (type != "LORA") {
      return Invalid("peft_type = \"%s\" is not supported: LORA is",
                     Printable(type).c_str());
    }
    for (const char* key : kUnsupported) {
      const JsonValue* value = root.Find(key);
      if (value && !IsNeutral(*value)) {
        return Invalid("%s is not supported", key);
      }
    }
    for (const auto& [key, to] :
         {std::pair("r", &config.rank), {"lora_alpha", &config.alpha}}) {
      const JsonValue* value = FindField(root, key);
      if (!value || !value->IsNumber()) return WrongField(key, value, "number");
      *to = value->Double();
    }
    SLM_ASSIGN_OR_RETURN(config.rs, BoolField(root, "use_rslora", false));
    SLM_ASSIGN_OR_RETURN(config.dora, BoolField(root, "use_dora", false));
    SLM_ASSIGN_OR_RETURN(config.ranks, ReadPattern(root, "rank_pattern"));
    SLM_ASSIGN_OR_RETURN(config.alphas, ReadPattern(root, "alpha_pattern"));
    return config;
  };
  Result<AdapterConfig> config = read();
  return config.ok() ? config : config.status().In(Printable(path, 400));
}

double ForModule(const Pattern& pattern, std::string_view module,
                 double fallback) {
  for (const auto& [key, value] : pattern) {
    if (module == key) return value;
    if (module.size() > key.size() &&
        module.substr(module.size() - key.size()) == key &&
        module[module.size() - key.size() - 1] == '.') {
      return value;
    }
  }
  return fallback;
}

// "X.lora_A.weight" is part "lora_A" of module X.
struct Named {
  std::string module, part;
};

std::optional<Named> SplitName(std::string_view name) {
  for (const std::string_view part :
       {"lora_A", "lora_B", "lora_magnitude_vector"}) {
    for (const std::string_view end : {".weight", ""}) {
      const std::string tail = "." + std::string(part) + std::string(end);
      if (name.size() > tail.size() &&
          name.substr(name.size() - tail.size()) == tail) {
        return Named{std::string(name.substr(0, name.size() - tail.size())),
                     std::string(part)};
      }
    }
  }
  return std::nullopt;
}

Status CheckFloat(const std::string& name, const SafeTensor& tensor) {
  if (IsFloatType(tensor.type)) return OkStatus();
  return Invalid("tensor \"%s\": %s weights are not supported",
                 Printable(name).c_str(), SafeTypeName(tensor.type));
}

// Shapes of A, B and magnitude for a weight [n, k], and the rank that the
// config gives the module.
Status CheckDelta(const std::string& module, const AdapterDelta& delta,
                  const TensorInfo& weight, const AdapterConfig& config) {
  const std::string shown = Printable(module);
  if (!delta.a || !delta.b) {
    return Invalid("module \"%s\" has no lora_%s", shown.c_str(),
                   delta.a ? "B" : "A");
  }
  if (config.dora != (delta.magnitude != nullptr)) {
    return Invalid(
        "module \"%s\": use_dora and lora_magnitude_vector do not "
        "agree",
        shown.c_str());
  }
  const double rank = ForModule(config.ranks, module, config.rank);
  const Shape& w = weight.shape;
  const auto r = static_cast<int64_t>(rank);
  const bool fits = w.rank() == 2 && r >= 1 && static_cast<double>(r) == rank &&
                    delta.a->shape == Shape{r, w[1]} &&
                    delta.b->shape == Shape{w[0], r} &&
                    (!delta.magnitude || delta.magnitude->shape == Shape{w[0]});
  if (fits) return OkStatus();
  return Invalid("module \"%s\": B %s A %s of rank %g do not fit the weight %s",
                 shown.c_str(), delta.b->shape.ToString().c_str(),
                 delta.a->shape.ToString().c_str(), rank, w.ToString().c_str());
}

// What the tensors of one adapter do, by the model's tensor.
Result<std::map<std::string, AdapterDelta>> ReadDeltas(
    const SafeTensors& file, const AdapterConfig& config,
    const TensorSource& model, double scale) {
  std::map<std::string, AdapterDelta> deltas;
  for (const auto& [name, tensor] : file.tensors()) {
    const std::string shown = Printable(name);
    SLM_RETURN_IF_ERROR(CheckFloat(name, tensor));
    if (name.compare(0, kPrefix.size(), kPrefix) != 0) {
      return Invalid("tensor \"%s\" is not supported", shown.c_str());
    }
    const std::string inner = name.substr(kPrefix.size());
    const std::optional<Named> named = SplitName(inner);
    const std::string target = named ? named->module + ".weight" : inner;
    const TensorInfo* weight = model.Find(target);
    // A table that two modules share would change for one of them only.
    const bool shared =
        (target == "lm_head.weight" || target == "model.embed_tokens.weight") &&
        !model.Find("lm_head.weight");
    if (!weight || shared) {
      return Invalid(
          "tensor \"%s\": merging into %s is not supported", shown.c_str(),
          shared ? "tied embeddings" : "what the model does not have");
    }
    AdapterDelta& delta = deltas[target];
    if (!named) {
      if (!(tensor.shape == weight->shape)) {
        return Invalid("tensor \"%s\" is %s, the model's is %s", shown.c_str(),
                       tensor.shape.ToString().c_str(),
                       weight->shape.ToString().c_str());
      }
      delta.replacement = &tensor;
    } else if (named->part == "lora_A") {
      delta.a = &tensor;
    } else if (named->part == "lora_B") {
      delta.b = &tensor;
    } else {
      delta.magnitude = &tensor;
    }
  }
  for (auto& [target, delta] : deltas) {
    if (delta.replacement && !delta.a && !delta.b) continue;
    const std::string module = target.substr(0, target.rfind('.'));
    SLM_RETURN_IF_ERROR(CheckDelta(module, delta, *model.Find(target), config));
    const double rank = ForModule(config.ranks, module, config.rank);
    const double alpha = ForModule(config.alphas, module, config.alpha);
    delta.scale = scale * alpha / (config.rs ? std::sqrt(rank) : rank);
  }
  return deltas;
}

float DecodeOne(const SafeTensor& tensor, size_t i) {
  float value;
  Decode(tensor.type, tensor.bytes.data() + i * SafeTypeBytes(tensor.type), 1,
         &value);
  return value;
}

}  // namespace

Result<AdapterSet> AdapterSet::Open(const std::vector<AdapterRequest>& requests,
                                    const TensorSource& model) {
  AdapterSet set;
  set.files_.reserve(requests.size());  // deltas point into them
  for (const AdapterRequest& request : requests) {
    const std::string shown = Printable(request.folder, 400);
    SLM_ASSIGN_OR_RETURN(const AdapterConfig config,
                         ReadConfig(request.folder));
    if (config.dora && request.scale != 1) {
      return Invalid("adapter \"%s\": DoRA has no scale to multiply (%g)",
                     shown.c_str(), request.scale);
    }
    Result<SafeTensors> file =
        SafeTensors::Open(request.folder, "adapter_model");
    if (!file.ok()) return file.status().In("adapter \"" + shown + "\"");
    set.files_.push_back(std::move(file).value());
    auto deltas = ReadDeltas(set.files_.back(), config, model, request.scale);
    if (!deltas.ok()) return deltas.status().In("adapter \"" + shown + "\"");
    for (const auto& [target, delta] : *deltas) {
      set.deltas_[target].push_back(delta);
    }
  }
  return set;
}

const std::vector<AdapterDelta>* AdapterSet::Find(
    std::string_view tensor) const {
  const auto found = deltas_.find(tensor);
  return found == deltas_.end() ? nullptr : &found->second;
}

RowMerger::RowMerger(const std::vector<AdapterDelta>& deltas)
    : deltas_(deltas) {
  for (const AdapterDelta& delta : deltas) {
    std::vector<float>& a = a_.emplace_back();
    if (!delta.a) continue;
    a.resize(delta.a->shape.Count());
    Decode(delta.a->type, delta.a->bytes.data(), a.size(), a.data());
  }
}

void RowMerger::Merge(size_t n, float* row, size_t k) const {
  std::vector<float> sum;
  for (size_t i = 0; i < deltas_.size(); ++i) {
    const AdapterDelta& delta = deltas_[i];
    if (delta.replacement) {
      const SafeTensor& t = *delta.replacement;
      Decode(t.type, t.bytes.data() + n * k * SafeTypeBytes(t.type), k, row);
    }
    if (!delta.a) continue;
    const size_t rank = a_[i].size() / k;
    sum.assign(k, 0.0f);
    for (size_t r = 0; r < rank; ++r) {
      const float b = DecodeOne(*delta.b, n * rank + r);
      const float* a = a_[i].data() + r * k;
      for (size_t c = 0; c < k; ++c) sum[c] += b * a[c];
    }
    const auto scale = static_cast<float>(delta.scale);
    for (size_t c = 0; c < k; ++c) row[c] += scale * sum[c];
    if (!delta.magnitude) continue;
    double squares = 0;
    for (size_t c = 0; c < k; ++c) squares += double{row[c]} * row[c];
    const double norm = std::sqrt(squares);
    const auto factor = static_cast<float>(
        norm > 0 ? DecodeOne(*delta.magnitude, n) / norm : 0.0);
    for (size_t c = 0; c < k; ++c) row[c] *= factor;
  }
}

}  // namespace slm::convert
