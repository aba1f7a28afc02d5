// SPDX-License-Identifier: MIT
// The merges of byte pair encoding.
#ifndef SLM_RUNTIME_TEXT_MERGE_TABLE_H_
#define SLM_RUNTIME_TEXT_MERGE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/text/vocabulary.h"

namespace slm::text {

// Pairs of ids to rank and merged id. One 64-bit word a merge: two ids of 21
// bits, rank of 22, so that a probe touches one cache line.
class MergeTable {
 public:
  static constexpr size_t kMaxMerges = (size_t{1} << 22) - 1;
  static constexpr uint32_t kNone = ~uint32_t{0};

  void Reserve(size_t merges);
  // Merges come in the order of rank; a repeated pair takes the later one.
  void Add(int32_t left, int32_t right, int32_t merged);
  // The rank, or kNone.
  uint32_t Find(int32_t left, int32_t right) const {
    if (slots_.empty()) return kNone;
    const uint64_t key = KeyOf(left, right);
    for (size_t i = SlotOf(key);; i = (i + 1) & mask_) {
      const uint64_t slot = slots_[i];
      if (slot == kFree) return kNone;
      if (slot >> 22 == key) return static_cast<uint32_t>(slot & 0x3FFFFF);
    }
  }
  int32_t Merged(uint32_t rank) const { return merged_[rank]; }
  void PrefetchSlot(int32_t left, int32_t right) const {
    if (!slots_.empty()) Prefetch(&slots_[SlotOf(KeyOf(left, right))]);
  }
  size_t size() const { return merged_.size(); }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};
  static uint64_t KeyOf(int32_t left, int32_t right) {
    return static_cast<uint64_t>(left) << 21 | static_cast<uint64_t>(right);
  }
  size_t SlotOf(uint64_t key) const {
    return (key * 0x9E3779B97F4A7C15u) >> shift_;
  }

  std::vector<uint64_t> slots_;
  std::vector<int32_t> merged_;  // by rank
  size_t mask_ = 0;
  int shift_ = 63;
};

}  // namespace slm::text

#endif  // SLM_RUNTIME_TEXT_MERGE_TABLE_H_
