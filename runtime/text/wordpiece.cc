// SPDX-License-Identifier: MIT
#include "runtime/text/wordpiece.h"

#include <algorithm>

#include "runtime/text/unicode.h"

namespace slm::text {
namespace {

Status AppendUnknown(const Vocabulary& vocabulary, std::string_view unk_token,
                     std::vector<int32_t>* ids) {
  const int32_t id = vocabulary.Find(unk_token);
  if (id < 0) {
    return Invalid(
        "tokenizer: a word is unknown and unk_token \"%s\" is not "
        "in the vocabulary",
        Printable(unk_token).c_str());
  }
  ids->push_back(id);
  return OkStatus();
}

bool IsControl(const std::vector<bool>& is_control, int32_t id) {
  const auto index = static_cast<size_t>(id);
  return id >= 0 && index < is_control.size() && is_control[index];
}

size_t CountChars(std::string_view text) {
  size_t count = 0;
  for (const char c : text) {
    count += (static_cast<uint8_t>(c) & 0xC0) != 0x80;
  }
  return count;
}

}  // namespace

Status WordPieceModel::Encode(std::string_view word, bool no_control,
                              std::vector<int32_t>* ids) const {
  if (CountChars(word) > max_chars) {
    return AppendUnknown(vocabulary, unk_token, ids);
  }
  const size_t first = ids->size();
  std::string buffer;
  for (size_t begin = 0; begin < word.size();) {
    // No token is longer than max_bytes: this bounds the search in long words.
    size_t end = std::min(word.size(), begin + vocabulary.max_bytes());
    while (end < word.size() &&
           (static_cast<uint8_t>(word[end]) & 0xC0) == 0x80) {
      ++end;
    }
    int32_t id = -1;
    while (end > begin) {
      std::string_view text = word.substr(begin, end - begin);
      if (begin > 0 && !continuing_prefix.empty()) {
        buffer = continuing_prefix;
        buffer += text;
        text = buffer;
      }
      id = vocabulary.Find(text);
      if (no_control && IsControl(is_control, id)) id = -1;
      if (id >= 0) break;
      do {
        --end;
      } while ((static_cast<uint8_t>(word[end]) & 0xC0) == 0x80);
    }
    if (id < 0) {
      ids->resize(first);
      return AppendUnknown(vocabulary, unk_token, ids);
    }
    ids->push_back(id);
    begin = end;
  }
  return OkStatus();
}

Status WordLevelModel::Encode(std::string_view word, bool no_control,
                              std::vector<int32_t>* ids) const {
  const int32_t id = vocabulary.Find(word);
  if (id < 0 || (no_control && IsControl(is_control, id))) {
    return AppendUnknown(vocabulary, unk_token, ids);
  }
  ids->push_back(id);
  return OkStatus();
}

}  // namespace slm::text
