// SPDX-License-Identifier: MIT
#include "ops/kernels/attention.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <type_traits>

#include "runtime/core/shape.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/attention.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "ops/kernels/attention-inl.h"

#ifndef SLM_OPS_KERNELS_ATTENTION_TASK_
#define SLM_OPS_KERNELS_ATTENTION_TASK_
namespace slm {

// Rows of a task are the G heads of a kv head at a few tokens. 64 of them use
// an unpacked block of keys often enough that unpacking costs below 10 %.
inline constexpr size_t kTaskRows = 64;
inline constexpr size_t kSplitBlocks = kSplitKeys / kKeyBlock;

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

struct WorkerScratch {
  float* q;   // [rows, E], times scale
  float* kt;  // [E, 64]
  float* v;   // [64, padded]
  float* p;   // [rows, 64]
  AttentionRows part, total;
};

}  // namespace slm
#endif

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

void LoadQueries(const AttentionTask& task, float* q) {
  const AttentionShape& shape = *task.shape;
  const AttentionSequence& s = *task.sequence;
  const size_t group = task.group();
  for (size_t t = task.t0; t < task.t1; ++t) {
    for (size_t g = 0; g < group; ++g) {
      const float* from = s.q + t * s.q_token_stride +
                          (task.kv_head * group + g) * s.q_head_stride;
      for (size_t e = 0; e < shape.head_size; ++e) {
        *q++ = from[e] * shape.scale;
      }
    }
  }
}

void Clear(size_t rows, size_t padded, const AttentionRows& out) {
  std::fill_n(out.o, rows * padded, 0.0f);
  std::fill_n(out.m, rows, -std::numeric_limits<float>::infinity());
  std::fill_n(out.l, rows, 0.0f);
}

void UnpackKeyBlock(const AttentionTask& task, size_t block, size_t j0,
                    size_t j1, float* kt) {
  const KvRows& k = task.sequence->k;
  const uint8_t* rows = k.Block(task.kv_head, block);
  const size_t e = task.shape->head_size;
  if (k.dtype == DType::kF32) {
    UnpackKeys<float>(rows, k.row_stride, e, j0, j1, kt);
  } else if (k.dtype == DType::kF16) {
    UnpackKeys<hwy::float16_t>(rows, k.row_stride, e, j0, j1, kt);
  } else {
    UnpackKeys<int8_t>(rows, k.row_stride, e, j0, j1, kt);
  }
}

// Values [64, stride]: in place where they are floats without a tail.
const float* UnpackValueBlock(const AttentionTask& task, size_t block,
                              size_t j0, size_t j1, float* to, size_t& stride) {
  const KvRows& v = task.sequence->v;
  const uint8_t* rows = v.Block(task.kv_head, block);
  const size_t e = task.shape->value_size;
  stride = task.padded;
  if (v.dtype == DType::kF32) {
    if (e == task.padded) {
      stride = v.row_stride / sizeof(float);
      return reinterpret_cast<const float*>(rows);
    }
    UnpackValues<float>(rows, v.row_stride, e, task.padded, j0, j1, to);
  } else if (v.dtype == DType::kF16) {
    UnpackValues<hwy::float16_t>(rows, v.row_stride, e, task.padded, j0, j1,
                                 to);
  } else {
    UnpackValues<int8_t>(rows, v.row_stride, e, task.padded, j0, j1, to);
  }
  return to;
}

RowMask MaskOf(const AttentionTask& task, size_t row, size_t start) {
  const AttentionSequence& s = *task.sequence;
  const size_t t = task.t0 + row / task.group();
  const size_t h = task.kv_head * task.group() + row % task.group();
  const auto column = [&](size_t key) {
    return std::min(std::max(key, start) - start, kKeyBlock);
  };
  RowMask mask{.lo = column(task.Lo(t)), .hi = column(task.Hi(t))};
  const size_t at = h * s.mask_head_stride + t * s.mask_token_stride + start;
  if (s.bias) mask.bias = s.bias + at;
  if (s.allowed) mask.allowed = s.allowed + at;
  return mask;
}

// Calls tile(row, number of rows) for tiles of up to four rows.
template <typename Tile>
HWY_INLINE void ForTiles(size_t rows, const Tile& tile) {
  size_t r = 0;
  for (; r + 4 <= rows; r += 4) tile(r, std::integral_constant<size_t, 4>());
  if (rows - r == 3) tile(r, std::integral_constant<size_t, 3>());
  if (rows - r == 2) tile(r, std::integral_constant<size_t, 2>());
  if (rows - r == 1) tile(r, std::integral_constant<size_t, 1>());
}

// The keys of one split for all rows of the task, into `out`.
void AttendSplit(const AttentionTask& task, size_t split,
                 const WorkerScratch& w, const AttentionRows& out) {
  const size_t rows = task.rows(), padded = task.padded;
  const size_t e = task.shape->head_size;
  Clear(rows, padded, out);
  const size_t lo = std::max(task.Lo(task.t0), split * kSplitKeys);
  const size_t hi = std::min(task.Hi(task.t1 - 1), (split + 1) * kSplitKeys);
  for (size_t key = lo / kKeyBlock * kKeyBlock; key < hi; key += kKeyBlock) {
    const size_t block = key / kKeyBlock;
    const size_t j0 = std::max(lo, key) - key;
    const size_t j1 = std::min(hi - key, kKeyBlock);
    UnpackKeyBlock(task, block, j0, j1, w.kt);
    ForTiles(rows, [&](size_t r, auto n) HWY_ATTR {
      ScoreTile<decltype(n)::value>(w.q + r * e, e, w.kt, j0, j1,
                                    w.p + r * kKeyBlock);
    });
    const ScoreRules rules{
        .softcap = task.shape->softcap,
        .k_scales = task.sequence->k.Scales(task.kv_head, block),
        .v_scales = task.sequence->v.Scales(task.kv_head, block)};
    for (size_t r = 0; r < rows; ++r) {
      SoftmaxRow(rules, MaskOf(task, r, key), j0, j1, padded,
                 w.p + r * kKeyBlock, out.m[r], out.l[r], out.o + r * padded);
    }
    size_t stride = 0;
    const float* v = UnpackValueBlock(task, block, j0, j1, w.v, stride);
    ForTiles(rows, [&](size_t r, auto n) HWY_ATTR {
      ValueTile<decltype(n)::value>(w.p + r * kKeyBlock, v, stride, padded, j0,
                                    j1, out.o + r * padded);
    });
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
             const WorkerScratch& w, const AttentionRows& out) {
  LoadQueries(task, w.q);
  if (only_split) {
    AttendSplit(task, *only_split, w, out);
    return;
  }
  Clear(task.rows(), task.padded, w.total);
  const size_t hi = task.Hi(task.t1 - 1);
  for (size_t split = task.Lo(task.t0) / kSplitKeys; split * kSplitKeys < hi;
       ++split) {
    AttendSplit(task, split, w, w.part);
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
  size_t workers;
  size_t padded = RoundUp(shape.value_size, kValuePadding);
  size_t task_tokens = 1;  // query tokens of a task
  size_t tasks = 0;        // without splits
  bool split = false;      // a task for each split, merged afterwards

  Schedule(const AttentionShape& s, std::span<const AttentionSequence> list,
           size_t threads)
      : shape(s), sequences(list), workers(threads) {
    const size_t group = shape.heads / shape.kv_heads;
    task_tokens = std::max<size_t>(1, kTaskRows / group);
    bool several = false;
    for (const AttentionSequence& sequence : sequences) {
      tasks += shape.kv_heads * CeilDiv(sequence.count, task_tokens);
      several |= Splits(sequence) > 1;
    }
    // Fewer than four tasks a thread: the last ones would leave threads idle.
    split = workers > 1 && several && tasks < 4 * workers;
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
  // Floats of a worker's scratch.
  size_t WorkerFloats() const {
    const size_t rows = MaxRows();
    return RoundUp(rows * shape.head_size, kLine) +
           shape.head_size * kKeyBlock + kKeyBlock * padded + rows * kKeyBlock +
           2 * rows * padded + 4 * RoundUp(rows, kLine);
  }
  size_t PartFloats() const {
    if (!split) return 0;
    size_t floats = 0;
    for (const AttentionSequence& s : sequences) {
      floats += s.count * shape.heads * Splits(s) * (padded + 2);
    }
    return floats;
  }

  WorkerScratch Carve(float* at) const {
    const size_t rows = MaxRows();
    const auto take = [&at](size_t floats) {
      float* start = at;
      at += floats;
      return start;
    };
    WorkerScratch w;
    w.q = take(RoundUp(rows * shape.head_size, kLine));
    w.kt = take(shape.head_size * kKeyBlock);
    w.v = take(kKeyBlock * padded);
    w.p = take(rows * kKeyBlock);
    for (AttentionRows* r : {&w.part, &w.total}) {
      r->o = take(rows * padded);
      r->m = take(RoundUp(rows, kLine));
      r->l = take(RoundUp(rows, kLine));
    }
    return w;
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
// fixed partition, and no result depends on who computes it.
template <typename Body>
void ForEachTask(ThreadPool& pool, size_t count, const Body& body) {
  std::atomic<size_t> next{0};
  ParallelFor(pool, std::min(pool.size(), count), 1,
              [&](size_t, size_t, size_t worker) {
                for (size_t i = next.fetch_add(1); i < count;
                     i = next.fetch_add(1)) {
                  body(i, worker);
                }
              });
}

}  // namespace

size_t AttentionScratchBytes(const AttentionShape& shape,
                             std::span<const AttentionSequence> sequences,
                             size_t threads) {
  const Schedule schedule(shape, sequences, threads);
  return (schedule.WorkerFloats() * threads + schedule.PartFloats()) *
         sizeof(float);
}

void Attention(const AttentionShape& shape,
               std::span<const AttentionSequence> sequences, ThreadPool& pool,
               void* scratch) {
  const Schedule schedule(shape, sequences, pool.size());
  float* const floats = static_cast<float*>(scratch);
  float* const parts = floats + schedule.WorkerFloats() * pool.size();
  const auto worker_scratch = [&](size_t worker) {
    return schedule.Carve(floats + worker * schedule.WorkerFloats());
  };
  if (!schedule.split) {
    ForEachTask(pool, schedule.tasks, [&](size_t i, size_t worker) {
      schedule.At(i, parts, [&](const AttentionTask& task, float*) {
        HWY_DYNAMIC_DISPATCH(RunTask)
        (task, nullptr, worker_scratch(worker), AttentionRows());
      });
    });
    return;
  }
  size_t most = 0;
  for (const AttentionSequence& s : sequences) {
    most = std::max(most, schedule.Splits(s));
  }
  ForEachTask(pool, schedule.tasks * most, [&](size_t i, size_t worker) {
    schedule.At(i / most, parts, [&](const AttentionTask& task, float* part) {
      const size_t split = i % most;
      if (split >= schedule.Splits(*task.sequence)) return;
      const size_t absolute =
          Schedule::FirstSplit(schedule.Whole(*task.sequence)) + split;
      HWY_DYNAMIC_DISPATCH(RunTask)
      (task, &absolute, worker_scratch(worker), task.PartAt(part, split));
    });
  });
  ForEachTask(pool, schedule.tasks, [&](size_t i, size_t worker) {
    schedule.At(i, parts, [&](const AttentionTask& task, float* part) {
      HWY_DYNAMIC_DISPATCH(MergeSplits)
      (task, part, schedule.Splits(*task.sequence),
       worker_scratch(worker).total);
    });
  });
}

}  // namespace slm
#endif
