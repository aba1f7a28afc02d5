// SPDX-License-Identifier: MIT
#include "runtime/text/unigram.h"

#include <algorithm>
#include <limits>

#include "runtime/text/unicode.h"

namespace slm::text {
namespace {

constexpr double kUnkPenalty = 10.0;

}  // namespace

void ByteTrie::Insert(uint32_t key, uint32_t child) {
  const size_t mask = slots_.size() - 1;
  size_t i = HashOf(key) & mask;
  while (slots_[i].child != 0) i = (i + 1) & mask;
  slots_[i] = {key, child};
}

uint32_t ByteTrie::Child(uint32_t node, uint8_t byte) const {
  const uint32_t key = node << 8 | byte;
  const size_t mask = slots_.size() - 1;
  for (size_t i = HashOf(key) & mask; slots_[i].child != 0;
       i = (i + 1) & mask) {
    if (slots_[i].key == key) return slots_[i].child;
  }
  return 0;
}

bool ByteTrie::Add(std::string_view text, int32_t id) {
  uint32_t node = 0;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    uint32_t child = Child(node, byte);
    if (child == 0) {
      child = static_cast<uint32_t>(ids_.size());
      if (child >= kMaxNodes) return false;
      ids_.push_back(-1);
      if (ids_.size() * 2 > slots_.size()) {
        std::vector<Slot> old(slots_.size() * 2);
        old.swap(slots_);
        for (const Slot& s : old) {
          if (s.child != 0) Insert(s.key, s.child);
        }
      }
      Insert(node << 8 | byte, child);
    }
    node = child;
  }
  ids_[node] = id;
  return true;
}

Status UnigramModel::Finish() {
  double min_score = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < scores.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    min_score = std::min(min_score, scores[i]);
    if (!trie_.Add(vocabulary.Text(id), vocabulary.Find(vocabulary.Text(id)))) {
      return Invalid("model: the Unigram vocabulary is too large");
    }
  }
  unk_score_ = min_score - kUnkPenalty;
  for (int b = 0; b < 256; ++b) {
    byte_token_[static_cast<size_t>(b)] =
        vocabulary.Find(Format("<0x%02X>", b));
  }
  return OkStatus();
}

// Viterbi over the ends of tokens: nodes[i] is the best path to byte i. The
// first of equal paths stays.
Status UnigramModel::FindPath(std::string_view word,
                              UnigramScratch* scratch) const {
  auto& nodes = scratch->nodes;
  nodes.assign(word.size() + 1, {0.0, 0, -1});
  const auto offer = [&](size_t end, size_t begin, double score, int32_t id) {
    UnigramScratch::Node& node = nodes[end];
    if (node.id < 0 || score > node.score) {
      node = {score, static_cast<uint32_t>(begin), id};
    }
  };
  for (size_t begin = 0; begin < word.size();) {
    const size_t next = begin + SizeOfLead(word[begin]);
    const double score = nodes[begin].score;
    bool has_single = false;
    uint32_t node = 0;
    for (size_t i = begin; i < word.size(); ++i) {
      node = trie_.Child(node, static_cast<uint8_t>(word[i]));
      if (node == 0) break;
      const int32_t id = trie_.IdOf(node);
      if (id < 0) continue;
      const auto index = static_cast<size_t>(id);
      if (scratch->no_control && index < is_control.size() &&
          is_control[index]) {
        continue;
      }
      offer(i + 1, begin, score + scores[index], id);
      has_single |= i + 1 == next;
    }
    if (!has_single) {
      if (unk_id < 0) {
        if (nodes[next].id < 0 || unk_score_ + score > nodes[next].score) {
          return Invalid(
              "tokenizer: a character is not in the vocabulary and "
              "the Unigram model has no unk_id");
        }
      } else {
        offer(next, begin, unk_score_ + score, unk_id);
      }
    }
    begin = next;
  }
  return OkStatus();
}

Status UnigramModel::AppendToken(std::string_view text,
                                 std::vector<int32_t>* ids) const {
  const int32_t id = vocabulary.Find(text);
  if (id >= 0) {
    ids->push_back(id);
    return OkStatus();
  }
  const auto has_token = [&](char c) {
    return byte_token_[static_cast<uint8_t>(c)] >= 0;
  };
  if (byte_fallback && std::all_of(text.begin(), text.end(), has_token)) {
    for (const char c : text) {
      ids->push_back(byte_token_[static_cast<uint8_t>(c)]);
    }
    return OkStatus();
  }
  ids->push_back(unk_id);
  return OkStatus();
}

Status UnigramModel::Encode(std::string_view word, UnigramScratch* scratch,
                            std::vector<int32_t>* ids) const {
  if (word.empty()) return OkStatus();
  SLM_RETURN_IF_ERROR(FindPath(word, scratch));
  // Backwards along the path; a run of unknown tokens becomes one text.
  std::vector<std::string_view> texts;
  size_t unk_end = 0;  // of the open run, 0 = none
  size_t end = word.size();
  while (end > 0) {
    const UnigramScratch::Node& node = scratch->nodes[end];
    if (node.id == unk_id) {
      if (unk_end == 0) unk_end = end;
    } else {
      if (unk_end != 0) texts.push_back(word.substr(end, unk_end - end));
      unk_end = 0;
      texts.push_back(word.substr(node.begin, end - node.begin));
    }
    end = node.begin;
  }
  if (unk_end != 0) texts.push_back(word.substr(0, unk_end));
  for (size_t i = texts.size(); i-- > 0;) {
    SLM_RETURN_IF_ERROR(AppendToken(texts[i], ids));
  }
  return OkStatus();
}

}  // namespace slm::text
