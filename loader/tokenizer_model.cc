// SPDX-License-Identifier: MIT
#include "loader/tokenizer_model.h"

#include <cmath>
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

// A merge is "a b" or ["a", "b"].
Status SplitMerge(const JsonValue& merge, size_t index,
                  std::string_view* left, std::string_view* right) {
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

Status ParseMerges(const JsonValue& model, BpeModel* bpe) {
  SLM_ASSIGN_OR_RETURN(const JsonValue* merges, ArrayField(model, "merges"));
  const size_t count = merges->Items().size();
  if (count > text::MergeTable::kMaxMerges) {
    return Invalid("\"merges\" has %zu entries, supported: up to %zu", count,
                   text::MergeTable::kMaxMerges);
  }
  bpe->merges.Reserve(count);
  std::string merged;
  for (size_t i = 0; i < count; ++i) {
    const JsonValue& merge = merges->Items()[i];
    // Files made from merges.txt keep its first line.
    if (merge.IsString() && merge.String().starts_with("#version")) continue;
    std::string_view left, right;
    SLM_RETURN_IF_ERROR(SplitMerge(merge, i, &left, &right));
    if (right.size() < bpe->continuing_prefix.size()) {
      return Invalid("\"merges\": \"%s\" of entry %zu lacks the prefix \"%s\"",
                     Printable(right).c_str(), i,
                     Printable(bpe->continuing_prefix).c_str());
    }
    merged = left;
    merged += right.substr(bpe->continuing_prefix.size());
    const int32_t left_id = bpe->vocabulary.Find(left);
    const int32_t right_id = bpe->vocabulary.Find(right);
    const int32_t merged_id = bpe->vocabulary.Find(merged);
    if (left_id < 0 || right_id < 0 || merged_id < 0) {
      const std::string_view missing = left_id < 0    ? left
                                       : right_id < 0 ? right
                                                      : merged;
      return Invalid("\"merges\": token \"%s\" of entry %zu is not in the "
                     "vocabulary", Printable(missing).c_str(), i);
    }
    bpe->merges.Add(left_id, right_id, merged_id);
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
    return status.ok() ? status
                       : status.In("model " + std::string(row.name));
  }
  return Invalid("model: type \"%s\" is not supported; supported: BPE, "
                 "WordPiece, WordLevel, Unigram",
                 type == nullptr ? "" : Printable(type->String()).c_str());
}

}  // namespace slm
