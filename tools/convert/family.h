// SPDX-License-Identifier: MIT
// A row of families.cc and what both its files read with. Private to
// families*.cc.
#ifndef SLM_TOOLS_CONVERT_FAMILY_H_
#define SLM_TOOLS_CONVERT_FAMILY_H_

#include <cstdint>
#include <string_view>

#include "loader/config.h"
#include "loader/json.h"
#include "runtime/core/result.h"
#include "tools/convert/decoder_spec.h"

namespace slm::convert {

// Which layers see a window of sliding_window tokens.
enum class Windows {
  kNone,
  kAll,      // where sliding_window is not null
  kByTypes,  // layer_types, or the row's rule where the file has none
};

// Whose keys and tensors the mixture of experts has.
enum class Experts { kNone, kGptOss, kQwen3, kMixtral };

struct Family {
  std::string_view hf_class;
  std::string_view type;
  bool tied = false;  // where the file does not say
  double epsilon = 1e-6;
  std::string_view epsilon_key = "rms_norm_eps";
  std::string_view activation = "silu";
  Norms norms = Norms::kBefore;
  NormOp norm_op = NormOp::kRms;
  bool norm_plus_one = false;  // weights are stored less 1
  QkNorm qk_norm = QkNorm::kNone;
  TensorNames names = {};
  bool gemma = false;     // embeddings times sqrt(hidden)
  bool fused = false;     // qkv_proj and gate_up_proj
  bool qkv_bias = false;  // always, and none on o_proj; else attention_bias
  bool attention_bias = false;  // always, on o_proj, too
  bool mlp_and_head_bias = false;
  bool gated = true;
  Windows windows = Windows::kNone;
  // Every n-th layer is full where the file has no layer_types; 0: by
  // use_sliding_window and max_window_layers.
  int64_t full_every = 0;
  double sliding_window = 0;  // where the file does not say; 0: null
  double theta = 10000;
  bool softcaps = false;
  bool query_scalar = false;  // scale = query_pre_attn_scalar^-0.5
  bool interleaved = false;   // rope of neighbours; use_bias for all biases
  bool local_rope = false;    // windows have a rope of their own
  bool no_rope_layers = false;
  bool multipliers = false;
  // Of a head, the rotated part where the file does not say; 0: all of it.
  double partial = 0;
  bool clip_qkv = false;
  bool sinks = false;
  bool moe = false;
  Experts experts = Experts::kNone;
  bool short_conv = false;
};

// A finite number, or the fallback where the key is absent or null.
Result<double> NumberOr(const JsonValue& root, std::string_view name,
                        double fallback);
// Above 0: it divides, or is a scale that makes no sense otherwise.
Result<double> PositiveOr(const JsonValue& root, std::string_view name,
                          double fallback);

// Windows and ropes of the layers.
Status ReadWindows(const JsonValue& root, const Family& family,
                   const ModelConfig& config, DecoderSpec* spec);
Status ReadRopes(const JsonValue& root, const Family& family,
                 DecoderSpec* spec);
Status ReadNoRopeLayers(const JsonValue& root, const ModelConfig& config,
                        DecoderSpec* spec);

// Which layers have experts, and how many (families_moe.cc).
Status ReadExperts(const JsonValue& root, const Family& family,
                   DecoderSpec* spec);
// LFM2: which layers are convolutions; the MLP's size.
Status ReadShortConv(const JsonValue& root, const ModelConfig& config,
                     DecoderSpec* spec);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_FAMILY_H_
