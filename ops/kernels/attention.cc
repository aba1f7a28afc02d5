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
// `loaded`: w has the task's queries.
void RunTask(const AttentionTask& task, bool loaded, const size_t* only_split,
             const NextSplit& next, const WorkerScratch& w,
             const AttentionRows& out) {
  if (!loaded) LoadQueries(task, w);
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

// Splits of one task that are not done yet, each in a line of its own.
struct alignas(kLine * sizeof(float)) SplitsLeft {
  std::atomic<uint32_t> count;
};

void AttendWhole(const AttentionSchedule& schedule, ThreadPool& pool,
                 float* scratch) {
  ForEachTask(pool, schedule.workers, schedule.tasks,
              [&](size_t i, size_t, size_t following, size_t worker) {
                const WorkerScratch w = schedule.Carve(scratch, worker);
                const NextSplit next = schedule.First(following);
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
               void* scratch) {
  const AttentionSchedule schedule(shape, sequences, pool.size());
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
