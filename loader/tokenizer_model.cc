// SPDX-License-Identifier: MIT
#include "loader/tokenizer_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string>
#include <utility>

#include "loader/json_fields.h"

namespace slm {
namespace {

using text::BpeModel;
using text::UnigramModel;
using text::Vocabulary;
using text::WordLevelModel;
using text::WordPieceModel;

Status ParseVocabulary(const JsonValue& model, Vocabulary* vocabulary) {
  SLM_ASSIGN_OR_RETURN(const JsonValue* vocab, ObjectField(model, "vocab"));
  size_t bytes = 0;
  for (const JsonMember& m : vocab->Members()) bytes += m.key.size();
  vocabulary->Reserve(vocab->Members().size(), bytes);
  for (const JsonMember& m : vocab->Members()) {
    if (!m.value.IsInt()) {
      return Invalid("\"vocab\": the id of \"%s\" is %s, expected integer",
                     Printable(m.key).c_str(), m.value.TypeName());
    }
    SLM_RETURN_IF_ERROR(vocabulary->Add(m.key, m.value.Int()));
  }
  return OkStatus();
}

constexpr size_t kMergeBatch = 16;

// A merge is "a b" or ["a", "b"].
Status SplitMerge(const JsonValue& merge, size_t index, std::string_view* left,
                  std::string_view* right) {
  if (merge.IsString()) {
    const std::string_view text = merge.String();
    const size_t space = text.find(' ');
    if (space != std::string_view::npos &&
        text.find(' ', space + 1) == std::string_view::npos) {
      *left = text.substr(0, space);
      *right = text.substr(space + 1);
      return OkStatus();
    }
  } else if (merge.IsArray() && merge.Items().size() == 2 &&
             merge.Items()[0].IsString() && merge.Items()[1].IsString()) {
    *left = merge.Items()[0].String();
    *right = merge.Items()[1].String();
    return OkStatus();
  }
  return Invalid("\"merges\": entry %zu is not a pair of tokens", index);
}

// The id of left + right. Files list merges in the order of the tokens that
// they make, so the last one or the next one is nearly always right.
int32_t FindMerged(const Vocabulary& vocabulary, std::string_view left,
                   std::string_view right, int32_t last) {
  for (const int32_t guess : {last, last + 1}) {
    const std::string_view text = vocabulary.Text(guess);
    if (text.size() == left.size() + right.size() && text.starts_with(left) &&
        text.ends_with(right) && vocabulary.IsLastIdOf(guess)) {
      return guess;
    }
  }
  std::string merged(left);
  merged += right;
  return vocabulary.Find(merged);
}

// Adds merges [begin, begin + count) of the file, looked up together.
Status AddMerges(std::span<const JsonValue> items, size_t begin, size_t count,
                 BpeModel* bpe, int32_t* last) {
  std::array<std::string_view, 2 * kMergeBatch> texts;
  std::array<int32_t, 2 * kMergeBatch> ids;
  for (size_t k = 0; k < count; ++k) {
    SLM_RETURN_IF_ERROR(SplitMerge(items[begin + k], begin + k, &texts[2 * k],
                                   &texts[2 * k + 1]));
  }
  bpe->vocabulary.FindMany(std::span(texts).first(2 * count),
                           std::span(ids).first(2 * count));
  for (size_t k = 0; k < count; ++k) {
    bpe->merges.PrefetchSlot(ids[2 * k], ids[2 * k + 1]);
  }
  const std::string_view prefix = bpe->continuing_prefix;
  for (size_t k = 0; k < count; ++k) {
    const std::string_view left = texts[2 * k];
    std::string_view right = texts[2 * k + 1];
    const std::string_view* missing = nullptr;
    if (ids[2 * k + 1] < 0) missing = &texts[2 * k + 1];
    if (ids[2 * k] < 0) missing = &texts[2 * k];
    if (missing != nullptr) {
      return Invalid(
          "\"merges\": token \"%s\" of entry %zu is not in the "
          "vocabulary",
          Printable(*missing).c_str(), begin + k);
    }
    if (right.size() < prefix.size()) {
      return Invalid("\"merges\": \"%s\" of entry %zu lacks the prefix \"%s\"",
                     Printable(right).c_str(), begin + k,
                     Printable(prefix).c_str());
    }
    right.remove_prefix(prefix.size());
    *last = FindMerged(bpe->vocabulary, left, right, *last);
    if (*last < 0) {
      return Invalid(
          "\"merges\": token \"%s%s\" of entry %zu is not in the "
          "vocabulary",
          Printable(left).c_str(), Printable(right).c_str(), begin + k);
    }
    bpe->merges.Add(ids[2 * k], ids[2 * k + 1], *last);
  }
  return OkStatus();
}

Status ParseMerges(const JsonValue& model, BpeModel* bpe) {
  SLM_ASSIGN_OR_RETURN(const JsonValue* merges, ArrayField(model, "merges"));
  std::span<const JsonValue> items = merges->Items();
  if (items.size() > text::MergeTable::kMaxMerges) {
    return Invalid("\"merges\" has %zu entries, supported: up to %zu",
                   items.size(), text::MergeTable::kMaxMerges);
  }
  // Files made from merges.txt keep its first line.
  if (!items.empty() && items[0].IsString() &&
      items[0].String().starts_with("#version")) {
    items = items.subspan(1);
  }
  bpe->merges.Reserve(items.size());
  int32_t last = -1;
  for (size_t i = 0; i < items.size(); i += kMergeBatch) {
    SLM_RETURN_IF_ERROR(AddMerges(
        items, i, std::min(kMergeBatch, items.size() - i), bpe, &last));
  }
  return OkStatus();
}

// An optional text; null is the same as "".
Status OptionalText(const JsonValue& model, std::string_view name,
                    std::string* text, bool* present) {
  if (present != nullptr) *present = false;
  if (FindField(model, name) == nullptr) return OkStatus();
  SLM_ASSIGN_OR_RETURN(*text, StringField(model, name));
  if (present != nullptr) *present = true;
  return OkStatus();
}

Status ParseBpe(const JsonValue& model, TokenizerParts* parts) {
  BpeModel& bpe = parts->model.emplace<BpeModel>();
  if (const JsonValue* dropout = FindField(model, "dropout")) {
    if (!dropout->IsNumber() || dropout->Double() != 0.0) {
      return Invalid("\"dropout\" is for training, supported: null, 0");
    }
  }
  SLM_RETURN_IF_ERROR(
      OptionalText(model, "unk_token", &bpe.unk_token, &bpe.has_unk));
  SLM_RETURN_IF_ERROR(OptionalText(model, "continuing_subword_prefix",
                                   &bpe.continuing_prefix, nullptr));
  SLM_RETURN_IF_ERROR(
      OptionalText(model, "end_of_word_suffix", &bpe.end_suffix, nullptr));
  SLM_ASSIGN_OR_RETURN(bpe.fuse_unk, BoolField(model, "fuse_unk", false));
  SLM_ASSIGN_OR_RETURN(bpe.byte_fallback,
                       BoolField(model, "byte_fallback", false));
  SLM_ASSIGN_OR_RETURN(bpe.ignore_merges,
                       BoolField(model, "ignore_merges", false));
  SLM_RETURN_IF_ERROR(ParseVocabulary(model, &bpe.vocabulary));
  return ParseMerges(model, &bpe);
}

Status ParseUnigram(const JsonValue& model, TokenizerParts* parts) {
  UnigramModel& unigram = parts->model.emplace<UnigramModel>();
  SLM_ASSIGN_OR_RETURN(const JsonValue* vocab, ArrayField(model, "vocab"));
  const auto rows = vocab->Items();
  unigram.vocabulary.Reserve(rows.size(), rows.size() * 8);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].IsArray() || rows[i].Items().size() != 2 ||
        !rows[i].Items()[0].IsString() || !rows[i].Items()[1].IsNumber()) {
      return Invalid("\"vocab\": entry %zu is not a token and its score", i);
    }
    SLM_RETURN_IF_ERROR(unigram.vocabulary.Add(rows[i].Items()[0].String(),
                                               static_cast<int64_t>(i)));
    const double score = rows[i].Items()[1].Double();
    if (!std::isfinite(score)) {
      return Invalid("\"vocab\": the score of entry %zu is not finite", i);
    }
    unigram.scores.push_back(score);
  }
  if (FindField(model, "unk_id") != nullptr) {
    if (rows.empty()) return Invalid("\"vocab\" is empty");
    SLM_ASSIGN_OR_RETURN(
        const int64_t unk,
        CountField(model, "unk_id", static_cast<int64_t>(rows.size()) - 1));
    unigram.unk_id = static_cast<int32_t>(unk);
  }
  SLM_ASSIGN_OR_RETURN(unigram.byte_fallback,
                       BoolField(model, "byte_fallback", false));
  return OkStatus();
}

Status ParseWordPiece(const JsonValue& model, TokenizerParts* parts) {
  WordPieceModel& wordpiece = parts->model.emplace<WordPieceModel>();
  SLM_ASSIGN_OR_RETURN(wordpiece.unk_token, StringField(model, "unk_token"));
  SLM_ASSIGN_OR_RETURN(wordpiece.continuing_prefix,
                       StringField(model, "continuing_subword_prefix"));
  SLM_ASSIGN_OR_RETURN(
      const int64_t most,
      CountField(model, "max_input_chars_per_word", int64_t{1} << 40));
  wordpiece.max_chars = static_cast<size_t>(most);
  return ParseVocabulary(model, &wordpiece.vocabulary);
}

Status ParseWordLevel(const JsonValue& model, TokenizerParts* parts) {
  WordLevelModel& wordlevel = parts->model.emplace<WordLevelModel>();
  SLM_ASSIGN_OR_RETURN(wordlevel.unk_token, StringField(model, "unk_token"));
  return ParseVocabulary(model, &wordlevel.vocabulary);
}

struct ModelType {
  std::string_view name;
  std::string_view mark;  // a member that files without "type" have
  Status (*parse)(const JsonValue& model, TokenizerParts* parts);
};

// In the order in which the reference tries files without "type".
constexpr ModelType kModels[] = {
    {"BPE", "merges", ParseBpe},
    {"WordPiece", "max_input_chars_per_word", ParseWordPiece},
    {"WordLevel", "unk_token", ParseWordLevel},
    {"Unigram", "vocab", ParseUnigram},
};

}  // namespace

Status ParseTokenizerModel(const JsonValue& model, TokenizerParts* parts) {
  const JsonValue* type = FindField(model, "type");
  if (type != nullptr && !type->IsString()) {
    return WrongField("type", type, "string").In("model");
  }
  for (const ModelType& row : kModels) {
    const bool chosen = type != nullptr ? type->String() == row.name
                                        : model.Find(row.mark) != nullptr;
    if (!chosen) continue;
    const Status status = row.parse(model, parts);
    return status.ok() ? status : status.In("model " + std::string(row.name));
  }
  return Invalid(
      "model: type \"%s\" is not supported; supported: BPE, "
      "WordPiece, WordLevel, Unigram",
      type == nullptr ? "" : Printable(type->String()).c_str());
}

}  // namespace slm
