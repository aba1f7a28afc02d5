// SPDX-License-Identifier: MIT
#include "runtime/text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "runtime/text/unicode.h"

namespace slm::text {

void TokenMatcher::Add(std::string text, int32_t id) {
  texts_.push_back({std::move(text), id});
}

void TokenMatcher::Finish() {
  std::stable_sort(texts_.begin(), texts_.end(),
                   [](const Row& a, const Row& b) { return a.text < b.text; });
  texts_.erase(
      std::unique(texts_.begin(), texts_.end(),
                  [](const Row& a, const Row& b) { return a.text == b.text; }),
      texts_.end());
  for (uint32_t i = 0; i < texts_.size(); ++i) {
    Range& range = first_[static_cast<uint8_t>(texts_[i].text[0])];
    if (range.begin == range.end) range.begin = i;
    range.end = i + 1;
  }
}

// Narrows the sorted rows byte by byte. The row that ends at a depth is the
// first of those that share its bytes.
int32_t TokenMatcher::LongestAt(std::string_view text, size_t at,
                                size_t* size) const {
  const Range& range = first_[static_cast<uint8_t>(text[at])];
  uint32_t begin = range.begin, end = range.end;
  int32_t found = -1;
  for (size_t depth = 1; begin < end; ++depth) {
    if (texts_[begin].text.size() == depth) {
      found = texts_[begin].id;
      *size = depth;
      ++begin;
    }
    if (at + depth >= text.size() || begin == end) break;
    const auto byte = static_cast<uint8_t>(text[at + depth]);
    const auto rows = texts_.begin();
    begin = static_cast<uint32_t>(
        std::partition_point(rows + begin, rows + end,
                             [&](const Row& r) {
                               return static_cast<uint8_t>(r.text[depth]) <
                                      byte;
                             }) -
        rows);
    end = static_cast<uint32_t>(
        std::partition_point(rows + begin, rows + end,
                             [&](const Row& r) {
                               return static_cast<uint8_t>(r.text[depth]) ==
                                      byte;
                             }) -
        rows);
  }
  return found;
}

const AddedToken* AddedTokens::Find(int32_t id) const {
  const auto at = std::lower_bound(
      tokens.begin(), tokens.end(), id,
      [](const Token& t, int32_t wanted) { return t.id < wanted; });
  return at != tokens.end() && at->id == id ? &at->token : nullptr;
}

int32_t AddedTokens::FindText(std::string_view text) const {
  for (const Token& t : tokens) {
    if (t.token.content == text) return t.id;
  }
  return -1;
}

namespace {

bool Touches(const std::vector<TextSpan>& spans, size_t begin, size_t end) {
  // Sorted by the caller: the first span that ends behind `begin`.
  const auto at =
      std::partition_point(spans.begin(), spans.end(),
                           [&](const TextSpan& s) { return s.end <= begin; });
  return at != spans.end() && at->begin < end;
}

bool TouchesWord(std::string_view text, size_t begin, size_t end) {
  uint32_t size;
  return (begin > 0 && Has(CodeBefore(text, begin), kWordRust)) ||
         (end < text.size() && Has(CodeAt(text, end, &size), kWordRust));
}

}  // namespace

void AddedTokens::Split(const TokenMatcher& matcher, std::string_view text,
                        const MatchLimits& limits,
                        std::vector<AddedMatch>* out) const {
  size_t done = 0;  // everything before is in *out
  for (size_t at = 0; at < text.size();) {
    size_t size = 0;
    const int32_t id =
        matcher.MayBegin(text[at]) ? matcher.LongestAt(text, at, &size) : -1;
    if (id < 0) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + size;
    const AddedToken& token = *Find(id);
    if (token.special && limits.no_special_in != nullptr &&
        Touches(*limits.no_special_in, begin, end)) {
      ++at;
      continue;
    }
    at = end;
    if ((token.special && limits.no_special) ||
        (token.single_word && TouchesWord(text, begin, end))) {
      continue;
    }
    if (token.lstrip) {
      while (begin > done && Has(CodeBefore(text, begin), kSpace)) {
        do {
          --begin;
        } while ((static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80);
      }
    }
    uint32_t bytes;
    while (token.rstrip && end < text.size() &&
           Has(CodeAt(text, end, &bytes), kSpace)) {
      end += bytes;
    }
    // A match inside of white space that the token before took counts, too,
    // and what follows it is text again, as the reference has it.
    if (token.lstrip) begin = std::max(begin, done);
    if (begin > done) out->push_back({{done, begin}, -1});
    if (begin < end) out->push_back({{begin, end}, id});
    done = end;
  }
  if (done < text.size()) out->push_back({{done, text.size()}, -1});
}

}  // namespace slm::text
