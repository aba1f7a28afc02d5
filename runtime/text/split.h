// SPDX-License-Identifier: MIT
// Pre-tokenizers of tokenizer.json: they cut a text into the pieces that the
// model sees one by one, and may rewrite it on the way.
#ifndef SLM_RUNTIME_TEXT_SPLIT_H_
#define SLM_RUNTIME_TEXT_SPLIT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/text/pattern.h"

namespace slm::text {

struct PreTokenizerStep {
  enum class Kind : uint8_t {
    kByteLevel,
    kBert,
    kWhitespace,
    kWhitespaceSplit,
    kMetaspace,
    kCharDelimiter,
    kSplit,
    kPunctuation,
    kDigits,
    kUnicodeScripts,
    kFixedLength
  };
  enum class Prepend : uint8_t { kAlways, kFirst, kNever };
  Kind kind;
  SplitBehavior behavior = SplitBehavior::kIsolated;  // Split, Punctuation
  bool invert = false;                                // Split
  Pattern pattern;                     // Split; ByteLevel's own expression
  bool use_pattern = true;             // ByteLevel
  bool add_prefix_space = false;       // ByteLevel
  Prepend prepend = Prepend::kAlways;  // Metaspace
  bool split = true;                   // Metaspace
  std::string replacement;             // Metaspace, CharDelimiter: a character
  bool individual_digits = false;      // Digits
  size_t length = 5;                   // FixedLength, in characters
};

// A stretch of Pieces::text: an added token found in it, or text for the model.
struct Piece {
  TextSpan span;
  int32_t added_id = -1;
  bool at_start = false;  // it begins where the original text does
};

struct Pieces {
  std::string_view text;  // the caller's, or `owned`
  std::string owned;
  std::vector<Piece> pieces;
};

// Runs the steps over the pieces that are no added tokens. With `raw_bytes`, a
// ByteLevel step leaves the text in bytes for a model that knows them so.
Status PreTokenize(const std::vector<PreTokenizerStep>& steps, bool raw_bytes,
                   Pieces* pieces);

}  // namespace slm::text

#endif  // SLM_RUNTIME_TEXT_SPLIT_H_
