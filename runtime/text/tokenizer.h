// SPDX-License-Identifier: MIT
// Text to token ids and back. The way of a text: added tokens are cut out,
// the rest is normalised, cut into pieces (split.h), turned into ids by the
// model (bpe.h, unigram.h, wordpiece.h), and post-processed. Depends on core
// and utf8proc; loader/tokenizer_json.h makes one from a file.
#ifndef SLM_RUNTIME_TEXT_TOKENIZER_H_
#define SLM_RUNTIME_TEXT_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/text/added_tokens.h"
#include "runtime/text/bpe.h"
#include "runtime/text/decode.h"
#include "runtime/text/normalize.h"
#include "runtime/text/pattern.h"
#include "runtime/text/post_process.h"
#include "runtime/text/split.h"
#include "runtime/text/unigram.h"
#include "runtime/text/wordpiece.h"

namespace slm {

struct EncodeOptions {
  // Puts what the file's post-processor adds (BOS, ...) around the text.
  bool add_special_tokens = false;
  // false: the text of control tokens stays plain text.
  bool parse_special = true;
  // Stretches of the text that a user typed: in them, and across their ends,
  // control tokens are never recognised.
  std::span<const TextSpan> user_spans = {};
};

// A tokenizer.json as data.
struct TokenizerParts {
  std::vector<text::AddedToken> added_tokens;  // in the order of the file
  std::vector<text::NormalizerStep> normalizer;
  std::vector<text::PreTokenizerStep> pre_tokenizer;
  std::variant<text::BpeModel, text::UnigramModel, text::WordPieceModel,
               text::WordLevelModel>
      model;
  text::PostProcessing post;
  std::vector<text::DecoderStep> decoder;
};

// Immutable; may be used by several threads at once.
class Tokenizer {
 public:
  static Result<std::unique_ptr<Tokenizer>> Create(TokenizerParts parts);

  // Invalid UTF-8 in the text is read as U+FFFD.
  Result<std::vector<int32_t>> Encode(std::string_view text,
                                      const EncodeOptions& options) const;
  // Ids beyond the vocabulary are dropped.
  std::string Decode(std::span<const int32_t> ids,
                     bool skip_special_tokens) const;

  int32_t TokenId(std::string_view token) const;  // -1 if there is none
  std::string_view TokenText(int32_t id) const;   // "" if there is none
  bool HasToken(int32_t id) const;
  // A control token: an added token with "special": true.
  bool IsSpecial(int32_t id) const;
  // What a token adds to a text, control tokens, too: bytes that may be a part
  // of a character. CheckTokenBytes: kUsage if that depends on its neighbours.
  std::string TokenBytes(int32_t id) const;
  Status CheckTokenBytes() const;
  // TokenBytes of the whole vocabulary; nothing for control tokens, which are
  // no text.
  std::vector<std::string> VocabularyBytes() const;
  // One more than the greatest id.
  size_t vocab_size() const { return vocab_size_; }

 private:
  friend class TokenStream;
  struct Encoder;

  explicit Tokenizer(TokenizerParts parts) : parts_(std::move(parts)) {}
  Status Finish();
  Status AddTokens();
  const text::Vocabulary& vocabulary() const;

  TokenizerParts parts_;
  text::AddedTokens added_;
  std::vector<bool> is_special_;  // by id
  size_t vocab_size_ = 0;
  bool raw_bytes_ = false;  // words reach the model as plain bytes
};

// Turns ids into text one by one. A character comes out with the id that
// completes it; all that comes out is UTF-8. The tokenizer must outlive it.
class TokenStream {
 public:
  // `shown`: control tokens that are text all the same.
  TokenStream(const Tokenizer& tokenizer, bool skip_special_tokens,
              std::vector<int32_t> shown = {});

  std::string Push(int32_t id);
  // What is still held back; incomplete characters become U+FFFD.
  std::string Flush();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  std::vector<int32_t> shown_;
  text::DecodeChain chain_;
};

}  // namespace slm

#endif  // SLM_RUNTIME_TEXT_TOKENIZER_H_
