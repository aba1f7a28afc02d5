// SPDX-License-Identifier: MIT
// Byte pair encoding: the symbols of a word are merged in the order of the
// merges' ranks, leftmost first.
#ifndef SLM_RUNTIME_TEXT_BPE_H_
#define SLM_RUNTIME_TEXT_BPE_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/text/bpe_long.h"
#include "runtime/text/merge_table.h"
#include "runtime/text/vocabulary.h"

namespace slm::text {

// Working memory of one Encode call, reused from word to word.
struct BpeScratch {
  // Words met before in this call and their ids; direct-mapped.
  struct CacheEntry {
    static constexpr size_t kMaxBytes = 20, kMaxIds = 8;
    char word[kMaxBytes];
    uint8_t size;  // 0 = free
    uint8_t count;
    int32_t ids[kMaxIds];
  };
  std::vector<int32_t> ids;
  std::vector<uint32_t> ranks;
  LongMerger long_merger;
  std::vector<CacheEntry> cache;  // a power of two, or none
  std::string text;
  bool no_control = false;  // never merge into a control token

  // For a text of that size; short ones do without a cache.
  void MakeCache(size_t text_bytes);
};

class BpeModel {
 public:
  Vocabulary vocabulary;
  MergeTable merges;
  std::string unk_token;
  bool has_unk = false;
  std::string continuing_prefix, end_suffix;
  bool fuse_unk = false, byte_fallback = false, ignore_merges = false;
  // Ids that no_control excludes from merging; by id.
  std::vector<bool> is_control;

  // Call once all of the above is set.
  void Finish();

  // True if words can be given as plain bytes instead of byte-level text.
  bool TakesRawBytes() const;

  // Appends the ids of one word. `raw`: the word is plain bytes of which each
  // stands for its byte-level character.
  Status Encode(std::string_view word, bool raw, BpeScratch* scratch,
                std::vector<int32_t>* ids) const;

 private:
  Status EncodeUncached(std::string_view word, bool raw, BpeScratch* scratch,
                        std::vector<int32_t>* ids) const;
  Status AppendSymbols(std::string_view word, bool is_begin, bool is_end,
                       std::vector<int32_t>* ids) const;
  Status AppendUnknown(bool* open, std::vector<int32_t>* ids) const;
  void MergeShort(BpeScratch* scratch) const;
  void Merge(BpeScratch* scratch, std::vector<int32_t>* ids) const;
  uint32_t Rank(int32_t left, int32_t right, bool no_control) const;
  size_t SegmentEnd(std::string_view word, size_t begin) const;

  std::array<int32_t, 256> byte_token_{};  // "<0x41>"; -1 = not there
  std::array<int32_t, 256> raw_byte_{};    // byte-level character; -1
  std::array<int32_t, 128> ascii_{};       // id of a one-byte token; -1
  int32_t unk_id_ = -1;
  // No merge joins a token's end with a following U+2581 or space unless the
  // token ends in one: long texts fall apart into words there.
  bool cut_before_space_ = false;
};

}  // namespace slm::text

#endif  // SLM_RUNTIME_TEXT_BPE_H_
