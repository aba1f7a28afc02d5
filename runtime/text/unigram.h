// SPDX-License-Identifier: MIT
// Unigram: of all ways to cut a word into tokens, the one whose scores have
// the greatest sum.
#ifndef SLM_RUNTIME_TEXT_UNIGRAM_H_
#define SLM_RUNTIME_TEXT_UNIGRAM_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/text/vocabulary.h"

namespace slm::text {

// A trie of bytes; the children of all nodes share one hash table.
class ByteTrie {
 public:
  static constexpr uint32_t kMaxNodes = uint32_t{1} << 24;

  // False if there are too many nodes.
  bool Add(std::string_view text, int32_t id);
  // The child of `node` (0 = root), 0 if there is none.
  uint32_t Child(uint32_t node, uint8_t byte) const;
  int32_t IdOf(uint32_t node) const { return ids_[node]; }  // -1: no token

 private:
  struct Slot {
    uint32_t key;    // node << 8 | byte
    uint32_t child;  // 0 = free
  };
  static size_t HashOf(uint32_t key) { return key * 0x9E3779B97F4A7C15u >> 32; }
  void Insert(uint32_t key, uint32_t child);

  std::vector<Slot> slots_ = std::vector<Slot>(1024);
  std::vector<int32_t> ids_ = {-1};
};

struct UnigramScratch {
  struct Node {
    double score;
    uint32_t begin;  // of the last token of the best path to here
    int32_t id;      // that token; -1 = not reached
  };
  std::vector<Node> nodes;
  bool no_control = false;  // control tokens in the vocabulary do not match
};

class UnigramModel {
 public:
  Vocabulary vocabulary;
  std::vector<double> scores;  // by id
  int32_t unk_id = -1;
  bool byte_fallback = false;
  std::vector<bool> is_control;  // by id

  // Call once all of the above is set.
  Status Finish();
  Status Encode(std::string_view word, UnigramScratch* scratch,
                std::vector<int32_t>* ids) const;

 private:
  Status FindPath(std::string_view word, UnigramScratch* scratch) const;
  Status AppendToken(std::string_view text, std::vector<int32_t>* ids) const;

  ByteTrie trie_;
  std::array<int32_t, 256> byte_token_{};
  double unk_score_ = 0;
};

}  // namespace slm::text

#endif  // SLM_RUNTIME_TEXT_UNIGRAM_H_
