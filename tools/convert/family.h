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

struct Family {
  std::string_view hf_class;
  std::string_view type;
  bool tied = false;  // where the file does not say
  double epsilon = 1e-6;
  std::string_view activation = "silu";
  Norms norms = Norms::kBefore;
  QkNorm qk_norm = QkNorm::kNone;
  bool gemma = false;     // norm weights less 1, embeddings times sqrt(hidden)
  bool fused = false;     // qkv_proj and gate_up_proj
  bool qkv_bias = false;  // always, and none on o_proj; else attention_bias
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

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_FAMILY_H_
