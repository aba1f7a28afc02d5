// SPDX-License-Identifier: MIT
// Pieces of work that Attention is cut into, and the memory of a worker.
#ifndef SLM_OPS_KERNELS_ATTENTION_TASK_H_
#define SLM_OPS_KERNELS_ATTENTION_TASK_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ops/kernels/attention.h"

namespace slm {

// Rows of a task are the G heads of a kv head at a few tokens. 128 of them use
// an unpacked block of keys often enough that unpacking costs below 10 % (64:
// below 20 % of integers).
inline constexpr size_t kTaskRows = 128;
inline constexpr size_t kSplitBlocks = kSplitKeys / kKeyBlock;
// Rows of queries are padded to what two vectors hold.
inline constexpr size_t kQueryPadding = 32;

// Running results of `rows` query rows.
struct AttentionRows {
  float* o;  // [rows, padded]
  float* m;  // [rows] maximum
  float* l;  // [rows] sum of exp(s - m)
};

// Rows of tokens [t0, t1) and kv head k: row (t - t0) * G + g.
struct AttentionTask {
  const AttentionShape* shape;
  const AttentionSequence* sequence;
  size_t kv_head, t0, t1;
  size_t padded;  // value_size rounded up

  size_t group() const { return shape->heads / shape->kv_heads; }
  size_t rows() const { return (t1 - t0) * group(); }
  // Keys that token t sees: [Lo, Hi).
  size_t Hi(size_t t) const {
    const int64_t keys = static_cast<int64_t>(sequence->keys);
    const int64_t end =
        shape->causal ? sequence->first + static_cast<int64_t>(t) + 1 : keys;
    return static_cast<size_t>(std::clamp<int64_t>(end, 0, keys));
  }
  size_t Lo(size_t t) const {
    if (shape->window == 0) return 0;
    const int64_t end = sequence->first + static_cast<int64_t>(t) + 1;
    const int64_t lo = end - static_cast<int64_t>(shape->window);
    return static_cast<size_t>(std::max<int64_t>(lo, 0));
  }
  // Partial result `i` of a list of them.
  AttentionRows PartAt(float* parts, size_t i) const {
    float* o = parts + i * rows() * (padded + 2);
    return {o, o + rows() * padded, o + rows() * (padded + 1)};
  }
};

// Columns [begin, end) of a split.
struct Columns {
  size_t begin, end;
};

// What a worker computes next.
struct NextSplit {
  const AttentionSequence* sequence = nullptr;
  size_t kv_head = 0, split = 0;

  const KvRows& Rows(bool values) const {
    return values ? sequence->v : sequence->k;
  }
  bool Has(size_t page) const {
    if (!sequence) return false;
    const KvRows& rows = sequence->k;
    const size_t there = split * kSplitBlocks + page;
    return rows.pages && there >= rows.first_page &&
           there * kKeyBlock < sequence->keys;
  }
  // If it has the page.
  const uint8_t* Block(size_t page, bool values) const {
    return Rows(values).Block(kv_head, split * kSplitBlocks + page);
  }
  // From `block`, page `page` of the present split, to the same page of the
  // next one; 0 if there is none.
  ptrdiff_t Ahead(const uint8_t* block, size_t page, bool values) const {
    return Has(page) ? Block(page, values) - block : 0;
  }
};

// The pages of a split's values, and how far ahead what to fetch is.
struct SplitBlocks {
  const uint8_t* at[kSplitBlocks] = {};
  ptrdiff_t ahead[kSplitBlocks] = {};
};

struct WorkerScratch {
  Columns* columns;  // [rows]: what each row sees of the split
  float* q;          // [rows, E], times scale
  int32_t* planes;   // [rows, 2, E / 4] for int8 keys
  float* q_scales;   // [rows]
  int32_t* q_sums;   // [rows]
  float* kt;         // [4, E, 16]
  float* v;          // [64, padded], or [kSplitKeys / 2, padded] pairs
  float* scales;     // [3, kSplitKeys] of keys and values in integers
  float* p;          // [rows, kSplitKeys]
  int32_t* weights;  // [rows, 2, kSplitKeys / 4] for int8 values
  float* p_scales;   // [rows]
  AttentionRows part, total;
};

}  // namespace slm

#endif  // SLM_OPS_KERNELS_ATTENTION_TASK_H_
