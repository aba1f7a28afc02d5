// SPDX-License-Identifier: MIT
// A GGUF file's metadata as the config.json that a Hugging Face folder of the
// same model would have, so that families.cc stays the only list of families,
// and the file's tensor names as transformers'.
#ifndef SLM_TOOLS_CONVERT_GGUF_CONFIG_H_
#define SLM_TOOLS_CONVERT_GGUF_CONFIG_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loader/gguf.h"
#include "runtime/core/result.h"

namespace slm::convert {

// How a file of this general.architecture differs from transformers' tensors.
struct GgufFamily {
  std::string_view name;      // general.architecture
  std::string_view hf_class;  // of families.cc
  std::string_view model_type;
  bool permuted = false;    // rows of q and k: pairs of the rope are neighbours
  bool plus_one = false;    // norms hold what transformers adds 1 to
  bool fused = false;       // attn_qkv, and ffn_up holds gate and up
  bool four_norms = false;  // ffn_norm stands before the MLP, others after
  // Keys that only some families have.
  bool windows = false, softcaps = false, multipliers = false;
};

// Of general.architecture, refused by name where it is not known.
Result<const GgufFamily*> FindGgufFamily(const Gguf& gguf);

// Ids that the tokenizer's keys name; -1: none.
struct GgufTokenIds {
  int64_t bos = -1, pad = -1;
  std::vector<int64_t> eos;  // the first is the key's
};

// Every key of the architecture is read or refused.
Result<std::string> GgufConfigText(const Gguf& gguf, const GgufFamily& family,
                                   const GgufTokenIds& ids,
                                   std::vector<std::string>* notes);

// generation_config.json of the keys general.sampling.*; empty if there is
// none.
Result<std::string> GgufGenerationText(const Gguf& gguf);

// "blk.3.attn_q.weight": "model.layers.3.self_attn.q_proj.weight". Empty for
// tables of angles, which GgufConfigText reads; `name` where there is none.
std::string GgufTensorName(const GgufFamily& family, std::string_view name);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_GGUF_CONFIG_H_
