// SPDX-License-Identifier: MIT
// Merging of long words. A queue ordered by rank and position would cost a
// logarithm a step and touch memory at random; here the places of each pair
// are kept in a list of their own, and the lists are worked off by rank. In a
// run of one letter, the worst case for a queue, there are few lists.
#ifndef SLM_RUNTIME_TEXT_BPE_LONG_H_
#define SLM_RUNTIME_TEXT_BPE_LONG_H_

#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "runtime/text/merge_table.h"

namespace slm::text {

class LongMerger {
 public:
  // Merges ids in place; not into ids of which (*banned)[id] is set.
  void Run(const MergeTable& merges, const std::vector<bool>* banned,
           std::vector<int32_t>* ids);

 private:
  struct Symbol {
    int32_t id;  // -1: merged away
    uint32_t prev, next;
  };
  // The places of a pair that has a merge.
  struct List {
    int32_t left, right;
    uint32_t rank;
    std::vector<uint32_t> places;
    size_t done = 0;  // places before are worked off
    bool queued = false;
    bool mixed = false;  // filled from several lists, so out of order
  };
  struct Slot {
    uint64_t key;   // the pair
    uint32_t list;  // + 1; 0 = free, kNoList = no merge
  };
  static constexpr uint32_t kEnd = ~uint32_t{0};
  static constexpr uint32_t kNoList = ~uint32_t{0};

  void Reset(const std::vector<int32_t>& ids);
  uint32_t ListOf(int32_t left, int32_t right);
  void GrowSlots();
  // Files the pair that begins at `at`. True if it must be merged before the
  // pair of rank `rank` that is in work.
  bool AddPair(uint32_t at, uint32_t rank);
  bool WorkOff(uint32_t list);

  const MergeTable* merges_ = nullptr;
  const std::vector<bool>* banned_ = nullptr;
  std::vector<Symbol> symbols_;
  std::vector<List> lists_;
  size_t list_count_ = 0;  // lists_ keeps the memory of words before
  std::vector<Slot> slots_;
  size_t slot_count_ = 0;
  // (rank, list), lowest rank first.
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> queue_;
};

}  // namespace slm::text

#endif  // SLM_RUNTIME_TEXT_BPE_LONG_H_
