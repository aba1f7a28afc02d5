// SPDX-License-Identifier: MIT
// Added tokens: texts that are found whole, before the model sees the rest.
#ifndef SLM_RUNTIME_TEXT_ADDED_TOKENS_H_
#define SLM_RUNTIME_TEXT_ADDED_TOKENS_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/text/pattern.h"

namespace slm::text {

struct AddedToken {
  std::string content;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space on its left
  bool rstrip = false;       // and on its right
  bool normalized = true;    // found in the normalised text
  bool special = false;      // a control token
};

// A set of texts, of which the longest that begins at a place is found.
class TokenMatcher {
 public:
  void Add(std::string text, int32_t id);
  void Finish();  // call after the last Add
  bool empty() const { return texts_.empty(); }
  // Id of the longest text at text[at], -1 if none; the earliest added of
  // equal texts.
  int32_t LongestAt(std::string_view text, size_t at, size_t* size) const;
  bool MayBegin(char byte) const {
    return first_[static_cast<uint8_t>(byte)].begin !=
           first_[static_cast<uint8_t>(byte)].end;
  }

 private:
  struct Row {
    std::string text;
    int32_t id;
  };
  struct Range {
    uint32_t begin = 0, end = 0;
  };
  std::vector<Row> texts_;          // sorted
  std::array<Range, 256> first_{};  // rows by their first byte
};

// What Split may recognise.
struct MatchLimits {
  bool no_special = false;  // no control tokens at all
  const std::vector<TextSpan>* no_special_in = nullptr;  // none that touch
};

// A stretch of text, an added token if id >= 0. They cover the text.
struct AddedMatch {
  TextSpan span;
  int32_t id;
};

class AddedTokens {
 public:
  struct Token {
    AddedToken token;
    int32_t id;
  };
  std::vector<Token> tokens;     // by id, the last of each
  TokenMatcher raw, normalized;  // by AddedToken::normalized
  bool has_special_normalized = false;

  const AddedToken* Find(int32_t id) const;
  int32_t FindText(std::string_view text) const;
  void Split(const TokenMatcher& matcher, std::string_view text,
             const MatchLimits& limits, std::vector<AddedMatch>* out) const;
};

}  // namespace slm::text

#endif  // SLM_RUNTIME_TEXT_ADDED_TOKENS_H_
