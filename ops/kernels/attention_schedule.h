// SPDX-License-Identifier: MIT
// How Attention is cut into tasks, and where their memory lies.
#ifndef SLM_OPS_KERNELS_ATTENTION_SCHEDULE_H_
#define SLM_OPS_KERNELS_ATTENTION_SCHEDULE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/kernels/attention_task.h"
#include "runtime/core/shape.h"

namespace slm {

inline constexpr size_t kValuePadding = 32;
inline constexpr size_t kLine = 16;  // floats of 64 bytes

// About 5 us of one thread.
inline constexpr double kFewOperations = 1e6;

// How the work is cut. Only where the results are kept differs with the number
// of threads, not the arithmetic.
struct AttentionSchedule {
  const AttentionShape& shape;
  std::span<const AttentionSequence> sequences;
  size_t workers;  // that get work
  size_t padded = RoundUp(shape.value_size, kValuePadding);
  size_t task_tokens = 1;  // query tokens of a task
  size_t tasks = 0;        // without splits
  size_t most_splits = 1;  // of a sequence
  bool split = false;      // splits are tasks; the last one merges them
  bool each = false;       // sequences, all of them short, are tasks

  AttentionSchedule(const AttentionShape& s,
                    std::span<const AttentionSequence> list, size_t threads)
      : shape(s), sequences(list), workers(threads) {
    const size_t group = shape.heads / shape.kv_heads;
    task_tokens = std::max<size_t>(1, kTaskRows / group);
    double operations = 0, most = 0;
    for (const AttentionSequence& sequence : sequences) {
      tasks += shape.kv_heads * CeilDiv(sequence.count, task_tokens);
      most_splits = std::max(most_splits, Splits(sequence));
      operations += Operations(sequence);
      most = std::max(most, Operations(sequence));
    }
    each = sequences.size() > 1 && most < kFewOperations;
    if (each) {
      // Whatever it has seen, a sequence takes about a microsecond. Two are
      // worth a thread.
      const double micros = static_cast<double>(sequences.size()) +
                            5 * operations / kFewOperations;
      workers = std::clamp(static_cast<size_t>(micros / 2), size_t{1}, workers);
      return;
    }
    if (operations < kFewOperations) workers = 1;
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
    return RoundUp(floats, kLine);
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
    w.v = take(kSplitKeys / 2 * padded);
    w.scales = take(3 * kSplitKeys);
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

  NextSplit FirstOf(const AttentionSequence& s) const {
    return {&s, 0, FirstSplit(Whole(s))};
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

}  // namespace slm

#endif  // SLM_OPS_KERNELS_ATTENTION_SCHEDULE_H_
