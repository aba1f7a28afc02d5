// SPDX-License-Identifier: MIT
#include "tools/convert/families.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>

#include "loader/json_fields.h"
#include "tools/convert/family.h"

namespace slm::convert {
namespace {

// Sorted by class.
constexpr Family kFamilies[] = {
    {.hf_class = "Ernie4_5ForCausalLM",
     .type = "ernie4_5",
     .tied = true,
     .epsilon = 1e-5,
     .theta = 5e5,
     .interleaved = true},
    {.hf_class = "Gemma2ForCausalLM",
     .type = "gemma2",
     .tied = true,
     .activation = "gelu_pytorch_tanh",
     .norms = Norms::kAround,
     .norm_plus_one = true,
     .gemma = true,
     .windows = Windows::kByTypes,
     .full_every = 2,
     .sliding_window = 4096,
     .softcaps = true,
     .query_scalar = true},
    {.hf_class = "Gemma3ForCausalLM",
     .type = "gemma3_text",
     .tied = true,
     .activation = "gelu_pytorch_tanh",
     .norms = Norms::kAround,
     .norm_plus_one = true,
     .qk_norm = QkNorm::kHeads,
     .gemma = true,
     .windows = Windows::kByTypes,
     .full_every = 6,
     .sliding_window = 4096,
     .theta = 1e6,
     .softcaps = true,
     .query_scalar = true,
     .local_rope = true},
    {.hf_class = "GemmaForCausalLM",
     .type = "gemma",
     .tied = true,
     .activation = "gelu_pytorch_tanh",
     .norm_plus_one = true,
     .gemma = true},
    {.hf_class = "GptOssForCausalLM",
     .type = "gptoss",
     .epsilon = 1e-5,
     .attention_bias = true,
     .windows = Windows::kByTypes,
     .full_every = 2,
     .sliding_window = 128,
     .theta = 150000,
     .sinks = true,
     .moe = true,
     .experts = Experts::kGptOss},
    {.hf_class = "GraniteForCausalLM", .type = "granite", .multipliers = true},
    {.hf_class = "Lfm2ForCausalLM",
     .type = "lfm2",
     .tied = true,
     .epsilon = 1e-5,
     .epsilon_key = "norm_eps",
     .qk_norm = QkNorm::kHeads,
     .names = {.before_attention = "operator_norm",
               .before_mlp = "ffn_norm",
               .last_norm = "model.embedding_norm",
               .o = "out_proj",
               .q_norm = "q_layernorm",
               .k_norm = "k_layernorm",
               .mlp = "feed_forward",
               .gate = "w1",
               .up = "w3",
               .down = "w2"},
     .theta = 1e6,
     .short_conv = true},
    {.hf_class = "LlamaForCausalLM", .type = "llama"},
    {.hf_class = "MistralForCausalLM",
     .type = "mistral",
     .windows = Windows::kAll,
     .sliding_window = 4096},
    // No class of the packaged runtime: "decoder" is its name for any other.
    {.hf_class = "MixtralForCausalLM",
     .type = "decoder",
     .epsilon = 1e-5,
     .windows = Windows::kAll,
     .theta = 1e6,
     .moe = true,
     .experts = Experts::kMixtral},
    {.hf_class = "NemotronForCausalLM",
     .type = "nemotron",
     .epsilon = 1e-5,
     .epsilon_key = "norm_eps",
     .activation = "relu2",
     .norm_op = NormOp::kLayer,
     .norm_plus_one = true,
     .gated = false,
     .partial = 0.5},
    {.hf_class = "Olmo2ForCausalLM",
     .type = "decoder",
     .epsilon = 1e-5,
     .norms = Norms::kAfter,
     .qk_norm = QkNorm::kWhole},
    {.hf_class = "OlmoForCausalLM",
     .type = "olmo",
     .epsilon = 1e-5,
     .epsilon_key = "",
     .norm_op = NormOp::kPlain,
     .clip_qkv = true},
    {.hf_class = "Phi3ForCausalLM",
     .type = "phi3",
     .epsilon = 1e-5,
     .fused = true,
     .windows = Windows::kAll,
     .partial = 1},
    {.hf_class = "PhiForCausalLM",
     .type = "phi",
     .epsilon = 1e-5,
     .epsilon_key = "layer_norm_eps",
     .activation = "gelu_new",
     .norms = Norms::kShared,
     .norm_op = NormOp::kLayer,
     .names = {.last_norm = "model.final_layernorm",
               .o = "dense",
               .up = "fc1",
               .down = "fc2"},
     .attention_bias = true,
     .mlp_and_head_bias = true,
     .gated = false,
     .partial = 0.5},
    {.hf_class = "Qwen2ForCausalLM",
     .type = "qwen2",
     .qkv_bias = true,
     .windows = Windows::kByTypes,
     .sliding_window = 4096},
    {.hf_class = "Qwen3ForCausalLM",
     .type = "qwen3",
     .qk_norm = QkNorm::kHeads,
     .windows = Windows::kByTypes,
     .sliding_window = 4096},
    // The packaged runtime has no type of its own for it, but ties the tags of
    // tool calls and of thinking to Qwen 3's.
    {.hf_class = "Qwen3MoeForCausalLM",
     .type = "qwen3",
     .qk_norm = QkNorm::kHeads,
     .windows = Windows::kByTypes,
     .sliding_window = 4096,
     .moe = true,
     .experts = Experts::kQwen3},
    {.hf_class = "SmolLM3ForCausalLM",
     .type = "smollm3",
     .tied = true,
     .windows = Windows::kByTypes,
     .theta = 2e6,
     .no_rope_layers = true},
};

constexpr bool Less(const Family& a, const Family& b) {
  return a.hf_class < b.hf_class;
}
static_assert(std::is_sorted(std::begin(kFamilies), std::end(kFamilies), Less));

// Keys that change the model where they are not neutral, and that no row
// reads. Families that read one say so in kReadBy.
struct Foreign {
  std::string_view key;
  double neutral;  // this number, false and null change nothing
  bool Family::*read_by = nullptr;
};

constexpr Foreign kForeign[] = {
    {"attention_multiplier", 1e300, &Family::multipliers},
    {"attn_logit_softcapping", 0, &Family::softcaps},
    {"clip_qkv", 1e300, &Family::clip_qkv},
    {"conv_bias", 0, &Family::short_conv},
    {"embedding_multiplier", 1, &Family::multipliers},
    {"final_logit_softcapping", 0, &Family::softcaps},
    {"logit_scale", 1},
    {"logits_scaling", 1, &Family::multipliers},
    {"no_rope_layers", 1e300, &Family::no_rope_layers},
    {"num_experts", 0, &Family::moe},
    {"num_local_experts", 0, &Family::moe},
    {"qk_layernorm", 0},
    {"query_pre_attn_scalar", 1e300, &Family::query_scalar},
    {"residual_multiplier", 1, &Family::multipliers},
    {"swiglu_limit", 7, nullptr},  // of gpt-oss, whatever the file says
    {"use_bias", 0, &Family::interleaved},
    {"use_bidirectional_attention", 0},
};

Status CheckForeign(const JsonValue& root, const Family& family) {
  for (const Foreign& row : kForeign) {
    if (row.read_by && family.*row.read_by) continue;
    const JsonValue* value = FindField(root, row.key);
    if (row.key == "quantization_config" && value && family.sinks) {
      const JsonValue* method = FindField(*value, "quant_method");
      if (method && method->IsString() && method->String() == "mxfp4") continue;
    }
    if (!value || (value->IsBool() && !value->Bool()) ||
        (value->IsNumber() && value->Double() == row.neutral)) {
      continue;
    }
    return Invalid("%.*s is not supported for %.*s",
                   static_cast<int>(row.key.size()), row.key.data(),
                   static_cast<int>(family.hf_class.size()),
                   family.hf_class.data());
  }
  return OkStatus();
}

const Family* FindFamily(std::string_view hf_class) {
  for (const Family& family : kFamilies) {
    if (family.hf_class == hf_class) return &family;
  }
  return nullptr;
}

Result<const Family*> FamilyOf(const JsonValue& root) {
  const JsonValue* list = FindField(root, "architectures");
  if (!list || !list->IsArray() || list->Items().empty() ||
      !list->Items()[0].IsString()) {
    return WrongField("architectures", list, "a list with a class name");
  }
  const std::string_view hf_class = list->Items()[0].String();
  if (const Family* family = FindFamily(hf_class)) return family;
  std::string known;
  for (const std::string& name : FamilyNames()) {
    known += (known.empty() ? "" : ", ") + name;
  }
  return Invalid("architecture \"%s\" is not supported; supported: %s",
                 Printable(hf_class).c_str(), known.c_str());
}

Status ReadActivation(const JsonValue& root, const Family& family,
                      DecoderSpec* spec) {
  // The Gemma classes' own key; other files of theirs have both.
  const JsonValue* value = FindField(root, "hidden_activation");
  if (!value) value = FindField(root, "hidden_act");
  std::string_view name = family.activation;
  if (value) {
    if (!value->IsString()) return WrongField("hidden_act", value, "string");
    name = value->String();
  }
  static constexpr std::pair<std::string_view, Activation> kNames[] = {
      {"gelu", Activation::kGelu},
      {"gelu_fast", Activation::kGeluTanh},
      {"gelu_new", Activation::kGeluTanh},
      {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"relu", Activation::kRelu},
      {"relu2", Activation::kRelu2},
      {"silu", Activation::kSilu},
      {"swish", Activation::kSilu},
  };
  for (const auto& [known, activation] : kNames) {
    if (name == known) {
      spec->activation = activation;
      return OkStatus();
    }
  }
  return Invalid("hidden_act = \"%s\" is not supported",
                 Printable(name).c_str());
}

Status ReadBiases(const JsonValue& root, const Family& family,
                  DecoderSpec* spec) {
  const bool one_key = family.interleaved;
  SLM_ASSIGN_OR_RETURN(
      const bool attention,
      BoolField(root, one_key ? "use_bias" : "attention_bias", false));
  SLM_ASSIGN_OR_RETURN(
      spec->mlp_bias,
      BoolField(root, one_key ? "use_bias" : "mlp_bias", false));
  spec->qkv_bias = family.qkv_bias || family.attention_bias || attention;
  spec->o_bias = family.attention_bias || (attention && !family.qkv_bias);
  spec->mlp_bias |= family.mlp_and_head_bias;
  spec->head_bias = family.mlp_and_head_bias;
  return OkStatus();
}

Status ReadScales(const JsonValue& root, const Family& family,
                  DecoderSpec* spec) {
  const double head_size = static_cast<double>(spec->head_size);
  double squared = head_size;
  if (family.query_scalar) {
    SLM_ASSIGN_OR_RETURN(squared,
                         PositiveOr(root, "query_pre_attn_scalar", 256));
  }
  spec->attention_scale = 1 / std::sqrt(squared);
  if (family.gemma) {
    // transformers rounds this to the type of its activations, here float32.
    spec->embedding_scale = std::sqrt(static_cast<double>(spec->hidden));
  }
  if (family.softcaps) {
    // Classes differ in what an absent key means: Gemma 2 has caps, Gemma 3
    // not.
    const bool gemma2 = family.full_every == 2;
    const auto cap = [&](const char* key, double absent) -> Result<double> {
      return NumberOr(root, key, root.Find(key) ? 0 : absent);
    };
    SLM_ASSIGN_OR_RETURN(spec->attention_softcap,
                         cap("attn_logit_softcapping", gemma2 ? 50 : 0));
    SLM_ASSIGN_OR_RETURN(spec->final_softcap,
                         cap("final_logit_softcapping", gemma2 ? 30 : 0));
    if (spec->attention_softcap < 0 || spec->final_softcap < 0) {
      return Invalid("logit_softcapping below 0");
    }
  }
  if (family.multipliers) {
    SLM_ASSIGN_OR_RETURN(spec->attention_scale,
                         NumberOr(root, "attention_multiplier", 1));
    SLM_ASSIGN_OR_RETURN(spec->embedding_scale,
                         NumberOr(root, "embedding_multiplier", 1));
    SLM_ASSIGN_OR_RETURN(spec->residual_scale,
                         NumberOr(root, "residual_multiplier", 1));
    SLM_ASSIGN_OR_RETURN(const double divisor,
                         PositiveOr(root, "logits_scaling", 1));
    spec->logits_scale = 1 / divisor;
  }
  return OkStatus();
}

Status ReadSizes(const JsonValue& root, const ModelConfig& config,
                 DecoderSpec* spec) {
  const DecoderConfig& decoder = config.decoder;
  spec->hidden = decoder.hidden_size;
  spec->heads = decoder.num_attention_heads;
  spec->kv_heads = decoder.num_key_value_heads;
  spec->head_size = decoder.head_size;
  spec->vocab = config.vocab_size;
  spec->context = config.context_length;
  SLM_ASSIGN_OR_RETURN(spec->ffn,
                       CountField(root, "intermediate_size", kMaxHidden * 16));
  const std::pair<const char*, int64_t> sizes[] = {
      {"hidden_size", spec->hidden},
      {"intermediate_size", spec->ffn},
      {"num_attention_heads", spec->heads},
      {"num_key_value_heads", spec->kv_heads},
      {"head_dim", spec->head_size},
      {"num_hidden_layers", decoder.num_hidden_layers},
  };
  for (const auto& [name, size] : sizes) {
    if (size < 1) return Invalid("%s is missing or 0", name);
  }
  if (spec->heads % spec->kv_heads != 0) {
    return Invalid(
        "num_attention_heads = %lld is no multiple of "
        "num_key_value_heads = %lld",
        static_cast<long long>(spec->heads),
        static_cast<long long>(spec->kv_heads));
  }
  return OkStatus();
}

}  // namespace

std::vector<std::string> FamilyNames() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) names.emplace_back(family.hf_class);
  return names;
}

Result<DecoderSpec> ReadDecoderSpec(const JsonValue& root,
                                    const ModelConfig& config) {
  SLM_ASSIGN_OR_RETURN(const Family* family, FamilyOf(root));
  SLM_RETURN_IF_ERROR(CheckForeign(root, *family));
  DecoderSpec spec;
  spec.hf_class = family->hf_class;
  spec.type = family->type;
  spec.norms = family->norms;
  spec.qk_norm = family->qk_norm;
  spec.norm_op = family->norm_op;
  spec.norm_plus_one = family->norm_plus_one;
  spec.names = family->names;
  spec.gated = family->gated;
  spec.sinks = family->sinks;
  spec.fused_qkv = spec.fused_gate_up = family->fused;
  spec.rope_interleaved = family->interleaved;
  SLM_RETURN_IF_ERROR(ReadSizes(root, config, &spec));
  double epsilon = family->epsilon;
  if (!family->epsilon_key.empty()) {
    SLM_ASSIGN_OR_RETURN(epsilon,
                         PositiveOr(root, family->epsilon_key, epsilon));
  }
  spec.epsilon = static_cast<float>(epsilon);
  SLM_ASSIGN_OR_RETURN(spec.tied,
                       BoolField(root, "tie_word_embeddings", family->tied));
  SLM_RETURN_IF_ERROR(ReadActivation(root, *family, &spec));
  SLM_RETURN_IF_ERROR(ReadBiases(root, *family, &spec));
  SLM_RETURN_IF_ERROR(ReadScales(root, *family, &spec));
  SLM_RETURN_IF_ERROR(ReadWindows(root, *family, config, &spec));
  SLM_RETURN_IF_ERROR(ReadRopes(root, *family, &spec));
  if (family->no_rope_layers) {
    SLM_RETURN_IF_ERROR(ReadNoRopeLayers(root, config, &spec));
  }
  if (family->clip_qkv) {
    SLM_ASSIGN_OR_RETURN(spec.clip_qkv, NumberOr(root, "clip_qkv", 0));
    if (spec.clip_qkv < 0) return Invalid("clip_qkv below 0");
  }
  if (family->moe) SLM_RETURN_IF_ERROR(ReadExperts(root, *family, &spec));
  if (family->short_conv) {
    SLM_RETURN_IF_ERROR(ReadShortConv(root, config, &spec));
  }
  spec.window_attribute = family->windows == Windows::kNone || spec.has_windows;
  return spec;
}

}  // namespace slm::convert
