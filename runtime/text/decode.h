// SPDX-License-Identifier: MIT
// Decoders of tokenizer.json as a chain of stages, through which the texts of
// tokens are pushed one by one.
#ifndef SLM_RUNTIME_TEXT_DECODE_H_
#define SLM_RUNTIME_TEXT_DECODE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/pattern.h"

namespace slm::text {

struct DecoderStep {
  enum class Kind : uint8_t {
    kJoin,  // none in the file: tokens with a space between them
    kByteLevel,
    kWordPiece,
    kMetaspace,
    kBpe,
    kCtc,
    kReplace,
    kByteFallback,
    kFuse,
    kStrip
  };
  Kind kind;
  std::string text;         // WordPiece prefix, BPE suffix, CTC pad_token,
                            // Metaspace replacement, Strip and Replace content
  std::string delimiter;    // CTC word_delimiter_token
  bool cleanup = false;     // WordPiece, CTC
  bool drops_first = true;  // Metaspace: the first token's spaces go
  size_t start = 0, stop = 0;  // Strip, in characters
  Pattern pattern;             // Replace
};

// The byte of "<0x41>", -1 if it is another text.
int ByteOfToken(std::string_view token);

// Every `from` replaced, from the left; an empty one stands between all
// characters.
std::string ReplaceAll(std::string_view text, std::string_view from,
                       std::string_view to);

// State of a chain. What one stage emits goes on to the next; the last stage's
// output is the text. A stage behind ByteLevel or Fuse sees one token that
// grows, the others see tokens.
class DecodeChain {
 public:
  // `eager`: bytes of ByteFallback become a character as soon as they are one.
  // The reference decides for a whole run of bytes: one wrong byte makes all
  // of the run U+FFFD. Not eager does as the reference.
  DecodeChain(const std::vector<DecoderStep>* steps, bool eager);

  void Push(std::string_view token, std::string* out);
  void Flush(std::string* out);

 private:
  struct Stage {
    std::string held;       // not yet decided
    std::string previous;   // CTC: the token before
    bool started = false;   // a token has come
    bool has_held = false;  // BPE: `held` is a token
    bool joined = false;    // the input is one token that grows
    bool ends = false;      // everything is held until the end
    size_t stripped = 0;    // Strip: characters cut at the start
    bool strip_done = false;
  };

  void Run(size_t stage, std::string_view token, std::string* out);
  void Finish(size_t stage, std::string* out);
  void Whole(size_t stage, std::string_view token, std::string* out);
  void ByteLevel(size_t stage, std::string_view token, std::string* out);
  void ByteFallback(size_t stage, std::string_view token, std::string* out);
  void EmitBytes(size_t stage, bool end, std::string* out);
  void JoinedReplace(size_t stage, std::string_view text, std::string* out);
  void JoinedStrip(size_t stage, std::string_view text, std::string* out);
  std::string Replaced(const DecoderStep& step, std::string_view text) const;

  const std::vector<DecoderStep>* steps_;
  std::vector<Stage> stages_;
  bool eager_;
};

}  // namespace slm::text

#endif  // SLM_RUNTIME_TEXT_DECODE_H_
