// SPDX-License-Identifier: MIT
// A decoder as plain data: what the graph is made from. Families differ in
// values here (families.cc), graph.cc knows none of them.
#ifndef SLM_TOOLS_CONVERT_DECODER_SPEC_H_
#define SLM_TOOLS_CONVERT_DECODER_SPEC_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/convert/rope.h"

namespace slm::convert {

enum class Activation { kSilu, kGelu, kGeluTanh, kRelu, kRelu2 };

enum class QkNorm {
  kNone,
  kHeads,  // each head by itself (Qwen3)
  kWhole,  // all heads at once (OLMo 2)
};

enum class Norms {
  kBefore,  // of attention and of the MLP (Llama)
  kAround,  // before and after (Gemma 2)
  kAfter,   // after alone (OLMo 2)
  kShared,  // one norm for both, which stand side by side (Phi)
};

enum class NormOp {
  kRms,    // x / rms(x) * weight
  kLayer,  // (x - mean) / deviation * weight + bias
  kPlain,  // the same without weight and bias (OLMo)
};

// What a family calls its tensors, where it is not Llama's name.
struct TensorNames {
  std::string_view before_attention = "input_layernorm";
  std::string_view before_mlp = "post_attention_layernorm";
  std::string_view last_norm = "model.norm";
  std::string_view o = "o_proj", q_norm = "q_norm", k_norm = "k_norm";
  std::string_view mlp = "mlp";
  std::string_view gate = "gate_proj", up = "up_proj", down = "down_proj";
};

// A layer of experts instead of an MLP (graph_moe.cc).
struct MoeSpec {
  int64_t experts = 0;  // 0: no layer has any
  int64_t chosen = 0;   // experts of a token
  int64_t ffn = 0;      // rows of an expert's gate
  // True: weights of the chosen sum up to 1; else they are the softmax of all.
  bool normalized = true;
  bool gpt_oss = false;  // its tensors, its activation, its biases
  // What the router and an expert's parts are called; "" as in TensorNames.
  std::string_view block = "mlp";
  std::string_view gate = "gate_proj", up = "up_proj", down = "down_proj";
};

struct LayerSpec {
  int64_t window = 0;        // keys that a token sees, itself included; 0: all
  int rope = 0;              // index into DecoderSpec::ropes; -1: none
  bool experts = false;      // DecoderSpec::moe instead of the MLP
  bool convolution = false;  // a short convolution instead of attention
};

struct DecoderSpec {
  std::string hf_class;  // "Qwen3ForCausalLM"
  std::string type;      // genai_config.json's: "qwen3"

  int64_t hidden = 0, ffn = 0, vocab = 0, context = 0;
  int64_t heads = 0, kv_heads = 0, head_size = 0;
  float epsilon = 1e-6f;
  Activation activation = Activation::kSilu;
  Norms norms = Norms::kBefore;
  NormOp norm_op = NormOp::kRms;
  QkNorm qk_norm = QkNorm::kNone;
  TensorNames names;
  MoeSpec moe;
  bool norm_plus_one = false;  // weights are stored less 1 (Gemma)

  bool qkv_bias = false, o_bias = false, mlp_bias = false, head_bias = false;
  bool gated = true;    // false: down(act(up(x)))
  bool sinks = false;   // a logit of each head that no key has (gpt-oss)
  double clip_qkv = 0;  // q, k and v are at most that; 0: any
  // Short convolutions (LFM2): inputs that an output sees, itself included.
  int64_t conv_taps = 0;
  bool conv_bias = false;
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
