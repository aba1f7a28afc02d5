// SPDX-License-Identifier: MIT
#include "runtime/text/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/text/normalize.h"
#include "runtime/text/unicode.h"

namespace slm::text {
namespace {

constexpr std::string_view kMeta = "\xE2\x96\x81";  // U+2581
// Up to this many symbols, looking for the lowest rank in a row of numbers is
// faster than keeping lists.
constexpr size_t kShortWord = 24;

std::string ByteToken(int byte) { return Format("<0x%02X>", byte); }

bool StartsWithMeta(std::string_view text) { return text.starts_with(kMeta); }

}  // namespace

void MergeTable::Reserve(size_t merges) {
  const size_t slots = std::bit_ceil(merges * 2 + 16);
  slots_.assign(slots, kFree);
  mask_ = slots - 1;
  shift_ = 64 - std::countr_zero(slots);
  merged_.reserve(merges);
}

void MergeTable::Add(int32_t left, int32_t right, int32_t merged) {
  const uint64_t key = KeyOf(left, right);
  const uint64_t rank = merged_.size();
  merged_.push_back(merged);
  for (size_t i = SlotOf(key);; i = (i + 1) & mask_) {
    if (slots_[i] == kFree || slots_[i] >> 22 == key) {
      slots_[i] = key << 22 | rank;
      return;
    }
  }
}

void BpeScratch::MakeCache(size_t text_bytes) {
  if (text_bytes < 512) return;
  cache.assign(std::bit_ceil(std::min<size_t>(text_bytes / 16, 8192)), {});
}

bool BpeModel::TakesRawBytes() const {
  return continuing_prefix.empty() && end_suffix.empty() && !byte_fallback;
}

void BpeModel::Finish() {
  unk_id_ = has_unk ? vocabulary.Find(unk_token) : -1;
  for (int b = 0; b < 256; ++b) {
    byte_token_[static_cast<size_t>(b)] = vocabulary.Find(ByteToken(b));
    std::string text;
    AppendUtf8(CharOfByte(static_cast<uint8_t>(b)), &text);
    raw_byte_[static_cast<size_t>(b)] = vocabulary.Find(text);
  }
  for (int c = 0; c < 128; ++c) {
    const char text = static_cast<char>(c);
    ascii_[static_cast<size_t>(c)] = vocabulary.Find({&text, 1});
  }
  // Words can be cut before U+2581 if it is a symbol of its own (an unknown
  // one could be fused with what is before it) and no token but runs of it
  // has it behind another character.
  cut_before_space_ = continuing_prefix.empty() && end_suffix.empty() &&
                      vocabulary.Find(kMeta) >= 0;
  for (size_t id = 0; cut_before_space_ && id < vocabulary.id_bound(); ++id) {
    const std::string_view text = vocabulary.Text(static_cast<int32_t>(id));
    size_t at = 0;
    while (StartsWithMeta(text.substr(at))) at += kMeta.size();
    if (text.find(kMeta, at) != std::string_view::npos) {
      cut_before_space_ = false;
    }
  }
}

uint32_t BpeModel::Rank(int32_t left, int32_t right, bool no_control) const {
  const uint32_t rank = merges.Find(left, right);
  if (no_control && rank != MergeTable::kNone) {
    const auto id = static_cast<size_t>(merges.Merged(rank));
    if (id < is_control.size() && is_control[id]) return MergeTable::kNone;
  }
  return rank;
}

// Adds the unknown token for a character; `*open`: the last symbol is one.
Status BpeModel::AppendUnknown(bool* open, std::vector<int32_t>* ids) const {
  if (!has_unk) return OkStatus();  // the reference drops it
  if (unk_id_ < 0) {
    return Invalid("tokenizer: unk_token \"%s\" is not in the vocabulary",
                   Printable(unk_token).c_str());
  }
  if (!*open || !fuse_unk) ids->push_back(unk_id_);
  *open = true;
  return OkStatus();
}

// The symbols of a word before merging: a token for each character, else its
// bytes, else the unknown token.
Status BpeModel::AppendSymbols(std::string_view word, bool is_begin,
                               bool is_end, std::vector<int32_t>* ids) const {
  const bool affixes = !continuing_prefix.empty() || !end_suffix.empty();
  std::string decorated;
  bool open = false;
  for (size_t i = 0; i < word.size();) {
    const size_t size = SizeOfLead(word[i]);
    std::string_view text = word.substr(i, size);
    if (affixes) {
      decorated.clear();
      if (!(is_begin && i == 0)) decorated += continuing_prefix;
      decorated += text;
      if (is_end && i + size == word.size()) decorated += end_suffix;
      text = decorated;
    }
    const int32_t id = !affixes && size == 1
                           ? ascii_[static_cast<uint8_t>(word[i])]
                           : vocabulary.Find(text);
    i += size;
    if (id >= 0) {
      ids->push_back(id);
      open = false;
      continue;
    }
    const auto has_token = [&](char c) {
      return byte_token_[static_cast<uint8_t>(c)] >= 0;
    };
    if (byte_fallback && std::all_of(text.begin(), text.end(), has_token)) {
      // The reference keeps a pending unknown token behind these bytes.
      const bool pending = open && !ids->empty();
      if (pending) ids->pop_back();
      for (const char c : text) {
        ids->push_back(byte_token_[static_cast<uint8_t>(c)]);
      }
      if (pending) ids->push_back(unk_id_);
      continue;
    }
    SLM_RETURN_IF_ERROR(AppendUnknown(&open, ids));
  }
  return OkStatus();
}

// Quadratic, but on at most kShortWord numbers in two cache lines.
void BpeModel::MergeShort(BpeScratch* scratch) const {
  std::vector<int32_t>& ids = scratch->ids;
  std::vector<uint32_t>& ranks = scratch->ranks;
  ranks.resize(ids.size());
  size_t n = ids.size();
  for (size_t i = 0; i + 1 < n; ++i) {
    ranks[i] = Rank(ids[i], ids[i + 1], scratch->no_control);
  }
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == MergeTable::kNone) break;
    ids[best] = merges.Merged(ranks[best]);
    for (size_t i = best + 1; i + 1 < n; ++i) {
      ids[i] = ids[i + 1];
      ranks[i] = ranks[i + 1];
    }
    --n;
    if (best + 1 < n) {
      ranks[best] = Rank(ids[best], ids[best + 1], scratch->no_control);
    }
    if (best > 0) {
      ranks[best - 1] = Rank(ids[best - 1], ids[best], scratch->no_control);
    }
  }
  ids.resize(n);
}

void BpeModel::Merge(BpeScratch* scratch, std::vector<int32_t>* ids) const {
  if (scratch->ids.size() <= kShortWord) {
    MergeShort(scratch);
  } else {
    scratch->long_merger.Run(
        merges, scratch->no_control ? &is_control : nullptr, &scratch->ids);
  }
  ids->insert(ids->end(), scratch->ids.begin(), scratch->ids.end());
}

// The end of the part of `word` from `begin` that no merge leaves: it goes up
// to the next U+2581 that follows another character.
size_t BpeModel::SegmentEnd(std::string_view word, size_t begin) const {
  size_t at = begin;
  while (StartsWithMeta(word.substr(at))) at += kMeta.size();
  const size_t end = word.find(kMeta, at);
  return end == std::string_view::npos ? word.size() : end;
}

Status BpeModel::EncodeUncached(std::string_view word, bool raw,
                                BpeScratch* scratch,
                                std::vector<int32_t>* ids) const {
  scratch->ids.clear();
  if (raw) {
    bool open = false;
    for (const char c : word) {
      const int32_t id = raw_byte_[static_cast<uint8_t>(c)];
      if (id >= 0) {
        scratch->ids.push_back(id);
        open = false;
      } else {
        SLM_RETURN_IF_ERROR(AppendUnknown(&open, &scratch->ids));
      }
    }
  } else {
    SLM_RETURN_IF_ERROR(
        AppendSymbols(word, /*is_begin=*/true, /*is_end=*/true, &scratch->ids));
  }
  Merge(scratch, ids);
  return OkStatus();
}

Status BpeModel::Encode(std::string_view word, bool raw, BpeScratch* scratch,
                        std::vector<int32_t>* ids) const {
  if (word.empty()) return OkStatus();
  if (cut_before_space_ && !raw && !ignore_merges) {
    const size_t end = SegmentEnd(word, 0);
    if (end < word.size()) {
      for (size_t begin = 0; begin < word.size();) {
        const size_t next = SegmentEnd(word, begin);
        SLM_RETURN_IF_ERROR(
            Encode(word.substr(begin, next - begin), raw, scratch, ids));
        begin = next;
      }
      return OkStatus();
    }
  }
  using Entry = BpeScratch::CacheEntry;
  Entry* entry = nullptr;
  if (!scratch->cache.empty() && word.size() <= Entry::kMaxBytes) {
    entry = &scratch->cache[HashBytes(word) & (scratch->cache.size() - 1)];
    if (entry->size == word.size() &&
        std::memcmp(entry->word, word.data(), word.size()) == 0) {
      ids->insert(ids->end(), entry->ids, entry->ids + entry->count);
      return OkStatus();
    }
  }
  const size_t first = ids->size();
  int32_t whole = -1;
  if (ignore_merges) {
    if (raw) {
      scratch->text.clear();
      AppendByteLevel(word, &scratch->text);
    }
    whole = vocabulary.Find(raw ? std::string_view(scratch->text) : word);
    if (scratch->no_control && whole >= 0 &&
        static_cast<size_t>(whole) < is_control.size() &&
        is_control[static_cast<size_t>(whole)]) {
      whole = -1;
    }
  }
  if (whole >= 0) {
    ids->push_back(whole);
  } else {
    SLM_RETURN_IF_ERROR(EncodeUncached(word, raw, scratch, ids));
  }
  const size_t count = ids->size() - first;
  if (entry != nullptr && count <= Entry::kMaxIds) {
    std::memcpy(entry->word, word.data(), word.size());
    entry->size = static_cast<uint8_t>(word.size());
    entry->count = static_cast<uint8_t>(count);
    std::copy_n(ids->data() + first, count, entry->ids);
  }
  return OkStatus();
}

}  // namespace slm::text
