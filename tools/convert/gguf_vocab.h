// SPDX-License-Identifier: MIT
// tokenizer.ggml.*: the tokens of a GGUF file and what is derived from them.
#ifndef SLM_TOOLS_CONVERT_GGUF_VOCAB_H_
#define SLM_TOOLS_CONVERT_GGUF_VOCAB_H_

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "loader/gguf.h"
#include "runtime/core/result.h"

namespace slm::convert {

enum class GgufTokenType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct GgufVocab {
  std::vector<std::string_view> tokens;
  std::vector<GgufTokenType> types;
  std::vector<float> scores;  // of SentencePiece; empty: none
  std::unordered_map<std::string_view, int64_t> ids;

  GgufTokenType type(int64_t id) const {
    return types[static_cast<size_t>(id)];
  }
  // An added token of tokenizer.json: found in a text before it is cut.
  bool IsAdded(size_t id) const {
    return types[id] == GgufTokenType::kControl ||
           types[id] == GgufTokenType::kUserDefined ||
           types[id] == GgufTokenType::kUnknown;
  }
  // Tokens before this id belong into the model's vocabulary, those from it on
  // are added ones that take the next ids, as in files of Hugging Face.
  size_t ModelSize() const;
};

Result<GgufVocab> ReadGgufVocab(const Gguf& gguf);

using GgufMerges = std::vector<std::pair<std::string_view, std::string_view>>;

// "a b" of tokenizer.ggml.merges.
Result<GgufMerges> ReadGgufMerges(const Gguf& gguf);

// Pairs that make up a normal token, by falling score, as transformers'
// converter of SentencePiece models orders them.
Result<GgufMerges> MergesFromScores(const GgufVocab& vocab);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_GGUF_VOCAB_H_
