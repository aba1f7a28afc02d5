// SPDX-License-Identifier: MIT
#include "tools/convert/gguf_config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <optional>
#include <set>

#include "loader/config.h"
#include "loader/gguf_blocks.h"
#include "tools/convert/json_text.h"

namespace slm::convert {
namespace {

// Sorted by name.
constexpr GgufFamily kFamilies[] = {
    {.name = "ernie4_5",
     .hf_class = "Ernie4_5ForCausalLM",
     .model_type = "ernie4_5"},
    {.name = "gemma",
     .hf_class = "GemmaForCausalLM",
     .model_type = "gemma",
     .plus_one = true},
    {.name = "gemma2",
     .hf_class = "Gemma2ForCausalLM",
     .model_type = "gemma2",
     .plus_one = true,
     .four_norms = true,
     .windows = true,
     .softcaps = true},
    {.name = "gemma3",
     .hf_class = "Gemma3ForCausalLM",
     .model_type = "gemma3_text",
     .plus_one = true,
     .four_norms = true,
     .windows = true,
     .softcaps = true},
    {.name = "granite",
     .hf_class = "GraniteForCausalLM",
     .model_type = "granite",
     .permuted = true,
     .multipliers = true},
    {.name = "llama",  // with a window: MistralForCausalLM
     .hf_class = "LlamaForCausalLM",
     .model_type = "llama",
     .permuted = true,
     .windows = true},
    {.name = "olmo2",
     .hf_class = "Olmo2ForCausalLM",
     .model_type = "olmo2",
     .four_norms = true},
    {.name = "phi3",
     .hf_class = "Phi3ForCausalLM",
     .model_type = "phi3",
     .fused = true,
     .windows = true},
    {.name = "qwen2", .hf_class = "Qwen2ForCausalLM", .model_type = "qwen2"},
    {.name = "qwen3", .hf_class = "Qwen3ForCausalLM", .model_type = "qwen3"},
    {.name = "smollm3",
     .hf_class = "SmolLM3ForCausalLM",
     .model_type = "smollm3",
     .permuted = true},
};

// Keys that say nothing about the model, or what is known without them.
constexpr std::string_view kIgnored[] = {"rope.scaling.finetuned",
                                         "tensor_data_layout"};
// Keys that change nothing where they are 0.
constexpr std::string_view kZero[] = {"attention.clamp_kqv",
                                      "attention.max_alibi_bias",
                                      "expert_count",
                                      "expert_feed_forward_length",
                                      "expert_shared_count",
                                      "expert_used_count",
                                      "leading_dense_block_count",
                                      "nextn_predict_layers",
                                      "rope.scaling.yarn_log_multiplier"};

// The file has float32 where config.json had digits: the fewest that give the
// same float32 are those (0.22, not 0.2199999988).
double Decimal(const GgufValue& value) {
  constexpr uint8_t kFloat32 = 6;
  if (value.kind == GgufValue::Kind::kInt) {
    return static_cast<double>(value.integer);
  }
  if (value.type != kFloat32 || !std::isfinite(value.number)) {
    return value.number;
  }
  char digits[40];
  const char* end = std::to_chars(digits, digits + sizeof digits,
                                  static_cast<float>(value.number))
                        .ptr;
  double number = value.number;
  std::from_chars(digits, end, number);
  return number;
}

// Reads the keys of one architecture and remembers which, and the first
// failure.
class Keys {
 public:
  Keys(const Gguf& gguf, std::string_view architecture)
      : gguf_(gguf), prefix_(std::string(architecture) + ".") {}

  const Status& status() const { return status_; }

  // Of one value, or of a list of equal ones, as files have for each layer.
  std::optional<int64_t> Int(std::string_view key) {
    const GgufValue* value = Find(key);
    if (!value) return std::nullopt;
    if (value->kind == GgufValue::Kind::kInt) return value->integer;
    const std::vector<int64_t> list = value->Ints();
    if (list.empty()) {
      Fail(key, "is no integer");
      return std::nullopt;
    }
    if (std::count(list.begin(), list.end(), list[0]) !=
        static_cast<std::ptrdiff_t>(list.size())) {
      Fail(key, "differs from layer to layer, which is not supported");
    }
    return list[0];
  }
  int64_t Count(std::string_view key) {
    const std::optional<int64_t> value = Int(key);
    if (!value) Fail(key, "is missing");
    return value.value_or(0);
  }
  std::optional<double> Number(std::string_view key) {
    const GgufValue* value = Find(key);
    if (!value) return std::nullopt;
    const double number = Decimal(*value);
    if ((value->kind != GgufValue::Kind::kFloat &&
         value->kind != GgufValue::Kind::kInt) ||
        !std::isfinite(number)) {
      Fail(key, "is no number");
      return std::nullopt;
    }
    return number;
  }
  std::string Text(std::string_view key) {
    const GgufValue* value = Find(key);
    if (value && value->kind != GgufValue::Kind::kString) {
      Fail(key, "is no text");
    }
    return value ? std::string(value->text) : "";
  }
  const GgufValue* Find(std::string_view key) {
    used_.insert(std::string(key));
    return gguf_.Value(prefix_ + std::string(key));
  }
  void Fail(std::string_view key, const char* what) {
    if (!status_.ok()) return;
    status_ =
        Invalid("%s%s %s", prefix_.c_str(), std::string(key).c_str(), what);
  }
  // Where the key has another value than the only one that is supported.
  void Expect(std::string_view key, double only) {
    const std::optional<double> value = Number(key);
    if (!value || std::abs(*value - only) <= 1e-6 * std::abs(only)) return;
    if (!status_.ok()) return;
    status_ = Invalid("%s%s = %g is not supported, %g is", prefix_.c_str(),
                      std::string(key).c_str(), *value, only);
  }
  void RefuseTheRest() {
    for (const std::string_view key : kIgnored) used_.insert(std::string(key));
    for (const std::string_view key : kZero) {
      if (const GgufValue* value = Find(key)) {
        const bool zero = value->kind != GgufValue::Kind::kArray &&
                          value->integer == 0 && value->number == 0;
        if (!zero) Fail(key, "is not supported");
      }
    }
    for (auto it = gguf_.values().lower_bound(prefix_);
         it != gguf_.values().end() && it->first.starts_with(prefix_); ++it) {
      const std::string key = it->first.substr(prefix_.size());
      if (!used_.count(key)) Fail(Printable(key), "is not supported");
    }
  }

 private:
  const Gguf& gguf_;
  std::string prefix_;
  std::set<std::string, std::less<>> used_;
  Status status_;
};

// Numbers that several parts need.
struct Sizes {
  int64_t layers = 0, hidden = 0, heads = 0, head = 0, rotary = 0, context = 0;
  double theta = 10000;
};

Sizes ReadSizes(Keys* keys, JsonText* json) {
  Sizes s;
  s.layers = keys->Count("block_count");
  s.hidden = keys->Count("embedding_length");
  s.heads = keys->Count("attention.head_count");
  s.context = keys->Count("context_length");
  s.head = keys->Int("attention.key_length")
               .value_or(s.heads > 0 ? s.hidden / s.heads : 0);
  if (keys->Int("attention.value_length").value_or(s.head) != s.head) {
    keys->Fail("attention.value_length", "is not attention.key_length");
  }
  if (s.heads < 1) keys->Fail("attention.head_count", "is out of range");
  if (s.head < 1 || s.head > kMaxHeadSize) {
    keys->Fail("attention.key_length", "is out of range");
    s.head = 2;
  }
  s.rotary = keys->Int("rope.dimension_count").value_or(s.head);
  if (s.rotary < 2 || s.rotary > s.head || s.rotary % 2 != 0) {
    keys->Fail("rope.dimension_count", "is out of range");
    s.rotary = 2;
  }
  s.theta = keys->Number("rope.freq_base").value_or(s.theta);
  json->Int("num_hidden_layers", s.layers);
  json->Int("hidden_size", s.hidden);
  json->Int("intermediate_size", keys->Count("feed_forward_length"));
  json->Int("num_attention_heads", s.heads);
  json->Int("num_key_value_heads",
            keys->Int("attention.head_count_kv").value_or(s.heads));
  json->Int("head_dim", s.head);
  json->Int("max_position_embeddings", s.context);
  json->Double("rope_theta", s.theta);
  if (s.rotary != s.head) {
    // The reader multiplies and cuts.
    double part = static_cast<double>(s.rotary) / static_cast<double>(s.head);
    while (static_cast<int64_t>(part * static_cast<double>(s.head)) <
           s.rotary) {
      part = std::nextafter(part, 1.0);
    }
    json->Double("partial_rotary_factor", part);
  }
  return s;
}

// The values of a vector of factors, one for each angle; empty if there is
// none of that name.
Result<std::vector<float>> Factors(const Gguf& gguf, const char* name,
                                   const Sizes& s) {
  std::vector<float> out;
  const GgufTensor* tensor = gguf.Find(name);
  if (!tensor) return out;
  const auto count = static_cast<size_t>(s.rotary / 2);
  if (tensor->shape.Count() != count || GgufBlockValues(tensor->type) != 1) {
    return Invalid("tensor \"%s\" is %s %s, expected [%zu] of floats", name,
                   GgufTypeName(tensor->type), tensor->shape.ToString().c_str(),
                   count);
  }
  out.resize(count);
  DequantizeGguf(tensor->type, tensor->bytes.data(), count, out.data());
  for (const float factor : out) {
    if (!(factor > 0) || !std::isfinite(factor)) {
      return Invalid("tensor \"%s\" holds a factor that is not above 0", name);
    }
  }
  return out;
}

void AddFactors(const char* key, const std::vector<float>& factors,
                JsonText* json) {
  json->BeginArray(key);
  for (const float factor : factors) json->Double(double{factor});
  json->EndArray();
}

// Llama 3.1's scaling, of which the file has only the result. Its tables then
// are those of config.json, not the file's rounded factors. Published models
// have these two frequency factors and a power of two.
struct Llama3 {
  double factor = 0, original = 0;
};

std::optional<Llama3> AsLlama3(const std::vector<float>& factors,
                               const Sizes& s) {
  constexpr double kLow = 1, kHigh = 4;
  const double factor =
      double{*std::max_element(factors.begin(), factors.end())};
  for (double original = 16; original <= 1 << 20; original *= 2) {
    bool same = factor > 1;
    for (size_t j = 0; same && j < factors.size(); ++j) {
      const double length =
          2 * std::numbers::pi *
          std::pow(s.theta, 2.0 * static_cast<double>(j) /
                                static_cast<double>(s.rotary));
      double expected = 1;
      if (length > original / kLow) {
        expected = factor;
      } else if (length >= original / kHigh) {
        const double t = (original / length - kLow) / (kHigh - kLow);
        expected = 1 / ((1 - t) / factor + t);
      }
      // The file's were computed in float32.
      same = std::abs(expected - double{factors[j]}) <= 1e-4 * expected;
    }
    if (same) return Llama3{std::round(factor * 1024) / 1024, original};
  }
  return std::nullopt;
}

// rope_freqs.weight: each angle is divided by its factor.
void AddRopeFactors(const std::vector<float>& factors, const Sizes& s,
                    JsonText* json, std::vector<std::string>* notes) {
  if (std::all_of(factors.begin(), factors.end(),
                  [](float f) { return f == 1; })) {
    return;
  }
  json->BeginObject("rope_scaling");
  if (const std::optional<Llama3> llama3 = AsLlama3(factors, s)) {
    json->String("rope_type", "llama3");
    json->Double("factor", llama3->factor);
    json->Double("low_freq_factor", 1);
    json->Double("high_freq_factor", 4);
    json->Double("original_max_position_embeddings", llama3->original);
    notes->push_back(
        Format("rope_freqs.weight is llama3 scaling by %g from "
               "%g tokens",
               llama3->factor, llama3->original));
  } else {
    // A longrope whose short part is the whole context.
    json->String("rope_type", "longrope");
    AddFactors("short_factor", factors, json);
    AddFactors("long_factor", factors, json);
    json->Int("original_max_position_embeddings", s.context);
    json->Double("attention_factor", 1);
  }
  json->EndObject();
}

// Two tables of factors, for short and long texts (Phi-3).
void AddLongRope(const std::vector<float>& small,
                 const std::vector<float>& large, const Sizes& s, Keys* keys,
                 JsonText* json) {
  const double context = static_cast<double>(s.context);
  const double original =
      keys->Number("rope.scaling.original_context_length").value_or(context);
  if (original < 1 || original > context) {
    keys->Fail("rope.scaling.original_context_length", "is out of range");
    return;
  }
  const std::optional<double> given = keys->Number("rope.scaling.attn_factor");
  const double ratio = context / original;
  const double implied =
      ratio > 1 ? std::sqrt(1 + std::log(ratio) / std::log(original)) : 1;
  json->Int("original_max_position_embeddings", static_cast<int64_t>(original));
  json->BeginObject("rope_scaling");
  json->String("rope_type", "longrope");
  AddFactors("short_factor", small, json);
  AddFactors("long_factor", large, json);
  // Without it the reader computes it in double precision.
  if (given && std::abs(*given - implied) > 1e-5 * implied) {
    json->Double("attention_factor", *given);
  }
  json->EndObject();
}

// rope.scaling.type linear or yarn.
void AddNamedScaling(const std::string& type, const Sizes& s, Keys* keys,
                     JsonText* json) {
  const std::optional<double> factor = keys->Number("rope.scaling.factor");
  const std::optional<double> old = keys->Number("rope.scale_linear");
  const std::optional<double> original =
      keys->Number("rope.scaling.original_context_length");
  if (type == "yarn") {
    if (!factor) keys->Fail("rope.scaling.factor", "is missing");
    json->BeginObject("rope_scaling");
    json->String("rope_type", "yarn");
    json->Double("factor", factor.value_or(1));
    json->Double("original_max_position_embeddings",
                 original.value_or(static_cast<double>(s.context)));
    json->Double("beta_fast",
                 keys->Number("rope.scaling.yarn_beta_fast").value_or(32));
    json->Double("beta_slow",
                 keys->Number("rope.scaling.yarn_beta_slow").value_or(1));
    keys->Expect("rope.scaling.yarn_ext_factor", 1);
    keys->Expect("rope.scaling.yarn_attn_factor", 1);
    keys->Expect("rope.scaling.attn_factor", 1);
    json->EndObject();
    return;
  }
  const double linear =
      type == "linear" ? factor.value_or(old.value_or(1)) : old.value_or(1);
  keys->Expect("rope.scaling.attn_factor", 1);
  if (!type.empty() && type != "none" && type != "linear") {
    keys->Fail("rope.scaling.type",
               ("= \"" + Printable(type) + "\" is not supported").c_str());
  }
  if (linear == 1) return;
  json->BeginObject("rope_scaling");
  json->String("rope_type", "linear");
  json->Double("factor", linear);
  json->EndObject();
}

Status AddRope(const Gguf& gguf, const GgufFamily& family, const Sizes& s,
               Keys* keys, JsonText* json, std::vector<std::string>* notes) {
  SLM_ASSIGN_OR_RETURN(const std::vector<float> factors,
                       Factors(gguf, "rope_freqs.weight", s));
  SLM_ASSIGN_OR_RETURN(const std::vector<float> small,
                       Factors(gguf, "rope_factors_short.weight", s));
  SLM_ASSIGN_OR_RETURN(const std::vector<float> large,
                       Factors(gguf, "rope_factors_long.weight", s));
  const std::string type = keys->Text("rope.scaling.type");
  if (small.empty() != large.empty()) {
    return Invalid(
        "one of rope_factors_short.weight and "
        "rope_factors_long.weight is missing");
  }
  const bool named = !type.empty() && type != "none";
  if (!factors.empty() && (named || !small.empty())) {
    return Invalid(
        "rope_freqs.weight with another rope scaling is not "
        "supported");
  }
  if (!small.empty()) {
    if (named && type != "longrope") {
      return Invalid(
          "rope_factors_short.weight with rope.scaling.type = "
          "\"%s\" is not supported",
          Printable(type).c_str());
    }
    AddLongRope(small, large, s, keys, json);
  } else if (!factors.empty()) {
    AddRopeFactors(factors, s, json, notes);
  } else {
    AddNamedScaling(type, s, keys, json);
    // Without factors Phi-3's original context changes nothing, and the reader
    // has a default of its own.
    if (family.fused) json->Int("original_max_position_embeddings", s.context);
  }
  return OkStatus();
}

// 1/scale^2, a whole number where rounding hid it.
double InverseSquare(double scale) {
  const double squared = 1 / (scale * scale);
  const double whole = std::round(squared);
  return std::abs(squared - whole) < 1e-5 * squared ? whole : squared;
}

void AddGemma(const GgufFamily& family, const Sizes& s, Keys* keys,
              JsonText* json) {
  const bool gemma3 = family.name == "gemma3";
  // The largest models of both scale by another size than the head's, and the
  // format has no key for it; llama.cpp knows them by their layers, too.
  const bool largest = s.layers == (gemma3 ? 62 : 46);
  double squared = static_cast<double>(largest ? s.hidden / s.heads : s.head);
  if (const auto scale = keys->Number("attention.scale"); scale && *scale > 0) {
    squared = InverseSquare(*scale);
  }
  json->Double("query_pre_attn_scalar", squared);
  for (const auto& [key, name] :
       {std::pair("attn_logit_softcapping", "attn_logit_softcapping"),
        std::pair("final_logit_softcapping", "final_logit_softcapping")}) {
    json->Key(name);
    const std::optional<double> cap = keys->Number(key);
    if (cap && *cap != 0) {
      json->Double(*cap);
    } else if (gemma3) {
      json->Null();
    } else {
      json->Double(name[0] == 'a' ? 50 : 30);
    }
  }
  if (gemma3) {
    json->Double("rope_local_base_freq",
                 keys->Number("rope.freq_base_swa").value_or(10000));
  }
}

// attention.sliding_window_pattern: each how many layers one is full, or for
// each layer whether it slides.
void AddWindows(const GgufFamily& family, const Sizes& s, Keys* keys,
                JsonText* json) {
  const std::optional<int64_t> window = keys->Int("attention.sliding_window");
  json->Key("sliding_window");
  if (window.value_or(0) > 0) {
    json->Int(*window);
  } else {
    json->Null();
  }
  const GgufValue* pattern = keys->Find("attention.sliding_window_pattern");
  if (!pattern) return;
  if (!family.softcaps) {
    keys->Fail("attention.sliding_window_pattern", "is not supported");
  } else if (pattern->kind == GgufValue::Kind::kInt) {
    json->Int("sliding_window_pattern", pattern->integer);
  } else {
    const std::vector<int64_t> slides = pattern->Ints();
    if (static_cast<int64_t>(slides.size()) != s.layers) {
      keys->Fail("attention.sliding_window_pattern",
                 "has not one value for each layer");
    }
    json->BeginArray("layer_types");
    for (const int64_t slide : slides) {
      json->String(slide ? "sliding_attention" : "full_attention");
    }
    json->EndArray();
  }
}

void AddMultipliers(const Sizes& s, Keys* keys, JsonText* json) {
  json->Double("attention_multiplier",
               keys->Number("attention.scale")
                   .value_or(1 / std::sqrt(static_cast<double>(s.head))));
  json->Double("embedding_multiplier",
               keys->Number("embedding_scale").value_or(1));
  json->Double("residual_multiplier",
               keys->Number("residual_scale").value_or(1));
  json->Double("logits_scaling", keys->Number("logit_scale").value_or(1));
}

void AddIds(const GgufTokenIds& ids, JsonText* json) {
  if (ids.bos >= 0) json->Int("bos_token_id", ids.bos);
  if (ids.pad >= 0) json->Int("pad_token_id", ids.pad);
  if (ids.eos.size() == 1) {
    json->Int("eos_token_id", ids.eos[0]);
  } else if (!ids.eos.empty()) {
    json->BeginArray("eos_token_id");
    for (const int64_t id : ids.eos) json->Int(id);
    json->EndArray();
  }
}

Result<int64_t> VocabSize(const Gguf& gguf, Keys* keys) {
  const GgufTensor* table = gguf.Find("token_embd.weight");
  if (!table || table->shape.rank() != 2) {
    return Invalid("tensor \"token_embd.weight\" is missing");
  }
  keys->Find("vocab_size");  // some writers leave it at the unpadded number
  return table->shape[0];
}

}  // namespace

Result<const GgufFamily*> FindGgufFamily(const Gguf& gguf) {
  const GgufValue* value = gguf.Value("general.architecture");
  if (!value || value->kind != GgufValue::Kind::kString) {
    return Invalid("key \"general.architecture\" is missing");
  }
  std::string known;
  for (const GgufFamily& family : kFamilies) {
    if (family.name == value->text) return &family;
    known += (known.empty() ? "" : ", ") + std::string(family.name);
  }
  return Invalid("general.architecture \"%s\" is not supported; supported: %s",
                 Printable(value->text).c_str(), known.c_str());
}

Result<std::string> GgufConfigText(const Gguf& gguf, const GgufFamily& family,
                                   const GgufTokenIds& ids,
                                   std::vector<std::string>* notes) {
  Keys keys(gguf, family.name);
  JsonText json;
  json.BeginObject();
  const bool mistral = family.name == "llama" &&
                       keys.Int("attention.sliding_window").value_or(0) > 0;
  json.BeginArray("architectures");
  json.String(mistral ? "MistralForCausalLM" : family.hf_class);
  json.EndArray();
  json.String("model_type", mistral ? "mistral" : family.model_type);
  const Sizes s = ReadSizes(&keys, &json);
  SLM_RETURN_IF_ERROR(keys.status());
  SLM_ASSIGN_OR_RETURN(const int64_t vocab, VocabSize(gguf, &keys));
  json.Int("vocab_size", vocab);
  const std::optional<double> epsilon =
      keys.Number("attention.layer_norm_rms_epsilon");
  if (!epsilon) keys.Fail("attention.layer_norm_rms_epsilon", "is missing");
  json.Double("rms_norm_eps", epsilon.value_or(1e-5));
  json.Bool("tie_word_embeddings", gguf.Find("output.weight") == nullptr);
  SLM_RETURN_IF_ERROR(AddRope(gguf, family, s, &keys, &json, notes));
  if (family.softcaps) AddGemma(family, s, &keys, &json);
  if (family.multipliers) AddMultipliers(s, &keys, &json);
  if (family.windows && (family.name != "llama" || mistral)) {
    AddWindows(family, s, &keys, &json);
  }
  if (!family.softcaps && !family.multipliers) {
    keys.Expect("attention.scale", 1 / std::sqrt(static_cast<double>(s.head)));
    keys.Expect("logit_scale", 1);
  }
  const bool bias = gguf.Find("blk.0.attn_q.bias") != nullptr;
  const bool mlp_bias = gguf.Find("blk.0.ffn_up.bias") != nullptr;
  if (family.name == "ernie4_5") {
    json.Bool("use_bias", bias);
  } else {
    json.Bool("attention_bias", bias);
    json.Bool("mlp_bias", mlp_bias);
  }
  AddIds(ids, &json);
  json.EndObject();
  keys.RefuseTheRest();
  SLM_RETURN_IF_ERROR(keys.status());
  return json.text();
}

Result<std::string> GgufGenerationText(const Gguf& gguf) {
  constexpr std::pair<const char*, const char*> kKeys[] = {
      {"general.sampling.temp", "temperature"},
      {"general.sampling.top_k", "top_k"},
      {"general.sampling.top_p", "top_p"},
      {"general.sampling.penalty_repeat", "repetition_penalty"},
  };
  JsonText json;
  json.BeginObject();
  bool any = false;
  for (const auto& [from, to] : kKeys) {
    const GgufValue* value = gguf.Value(from);
    if (!value) continue;
    any = true;
    if (value->kind == GgufValue::Kind::kInt) {
      json.Int(to, value->integer);
    } else if (value->kind == GgufValue::Kind::kFloat &&
               std::isfinite(value->number)) {
      json.Double(to, Decimal(*value));
    } else {
      return Invalid("key \"%s\" is no number", from);
    }
  }
  json.Bool("do_sample", true);
  json.EndObject();
  return any ? json.text() : "";
}

std::string GgufTensorName(const GgufFamily& family, std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> kWhole[] = {
      {"token_embd.weight", "model.embed_tokens.weight"},
      {"output_norm.weight", "model.norm.weight"},
      {"output.weight", "lm_head.weight"},
      {"rope_freqs.weight", ""},
      {"rope_factors_long.weight", ""},
      {"rope_factors_short.weight", ""},
  };
  constexpr std::pair<std::string_view, std::string_view> kParts[] = {
      {"attn_norm", "input_layernorm"},
      {"attn_q", "self_attn.q_proj"},
      {"attn_k", "self_attn.k_proj"},
      {"attn_v", "self_attn.v_proj"},
      {"attn_qkv", "self_attn.qkv_proj"},
      {"attn_output", "self_attn.o_proj"},
      {"attn_q_norm", "self_attn.q_norm"},
      {"attn_k_norm", "self_attn.k_norm"},
      {"post_attention_norm", "post_attention_layernorm"},
      {"post_ffw_norm", "post_feedforward_layernorm"},
      {"ffn_gate", "mlp.gate_proj"},
      {"ffn_down", "mlp.down_proj"},
  };
  for (const auto& [from, to] : kWhole) {
    if (name == from) return std::string(to);
  }
  constexpr std::string_view kBlock = "blk.";
  if (!name.starts_with(kBlock)) return std::string(name);
  const size_t layer_end = name.find('.', kBlock.size());
  const size_t end = name.rfind('.');
  if (layer_end == std::string_view::npos || end <= layer_end) {
    return std::string(name);
  }
  const std::string_view layer =
      name.substr(kBlock.size(), layer_end - kBlock.size());
  const std::string_view part = name.substr(layer_end + 1, end - layer_end - 1);
  std::string_view to;
  for (const auto& [from, candidate] : kParts) {
    if (part == from) to = candidate;
  }
  if (part == "ffn_up") to = family.fused ? "mlp.gate_up_proj" : "mlp.up_proj";
  if (part == "ffn_norm") {
    to = family.four_norms ? "pre_feedforward_layernorm"
                           : "post_attention_layernorm";
  }
  if (to.empty()) return std::string(name);
  return "model.layers." + std::string(layer) + "." + std::string(to) +
         std::string(name.substr(end));
}

}  // namespace slm::convert
