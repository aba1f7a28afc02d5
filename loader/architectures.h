// SPDX-License-Identifier: MIT
// The only place of the loader and runtime that names model families. The graph
// is the architecture: a type that is not in the table runs if it is a text
// decoder. A row is needed only to refuse what cannot run, and for the few
// habits that the packaged runtime ties to a type.
#ifndef SLM_LOADER_ARCHITECTURES_H_
#define SLM_LOADER_ARCHITECTURES_H_

#include <cstdint>
#include <span>
#include <string_view>

namespace slm {

enum class ModelKind {
  kTextDecoder,
  kTextEncoder,
  kEncoderDecoder,
  kVision,
  kAudio,
  kMultimodal,
  kPipeline,
};

// "a vision-language model": for messages.
const char* ModelKindText(ModelKind kind);

// How many layers carry a cache or another state.
enum class StateLayers {
  kAll,
  kSome,  // some share another layer's cache, or have none
};

struct TagIds {
  int64_t begin = -1, end = -1;  // -1: none
};

struct Architecture {
  // genai_config.json's model.type or config.json's model_type.
  std::string_view type;
  ModelKind kind = ModelKind::kTextDecoder;
  // The packaged runtime computes the whole context again when its length
  // reaches this: its graphs switch rotary factors one token before. 0: never.
  int64_t reprefill_length = 0;
  TagIds tool_call = {};  // used where the config has no bot/eot_token_id
  TagIds reasoning = {};  // likewise bor/eor_token_id
  StateLayers state_layers = StateLayers::kAll;
  // False: state cannot go back to an earlier token (convolutions).
  bool can_rewind = true;
};

std::span<const Architecture> Architectures();

// The row of that type, or nullptr.
const Architecture* FindArchitecture(std::string_view type);

}  // namespace slm

#endif  // SLM_LOADER_ARCHITECTURES_H_
