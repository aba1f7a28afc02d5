// SPDX-License-Identifier: MIT
#include "tools/convert/gguf_vocab.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "loader/config.h"
#include "runtime/core/utf8.h"

namespace slm::convert {
namespace {

Result<std::vector<std::string_view>> Texts(const Gguf& gguf, const char* key,
                                            size_t least) {
  constexpr auto kMost = static_cast<size_t>(kMaxVocab);
  const GgufValue* value = gguf.Value(key);
  if (!value || value->kind != GgufValue::Kind::kArray ||
      value->element != GgufValue::Kind::kString) {
    return Invalid("key \"%s\" is %s", key,
                   value ? "no list of texts" : "missing");
  }
  if (value->count < least || value->count > kMost) {
    return Invalid("key \"%s\" has %zu entries, supported: %zu to %zu", key,
                   value->count, least, kMost);
  }
  std::vector<std::string_view> texts = value->Strings();
  for (const std::string_view text : texts) {
    if (!IsValidUtf8(text)) {
      return Invalid("key \"%s\": \"%s\" is not UTF-8", key,
                     Printable(text).c_str());
    }
  }
  return texts;
}

Status ReadTypes(const Gguf& gguf, GgufVocab* vocab) {
  vocab->types.assign(vocab->tokens.size(), GgufTokenType::kNormal);
  const GgufValue* value = gguf.Value("tokenizer.ggml.token_type");
  if (!value) return OkStatus();
  const std::vector<int64_t> types = value->Ints();
  if (types.size() != vocab->tokens.size()) {
    return Invalid("tokenizer.ggml.token_type has %zu integers for %zu tokens",
                   types.size(), vocab->tokens.size());
  }
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] < 1 || types[i] > 6) {
      return Invalid("tokenizer.ggml.token_type: token %zu has type %lld", i,
                     static_cast<long long>(types[i]));
    }
    vocab->types[i] = static_cast<GgufTokenType>(types[i]);
  }
  return OkStatus();
}

Status ReadScores(const Gguf& gguf, GgufVocab* vocab) {
  const GgufValue* value = gguf.Value("tokenizer.ggml.scores");
  if (!value) return OkStatus();
  const std::vector<double> scores = value->Floats();
  if (scores.size() != vocab->tokens.size()) {
    return Invalid("tokenizer.ggml.scores has %zu numbers for %zu tokens",
                   scores.size(), vocab->tokens.size());
  }
  for (const double score : scores) {
    if (std::isnan(score)) return Invalid("tokenizer.ggml.scores has NaN");
    vocab->scores.push_back(static_cast<float>(score));
  }
  return OkStatus();
}

bool IsContinuation(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

size_t Characters(std::string_view text) {
  return text.size() - static_cast<size_t>(std::count_if(
                           text.begin(), text.end(), IsContinuation));
}

}  // namespace

size_t GgufVocab::ModelSize() const {
  size_t end = tokens.size();
  while (end > 0 && types[end - 1] == GgufTokenType::kUnused) --end;
  while (end > 0 && IsAdded(end - 1)) --end;
  return end;
}

Result<GgufVocab> ReadGgufVocab(const Gguf& gguf) {
  GgufVocab vocab;
  SLM_ASSIGN_OR_RETURN(vocab.tokens, Texts(gguf, "tokenizer.ggml.tokens", 1));
  for (size_t i = 0; i < vocab.tokens.size(); ++i) {
    const auto [found, added] =
        vocab.ids.emplace(vocab.tokens[i], static_cast<int64_t>(i));
    if (!added) {
      return Invalid(
          "tokenizer.ggml.tokens: \"%s\" is there twice, as %lld "
          "and %zu",
          Printable(vocab.tokens[i]).c_str(),
          static_cast<long long>(found->second), i);
    }
  }
  SLM_RETURN_IF_ERROR(ReadTypes(gguf, &vocab));
  SLM_RETURN_IF_ERROR(ReadScores(gguf, &vocab));
  return vocab;
}

Result<GgufMerges> ReadGgufMerges(const Gguf& gguf) {
  SLM_ASSIGN_OR_RETURN(const std::vector<std::string_view> lines,
                       Texts(gguf, "tokenizer.ggml.merges", 0));
  GgufMerges merges;
  merges.reserve(lines.size());
  for (const std::string_view line : lines) {
    const size_t space = line.find(' ', 1);
    if (space == std::string_view::npos || space + 1 >= line.size()) {
      return Invalid("tokenizer.ggml.merges: \"%s\" is no pair",
                     Printable(line).c_str());
    }
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

Result<GgufMerges> MergesFromScores(const GgufVocab& vocab) {
  // Real pieces have up to some 100 bytes; the work grows with the square.
  constexpr size_t kMostBytes = 1024;
  struct Merge {
    std::string_view left, right;
    float score;
    size_t left_size, right_size;  // in characters
    int64_t left_id, right_id;
  };
  if (vocab.scores.empty()) {
    return Invalid("key \"tokenizer.ggml.scores\" is missing");
  }
  const auto normal = [&](std::string_view piece) -> int64_t {
    const auto found = vocab.ids.find(piece);
    return found != vocab.ids.end() &&
                   vocab.type(found->second) == GgufTokenType::kNormal
               ? found->second
               : -1;
  };
  std::vector<Merge> merges;
  for (size_t i = 0; i < vocab.tokens.size(); ++i) {
    if (vocab.types[i] != GgufTokenType::kNormal) continue;
    const std::string_view token = vocab.tokens[i];
    if (token.size() > kMostBytes) {
      return Invalid(
          "tokenizer.ggml.tokens: token %zu has %zu bytes, "
          "supported: %zu",
          i, token.size(), kMostBytes);
    }
    const size_t first = merges.size();
    const size_t size = Characters(token);
    size_t left_size = 0;
    for (size_t cut = 1; cut < token.size(); ++cut) {
      if (IsContinuation(token[cut])) continue;
      ++left_size;
      const int64_t left = normal(token.substr(0, cut));
      const int64_t right = left < 0 ? -1 : normal(token.substr(cut));
      if (right < 0) continue;
      merges.push_back({token.substr(0, cut), token.substr(cut),
                        vocab.scores[i], left_size, size - left_size, left,
                        right});
    }
    std::sort(merges.begin() + static_cast<std::ptrdiff_t>(first), merges.end(),
              [](const Merge& a, const Merge& b) {
                return std::pair(a.left_id, a.right_id) <
                       std::pair(b.left_id, b.right_id);
              });
  }
  std::stable_sort(merges.begin(), merges.end(),
                   [](const Merge& a, const Merge& b) {
                     return std::tuple(a.score, a.left_size, a.right_size) >
                            std::tuple(b.score, b.left_size, b.right_size);
                   });
  GgufMerges out;
  out.reserve(merges.size());
  for (const Merge& merge : merges) out.emplace_back(merge.left, merge.right);
  return out;
}

}  // namespace slm::convert
