// SPDX-License-Identifier: MIT
// A decoder as plain data: what the graph is made from. Families differ in
// values here (families.cc), graph.cc knows none of them.
#ifndef SLM_TOOLS_CONVERT_DECODER_SPEC_H_
#define SLM_TOOLS_CONVERT_DECODER_SPEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tools/convert/rope.h"

namespace slm::convert {

enum class Activation { kSilu, kGelu, kGeluTanh };

enum class QkNorm {
  kNone,
  kHeads,  // each head by itself (Qwen3)
  kWhole,  // all heads at once (OLMo 2)
};

enum class Norms {
  kBefore,  // of attention and of the MLP (Llama)
  kAround,  // before and after (Gemma 2)
  kAfter,   // after alone (OLMo 2)
};

struct LayerSpec {
  int64_t window = 0;  // keys that a token sees, itself included; 0: all
  int rope = 0;        // index into DecoderSpec::ropes; -1: none
};

struct DecoderSpec {
  std::string hf_class;  // "Qwen3ForCausalLM"
  std::string type;      // genai_config.json's: "qwen3"

  int64_t hidden = 0, ffn = 0, vocab = 0, context = 0;
  int64_t heads = 0, kv_heads = 0, head_size = 0;
  float epsilon = 1e-6f;
  Activation activation = Activation::kSilu;
  Norms norms = Norms::kBefore;
  QkNorm qk_norm = QkNorm::kNone;
  bool norm_plus_one = false;  // weights are stored less 1 (Gemma)

  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool fused_qkv = false, fused_gate_up = false;  // in the source

  double attention_scale = 0;
  double attention_softcap = 0, final_softcap = 0;  // 0: none
  double embedding_scale = 1, residual_scale = 1, logits_scale = 1;

  // True: the head is the embedding's table, there is no lm_head.weight.
  bool tied = false;
  bool has_windows = false;
  // The builder leaves local_window_size out where the config has the key and
  // says null, and writes -1 where the family has no such key.
  bool window_attribute = true;
  bool rope_interleaved = false;  // pairs are neighbours, not halves
  std::vector<Rope> ropes;
  std::vector<std::string> rope_names;  // "", or "_global" and "_local"
  std::vector<LayerSpec> layers;
  std::vector<std::string> notes;

  int64_t q_size() const { return heads * head_size; }
  int64_t kv_size() const { return kv_heads * head_size; }
  bool AllLayersSlide() const {
    for (const LayerSpec& layer : layers) {
      if (layer.window == 0) return false;
    }
    return true;
  }
};

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_DECODER_SPEC_H_
