// SPDX-License-Identifier: MIT
// WordPiece (the longest token from the left, again and again) and WordLevel
// (a word is a token or unknown).
#ifndef SLM_RUNTIME_TEXT_WORDPIECE_H_
#define SLM_RUNTIME_TEXT_WORDPIECE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/text/vocabulary.h"

namespace slm::text {

struct WordPieceModel {
  Vocabulary vocabulary;
  std::string unk_token, continuing_prefix;
  size_t max_chars = 100;        // longer words are unknown
  std::vector<bool> is_control;  // by id

  // no_control: control tokens in the vocabulary do not match.
  Status Encode(std::string_view word, bool no_control,
                std::vector<int32_t>* ids) const;
};

struct WordLevelModel {
  Vocabulary vocabulary;
  std::string unk_token;
  std::vector<bool> is_control;  // by id

  Status Encode(std::string_view word, bool no_control,
                std::vector<int32_t>* ids) const;
};

}  // namespace slm::text

#endif  // SLM_RUNTIME_TEXT_WORDPIECE_H_
