// SPDX-License-Identifier: MIT
// The memory of sequences: pages of keys and values shared between forks
// (copied on write), windows that release what has slid out, and in dense mode
// the graph's own past tensors.
#ifndef SLM_RUNTIME_SEQUENCE_STATE_H_
#define SLM_RUNTIME_SEQUENCE_STATE_H_

#include <memory>
#include <vector>

#include "ops/batch.h"
#include "runtime/core/memory.h"
#include "runtime/core/result.h"
#include "runtime/plan/executor.h"

namespace slm {

// Bytes that all pools of a session may allocate together.
struct KvBudget {
  size_t cap_bytes = 0;  // 0: no cap
  size_t allocated = 0;
};

// Hands out pages of one size with reference counts, within a budget that
// outlives the pool. They come in slabs, first as large as all before together,
// then of a huge page: attention reads thousands of pages a token, and with
// small ones of the system waits up to 7 % of its time for their addresses.
class PagePool {
 public:
  PagePool(size_t page_bytes, KvBudget* budget)
      : page_bytes_(page_bytes), budget_(budget) {}

  Result<uint8_t*> Take();    // one reference
  void Share(uint8_t* page);  // one more
  void Drop(uint8_t* page);   // one less; the last one frees it
  bool IsShared(const uint8_t* page) const { return *Count(page) > 1; }
  size_t page_bytes() const { return page_bytes_; }
  size_t UsedBytes() const { return used_ * page_bytes_; }

 private:
  // The count stands behind the page's bytes.
  uint32_t* Count(const uint8_t* page) const;
  size_t Stride() const;  // bytes from a page to the next one of a slab
  Status AddSlab();

  size_t page_bytes_;
  KvBudget* budget_;
  size_t used_ = 0;
  std::vector<AlignedBuffer> slabs_;
  uint8_t* fresh_ = nullptr;  // pages of the last slab that were never out
  size_t fresh_count_ = 0;
  size_t made_ = 0;  // pages that were
  std::vector<uint8_t*> free_;
};

// Keys and values of one sequence in ragged mode.
class KvCache {
 public:
  struct LayerSpec {
    KvFormat format;
    int64_t window = -1;  // tokens that a query sees, -1 = all
  };

  // Pools by layer, shared by all sequences of a session; they outlive this.
  KvCache(std::vector<LayerSpec> specs, std::vector<PagePool*> pools);
  ~KvCache();
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  // Pages for positions [length, length + count), none of them shared.
  Status Reserve(size_t length, size_t count);
  // Forgets positions >= length. False if a window needs what was released:
  // the sequence must be computed again from its start.
  bool Truncate(size_t length);
  // Releases pages that no query at positions >= length can see.
  void Slide(size_t length);
  void Clear() { Truncate(0); }
  // Shares all pages.
  std::unique_ptr<KvCache> Fork() const;

  std::span<KvLayer> layers() { return layers_; }

 private:
  std::vector<LayerSpec> specs_;
  std::vector<PagePool*> pools_;
  std::vector<KvLayer> layers_;
};

}  // namespace slm

#endif  // SLM_RUNTIME_SEQUENCE_STATE_H_
