// SPDX-License-Identifier: MIT
#include "ops/kernels/attention.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <new>

#include "ops/kernels/attention_schedule.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/attention.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "ops/kernels/attention_split-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

inline constexpr size_t kMergeRows = 16;
inline constexpr float kNothing = -1;

// Brings total.m and total.l of `rows` rows to the larger maximum of both, and
// gives what multiplies the rows; kNothing where total has seen nothing.
HWY_INLINE void MergeSums(size_t rows, size_t first, const AttentionRows& part,
                          const AttentionRows& total, float* of_total,
                          float* of_part) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  for (size_t i = 0; i < rows; i += lanes) {
    const size_t at = first + i, n = std::min(lanes, rows - i);
    const auto m0 = hn::LoadN(d, total.m + at, n);
    const auto m1 = hn::LoadN(d, part.m + at, n);
    const auto m = hn::Max(m0, m1);
    // No -inf of both: -inf - -inf is not a number.
    const auto least = hn::Set(d, std::numeric_limits<float>::lowest());
    const auto base = hn::IfThenElse(hn::Lt(m, least), least, m);
    hn::Vec<DF> x[2] = {hn::Sub(m0, base), hn::Sub(m1, base)};
    ExpOfNegatives(d, x);
    const auto l0 = hn::LoadN(d, total.l + at, n);
    const auto l1 = hn::LoadN(d, part.l + at, n);
    const auto nothing = hn::Eq(l0, hn::Zero(d));
    hn::StoreU(hn::IfThenElse(nothing, hn::Set(d, kNothing), x[0]), d,
               of_total + i);
    hn::StoreU(x[1], d, of_part + i);
    hn::StoreN(hn::MulAdd(x[0], l0, hn::Mul(x[1], l1)), d, total.l + at, n);
    hn::StoreN(m, d, total.m + at, n);
  }
}

// total += part, both relative to their own maximum.
void Merge(size_t rows, size_t padded, const AttentionRows& part,
           const AttentionRows& total) {
  const DF d;
  alignas(64) float of_total[kMergeRows], of_part[kMergeRows];
  for (size_t first = 0; first < rows; first += kMergeRows) {
    const size_t count = std::min(kMergeRows, rows - first);
    MergeSums(count, first, part, total, of_total, of_part);
    for (size_t i = 0; i < count; ++i) {
      float* o = total.o + (first + i) * padded;
      const float* p = part.o + (first + i) * padded;
      // The result of nothing may be anything.
      if (part.l[first + i] == 0) continue;
      if (of_total[i] == kNothing) {
        std::copy_n(p, padded, o);
        continue;
      }
      const auto a = hn::Set(d, of_total[i]);
      const auto b = hn::Set(d, of_part[i]);
      for (size_t e = 0; e < padded; e += hn::Lanes(d)) {
        const auto scaled = hn::Mul(a, hn::LoadU(d, o + e));
        hn::StoreU(hn::MulAdd(b, hn::LoadU(d, p + e), scaled), d, o + e);
      }
    }
  }
}

// Sinks join the denominator; rows that saw nothing give zeros.
void Finish(const AttentionTask& task, const AttentionRows& total) {
  const DF d;
  const AttentionShape& shape = *task.shape;
  const AttentionSequence& s = *task.sequence;
  const size_t group = task.group(), lanes = hn::Lanes(d);
  size_t r = 0;
  for (size_t t = task.t0; t < task.t1; ++t) {
    for (size_t g = 0; g < group; ++g, ++r) {
      const size_t h = task.kv_head * group + g;
      float factor = 1, l = total.l[r];
      const auto join = [&](float sink) {
        const float m = std::max(total.m[r], sink);
        const float shrink = std::exp(total.m[r] - m);
        factor *= shrink;
        l = l * shrink + std::exp(sink - m);
        total.m[r] = m;
      };
      float* out = s.out + t * s.out_token_stride + h * s.out_head_stride;
      if (l == 0) {
        std::fill_n(out, shape.value_size, 0.0f);
        continue;
      }
      if (shape.sink) join(shape.sink[h]);
      if (shape.smooth) join(0.0f);
      const auto by = hn::Set(d, factor / l);
      const float* o = total.o + r * task.padded;
      size_t e = 0;
      for (; e + lanes <= shape.value_size; e += lanes) {
        hn::StoreU(hn::Mul(by, hn::LoadU(d, o + e)), d, out + e);
      }
      if (e < shape.value_size) {
        hn::StoreN(hn::Mul(by, hn::LoadU(d, o + e)), d, out + e,
                   shape.value_size - e);
      }
    }
  }
}

// One split into `out` (for a merge by MergeSplits), or all splits and output.
// `loaded`: w has the task's queries.
void RunTask(const AttentionTask& task, bool loaded, const size_t* only_split,
             const NextSplit& next, const WorkerScratch& w,
             const AttentionRows& out) {
  if (!loaded) LoadQueries(task, w);
  if (only_split) {
    AttendSplit(task, *only_split, next, w, out);
    return;
  }
  const size_t hi = task.Hi(task.t1 - 1);
  size_t split = task.Lo(task.t0) / kSplitKeys;
  const auto is_last = [hi](size_t i) { return (i + 1) * kSplitKeys >= hi; };
  // The first split merged with nothing would be itself.
  const NextSplit second = {task.sequence, task.kv_head, split + 1};
  AttendSplit(task, split, is_last(split) ? next : second, w, w.total);
  while (!is_last(split)) {
    ++split;
    const bool last = is_last(split);
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

// Threads take an index when they are free: costs differ too much for a fixed
// partition, and no result depends on who computes it. They take it one ahead,
// to fetch its memory while they compute: body(i, last, following, worker);
// `last` is the one before, of none the same as i, and `following` of none
// count. take(worker, index) is false if there are no more.
template <typename Take, typename Body>
void TakeTasks(size_t count, size_t worker, const Take& take,
               const Body& body) {
  size_t i;
  if (!take(worker, &i)) return;
  for (size_t last = i;;) {
    size_t following = count;
    const bool more = take(worker, &following);
    body(i, last, more ? following : count, worker);
    if (!more) return;
    last = i;
    i = following;
  }
}

// In ascending order.
template <typename Body>
void ForEachTask(ThreadPool& pool, size_t workers, size_t count,
                 const Body& body) {
  std::atomic<size_t> next{0};
  const auto take = [&](size_t, size_t* i) {
    *i = next.fetch_add(1);
    return *i < count;
  };
  ParallelFor(pool, std::min(workers, count), 1,
              [&](size_t, size_t, size_t worker) {
                TakeTasks(count, worker, take, body);
              });
}

// Many short ones: threads take those of their share, then the last ones of
// others. A counter for all of them and the results of neighbours would go back
// and forth between processors, which may be 0.2 us apart.
template <typename Body>
void ForEachShort(ThreadPool& pool, size_t most_workers, size_t count,
                  const Body& body) {
  const SharedBlocks tasks(pool, count, most_workers);
  const auto take = [&](size_t worker, size_t* i) {
    return tasks.Take(worker, i);
  };
  ParallelFor(pool, tasks.workers(), 1, [&](size_t, size_t, size_t worker) {
    TakeTasks(count, worker, take, body);
  });
}

// Reads what a thread begins with, for which nobody has asked, in the order of
// memory. The processor's prefetcher follows that, but not the products, which
// take two tiles in turn: a first split of int8 takes 3.5 instead of 5.2 us.
void ReadLines(const void* from, size_t bytes) {
  const auto* at = static_cast<const volatile uint8_t*>(from);
  for (size_t i = 0; i < bytes; i += 64) static_cast<void>(at[i]);
}
void ReadSplit(const NextSplit& split) {
  for (const bool values : {false, true}) {
    for (size_t page = 0; page < kSplitBlocks; ++page) {
      // Of pages that are not full little may be needed.
      const size_t end = (split.split * kSplitBlocks + page + 1) * kKeyBlock;
      if (!split.Has(page) || end > split.sequence->keys) continue;
      const KvRows& rows = split.Rows(values);
      ReadLines(split.Block(page, values), kKeyBlock * rows.row_stride);
      const float* scales =
          rows.Scales(split.kv_head, split.split * kSplitBlocks + page);
      if (scales) ReadLines(scales, kKeyBlock * sizeof(float));
    }
  }
}

// Splits of one task that are not done yet, each in a line of its own.
struct alignas(kLine * sizeof(float)) SplitsLeft {
  std::atomic<uint32_t> count;
};

void MakeRows(std::span<const AttentionSequence> sequences, ThreadPool& pool,
              const AttentionRowMaker& maker) {
  bool few = true;
  for (const AttentionSequence& s : sequences) few &= s.count <= maker.grain;
  if (few) {
    // Of one row each: two are worth a thread.
    ParallelFor(pool, sequences.size(), 2,
                [&](size_t begin, size_t end, size_t) {
                  for (size_t i = begin; i < end; ++i) {
                    maker.make(maker.context, i, 0, sequences[i].count);
                  }
                });
    return;
  }
  for (size_t i = 0; i < sequences.size(); ++i) {
    ParallelFor(pool, sequences[i].count, maker.grain,
                [&](size_t begin, size_t end, size_t) {
                  maker.make(maker.context, i, begin, end);
                });
  }
}

// A thread makes a sequence's rows and attends to them.
void AttendEach(const AttentionSchedule& schedule, ThreadPool& pool,
                float* scratch, const AttentionRowMaker* maker) {
  const size_t kv_heads = schedule.shape.kv_heads;
  const auto attend = [&](size_t index, const WorkerScratch& w) {
    const AttentionSequence& s = schedule.sequences[index];
    if (maker) maker->make(maker->context, index, 0, s.count);
    AttentionTask task = schedule.Whole(s);
    for (size_t end = s.count; end > 0; end = task.t0) {
      task.t1 = end;
      task.t0 = (end - 1) / schedule.task_tokens * schedule.task_tokens;
      for (task.kv_head = 0; task.kv_head < kv_heads; ++task.kv_head) {
        // Mostly it is this thread that goes on with the next sequence.
        NextSplit next;
        if (task.kv_head + 1 < kv_heads) {
          next = {&s, task.kv_head + 1, schedule.FirstSplit(task)};
        } else if (index + 1 < schedule.sequences.size()) {
          next = schedule.FirstOf(schedule.sequences[index + 1]);
        }
        HWY_DYNAMIC_DISPATCH(RunTask)
        (task, /*loaded=*/false, nullptr, next, w, AttentionRows());
      }
    }
  };
  ParallelForEach(
      pool, schedule.sequences.size(), /*grain=*/1,
      [&](size_t begin, size_t, size_t worker) {
        attend(begin, schedule.Carve(scratch, worker));
      },
      schedule.workers);
}

void AttendWhole(const AttentionSchedule& schedule, ThreadPool& pool,
                 float* scratch) {
  ForEachTask(pool, schedule.workers, schedule.tasks,
              [&](size_t i, size_t last, size_t following, size_t worker) {
                const WorkerScratch w = schedule.Carve(scratch, worker);
                const NextSplit next = schedule.First(following);
                if (last == i) ReadSplit(schedule.First(i));
                schedule.At(i, nullptr, [&](const AttentionTask& task, float*) {
                  HWY_DYNAMIC_DISPATCH(RunTask)
                  (task, /*loaded=*/false, nullptr, next, w, AttentionRows());
                });
              });
}

void AttendSplits(const AttentionSchedule& schedule, ThreadPool& pool,
                  float* scratch, float* parts, SplitsLeft* left) {
  const size_t most = schedule.most_splits;
  for (size_t i = 0; i < schedule.tasks; ++i) {
    schedule.At(i, parts, [&](const AttentionTask& task, float*) {
      const size_t splits = schedule.Splits(*task.sequence);
      new (left + i) SplitsLeft{static_cast<uint32_t>(splits)};
    });
  }
  const auto body = [&](size_t i, size_t last, const NextSplit& next,
                        const WorkerScratch& w, const AttentionTask& task,
                        float* part) {
    const size_t split = i % most, splits = schedule.Splits(*task.sequence);
    if (split < splits) {
      const size_t absolute =
          AttentionSchedule::FirstSplit(schedule.Whole(*task.sequence)) + split;
      const bool loaded =
          last != i && last / most == i / most && last % most < splits;
      if (last == i) ReadSplit({task.sequence, task.kv_head, absolute});
      HWY_DYNAMIC_DISPATCH(RunTask)
      (task, loaded, &absolute, next, w, task.PartAt(part, split));
      auto& unfinished = left[i / most].count;
      if (unfinished.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    } else if (split > 0 || splits > 0) {
      return;
    }
    HWY_DYNAMIC_DISPATCH(MergeSplits)(task, part, splits, w.total);
  };
  ForEachShort(pool, schedule.workers, schedule.tasks * most,
               [&](size_t i, size_t last, size_t following, size_t worker) {
                 const WorkerScratch w = schedule.Carve(scratch, worker);
                 NextSplit next = schedule.First(following / most);
                 next.split += following % most;
                 schedule.At(i / most, parts,
                             [&](const AttentionTask& task, float* part) {
                               body(i, last, next, w, task, part);
                             });
               });
}

}  // namespace

size_t AttentionScratchBytes(const AttentionShape& shape,
                             std::span<const AttentionSequence> sequences,
                             size_t threads) {
  const AttentionSchedule schedule(shape, sequences, threads);
  return (schedule.WorkerFloats() * schedule.workers + schedule.PartFloats()) *
             sizeof(float) +
         schedule.tasks * sizeof(SplitsLeft);
}

void Attention(const AttentionShape& shape,
               std::span<const AttentionSequence> sequences, ThreadPool& pool,
               void* scratch, const AttentionRowMaker* maker) {
  const AttentionSchedule schedule(shape, sequences, pool.size());
  float* const floats = static_cast<float*>(scratch);
  if (schedule.each) return AttendEach(schedule, pool, floats, maker);
  if (maker) MakeRows(sequences, pool, *maker);
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
