// SPDX-License-Identifier: MIT
#include "loader/architectures.h"

#include <algorithm>
#include <iterator>

namespace slm {
namespace {

constexpr ModelKind kText = ModelKind::kTextDecoder;
constexpr TagIds kNone = {};
constexpr TagIds kQwenTool = {151657, 151658};
constexpr TagIds kQwenThink = {151667, 151668};
constexpr TagIds kPhiTool = {200025, 200026};
constexpr StateLayers kAll = StateLayers::kAll;
constexpr StateLayers kSome = StateLayers::kSome;

// Sorted by type. Text decoders without a peculiarity are listed because for
// them num_hidden_layers must be the graph's number of layers.
constexpr Architecture kTable[] = {
    {"albert", ModelKind::kTextEncoder},
    {"bart", ModelKind::kEncoderDecoder},
    {"bert", ModelKind::kTextEncoder},
    {"bloom"},
    {"chatglm"},
    {"clip", ModelKind::kVision},
    {"cohere"},
    {"cohere2"},
    {"deberta-v2", ModelKind::kTextEncoder},
    {"decoder-pipeline", ModelKind::kPipeline},
    {"distilbert", ModelKind::kTextEncoder},
    {"electra", ModelKind::kTextEncoder},
    {"ernie4_5"},
    {"falcon"},
    {"fara", ModelKind::kVision},
    {"florence2", ModelKind::kVision},
    {"gemma"},
    {"gemma2"},
    {"gemma3", ModelKind::kVision},
    {"gemma3_text"},
    {"gemma3_vl_text"},
    {"gemma3n", ModelKind::kMultimodal},
    // The last layers read the cache of an earlier one.
    {"gemma3n_text", kText, 0, kNone, kNone, kSome},
    {"gemma4", ModelKind::kMultimodal},
    {"gemma4_text", kText, 0, kNone, kNone, kSome},
    {"gemma4_unified", ModelKind::kMultimodal},
    {"gpt2"},
    {"gpt_neo"},
    {"gpt_neox"},
    {"gpt_oss"},
    {"gptj"},
    {"gptoss"},
    {"granite"},
    // Mamba layers have states of other names.
    {"granitemoehybrid", kText, 0, kNone, kNone, kSome},
    {"hunyuan_v1_dense"},
    {"hunyuandensev1"},
    {"internlm2"},
    {"lfm2", kText, 0, kNone, kNone, kAll, false},
    {"lfm2_audio", ModelKind::kAudio},
    {"lfm2_audio_text", kText, 0, kNone, kNone, kAll, false},
    {"lfm2_moe", kText, 0, kNone, kNone, kAll, false},
    {"lfm2_vl", ModelKind::kVision},
    {"lfm2_vl_text", kText, 0, kNone, kNone, kAll, false},
    {"llama"},
    {"llava", ModelKind::kVision},
    {"marian", ModelKind::kEncoderDecoder},
    {"marian-ssru", ModelKind::kEncoderDecoder},
    {"mistral"},
    {"mistral3", ModelKind::kVision},
    {"mllama", ModelKind::kVision},
    {"modernbert", ModelKind::kTextEncoder},
    {"mpnet", ModelKind::kTextEncoder},
    {"mt5", ModelKind::kEncoderDecoder},
    {"nemotron"},
    // Layers that are an MLP alone have no state.
    {"nemotron_h", kText, 0, kNone, kNone, kSome},
    {"nemotron_speech", ModelKind::kAudio},
    {"olmo"},
    {"olmo2"},
    {"olmo3"},
    {"opt"},
    {"paligemma", ModelKind::kVision},
    {"parakeet_tdt", ModelKind::kAudio},
    {"phi"},
    // The switch of long rotary factors is after 4096 tokens.
    {"phi3", kText, 4097, kPhiTool},
    {"phi3_v", ModelKind::kVision},
    {"phi3small", kText, 8193},
    {"phi3v", ModelKind::kVision},
    {"phi4_multimodal", ModelKind::kMultimodal},
    {"phi4mm", ModelKind::kMultimodal},
    {"phimoe", kText, 4097},
    {"qwen2", kText, 0, kQwenTool},
    {"qwen2_5_vl", ModelKind::kVision},
    {"qwen2_5_vl_text"},
    {"qwen2_vl", ModelKind::kVision},
    {"qwen3", kText, 0, kQwenTool, kQwenThink},
    {"qwen3_5", ModelKind::kVision},
    {"qwen3_5_moe", ModelKind::kVision},
    {"qwen3_5_moe_text"},
    {"qwen3_5_text"},
    {"qwen3_vl", ModelKind::kVision},
    {"qwen3_vl_text"},
    {"roberta", ModelKind::kTextEncoder},
    {"smollm3"},
    {"smolvlm", ModelKind::kVision},
    {"speecht5", ModelKind::kAudio},
    {"stablelm"},
    {"starcoder2"},
    {"t5", ModelKind::kEncoderDecoder},
    {"videochat_flash_qwen", ModelKind::kVision},
    {"vit", ModelKind::kVision},
    {"wav2vec2", ModelKind::kAudio},
    {"whisper", ModelKind::kAudio},
    {"xlm-roberta", ModelKind::kTextEncoder},
};

constexpr bool Less(const Architecture& a, const Architecture& b) {
  return a.type < b.type;
}
static_assert(std::is_sorted(std::begin(kTable), std::end(kTable), Less));

}  // namespace

const char* ModelKindText(ModelKind kind) {
  switch (kind) {
    case ModelKind::kTextDecoder:
      return "a text decoder";
    case ModelKind::kTextEncoder:
      return "a text encoder (embeddings or classification)";
    case ModelKind::kEncoderDecoder:
      return "an encoder-decoder model";
    case ModelKind::kVision:
      return "a vision-language model";
    case ModelKind::kAudio:
      return "an audio model";
    case ModelKind::kMultimodal:
      return "a multimodal model";
    case ModelKind::kPipeline:
      return "a pipeline of several graphs (NPU)";
  }
  return "";
}

std::span<const Architecture> Architectures() { return kTable; }

const Architecture* FindArchitecture(std::string_view type) {
  const auto* found = std::lower_bound(
      std::begin(kTable), std::end(kTable), type,
      [](const Architecture& row, std::string_view t) { return row.type < t; });
  return found != std::end(kTable) && found->type == type ? found : nullptr;
}

}  // namespace slm
