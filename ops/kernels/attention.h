// SPDX-License-Identifier: MIT
// Softmax attention over cached keys and values, blocked for prefill and split
// over the cache for decode; one arithmetic for both. For a query row i of head
// h at position p, over the keys j that it may see:
//
//   s_j = scale * q_i . k_j;   s_j = cap * tanh(s_j / cap);   s_j += bias_j
//   out = sum_j exp(s_j) v_j / (sum_j exp(s_j) + exp(sink_h))
//
// in float32. With AttentionShape::int16 on a CPU with AVX-512 VNNI both
// products are of 16-bit integers, which take half the time: scale * q_i and
// k_j are rounded to 1 / 32700 of their length, v_j to 1 / 4095 of its largest
// element, and what v_j is multiplied by to 12 to 15 bits. The rest is float32.
//
// The keys are cut by absolute position into blocks of kKeyBlock and splits of
// kSplitKeys. A row has one maximum for each split, and the splits are merged
// in ascending order. So a row's bits depend on the SIMD target only, not on
// how many rows are computed together, on chunking or on the number of threads.
// Files: attention_schedule.h cuts the work, attention_split-inl.h does a split
// with the tiles of attention-inl.h (float), attention_int16-inl.h or
// attention_int8-inl.h (int8 keys and values).
#ifndef SLM_OPS_KERNELS_ATTENTION_H_
#define SLM_OPS_KERNELS_ATTENTION_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/kernels/kv_rows.h"
#include "runtime/core/threads.h"

namespace slm {

// Merging costs one row of values per split, below 1 % of its 256 keys; at a
// cache of 2048 tokens eight threads have a split each, for any head count.
inline constexpr size_t kSplitKeys = 256;

struct AttentionShape {
  size_t heads = 0;       // H
  size_t kv_heads = 0;    // K, divides H: heads k*H/K.. share kv head k
  size_t head_size = 0;   // E of queries and keys
  size_t value_size = 0;  // E of values and of the output
  float scale = 1;
  float softcap = 0;            // 0: none
  bool causal = true;           // key j is visible at position p if j <= p
  size_t window = 0;            // and if j > p - window; 0: no limit
  bool smooth = false;          // 1 joins the denominator
  const float* sink = nullptr;  // [H]: exp(sink) joins the denominator
  // Integers of 16 bits will do; int8 caches have products of their own.
  bool int16 = false;
};

// Strides are in floats (bias) or bytes (allowed).
struct AttentionSequence {
  const float* q = nullptr;  // [T, H, E] by strides
  size_t q_token_stride = 0;
  size_t q_head_stride = 0;
  float* out = nullptr;  // [T, H, E] by strides
  size_t out_token_stride = 0;
  size_t out_head_stride = 0;
  size_t count = 0;   // T
  int64_t first = 0;  // position of query row 0 for causal and window
  size_t keys = 0;    // S: keys at [0, S)
  KvRows k, v;
  // Added to the scores, or (one of both) false where a key is masked:
  // row [S] of head h and token t at h * mask_head_stride + t *
  // mask_token_stride.
  const float* bias = nullptr;
  const uint8_t* allowed = nullptr;
  size_t mask_head_stride = 0;
  size_t mask_token_stride = 0;
};

// Bytes for Attention; depends on sizes only, not on what pointers hold.
size_t AttentionScratchBytes(const AttentionShape& shape,
                             std::span<const AttentionSequence> sequences,
                             size_t threads);

// What makes query rows [begin, end) of a sequence and their keys and values,
// called for all rows on whichever thread: short sequences are best attended to
// by the thread that has just written what they read.
struct AttentionRowMaker {
  void (*make)(void* context, size_t sequence, size_t begin, size_t end);
  void* context;
  size_t grain;  // rows that are worth a thread
};

// Of make(sequence, begin, end), which must outlive it.
template <typename Make>
AttentionRowMaker RowMakerOf(Make& make, size_t grain) {
  return {.make =
              [](void* context, size_t sequence, size_t begin, size_t end) {
                (*static_cast<Make*>(context))(sequence, begin, end);
              },
          .context = &make,
          .grain = grain};
}

// `scratch` is aligned to 64 bytes. A row that sees no key gets zeros. `maker`
// may be nullptr: then all rows are there.
void Attention(const AttentionShape& shape,
               std::span<const AttentionSequence> sequences, ThreadPool& pool,
               void* scratch, const AttentionRowMaker* maker = nullptr);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_ATTENTION_H_
