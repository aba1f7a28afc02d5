// SPDX-License-Identifier: MIT
// What config.json says about layers that are not attention and an MLP: experts
// and short convolutions.
#include <algorithm>
#include <cmath>
#include <string>

#include "loader/json_fields.h"
#include "tools/convert/family.h"

namespace slm::convert {
namespace {

constexpr int64_t kMostExperts = 4096;
// Of all layers; each is a few names of tensors.
constexpr int64_t kMostExpertsInAll = 1 << 18;

// Qwen 3: layers without experts.
Status ReadDenseLayers(const JsonValue& root, DecoderSpec* spec) {
  SLM_ASSIGN_OR_RETURN(const double step,
                       PositiveOr(root, "decoder_sparse_step", 1));
  if (step != std::floor(step) || step > kMostExperts) {
    return Invalid("decoder_sparse_step = %g, expected a whole number", step);
  }
  for (size_t i = 0; i < spec->layers.size(); ++i) {
    spec->layers[i].experts = (i + 1) % static_cast<size_t>(step) == 0;
  }
  const JsonValue* dense = FindField(root, "mlp_only_layers");
  if (!dense) return OkStatus();
  if (!dense->IsArray()) return WrongField("mlp_only_layers", dense, "a list");
  for (const JsonValue& item : dense->Items()) {
    if (!item.IsInt()) return WrongField("mlp_only_layers", &item, "integers");
    // transformers ignores layers that are not there, too.
    if (item.Int() < 0 ||
        item.Int() >= static_cast<int64_t>(spec->layers.size())) {
      continue;
    }
    spec->layers[static_cast<size_t>(item.Int())].experts = false;
  }
  return OkStatus();
}

}  // namespace

Status ReadExperts(const JsonValue& root, const Family& family,
                   DecoderSpec* spec) {
  MoeSpec& moe = spec->moe;
  const bool qwen = family.experts == Experts::kQwen3;
  SLM_ASSIGN_OR_RETURN(
      moe.experts, CountField(root, qwen ? "num_experts" : "num_local_experts",
                              kMostExperts));
  SLM_ASSIGN_OR_RETURN(moe.chosen,
                       CountField(root, "num_experts_per_tok", kMostExperts));
  moe.ffn = spec->ffn;
  if (qwen) {
    SLM_ASSIGN_OR_RETURN(
        moe.ffn, CountField(root, "moe_intermediate_size", kMaxHidden * 16));
    SLM_ASSIGN_OR_RETURN(moe.normalized,
                         BoolField(root, "norm_topk_prob", false));
  }
  if (moe.chosen < 1 || moe.chosen > moe.experts || moe.ffn < 1) {
    return Invalid(
        "num_experts_per_tok = %lld of %lld experts of %lld rows: expected "
        "1 to all experts, and rows",
        static_cast<long long>(moe.chosen), static_cast<long long>(moe.experts),
        static_cast<long long>(moe.ffn));
  }
  if (moe.experts * static_cast<int64_t>(spec->layers.size()) >
      kMostExpertsInAll) {
    return Invalid("%lld experts in %zu layers, at most %lld in all",
                   static_cast<long long>(moe.experts), spec->layers.size(),
                   static_cast<long long>(kMostExpertsInAll));
  }
  for (LayerSpec& layer : spec->layers) layer.experts = true;
  switch (family.experts) {
    case Experts::kNone:
      break;
    case Experts::kGptOss:
      moe.gpt_oss = true;
      // The class's default is YaRN with numbers of its own; every file says.
      if (!FindField(root, "rope_scaling") &&
          !FindField(root, "rope_parameters")) {
        return Invalid("rope_scaling is missing");
      }
      break;
    case Experts::kMixtral:
      moe.block = "block_sparse_moe";
      moe.gate = "w1";
      moe.up = "w3";
      moe.down = "w2";
      break;
    case Experts::kQwen3:
      return ReadDenseLayers(root, spec);
  }
  return OkStatus();
}

Status ReadShortConv(const JsonValue& root, const ModelConfig& config,
                     DecoderSpec* spec) {
  const size_t layers = spec->layers.size();
  const std::vector<std::string>& types = config.decoder.layer_types;
  const JsonValue* full = FindField(root, "full_attn_idxs");
  if (!types.empty() && types.size() != layers) {
    return Invalid("layer_types has %zu entries, num_hidden_layers = %zu",
                   types.size(), layers);
  }
  if (types.empty() && full && !full->IsArray()) {
    return WrongField("full_attn_idxs", full, "a list");
  }
  for (size_t i = 0; i < layers; ++i) {
    if (types.empty()) {
      const auto is_i = [&](const JsonValue& item) {
        return item.IsInt() && item.Int() == static_cast<int64_t>(i);
      };
      spec->layers[i].convolution =
          full &&
          std::none_of(full->Items().begin(), full->Items().end(), is_i);
      continue;
    }
    spec->layers[i].convolution = types[i] == "conv";
    if (types[i] != "conv" && types[i] != "full_attention") {
      return Invalid("layer_types: \"%s\" is not supported",
                     Printable(types[i]).c_str());
    }
  }
  if (std::all_of(spec->layers.begin(), spec->layers.end(),
                  [](const LayerSpec& layer) { return layer.convolution; })) {
    return Invalid("no layer has full_attention: that is not supported");
  }
  SLM_ASSIGN_OR_RETURN(const double taps, PositiveOr(root, "conv_L_cache", 3));
  if (taps < 2 || taps > 1024 || taps != std::floor(taps)) {
    return Invalid("conv_L_cache = %g, supported: 2 to 1024", taps);
  }
  spec->conv_taps = static_cast<int64_t>(taps);
  SLM_ASSIGN_OR_RETURN(spec->conv_bias, BoolField(root, "conv_bias", false));
  // The files' own keys for what transformers calls otherwise.
  SLM_ASSIGN_OR_RETURN(spec->tied,
                       BoolField(root, "tie_embedding", spec->tied));
  SLM_ASSIGN_OR_RETURN(double ffn, PositiveOr(root, "block_ff_dim",
                                              static_cast<double>(spec->ffn)));
  SLM_ASSIGN_OR_RETURN(const bool adjust,
                       BoolField(root, "block_auto_adjust_ff_dim", true));
  if (adjust) {
    SLM_ASSIGN_OR_RETURN(const double factor,
                         PositiveOr(root, "block_ffn_dim_multiplier", 1));
    SLM_ASSIGN_OR_RETURN(const double multiple,
                         PositiveOr(root, "block_multiple_of", 256));
    ffn = std::trunc(factor * std::trunc(2 * ffn / 3));
    ffn = multiple * std::ceil(ffn / multiple);
  }
  if (ffn != std::floor(ffn) || ffn > static_cast<double>(kMaxHidden * 16)) {
    return Invalid("block_ff_dim makes an MLP of %g rows", ffn);
  }
  spec->ffn = static_cast<int64_t>(ffn);
  return OkStatus();
}

}  // namespace slm::convert
