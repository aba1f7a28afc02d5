// SPDX-License-Identifier: MIT
// The keys of one split for all rows of a task:
//   scores of what each tile of rows sees, page by page;
//   softmax of whole rows; values, page by page.
#if defined(SLM_OPS_KERNELS_ATTENTION_SPLIT_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef SLM_OPS_KERNELS_ATTENTION_SPLIT_INL_H_
#undef SLM_OPS_KERNELS_ATTENTION_SPLIT_INL_H_
#else
#define SLM_OPS_KERNELS_ATTENTION_SPLIT_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "ops/kernels/attention-inl.h"
#include "ops/kernels/attention_int8-inl.h"
#include "ops/kernels/attention_task.h"
#include "runtime/core/shape.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

size_t QueryWidth(const AttentionTask& task) {
  return RoundUp(task.shape->head_size, kQueryPadding);
}

// Queries times scale in w.q, or for int8 keys in w.planes.
void LoadQueries(const AttentionTask& task, const WorkerScratch& w) {
  const AttentionShape& shape = *task.shape;
  const AttentionSequence& s = *task.sequence;
  const size_t group = task.group(), width = QueryWidth(task);
  const bool integers = s.k.dtype == DType::kI8;
  for (size_t r = 0; r < task.rows(); ++r) {
    const size_t t = task.t0 + r / group;
    const size_t h = task.kv_head * group + r % group;
    const float* from = s.q + t * s.q_token_stride + h * s.q_head_stride;
    float* to = w.q + (integers ? 0 : r * width);
    for (size_t e = 0; e < shape.head_size; ++e) to[e] = from[e] * shape.scale;
    if (!integers) continue;
    std::fill(to + shape.head_size, to + width, 0.0f);
    PackQuery(to, width, w.planes + r * width / 2, w.q_scales[r], w.q_sums[r]);
  }
}

void Clear(size_t rows, size_t padded, const AttentionRows& out) {
  std::fill_n(out.o, rows * padded, 0.0f);
  std::fill_n(out.m, rows, -std::numeric_limits<float>::infinity());
  std::fill_n(out.l, rows, 0.0f);
}

// Keys as tiles [4, E, 16]: in place where they lie so as floats. `ahead` is
// then left to who reads them.
const float* FloatKeys(const AttentionTask& task, const uint8_t* rows,
                       size_t j0, size_t j1, ptrdiff_t& ahead, float* to) {
  const KvRows& k = task.sequence->k;
  const size_t e = task.shape->head_size;
  if (k.layout == KvLayout::kRows) {
    TransposeKeys(rows, k.row_stride, e, j0, j1, to);
  } else if (k.dtype == DType::kF32) {
    return reinterpret_cast<const float*>(rows);
  } else {
    WidenKeys(rows, e, j0, j1, ahead, to);
  }
  ahead = 0;
  return to;
}

// Values [64, stride]: in place where they are floats without a tail.
const float* FloatValues(const AttentionTask& task, const uint8_t* rows,
                         size_t j0, size_t j1, ptrdiff_t& ahead, float* to,
                         size_t& stride) {
  const KvRows& v = task.sequence->v;
  const size_t e = task.shape->value_size;
  stride = task.padded;
  if (v.dtype == DType::kF16) {
    UnpackValues<hwy::float16_t>(rows, v.row_stride, e, task.padded, j0, j1,
                                 ahead, to);
  } else if (e == task.padded) {
    stride = v.row_stride / sizeof(float);
    return reinterpret_cast<const float*>(rows);
  } else {
    UnpackValues<float>(rows, v.row_stride, e, task.padded, j0, j1, ahead, to);
  }
  ahead = 0;
  return to;
}

// The columns of a split that each row sees. Later rows see no earlier ones.
void FindColumns(const AttentionTask& task, size_t start, Columns* columns) {
  const size_t group = task.group();
  const auto column = [start](size_t key) {
    return std::min(std::max(key, start) - start, kSplitKeys);
  };
  for (size_t t = task.t0; t < task.t1; ++t) {
    const size_t begin = column(task.Lo(t));
    const size_t end = std::max(begin, column(task.Hi(t)));
    std::fill_n(columns, group, Columns{begin, end});
    columns += group;
  }
}

// What rows [first, first + count) see together.
Columns Together(const Columns* columns, size_t first, size_t count) {
  return {columns[first].begin, columns[first + count - 1].end};
}

RowMask MaskOf(const AttentionTask& task, const Columns* columns, size_t row,
               size_t start) {
  const AttentionSequence& s = *task.sequence;
  RowMask mask{.lo = columns[row].begin, .hi = columns[row].end};
  if (!s.bias && !s.allowed) return mask;
  const size_t t = task.t0 + row / task.group();
  const size_t h = task.kv_head * task.group() + row % task.group();
  const size_t at = h * s.mask_head_stride + t * s.mask_token_stride + start;
  if (s.bias) mask.bias = s.bias + at;
  if (s.allowed) mask.allowed = s.allowed + at;
  return mask;
}

// To whole pairs of vectors, which is what scores are computed in.
Columns Whole(Columns c) {
  const size_t pair = 2 * hn::Lanes(DF());
  return {c.begin / pair * pair, RoundUp(c.end, pair)};
}

// Of these the ones in a page, counted from its first.
Columns InPage(Columns c, size_t page) {
  const size_t begin = std::max(c.begin, page * kKeyBlock) - page * kKeyBlock;
  const size_t end = std::max(c.end, page * kKeyBlock) - page * kKeyBlock;
  return {begin, std::min(end, kKeyBlock)};
}

// Calls tile(row, number of rows) for tiles of up to kMost rows.
template <size_t kMost, typename Tile>
HWY_INLINE void ForTiles(size_t rows, const Tile& tile) {
  size_t r = 0;
  for (; r + kMost <= rows; r += kMost) {
    tile(r, std::integral_constant<size_t, kMost>());
  }
  if constexpr (kMost > 1) {
    ForTiles<kMost - 1>(rows - r,
                        [&](size_t at, auto n) HWY_ATTR { tile(r + at, n); });
  }
}

// Tiles of rows. Sixteen sums of two vectors hide the latency of the
// multiply-add (4 cycles, two a cycle); seven rows are the heads of a kv head
// of many models. With 16 registers four rows it is.
inline constexpr size_t kFloatTile =
    HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3 ? 4 : 8;
inline constexpr size_t kInt8Tile = 4;

// Scores of all rows and the columns that they see into w.p.
void Scores(const AttentionTask& task, size_t split, const Columns& columns,
            const NextSplit& next, const WorkerScratch& w) {
  const KvRows& k = task.sequence->k;
  const size_t rows = task.rows(), width = QueryWidth(task);
  const QueryRows q{.planes = w.planes,
                    .plane = width / 4,
                    .quads = k.row_stride / 4,
                    .sums = w.q_sums,
                    .scales = w.q_scales};
  for (size_t page = columns.begin / kKeyBlock;
       page < CeilDiv(columns.end, kKeyBlock); ++page) {
    const uint8_t* block = k.Block(task.kv_head, split * kSplitBlocks + page);
    ptrdiff_t ahead = next.Ahead(block, page, /*values=*/false);
    float* p = w.p + page * kKeyBlock;
    if (k.dtype == DType::kI8) {
      ForTiles<kInt8Tile>(rows, [&](size_t r, auto n) HWY_ATTR {
        const Columns c = InPage(Together(w.columns, r, n()), page);
        Int8ScoreTile<n()>(q, r, block, w.scales + page * kKeyBlock, c.begin,
                           c.end, r == 0 ? ahead : 0, p);
      });
      continue;
    }
    const Columns all = InPage(columns, page);
    const auto score = [&](const auto* keys) HWY_ATTR {
      ForTiles<kFloatTile>(rows, [&](size_t r, auto n) HWY_ATTR {
        const Columns c = InPage(Together(w.columns, r, n()), page);
        ScoreTile<n()>(w.q + r * width, width, task.shape->head_size, keys,
                       c.begin, c.end, r == 0 ? ahead : 0, p + r * kSplitKeys);
      });
    };
    if (k.dtype == DType::kF16 && rows <= kFloatTile) {
      score(reinterpret_cast<const hwy::float16_t*>(block));
    } else {
      score(FloatKeys(task, block, all.begin, all.end, ahead, w.kt));
    }
  }
}

// Scales of the split's int8 columns; 0 where nothing has been stored.
void CopyScales(const AttentionTask& task, size_t split, const Columns& c,
                float* to) {
  std::fill_n(to, 2 * kSplitKeys, 0.0f);
  for (const KvRows* rows : {&task.sequence->k, &task.sequence->v}) {
    for (size_t j = c.begin; j < c.end;) {
      const size_t end = std::min(c.end, RoundUp(j + 1, kKeyBlock));
      const float* scales =
          rows->Scales(task.kv_head, split * kSplitBlocks + j / kKeyBlock);
      std::copy(scales + j % kKeyBlock, scales + j % kKeyBlock + (end - j),
                to + j);
      j = end;
    }
    to += kSplitKeys;
  }
}

// Scores to weights, maxima and sums; for int8 values to integers. A few rows
// go through each step before the next, so that the sums over lanes at the end
// of one row, some 30 cycles each, overlap with the next row.
void Weights(const AttentionTask& task, size_t split, const WorkerScratch& w,
             const AttentionRows& out) {
  constexpr size_t kStep = 8;
  const size_t start = split * kSplitKeys, rows = task.rows();
  const bool integers = task.sequence->v.dtype == DType::kI8;
  const size_t tile = integers ? kInt8Tile : kFloatTile;
  for (size_t first = 0; first < rows; first += kStep) {
    const size_t last = std::min(rows, first + kStep);
    Columns seen[kStep];
    for (size_t r = first; r < last; ++r) {
      // All columns of the row's tile: those that it does not see get 0.
      const size_t r0 = r / tile * tile;
      const Columns c =
          Whole(Together(w.columns, r0, std::min(tile, rows - r0)));
      seen[r - first] = c;
      out.m[r] = MaskRow(task.shape->softcap, MaskOf(task, w.columns, r, start),
                         c.begin, c.end, w.p + r * kSplitKeys);
    }
    for (size_t r = first; r < last; ++r) {
      const Columns c = seen[r - first];
      float* p = w.p + r * kSplitKeys;
      if (integers) {
        out.l[r] = ScaledExpRow(out.m[r], w.scales + kSplitKeys, c.begin, c.end,
                                p, w.p_scales[r]);
      } else {
        out.l[r] = ExpRow(out.m[r], c.begin, c.end, p);
      }
    }
    if (!integers) continue;
    for (size_t r = first; r < last; ++r) {
      const Columns c = seen[r - first];
      const float top = w.p_scales[r];
      const bool usable = top > 1e-30f && top < 1e38f;
      PackWeights(w.p + r * kSplitKeys + c.begin, c.end - c.begin,
                  usable ? kWeightMax / top : 0.0f,
                  w.weights + r * kSplitKeys / 2 + c.begin / 4);
      w.p_scales[r] = top / kWeightMax;
    }
  }
}

void Int8Values(const AttentionTask& task, size_t split, const Columns& columns,
                const NextSplit& next, const WorkerScratch& w, float* o) {
  const KvRows& v = task.sequence->v;
  SplitBlocks blocks;
  for (size_t page = columns.begin / kKeyBlock;
       page < CeilDiv(columns.end, kKeyBlock); ++page) {
    blocks.at[page] = v.Block(task.kv_head, split * kSplitBlocks + page);
    blocks.ahead[page] = next.Ahead(blocks.at[page], page, /*values=*/true);
  }
  const WeightRows weights{.planes = w.weights, .scales = w.p_scales};
  ForTiles<kInt8Tile>(task.rows(), [&](size_t r, auto n) HWY_ATTR {
    const Columns c = Whole(Together(w.columns, r, n()));
    Int8ValueTile<n()>(weights, r, blocks, v.row_stride, c.begin, c.end,
                       task.padded, o);
  });
}

void Values(const AttentionTask& task, size_t split, const Columns& columns,
            const NextSplit& next, const WorkerScratch& w, float* o) {
  const size_t rows = task.rows(), padded = task.padded;
  std::fill_n(o, rows * padded, 0.0f);
  for (size_t page = columns.begin / kKeyBlock;
       page < CeilDiv(columns.end, kKeyBlock); ++page) {
    const Columns all = InPage(columns, page);
    const uint8_t* block =
        task.sequence->v.Block(task.kv_head, split * kSplitBlocks + page);
    ptrdiff_t ahead = next.Ahead(block, page, /*values=*/true);
    size_t stride = padded;
    const auto sum = [&](const auto* v) HWY_ATTR {
      ForTiles<kFloatTile>(rows, [&](size_t r, auto n) HWY_ATTR {
        const Columns c = InPage(Together(w.columns, r, n()), page);
        if (c.begin >= c.end) return;
        ValueTile<n()>(w.p + r * kSplitKeys + page * kKeyBlock, v, stride,
                       padded, c.begin, c.end, r == 0 ? ahead : 0,
                       o + r * padded);
      });
    };
    if (task.sequence->v.dtype == DType::kF16 && rows <= kFloatTile &&
        task.shape->value_size == padded) {
      sum(reinterpret_cast<const hwy::float16_t*>(block));
    } else {
      sum(FloatValues(task, block, all.begin, all.end, ahead, w.v, stride));
    }
  }
}

// The keys of one split for all rows of the task, into `out`.
void AttendSplit(const AttentionTask& task, size_t split, const NextSplit& next,
                 const WorkerScratch& w, const AttentionRows& out) {
  FindColumns(task, split * kSplitKeys, w.columns);
  const Columns columns = Together(w.columns, 0, task.rows());
  if (columns.begin >= columns.end) {
    Clear(task.rows(), task.padded, out);
    return;
  }
  if (task.sequence->k.dtype == DType::kI8) {
    CopyScales(task, split, columns, w.scales);
    Scores(task, split, columns, next, w);
    Weights(task, split, w, out);
    Int8Values(task, split, columns, next, w, out.o);
  } else {
    Scores(task, split, columns, next, w);
    Weights(task, split, w, out);
    Values(task, split, columns, next, w, out.o);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif  // include guard toggled per target
