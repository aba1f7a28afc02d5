// SPDX-License-Identifier: MIT
// Token texts and their ids: one arena, one hash table, filled once.
#ifndef SLM_RUNTIME_TEXT_VOCABULARY_H_
#define SLM_RUNTIME_TEXT_VOCABULARY_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"

namespace slm::text {

class Vocabulary {
 public:
  // Ids stay below this: the table of merges packs two ids into 42 bits.
  static constexpr int64_t kMaxId = (1 << 21) - 1;

  void Reserve(size_t tokens, size_t bytes);
  // The last text of an id and the last id of a text win, as in Python's
  // dict. Fails if the id is out of range.
  Status Add(std::string_view text, int64_t id);

  int32_t Find(std::string_view text) const;  // -1 if there is none
  // ids[i] = Find(texts[i]). Loading a file looks up hundreds of thousands of
  // texts; each misses the cache three times (slot, entry, text), and here
  // the misses of many overlap.
  void FindMany(std::span<const std::string_view> texts,
                std::span<int32_t> ids) const;
  std::string_view Text(int32_t id) const;  // "" if there is none
  bool Contains(int32_t id) const;
  // True if Find(Text(id)) is `id`: not so if the text has a later id, too.
  bool IsLastIdOf(int32_t id) const {
    return Contains(id) &&
           entries_[entry_of_id_[static_cast<size_t>(id)] - 1].id == id;
  }
  size_t size() const { return count_; }  // different texts
  size_t id_bound() const { return entry_of_id_.size(); }
  size_t max_bytes() const { return max_bytes_; }  // of the longest token

 private:
  struct Entry {
    uint32_t begin, size;
    int32_t id;
  };
  struct Slot {
    uint32_t hash;
    uint32_t entry;  // + 1; 0 = free
  };
  std::string_view TextOf(const Entry& e) const {
    return {arena_.data() + e.begin, e.size};
  }
  int32_t FindHashed(std::string_view text, uint32_t hash) const;
  Slot* SlotOf(std::string_view text, uint32_t hash);
  void Grow(size_t slots);

  std::string arena_;
  std::vector<Entry> entries_;
  std::vector<Slot> slots_;            // a power of two, at most half full
  std::vector<uint32_t> entry_of_id_;  // + 1; 0 = no such id
  size_t count_ = 0;
  size_t max_bytes_ = 0;
};

// Asks for a cache line early; does nothing where the compiler has no way.
inline void Prefetch([[maybe_unused]] const void* p) {
#if defined(__GNUC__)
  __builtin_prefetch(p);
#endif
}

// 64 bits of hash, eight bytes a step: token texts are short.
uint64_t HashBytes(std::string_view text);

}  // namespace slm::text

#endif  // SLM_RUNTIME_TEXT_VOCABULARY_H_
