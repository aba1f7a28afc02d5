// SPDX-License-Identifier: MIT
#include "runtime/text/bpe_long.h"

#include <algorithm>

namespace slm::text {
namespace {

uint64_t KeyOf(int32_t left, int32_t right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
}
size_t HashOf(uint64_t key) { return key * 0x9E3779B97F4A7C15u >> 32; }

}  // namespace

void LongMerger::Reset(const std::vector<int32_t>& ids) {
  const auto n = static_cast<uint32_t>(ids.size());
  symbols_.resize(n);
  for (uint32_t i = 0; i < n; ++i) {
    symbols_[i] = {ids[i], i == 0 ? kEnd : i - 1, i + 1 == n ? kEnd : i + 1};
  }
  list_count_ = 0;
  slot_count_ = 0;
  slots_.assign(256, {});
}

void LongMerger::GrowSlots() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.list == 0) continue;
    size_t i = HashOf(slot.key) & mask;
    while (slots_[i].list != 0) i = (i + 1) & mask;
    slots_[i] = slot;
  }
}

// The pair's list, made if the pair is new; kNoList if it has no merge.
uint32_t LongMerger::ListOf(int32_t left, int32_t right) {
  const uint64_t key = KeyOf(left, right);
  size_t mask = slots_.size() - 1;
  size_t i = HashOf(key) & mask;
  for (; slots_[i].list != 0; i = (i + 1) & mask) {
    if (slots_[i].key == key) {
      return slots_[i].list == kNoList ? kNoList : slots_[i].list - 1;
    }
  }
  uint32_t rank = merges_->Find(left, right);
  if (rank != MergeTable::kNone && banned_ != nullptr) {
    const auto id = static_cast<size_t>(merges_->Merged(rank));
    if (id < banned_->size() && (*banned_)[id]) rank = MergeTable::kNone;
  }
  uint32_t list = kNoList;
  if (rank != MergeTable::kNone) {
    list = static_cast<uint32_t>(list_count_++);
    if (list == lists_.size()) lists_.emplace_back();
    List& made = lists_[list];
    made.left = left;
    made.right = right;
    made.rank = rank;
    made.places.clear();
    made.done = 0;
    made.queued = made.mixed = false;
  }
  slots_[i] = {key, list == kNoList ? kNoList : list + 1};
  if (++slot_count_ * 2 > slots_.size()) GrowSlots();
  return list;
}

bool LongMerger::AddPair(uint32_t at, uint32_t rank) {
  const Symbol& symbol = symbols_[at];
  if (symbol.next == kEnd) return false;
  const uint32_t index = ListOf(symbol.id, symbols_[symbol.next].id);
  if (index == kNoList) return false;
  List& list = lists_[index];
  list.mixed |= !list.places.empty() && list.places.back() > at;
  list.places.push_back(at);
  if (!list.queued) {
    list.queued = true;
    queue_.push(static_cast<uint64_t>(list.rank) << 32 | index);
  }
  return list.rank <= rank;
}

// Merges at the places of a pair from left to right, as long as no merge makes
// a pair of lower rank. True if all places are done.
bool LongMerger::WorkOff(uint32_t index) {
  const uint32_t rank = lists_[index].rank;
  const int32_t left = lists_[index].left, right = lists_[index].right;
  const int32_t merged = merges_->Merged(rank);
  if (lists_[index].mixed) {
    std::vector<uint32_t>& places = lists_[index].places;
    std::sort(places.begin() + static_cast<ptrdiff_t>(lists_[index].done),
              places.end());
    lists_[index].mixed = false;
  }
  while (lists_[index].done < lists_[index].places.size()) {
    const uint32_t at = lists_[index].places[lists_[index].done++];
    Symbol& symbol = symbols_[at];
    if (symbol.id != left || symbol.next == kEnd ||
        symbols_[symbol.next].id != right) {
      continue;  // the pair is gone
    }
    Symbol& second = symbols_[symbol.next];
    symbol.id = merged;
    symbol.next = second.next;
    second.id = -1;
    if (symbol.next != kEnd) symbols_[symbol.next].prev = at;
    const uint32_t before = symbol.prev;
    bool interrupt = before != kEnd && AddPair(before, rank);
    interrupt |= AddPair(at, rank);
    if (interrupt) return lists_[index].done == lists_[index].places.size();
  }
  return true;
}

void LongMerger::Run(const MergeTable& merges, const std::vector<bool>* banned,
                     std::vector<int32_t>* ids) {
  merges_ = &merges;
  banned_ = banned;
  Reset(*ids);
  for (uint32_t i = 0; i + 1 < symbols_.size(); ++i) AddPair(i, 0);
  while (!queue_.empty()) {
    const auto index = static_cast<uint32_t>(queue_.top());
    queue_.pop();
    lists_[index].queued = false;
    if (WorkOff(index)) {
      lists_[index].places.clear();
      lists_[index].done = 0;
    } else if (!lists_[index].queued) {
      lists_[index].queued = true;
      queue_.push(static_cast<uint64_t>(lists_[index].rank) << 32 | index);
    }
  }
  ids->clear();
  for (const Symbol& symbol : symbols_) {
    if (symbol.id >= 0) ids->push_back(symbol.id);
  }
}

}  // namespace slm::text
