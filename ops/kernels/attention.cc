// SPDX-License-Identifier: MIT
#include "ops/kernels/attention.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <new>
#include <type_traits>

#include "runtime/core/shape.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/attention.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "ops/kernels/attention-inl.h"
#include "ops/kernels/attention_int8-inl.h"

#ifndef SLM_OPS_KERNELS_ATTENTION_TASK_
#define SLM_OPS_KERNELS_ATTENTION_TASK_
namespace slm {

// Rows of a task are the G heads of a kv head at a few tokens. 64 of them use
// an unpacked block of keys often enough that unpacking costs below 10 %.
inline constexpr size_t kTaskRows = 64;
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

  // From `block`, page `page` of the present split, to the same page of the
  // next one; 0 if there is none.
  ptrdiff_t Ahead(const uint8_t* block, size_t page, bool values) const {
    if (!sequence) return 0;
    const KvRows& rows = values ? sequence->v : sequence->k;
    const size_t there = split * kSplitBlocks + page;
    if (!rows.pages || there < rows.first_page) return 0;
    if (there * kKeyBlock >= sequence->keys) return 0;
    return rows.Block(kv_head, there) - block;
  }
};

struct WorkerScratch {
  Columns* columns;  // [rows]: what each row sees of the split
  float* q;          // [rows, E], times scale
  int32_t* planes;   // [rows, 2, E / 4] for int8 keys
  float* q_scales;   // [rows]
  int32_t* q_sums;   // [rows]
  float* kt;         // [4, E, 16]
  float* v;          // [64, padded]
  float* scales;     // [2, kSplitKeys] of int8 keys and values
  float* p;          // [rows, kSplitKeys]
  int32_t* weights;  // [rows, 2, kSplitKeys / 4] for int8 values
  float* p_scales;   // [rows]
  AttentionRows part, total;
};

}  // namespace slm
#endif

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

// total += part, both relative to their own maximum.
void Merge(size_t rows, size_t padded, const AttentionRows& part,
           const AttentionRows& total) {
  const DF d;
  for (size_t r = 0; r < rows; ++r) {
    if (part.l[r] == 0) continue;
    const float m = std::max(total.m[r], part.m[r]);
    const float a = total.m[r] == m ? 1.0f : std::exp(total.m[r] - m);
    const float b = part.m[r] == m ? 1.0f : std::exp(part.m[r] - m);
    const auto va = hn::Set(d, a);
    const auto vb = hn::Set(d, b);
    float* o = total.o + r * padded;
    const float* p = part.o + r * padded;
    for (size_t e = 0; e < padded; e += hn::Lanes(d)) {
      const auto scaled = hn::Mul(va, hn::LoadU(d, o + e));
      hn::StoreU(hn::MulAdd(vb, hn::LoadU(d, p + e), scaled), d, o + e);
    }
    total.l[r] = total.l[r] * a + part.l[r] * b;
    total.m[r] = m;
  }
}

// Sinks join the denominator; rows that saw nothing give zeros.
void Finish(const AttentionTask& task, const AttentionRows& total) {
  const AttentionShape& shape = *task.shape;
  const AttentionSequence& s = *task.sequence;
  const size_t group = task.group();
  for (size_t r = 0; r < task.rows(); ++r) {
    const size_t h = task.kv_head * group + r % group;
    float factor = 1, l = total.l[r];
    const auto join = [&](float sink) {
      const float m = std::max(total.m[r], sink);
      const float shrink = std::exp(total.m[r] - m);
      factor *= shrink;
      l = l * shrink + std::exp(sink - m);
      total.m[r] = m;
    };
    if (l != 0 && shape.sink) join(shape.sink[h]);
    if (l != 0 && shape.smooth) join(0.0f);
    factor = l == 0 ? 0 : factor / l;
    float* out = s.out + (task.t0 + r / group) * s.out_token_stride +
                 h * s.out_head_stride;
    const float* o = total.o + r * task.padded;
    for (size_t e = 0; e < shape.value_size; ++e) out[e] = o[e] * factor;
  }
}

// One split into `out` (for a merge by MergeSplits), or all splits and output.
void RunTask(const AttentionTask& task, const size_t* only_split,
             const NextSplit& next, const WorkerScratch& w,
             const AttentionRows& out) {
  LoadQueries(task, w);
  if (only_split) {
    AttendSplit(task, *only_split, next, w, out);
    return;
  }
  Clear(task.rows(), task.padded, w.total);
  const size_t hi = task.Hi(task.t1 - 1);
  for (size_t split = task.Lo(task.t0) / kSplitKeys; split * kSplitKeys < hi;
       ++split) {
    const bool last = (split + 1) * kSplitKeys >= hi;
    const NextSplit following = {task.sequence, task.kv_head, split + 1};
    AttendSplit(task, split, last ? next : following, w, w.part);
    Merge(task.rows(), task.padded, w.part, w.total);
  }
  Finish(task, w.total);
}

// The partial results of all splits, in ascending order, to the output.
void MergeSplits(const AttentionTask& task, float* parts, size_t splits,
                 const AttentionRows& total) {
  Clear(task.rows(), task.padded, total);
  for (size_t i = 0; i < splits; ++i) {
    Merge(task.rows(), task.padded, task.PartAt(parts, i), total);
  }
  Finish(task, total);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {
namespace {

HWY_EXPORT(RunTask);
HWY_EXPORT(MergeSplits);

constexpr size_t kValuePadding = 32;
constexpr size_t kLine = 16;  // floats of 64 bytes

// How the work is cut. Only where the results are kept differs with the number
// of threads, not the arithmetic.
struct Schedule {
  const AttentionShape& shape;
  std::span<const AttentionSequence> sequences;
  size_t workers;  // that get work
  size_t padded = RoundUp(shape.value_size, kValuePadding);
  size_t task_tokens = 1;  // query tokens of a task
  size_t tasks = 0;        // without splits
  size_t most_splits = 1;  // of a sequence
  bool split = false;      // splits are tasks; the last one merges them

  Schedule(const AttentionShape& s, std::span<const AttentionSequence> list,
           size_t threads)
      : shape(s), sequences(list), workers(threads) {
    const size_t group = shape.heads / shape.kv_heads;
    task_tokens = std::max<size_t>(1, kTaskRows / group);
    double operations = 0;
    for (const AttentionSequence& sequence : sequences) {
      tasks += shape.kv_heads * CeilDiv(sequence.count, task_tokens);
      most_splits = std::max(most_splits, Splits(sequence));
      operations += Operations(sequence);
    }
    // About 5 us of one thread.
    if (operations < 1e6) workers = 1;
    // Fewer than four tasks a thread: the last ones would leave threads idle.
    split = workers > 1 && most_splits > 1 && tasks < 4 * workers;
  }

  // Multiplications and additions, an estimate from above.
  double Operations(const AttentionSequence& s) const {
    const size_t seen =
        shape.window ? std::min(s.keys, shape.window + s.count) : s.keys;
    return 2.0 * static_cast<double>(s.count * shape.heads) *
           static_cast<double>(seen) *
           static_cast<double>(shape.head_size + shape.value_size);
  }

  AttentionTask Whole(const AttentionSequence& s) const {
    return {.shape = &shape,
            .sequence = &s,
            .kv_head = 0,
            .t0 = 0,
            .t1 = s.count,
            .padded = padded};
  }
  size_t Splits(const AttentionSequence& s) const {
    if (s.count == 0) return 0;
    const AttentionTask whole = Whole(s);
    const size_t first = FirstSplit(whole);
    const size_t end = CeilDiv(whole.Hi(s.count - 1), kSplitKeys);
    return end > first ? end - first : 0;
  }
  static size_t FirstSplit(const AttentionTask& task) {
    return task.Lo(task.t0) / kSplitKeys;
  }
  size_t MaxRows() const {
    size_t count = 0;
    for (const AttentionSequence& s : sequences) {
      count = std::max(count, s.count);
    }
    return std::min(count, task_tokens) * (shape.heads / shape.kv_heads);
  }
  // Floats of a worker's scratch: what Carve takes.
  size_t WorkerFloats() const {
    size_t floats = 0;
    Take(nullptr, floats);
    return floats;
  }
  size_t PartFloats() const {
    if (!split) return 0;
    size_t floats = 0;
    for (const AttentionSequence& s : sequences) {
      floats += s.count * shape.heads * Splits(s) * (padded + 2);
    }
    return floats;
  }

  WorkerScratch Carve(float* scratch, size_t worker) const {
    size_t used = worker * WorkerFloats();
    return Take(scratch, used);
  }
  WorkerScratch Take(float* at, size_t& used) const {
    const size_t rows = MaxRows();
    const size_t width = RoundUp(shape.head_size, kQueryPadding);
    const auto take = [&](size_t floats) {
      float* start = at ? at + used : nullptr;
      used += RoundUp(floats, kLine);
      return start;
    };
    WorkerScratch w;
    w.columns = reinterpret_cast<Columns*>(
        take(rows * sizeof(Columns) / sizeof(float)));
    w.q = take(rows * width);
    w.planes = reinterpret_cast<int32_t*>(take(rows * width / 2));
    w.q_scales = take(rows);
    w.q_sums = reinterpret_cast<int32_t*>(take(rows));
    w.kt = take(width * kKeyBlock);
    w.v = take(kKeyBlock * padded);
    w.scales = take(2 * kSplitKeys);
    w.p = take(rows * kSplitKeys);
    w.weights = reinterpret_cast<int32_t*>(take(rows * kSplitKeys / 2));
    w.p_scales = take(rows);
    for (AttentionRows* r : {&w.part, &w.total}) {
      r->o = take(rows * padded);
      r->m = take(rows);
      r->l = take(rows);
    }
    return w;
  }

  // Where the index-th task begins; nothing behind the last one.
  NextSplit First(size_t index) const {
    NextSplit first;
    if (index >= tasks) return first;
    At(index, nullptr, [&first](const AttentionTask& task, float*) {
      first = {task.sequence, task.kv_head, FirstSplit(task)};
    });
    return first;
  }

  // Calls visit(task, parts) for the index-th task; `parts` is where its
  // partial results begin. Later tokens see more keys: they come first, so
  // that no thread ends with the longest task.
  template <typename Visit>
  void At(size_t index, float* parts, const Visit& visit) const {
    for (const AttentionSequence& s : sequences) {
      const size_t blocks = CeilDiv(s.count, task_tokens);
      const size_t floats = Splits(s) * (padded + 2);  // of one row
      if (index >= blocks * shape.kv_heads) {
        index -= blocks * shape.kv_heads;
        parts += s.count * shape.heads * floats;
        continue;
      }
      AttentionTask task = Whole(s);
      task.kv_head = index % shape.kv_heads;
      task.t0 = (blocks - 1 - index / shape.kv_heads) * task_tokens;
      task.t1 = std::min(s.count, task.t0 + task_tokens);
      const size_t rows_before =
          task.t0 * shape.heads + task.kv_head * task.rows();
      visit(task, parts + rows_before * floats);
      return;
    }
  }
};

// Threads take the next index when they are free: costs differ too much for a
// fixed partition, and no result depends on who computes it. They take it one
// ahead, to fetch its memory while they compute.
template <typename Body>
void ForEachTask(ThreadPool& pool, size_t workers, size_t count,
                 const Body& body) {
  std::atomic<size_t> next{0};
  ParallelFor(pool, std::min(workers, count), 1,
              [&](size_t, size_t, size_t worker) {
                size_t i = next.fetch_add(1);
                while (i < count) {
                  const size_t following = next.fetch_add(1);
                  body(i, following, worker);
                  i = following;
                }
              });
}

// Splits of one task that are not done yet.
using SplitsLeft = std::atomic<uint32_t>;

void AttendWhole(const Schedule& schedule, ThreadPool& pool, float* scratch) {
  ForEachTask(pool, schedule.workers, schedule.tasks,
              [&](size_t i, size_t following, size_t worker) {
                const WorkerScratch w = schedule.Carve(scratch, worker);
                const NextSplit next = schedule.First(following);
                schedule.At(i, nullptr, [&](const AttentionTask& task, float*) {
                  HWY_DYNAMIC_DISPATCH(RunTask)
                  (task, nullptr, next, w, AttentionRows());
                });
              });
}

void AttendSplits(const Schedule& schedule, ThreadPool& pool, float* scratch,
                  float* parts, SplitsLeft* left) {
  const size_t most = schedule.most_splits;
  for (size_t i = 0; i < schedule.tasks; ++i) {
    schedule.At(i, parts, [&](const AttentionTask& task, float*) {
      const size_t splits = schedule.Splits(*task.sequence);
      new (left + i) SplitsLeft(static_cast<uint32_t>(splits));
    });
  }
  const auto body = [&](size_t i, const NextSplit& next, const WorkerScratch& w,
                        const AttentionTask& task, float* part) {
    const size_t split = i % most, splits = schedule.Splits(*task.sequence);
    if (split < splits) {
      const size_t absolute =
          Schedule::FirstSplit(schedule.Whole(*task.sequence)) + split;
      HWY_DYNAMIC_DISPATCH(RunTask)
      (task, &absolute, next, w, task.PartAt(part, split));
      if (left[i / most].fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    } else if (split > 0 || splits > 0) {
      return;
    }
    HWY_DYNAMIC_DISPATCH(MergeSplits)(task, part, splits, w.total);
  };
  ForEachTask(pool, schedule.workers, schedule.tasks * most,
              [&](size_t i, size_t following, size_t worker) {
                const WorkerScratch w = schedule.Carve(scratch, worker);
                NextSplit next = schedule.First(following / most);
                next.split += following % most;
                schedule.At(i / most, parts,
                            [&](const AttentionTask& task, float* part) {
                              body(i, next, w, task, part);
                            });
              });
}

}  // namespace

size_t AttentionScratchBytes(const AttentionShape& shape,
                             std::span<const AttentionSequence> sequences,
                             size_t threads) {
  const Schedule schedule(shape, sequences, threads);
  return (schedule.WorkerFloats() * schedule.workers + schedule.PartFloats()) *
             sizeof(float) +
         schedule.tasks * sizeof(SplitsLeft);
}

void Attention(const AttentionShape& shape,
               std::span<const AttentionSequence> sequences, ThreadPool& pool,
               void* scratch) {
  const Schedule schedule(shape, sequences, pool.size());
  float* const floats = static_cast<float*>(scratch);
  float* const parts = floats + schedule.WorkerFloats() * schedule.workers;
  if (schedule.split) {
    AttendSplits(schedule, pool, floats, parts,
                 reinterpret_cast<SplitsLeft*>(parts + schedule.PartFloats()));
  } else {
    AttendWhole(schedule, pool, floats);
  }
}

}  // namespace slm
#endif
