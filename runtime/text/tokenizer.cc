// SPDX-License-Identifier: MIT
#include "runtime/text/tokenizer.h"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "runtime/core/utf8.h"
#include "runtime/text/token_bytes.h"
#include "runtime/text/unicode.h"

namespace slm {

using text::AddedMatch;
using text::AddedToken;
using text::Piece;
using text::Pieces;

namespace {

// Sorted spans, those that touch made one.
std::vector<TextSpan> SortedSpans(std::span<const TextSpan> spans,
                                  size_t size) {
  std::vector<TextSpan> sorted;
  for (TextSpan s : spans) {
    s.end = std::min(s.end, size);
    if (s.begin < s.end) sorted.push_back(s);
  }
  std::sort(
      sorted.begin(), sorted.end(),
      [](const TextSpan& a, const TextSpan& b) { return a.begin < b.begin; });
  std::vector<TextSpan> merged;
  for (const TextSpan& s : sorted) {
    if (!merged.empty() && s.begin <= merged.back().end) {
      merged.back().end = std::max(merged.back().end, s.end);
    } else {
      merged.push_back(s);
    }
  }
  return merged;
}

}  // namespace

// --- creation

const text::Vocabulary& Tokenizer::vocabulary() const {
  return std::visit(
      [](const auto& model) -> const text::Vocabulary& {
        return model.vocabulary;
      },
      parts_.model);
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::Create(TokenizerParts parts) {
  std::unique_ptr<Tokenizer> tokenizer(new Tokenizer(std::move(parts)));
  SLM_RETURN_IF_ERROR(tokenizer->Finish());
  return tokenizer;
}

// Ids are given as the reference gives them: the vocabulary's, else the next
// one behind the vocabulary and the added tokens so far. The file's own "id"
// plays no part.
Status Tokenizer::AddTokens() {
  std::map<int32_t, AddedToken> by_id;
  std::map<std::string, int32_t, std::less<>> ids;
  std::vector<std::pair<AddedToken, bool>> patterns;  // bool: special
  std::map<std::string, bool, std::less<>> special;
  for (const AddedToken& token : parts_.added_tokens) {
    if (token.special && !token.content.empty() &&
        special.emplace(token.content, true).second) {
      patterns.emplace_back(token, true);
    }
  }
  const auto* unigram = std::get_if<text::UnigramModel>(&parts_.model);
  auto next_id = static_cast<int32_t>(
      unigram != nullptr ? unigram->scores.size() : vocabulary().size());
  for (const AddedToken& token : parts_.added_tokens) {
    if (token.content.empty()) continue;
    const auto known = ids.find(token.content);
    int32_t id =
        known != ids.end() ? known->second : vocabulary().Find(token.content);
    if (id < 0) id = next_id++;
    ids[token.content] = id;
    const bool is_special = special.find(token.content) != special.end();
    by_id[id] = token;
    by_id[id].special = is_special;  // once special, always
    if (!is_special) patterns.emplace_back(token, false);
  }
  for (const auto& [id, token] : by_id) added_.tokens.push_back({token, id});
  for (const auto& [token, is_special] : patterns) {
    std::string content = token.content;
    bool keeps_start = true;
    if (token.normalized) {
      SLM_RETURN_IF_ERROR(Normalize(parts_.normalizer, &content, &keeps_start));
      if (content.empty()) {
        return Invalid("added token \"%s\" is empty when normalised",
                       Printable(token.content).c_str());
      }
    }
    const int32_t id = ids[token.content];
    added_.has_special_normalized |= token.normalized && is_special;
    (token.normalized ? added_.normalized : added_.raw)
        .Add(std::move(content), id);
  }
  added_.raw.Finish();
  added_.normalized.Finish();
  return OkStatus();
}

Status Tokenizer::Finish() {
  SLM_RETURN_IF_ERROR(AddTokens());
  vocab_size_ = vocabulary().id_bound();
  if (!added_.tokens.empty()) {
    vocab_size_ =
        std::max(vocab_size_, static_cast<size_t>(added_.tokens.back().id) + 1);
  }
  is_special_.assign(vocab_size_, false);
  for (const auto& [token, id] : added_.tokens) {
    is_special_[static_cast<size_t>(id)] = token.special;
  }
  std::visit([this](auto& model) { model.is_control = is_special_; },
             parts_.model);
  if (auto* unigram = std::get_if<text::UnigramModel>(&parts_.model)) {
    SLM_RETURN_IF_ERROR(unigram->Finish());
  }
  if (auto* bpe = std::get_if<text::BpeModel>(&parts_.model)) {
    bpe->Finish();
    size_t byte_levels = 0;
    for (const text::PreTokenizerStep& step : parts_.pre_tokenizer) {
      byte_levels += step.kind == text::PreTokenizerStep::Kind::kByteLevel;
    }
    raw_bytes_ = bpe->TakesRawBytes() && byte_levels == 1 &&
                 parts_.pre_tokenizer.back().kind ==
                     text::PreTokenizerStep::Kind::kByteLevel;
  }
  return OkStatus();
}

// --- tokens

int32_t Tokenizer::TokenId(std::string_view token) const {
  const int32_t id = added_.FindText(token);
  return id >= 0 ? id : vocabulary().Find(token);
}

std::string_view Tokenizer::TokenText(int32_t id) const {
  const AddedToken* token = added_.Find(id);
  return token != nullptr ? std::string_view(token->content)
                          : vocabulary().Text(id);
}

bool Tokenizer::HasToken(int32_t id) const {
  return added_.Find(id) != nullptr || vocabulary().Contains(id);
}

bool Tokenizer::IsSpecial(int32_t id) const {
  return id >= 0 && static_cast<size_t>(id) < is_special_.size() &&
         is_special_[static_cast<size_t>(id)];
}

// --- encoding

// One Encode call.
struct Tokenizer::Encoder {
  const Tokenizer& t;
  const EncodeOptions& options;
  std::vector<TextSpan> user_spans;
  text::BpeScratch bpe = {};
  text::UnigramScratch unigram = {};
  std::vector<int32_t> ids = {};

  Status Run(std::string_view text);
  Status NormalizeInto(std::string_view piece, size_t begin, Pieces* pieces);
  std::vector<TextSpan> NormalizedSpans(std::string_view piece, size_t begin);
  Status EncodeWord(std::string_view word);
};

// User spans inside of a piece, in the places that normalising moves them to:
// behind what the text before them becomes.
std::vector<TextSpan> Tokenizer::Encoder::NormalizedSpans(
    std::string_view piece, size_t begin) {
  const auto moved = [&](size_t at) {
    std::string prefix(piece.substr(0, at));
    bool keeps_start = true;
    const Status status = Normalize(t.parts_.normalizer, &prefix, &keeps_start);
    return status.ok() ? prefix.size() : size_t{0};
  };
  std::vector<TextSpan> spans;
  for (const TextSpan& s : user_spans) {
    const size_t from = std::max(s.begin, begin);
    const size_t to = std::min(s.end, begin + piece.size());
    if (from >= to) continue;
    spans.push_back(
        {moved(from - begin), to == begin + piece.size()
                                  ? std::numeric_limits<size_t>::max()
                                  : moved(to - begin)});
  }
  return spans;
}

// Normalises a piece of text between added tokens, finds the added tokens that
// are looked for in normalised text, and appends all to pieces->owned.
Status Tokenizer::Encoder::NormalizeInto(std::string_view piece, size_t begin,
                                         Pieces* pieces) {
  std::string normal(piece);
  bool keeps_start = begin == 0;
  SLM_RETURN_IF_ERROR(Normalize(t.parts_.normalizer, &normal, &keeps_start));
  std::vector<AddedMatch> matches;
  std::vector<TextSpan> spans;
  text::MatchLimits limits{.no_special = !options.parse_special};
  if (!user_spans.empty() && t.added_.has_special_normalized) {
    spans = NormalizedSpans(piece, begin);
    limits.no_special_in = &spans;
  }
  t.added_.Split(t.added_.normalized, normal, limits, &matches);
  const size_t shift = pieces->owned.size();
  for (const AddedMatch& m : matches) {
    pieces->pieces.push_back({{shift + m.span.begin, shift + m.span.end},
                              m.id,
                              keeps_start && m.span.begin == 0});
  }
  pieces->owned += normal;
  return OkStatus();
}

Status Tokenizer::Encoder::EncodeWord(std::string_view word) {
  if (const auto* model = std::get_if<text::BpeModel>(&t.parts_.model)) {
    return model->Encode(word, t.raw_bytes_, &bpe, &ids);
  }
  if (const auto* model = std::get_if<text::UnigramModel>(&t.parts_.model)) {
    return model->Encode(word, &unigram, &ids);
  }
  if (const auto* model = std::get_if<text::WordPieceModel>(&t.parts_.model)) {
    return model->Encode(word, bpe.no_control, &ids);
  }
  return std::get<text::WordLevelModel>(t.parts_.model)
      .Encode(word, bpe.no_control, &ids);
}

Status Tokenizer::Encoder::Run(std::string_view text) {
  std::vector<AddedMatch> matches;
  text::MatchLimits limits{.no_special = !options.parse_special};
  if (!user_spans.empty()) limits.no_special_in = &user_spans;
  t.added_.Split(t.added_.raw, text, limits, &matches);
  Pieces pieces;
  pieces.text = text;
  const bool rewrite =
      !t.added_.normalized.empty() ||
      !std::all_of(matches.begin(), matches.end(), [&](const AddedMatch& m) {
        return m.id >= 0 || LeavesAlone(t.parts_.normalizer,
                                        text.substr(m.span.begin,
                                                    m.span.end - m.span.begin));
      });
  for (const AddedMatch& m : matches) {
    const std::string_view part =
        text.substr(m.span.begin, m.span.end - m.span.begin);
    if (rewrite && m.id < 0) {
      SLM_RETURN_IF_ERROR(NormalizeInto(part, m.span.begin, &pieces));
      continue;
    }
    const size_t begin = rewrite ? pieces.owned.size() : m.span.begin;
    if (rewrite) pieces.owned += part;
    pieces.pieces.push_back(
        {{begin, begin + part.size()}, m.id, m.span.begin == 0});
  }
  if (rewrite) pieces.text = pieces.owned;
  SLM_RETURN_IF_ERROR(
      PreTokenize(t.parts_.pre_tokenizer, t.raw_bytes_, &pieces));
  bpe.MakeCache(pieces.text.size());
  ids.reserve(pieces.text.size() / 3 + 8);
  for (const Piece& piece : pieces.pieces) {
    if (piece.added_id >= 0) {
      ids.push_back(piece.added_id);
      continue;
    }
    SLM_RETURN_IF_ERROR(EncodeWord(pieces.text.substr(
        piece.span.begin, piece.span.end - piece.span.begin)));
  }
  return PostProcess(t.parts_.post, options.add_special_tokens, &ids);
}

Result<std::vector<int32_t>> Tokenizer::Encode(
    std::string_view text, const EncodeOptions& options) const {
  if (text.size() >= std::numeric_limits<uint32_t>::max() / 4) {
    return Error(ErrorKind::kMemory, "text of %zu bytes is too long, limit %u",
                 text.size(), std::numeric_limits<uint32_t>::max() / 4);
  }
  std::string repaired;
  std::vector<TextSpan> moved;
  std::span<const TextSpan> spans = options.user_spans;
  if (!IsValidUtf8(text)) {
    // U+FFFD is longer than what it replaces: move the spans along.
    for (const TextSpan& s : spans) {
      const size_t begin = std::min(s.begin, text.size());
      const size_t end = std::clamp(s.end, begin, text.size());
      moved.push_back({ReplaceInvalidUtf8(text.substr(0, begin)).size(),
                       ReplaceInvalidUtf8(text.substr(0, end)).size()});
    }
    spans = moved;
    repaired = ReplaceInvalidUtf8(text);
    text = repaired;
  }
  Encoder encoder{.t = *this,
                  .options = options,
                  .user_spans = SortedSpans(spans, text.size())};
  const bool no_control = !options.parse_special || !encoder.user_spans.empty();
  encoder.bpe.no_control = no_control;
  encoder.unigram.no_control = no_control;
  SLM_RETURN_IF_ERROR(encoder.Run(text));
  return std::move(encoder.ids);
}

// --- decoding

std::string Tokenizer::Decode(std::span<const int32_t> ids,
                              bool skip_special_tokens) const {
  text::DecodeChain chain(&parts_.decoder, /*eager=*/false);
  std::string out;
  for (const int32_t id : ids) {
    if (!HasToken(id)) continue;
    if (skip_special_tokens && IsSpecial(id)) continue;
    chain.Push(TokenText(id), &out);
  }
  chain.Flush(&out);
  return out;
}

std::string Tokenizer::TokenBytes(int32_t id) const {
  return text::TokenBytes(parts_.decoder, TokenText(id));
}

Status Tokenizer::CheckTokenBytes() const {
  return text::CheckTokenBytes(parts_.decoder);
}

std::vector<std::string> Tokenizer::VocabularyBytes() const {
  std::vector<std::string> bytes(vocab_size_);
  for (size_t i = 0; i < bytes.size(); ++i) {
    const int32_t id = static_cast<int32_t>(i);
    if (!IsSpecial(id)) bytes[i] = TokenBytes(id);
  }
  return bytes;
}

TokenStream::TokenStream(const Tokenizer& tokenizer, bool skip_special_tokens,
                         std::vector<int32_t> shown)
    : tokenizer_(&tokenizer),
      skip_special_tokens_(skip_special_tokens),
      shown_(std::move(shown)),
      chain_(&tokenizer.parts_.decoder, /*eager=*/true) {}

std::string TokenStream::Push(int32_t id) {
  std::string out;
  const bool skipped =
      skip_special_tokens_ && tokenizer_->IsSpecial(id) &&
      std::find(shown_.begin(), shown_.end(), id) == shown_.end();
  if (tokenizer_->HasToken(id) && !skipped) {
    chain_.Push(tokenizer_->TokenText(id), &out);
  }
  return out;
}

std::string TokenStream::Flush() {
  std::string out;
  chain_.Flush(&out);
  return out;
}

}  // namespace slm
