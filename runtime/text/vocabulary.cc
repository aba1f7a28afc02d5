// SPDX-License-Identifier: MIT
#include "runtime/text/vocabulary.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

namespace slm::text {

uint64_t HashBytes(std::string_view text) {
  constexpr uint64_t kMultiplier = 0x9E3779B97F4A7C15u;
  uint64_t h = text.size() * kMultiplier;
  const char* p = text.data();
  size_t left = text.size();
  while (left >= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    h = (h ^ word) * kMultiplier;
    h ^= h >> 32;
    p += 8;
    left -= 8;
  }
  if (left > 0) {
    uint64_t word = 0;
    std::memcpy(&word, p, left);
    h = (h ^ word) * kMultiplier;
  }
  return h ^ h >> 29;
}

void Vocabulary::Reserve(size_t tokens, size_t bytes) {
  arena_.reserve(bytes);
  entries_.reserve(tokens);
  entry_of_id_.reserve(tokens);
  Grow(std::bit_ceil(tokens * 2 + 16));
}

void Vocabulary::Grow(size_t slots) {
  slots_.assign(slots, {});
  for (size_t i = 0; i < entries_.size(); ++i) {
    const std::string_view text = TextOf(entries_[i]);
    const auto hash = static_cast<uint32_t>(HashBytes(text));
    Slot* slot = SlotOf(text, hash);
    *slot = {hash, static_cast<uint32_t>(i + 1)};
  }
}

Vocabulary::Slot* Vocabulary::SlotOf(std::string_view text, uint32_t hash) {
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    Slot* slot = &slots_[i];
    if (slot->entry == 0) return slot;
    if (slot->hash == hash && TextOf(entries_[slot->entry - 1]) == text) {
      return slot;
    }
  }
}

Status Vocabulary::Add(std::string_view text, int64_t id) {
  if (id < 0 || id > kMaxId) {
    return Invalid("token \"%s\" has id %lld, supported: 0..%lld",
                   Printable(text).c_str(), static_cast<long long>(id),
                   static_cast<long long>(kMaxId));
  }
  if (arena_.size() + text.size() > std::numeric_limits<uint32_t>::max()) {
    return Invalid("the texts of all tokens exceed 4 GiB");
  }
  if ((entries_.size() + 1) * 2 > slots_.size()) {
    Grow(std::bit_ceil((entries_.size() + 8) * 4));
  }
  const auto hash = static_cast<uint32_t>(HashBytes(text));
  Slot* slot = SlotOf(text, hash);
  if (slot->entry == 0) {
    entries_.push_back({static_cast<uint32_t>(arena_.size()),
                        static_cast<uint32_t>(text.size()), 0});
    arena_ += text;
    *slot = {hash, static_cast<uint32_t>(entries_.size())};
    ++count_;
    max_bytes_ = std::max(max_bytes_, text.size());
  }
  entries_[slot->entry - 1].id = static_cast<int32_t>(id);
  const auto index = static_cast<size_t>(id);
  if (index >= entry_of_id_.size()) entry_of_id_.resize(index + 1, 0);
  entry_of_id_[index] = slot->entry;
  return OkStatus();
}

int32_t Vocabulary::Find(std::string_view text) const {
  if (slots_.empty() || text.size() > max_bytes_) return -1;
  return FindHashed(text, static_cast<uint32_t>(HashBytes(text)));
}

int32_t Vocabulary::FindHashed(std::string_view text, uint32_t hash) const {
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.entry == 0) return -1;
    const Entry& entry = entries_[slot.entry - 1];
    if (slot.hash == hash && TextOf(entry) == text) return entry.id;
  }
}

void Vocabulary::FindMany(std::span<const std::string_view> texts,
                          std::span<int32_t> ids) const {
  constexpr size_t kBatch = 32;
  if (slots_.empty()) {
    std::fill(ids.begin(), ids.end(), -1);
    return;
  }
  const size_t mask = slots_.size() - 1;
  std::array<uint32_t, kBatch> hashes;
  for (size_t begin = 0; begin < texts.size(); begin += kBatch) {
    const size_t n = std::min(kBatch, texts.size() - begin);
    for (size_t i = 0; i < n; ++i) {
      hashes[i] = static_cast<uint32_t>(HashBytes(texts[begin + i]));
      Prefetch(&slots_[hashes[i] & mask]);
    }
    for (size_t i = 0; i < n; ++i) {
      const Slot& slot = slots_[hashes[i] & mask];
      if (slot.entry != 0) Prefetch(&entries_[slot.entry - 1]);
    }
    for (size_t i = 0; i < n; ++i) {
      const Slot& slot = slots_[hashes[i] & mask];
      if (slot.entry != 0) {
        Prefetch(arena_.data() + entries_[slot.entry - 1].begin);
      }
    }
    for (size_t i = 0; i < n; ++i) {
      ids[begin + i] = FindHashed(texts[begin + i], hashes[i]);
    }
  }
}

bool Vocabulary::Contains(int32_t id) const {
  return id >= 0 && static_cast<size_t>(id) < entry_of_id_.size() &&
         entry_of_id_[static_cast<size_t>(id)] != 0;
}

std::string_view Vocabulary::Text(int32_t id) const {
  if (!Contains(id)) return {};
  return TextOf(entries_[entry_of_id_[static_cast<size_t>(id)] - 1]);
}

}  // namespace slm::text
