// SPDX-License-Identifier: MIT
// Normalizers of tokenizer.json, a list of steps run in order.
#ifndef SLM_RUNTIME_TEXT_NORMALIZE_H_
#define SLM_RUNTIME_TEXT_NORMALIZE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/text/pattern.h"
#include "runtime/text/unicode.h"

namespace slm::text {

// SentencePiece's compiled map of characters: a double-array trie from UTF-8
// to offsets of zero-terminated texts.
struct Charsmap {
  std::vector<uint32_t> trie;
  std::string texts;

  // The text for the shortest prefix of `chunk` that has one.
  bool Lookup(std::string_view chunk, std::string_view* text) const;
};

struct NormalizerStep {
  enum class Kind : uint8_t {
    kNormalForm,
    kLowercase,
    kStrip,
    kStripAccents,
    kBert,
    kReplace,
    kPrepend,
    kByteLevel,
    kNmt,
    kPrecompiled
  };
  Kind kind;
  NormalForm form = NormalForm::kNfc;
  bool strip_left = false, strip_right = false;
  bool clean_text = false, chinese_chars = false, strip_accents = false,
       lowercase = false;  // Bert
  Pattern pattern;         // Replace
  std::string content;     // Replace, Prepend
  Charsmap charsmap;       // Precompiled
};

// Normalises valid UTF-8. `*keeps_start` becomes false if characters at the
// front were removed, so that the text no longer begins where the original
// does (Metaspace's scheme "first" asks).
Status Normalize(const std::vector<NormalizerStep>& steps, std::string* text,
                 bool* keeps_start);

// True if the steps surely leave this text alone: saves the copy.
bool LeavesAlone(const std::vector<NormalizerStep>& steps,
                 std::string_view text);

// The 256 characters that stand for bytes in byte-level vocabularies, as GPT-2
// chose them: printable Latin-1 for themselves, U+0100... for the rest.
uint32_t CharOfByte(uint8_t byte);
int ByteOfChar(uint32_t code);  // -1 if it stands for none
void AppendByteLevel(std::string_view bytes, std::string* out);

}  // namespace slm::text

#endif  // SLM_RUNTIME_TEXT_NORMALIZE_H_
