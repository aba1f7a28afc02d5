// SPDX-License-Identifier: MIT
// A ragged batch as ops see it: activations are [1, T, ...] where T is the sum
// of the new tokens of all sequences; sequence ops read this list. And the
// memory of a sequence that those ops read and write; runtime/sequence_state
// owns and grows it.
#ifndef SLM_OPS_BATCH_H_
#define SLM_OPS_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ops/kernels/kv_rows.h"
#include "runtime/core/dtype.h"

namespace slm {

// How keys and values of all layers are stored. K and V of one token and kv
// head are a row of E elements; rows are grouped into pages so that a sequence
// grows without moving.
//   page of one layer: [2 (K, V)][K kv heads][kPageTokens rows of E] of dtype,
//   the rows in the order of ops/kernels/kv_rows.h,
//   for kI8 followed by the scales float [2][K][kPageTokens]: a row's value is
//   int8 * scale (symmetric, scale = absmax / 127).
struct KvFormat {
  static constexpr size_t kPageTokens = 64;  // 64 rows x 64 x f16 = 8 KiB

  DType dtype = DType::kF32;  // kF32, kF16 or kI8
  size_t kv_heads = 0;        // K
  size_t head_size = 0;       // E (a multiple of 2)

  size_t RowBytes() const { return PagedRowBytes(dtype, head_size); }
  size_t PlaneBytes() const {  // K or V rows of one page
    return kv_heads * kPageTokens * RowBytes();
  }
  size_t PageBytes() const {
    return 2 * PlaneBytes() +
           (dtype == DType::kI8 ? 2 * kv_heads * kPageTokens * sizeof(float)
                                : 0);
  }
};

// Keys and values of one layer of one sequence. Token position p is row
// p % kPageTokens of pages[p / kPageTokens - first_page]. Pages before
// first_page were released (they slid out of the layer's window).
struct KvLayer {
  KvFormat format;
  std::vector<uint8_t*> pages;
  size_t first_page = 0;

  uint8_t* Page(size_t position) const {
    return pages[position / KvFormat::kPageTokens - first_page];
  }
};

// One sequence's share of a batch. Before execution every layer has pages for
// positions [first, first + count).
struct BatchSequence {
  size_t row = 0;    // its rows in the batch are [row, row + count)
  size_t count = 0;  // new tokens
  size_t first = 0;  // position of the first new token = tokens cached before
  // Total length that decides between short and long rope factors (long-rope
  // models): the length at the end of the whole prefill, not of this chunk.
  size_t rope_total = 0;
  std::span<KvLayer> kv;  // indexed by layer slot
};

struct Batch {
  std::span<const BatchSequence> sequences;
};

}  // namespace slm

#endif  // SLM_OPS_BATCH_H_
