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
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "ops/kernels/attention-inl.h"
#include "ops/kernels/attention_int16-inl.h"
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

// Calls each(from, row) for the task's rows of queries.
template <class Each>
HWY_INLINE void ForQueries(const AttentionTask& task, const Each& each) {
  const AttentionSequence& s = *task.sequence;
  const size_t group = task.group();
  const float* from =
      s.q + task.t0 * s.q_token_stride + task.kv_head * group * s.q_head_stride;
  for (size_t t = task.t0, row = 0; t < task.t1; ++t) {
    for (size_t g = 0; g < group; ++g, ++row) {
      each(from + g * s.q_head_stride, row);
    }
    from += s.q_token_stride;
  }
}

// Queries times scale in w.q, or for int8 keys in w.planes.
void LoadQueries(const AttentionTask& task, const WorkerScratch& w) {
  const AttentionShape& shape = *task.shape;
  const size_t width = QueryWidth(task), lanes = hn::Lanes(DF());
#if HWY_TARGET == HWY_AVX3_DL
  if (Int16Tiles::Take(task)) {
    ForQueries(task, [&](const float* from, size_t row) HWY_ATTR {
      Int16Tiles::MeasureQuery(from, shape.head_size, shape.scale, row, w);
    });
    Int16Tiles::FindQuerySteps(task.rows(), w);
    ForQueries(task, [&](const float* from, size_t row) HWY_ATTR {
      Int16Tiles::PackQuery(from, shape.head_size, shape.scale, width, row, w);
    });
    return;
  }
#endif
  const bool integers = task.sequence->k.dtype == DType::kI8;
  const auto factor = hn::Set(DF(), shape.scale);
  ForQueries(task, [&](const float* from, size_t row) HWY_ATTR {
    float* to = w.q + row * width;
    for (size_t e = 0; e < width; e += lanes) {
      const size_t at = std::min(e, shape.head_size);
      const size_t n = std::min(lanes, shape.head_size - at);
      const auto x = hn::LoadN(DF(), from + at, n);
      hn::StoreU(hn::Mul(x, factor), DF(), to + e);
    }
    if (!integers) return;
    PackQuery(to, width, w.planes + row * width / 2, w.q_scales[row],
              w.q_sums[row]);
  });
}

void Clear(size_t rows, size_t padded, const AttentionRows& out) {
  std::fill_n(out.o, rows * padded, 0.0f);
  std::fill_n(out.m, rows, -std::numeric_limits<float>::infinity());
  std::fill_n(out.l, rows, 0.0f);
}

// A split in float32; Int16Tiles has the same members.
struct FloatTiles {
  // Rows of a tile. Sixteen sums of two vectors hide the latency of the
  // multiply-add (4 cycles, two a cycle); seven rows are the heads of a kv head
  // of many models. With 16 registers four rows it is.
  static constexpr size_t kRows = HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3 ? 4 : 8;

  // Whether float16 is read where it lies.
  static bool InPlace(const AttentionTask& task) {
    return task.sequence->k.dtype == DType::kF16 && task.rows() <= kRows;
  }
  // Keys as tiles [4, E, 16]: in place where they lie so as floats. `ahead` is
  // then left to who reads them.
  static const float* Keys(const AttentionTask& task, const WorkerScratch& w,
                           size_t, const uint8_t* rows, Columns c,
                           ptrdiff_t& ahead) {
    const KvRows& k = task.sequence->k;
    const size_t e = task.shape->head_size;
    if (k.layout == KvLayout::kRows) {
      TransposeKeys(rows, k.row_stride, e, c.begin, c.end, w.kt);
    } else if (k.dtype == DType::kF32) {
      return reinterpret_cast<const float*>(rows);
    } else {
      WidenKeys(rows, e, c.begin, c.end, ahead, w.kt);
    }
    ahead = 0;
    return w.kt;
  }

  // Values [64, stride]: in place where they are floats without a tail.
  static const float* Values(const AttentionTask& task, const WorkerScratch& w,
                             size_t, const uint8_t* rows, Columns c,
                             ptrdiff_t& ahead, size_t& stride) {
    const KvRows& v = task.sequence->v;
    const size_t e = task.shape->value_size;
    stride = task.padded;
    if (v.dtype == DType::kF16) {
      UnpackValues<hwy::float16_t>(rows, v.row_stride, e, task.padded, c.begin,
                                   c.end, ahead, w.v);
    } else if (e == task.padded) {
      stride = v.row_stride / sizeof(float);
      return reinterpret_cast<const float*>(rows);
    } else {
      UnpackValues<float>(rows, v.row_stride, e, task.padded, c.begin, c.end,
                          ahead, w.v);
    }
    ahead = 0;
    return w.v;
  }

  template <size_t kCount, typename T>
  static void Score(const AttentionTask& task, const WorkerScratch& w,
                    size_t row, size_t page, const T* keys, Columns c,
                    ptrdiff_t ahead) {
    const size_t width = QueryWidth(task);
    ScoreTile<kCount>(w.q + row * width, width, task.shape->head_size, keys,
                      c.begin, c.end, ahead,
                      w.p + row * kSplitKeys + page * kKeyBlock);
  }
  template <size_t kCount, typename T>
  static void Value(const AttentionTask& task, const WorkerScratch& w,
                    size_t row, size_t page, const T* v, size_t stride,
                    Columns c, ptrdiff_t ahead, float* o) {
    ValueTile<kCount>(w.p + row * kSplitKeys + page * kKeyBlock, v, stride,
                      task.padded, c.begin, c.end, ahead,
                      o + row * task.padded);
  }

  // Scores to weights; returns their sum.
  static float Exp(float m, Columns c, const WorkerScratch& w, size_t row) {
    return ExpRow(m, c.begin, c.end, w.p + row * kSplitKeys);
  }
  static void Pack(Columns, const WorkerScratch&, size_t) {}
};

// Inline like whoever calls it: to g++ it does nothing.
HWY_INLINE void FetchLines(const void* p, size_t begin, size_t end) {
  const auto* bytes = static_cast<const uint8_t*>(p);
  for (size_t i = begin; i < end; ++i) {
    __builtin_prefetch(bytes + 64 * i, /*write=*/0, /*locality=*/2);
  }
}

// Scales of a page's keys and values of the next split.
HWY_INLINE void FetchScales(const NextSplit& next, size_t page) {
  if (!next.Has(page)) return;
  for (const bool values : {false, true}) {
    const float* scales = next.Rows(values).Scales(
        next.kv_head, next.split * kSplitBlocks + page);
    if (scales) FetchLines(scales, 0, kKeyBlock * sizeof(float) / 64);
  }
}

// What Weights needs of int8 values: integers are made of the weights.
struct Int8Tiles {
  // Rows of a tile: with two planes and two vectors, seven rows are 28 sums of
  // the 32 registers.
  static constexpr size_t kRows = kVnni ? 7 : 4;

  static float Exp(float m, Columns c, const WorkerScratch& w, size_t row) {
    return ScaledExpRow(m, w.scales, c.begin, c.end, w.p + row * kSplitKeys,
                        w.p_scales[row]);
  }
  static void Pack(Columns c, const WorkerScratch& w, size_t row) {
    const float top = w.p_scales[row];
    const bool usable = top > 1e-30f && top < 1e38f;
    PackWeights(w.p + row * kSplitKeys + c.begin, c.end - c.begin,
                usable ? kWeightMax / top : 0.0f,
                w.weights + row * kSplitKeys / 2 + c.begin / 4);
    w.p_scales[row] = top / kWeightMax;
  }
};

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

HWY_INLINE RowMask MaskOf(const AttentionTask& task, const Columns* columns,
                          size_t row, size_t start) {
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

// Rows of a tile if up to kMost are possible: as even as can be.
template <size_t kMost>
size_t TileRows(size_t rows) {
  return CeilDiv(rows, CeilDiv(rows, kMost));
}

// Calls tile(number of rows) with the number as a constant up to kMost.
template <size_t kMost, typename Tile>
HWY_INLINE void WithRows(size_t rows, const Tile& tile) {
  if (rows == kMost) return tile(std::integral_constant<size_t, kMost>());
  if constexpr (kMost > 1) WithRows<kMost - 1>(rows, tile);
}

// Calls tile(row, number of rows) for tiles of up to kMost rows.
template <size_t kMost, typename Tile>
HWY_INLINE void ForTiles(size_t rows, const Tile& tile) {
  const size_t most = TileRows<kMost>(rows);
  for (size_t r = 0; r < rows; r += most) {
    WithRows<kMost>(std::min(most, rows - r),
                    [&](auto n) HWY_ATTR { tile(r, n); });
  }
}

// Scores of all rows and the columns that they see into w.p.
template <class Tiles>
void Scores(const AttentionTask& task, size_t split, const Columns& columns,
            const NextSplit& next, const WorkerScratch& w) {
  const KvRows& k = task.sequence->k;
  const size_t rows = task.rows();
  for (size_t page = columns.begin / kKeyBlock;
       page < CeilDiv(columns.end, kKeyBlock); ++page) {
    const uint8_t* block = k.Block(task.kv_head, split * kSplitBlocks + page);
    ptrdiff_t ahead = next.Ahead(block, page, /*values=*/false);
    const Columns all = InPage(columns, page);
    const auto score = [&](const auto* keys) HWY_ATTR {
      ForTiles<Tiles::kRows>(rows, [&](size_t r, auto n) HWY_ATTR {
        const Columns c = InPage(Together(w.columns, r, n()), page);
        Tiles::template Score<n()>(task, w, r, page, keys, c,
                                   r == 0 ? ahead : 0);
      });
    };
    if (Tiles::InPlace(task)) {
      score(reinterpret_cast<const hwy::float16_t*>(block));
    } else {
      score(Tiles::Keys(task, w, page, block, all, ahead));
    }
  }
}

void Int8Scores(const AttentionTask& task, size_t split, const Columns& columns,
                const NextSplit& next, const WorkerScratch& w) {
  const KvRows& k = task.sequence->k;
  const QueryRows q{.planes = w.planes,
                    .plane = QueryWidth(task) / 4,
                    .quads = k.row_stride / 4,
                    .sums = w.q_sums,
                    .scales = w.q_scales};
  for (size_t page = columns.begin / kKeyBlock;
       page < CeilDiv(columns.end, kKeyBlock); ++page) {
    const uint8_t* block = k.Block(task.kv_head, split * kSplitBlocks + page);
    const float* scales = k.Scales(task.kv_head, split * kSplitBlocks + page);
    const ptrdiff_t ahead = next.Ahead(block, page, /*values=*/false);
    FetchScales(next, page);
    ForTiles<Int8Tiles::kRows>(task.rows(), [&](size_t r, auto n) HWY_ATTR {
      const Columns c = InPage(Together(w.columns, r, n()), page);
      Int8ScoreTile<n()>(q, r, block, scales, c.begin, c.end,
                         r == 0 ? ahead : 0, w.p + page * kKeyBlock);
    });
  }
}

// Scales of the split's values; what is stored in no row may be anything.
void CopyScales(const AttentionTask& task, size_t split, const Columns& c,
                float* to) {
  for (size_t page = c.begin / kKeyBlock; page < CeilDiv(c.end, kKeyBlock);
       ++page) {
    const float* scales =
        task.sequence->v.Scales(task.kv_head, split * kSplitBlocks + page);
    std::memcpy(to + page * kKeyBlock, scales, kKeyBlock * sizeof(float));
  }
}

// Scores to maxima, weights and sums. A few rows go through each step before
// the next, so that the sums over lanes at the end of one row, some 30 cycles
// each, overlap with the next row.
template <class Tiles>
void Weights(const AttentionTask& task, size_t split, const WorkerScratch& w,
             const AttentionRows& out) {
  constexpr size_t kStep = 8;
  const size_t start = split * kSplitKeys, rows = task.rows();
  const size_t tile = TileRows<Tiles::kRows>(rows);
  size_t r0 = 0;  // where the row's tile begins
  for (size_t first = 0; first < rows; first += kStep) {
    const size_t last = std::min(rows, first + kStep);
    Columns seen[kStep];
    for (size_t r = first; r < last; ++r) {
      if (r == r0 + tile) r0 = r;
      // All columns of the tile: those that the row does not see get 0.
      const Columns c =
          Whole(Together(w.columns, r0, std::min(tile, rows - r0)));
      seen[r - first] = c;
      out.m[r] = MaskRow(task.shape->softcap, MaskOf(task, w.columns, r, start),
                         c.begin, c.end, w.p + r * kSplitKeys);
    }
    for (size_t r = first; r < last; ++r) {
      out.l[r] = Tiles::Exp(out.m[r], seen[r - first], w, r);
    }
    for (size_t r = first; r < last; ++r) Tiles::Pack(seen[r - first], w, r);
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
  ForTiles<Int8Tiles::kRows>(task.rows(), [&](size_t r, auto n) HWY_ATTR {
    const Columns c = Whole(Together(w.columns, r, n()));
    Int8ValueTile<n()>(weights, r, blocks, v.row_stride, c.begin, c.end,
                       task.padded, o);
  });
}

void FloatValues(const AttentionTask& task, size_t split,
                 const Columns& columns, const NextSplit& next,
                 const WorkerScratch& w, float* o) {
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
      ForTiles<FloatTiles::kRows>(rows, [&](size_t r, auto n) HWY_ATTR {
        const Columns c = InPage(Together(w.columns, r, n()), page);
        if (c.begin >= c.end) return;
        FloatTiles::Value<n()>(task, w, r, page, v, stride, c,
                               r == 0 ? ahead : 0, o);
      });
    };
    if (FloatTiles::InPlace(task) && task.shape->value_size == padded) {
      sum(reinterpret_cast<const hwy::float16_t*>(block));
    } else {
      sum(FloatTiles::Values(task, w, page, block, all, ahead, stride));
    }
  }
}

#if HWY_TARGET == HWY_AVX3_DL
void PrepareInt16Values(const AttentionTask& task, size_t split,
                        const Columns& columns, const NextSplit& next,
                        const WorkerScratch& w, SplitBlocks& blocks) {
  const KvRows& v = task.sequence->v;
  for (size_t page = columns.begin / kKeyBlock;
       page < CeilDiv(columns.end, kKeyBlock); ++page) {
    const Columns c = InPage(columns, page);
    const uint8_t* block = v.Block(task.kv_head, split * kSplitBlocks + page);
    ptrdiff_t ahead = next.Ahead(block, page, /*values=*/true);
    blocks.at[page] = block;
    if (Int16Tiles::ValuesInPlace(task)) std::swap(ahead, blocks.ahead[page]);
    if (v.dtype == DType::kF16) {
      Int16Tiles::PreparePage<hwy::float16_t>(task, w, page, block, c, ahead);
    } else {
      Int16Tiles::PreparePage<float>(task, w, page, block, c, ahead);
    }
  }
}

void AttendInt16(const AttentionTask& task, size_t split,
                 const Columns& columns, const NextSplit& next,
                 const WorkerScratch& w, const AttentionRows& out) {
  SplitBlocks blocks;
  PrepareInt16Values(task, split, columns, next, w, blocks);
  Scores<Int16Tiles>(task, split, columns, next, w);
  Weights<Int16Tiles>(task, split, w, out);
  const bool in_place = Int16Tiles::ValuesInPlace(task);
  ForTiles<Int16Tiles::kRows>(task.rows(), [&](size_t r, auto n) HWY_ATTR {
    const Columns c = Together(w.columns, r, n());
    if (in_place) {
      Int16Tiles::ValueInPlace<n()>(task, w, r, blocks, c, out.o);
    } else {
      Int16Tiles::Value<n()>(task, w, r, c, out.o);
    }
  });
}
#endif

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
    Int8Scores(task, split, columns, next, w);
    CopyScales(task, split, columns, w.scales);
    Weights<Int8Tiles>(task, split, w, out);
    Int8Values(task, split, columns, next, w, out.o);
    return;
  }
#if HWY_TARGET == HWY_AVX3_DL
  if (Int16Tiles::Take(task)) {
    AttendInt16(task, split, columns, next, w, out);
    return;
  }
#endif
  Scores<FloatTiles>(task, split, columns, next, w);
  Weights<FloatTiles>(task, split, w, out);
  FloatValues(task, split, columns, next, w, out.o);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif  // include guard toggled per target
