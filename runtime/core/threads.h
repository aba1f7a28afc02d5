// SPDX-License-Identifier: MIT
// A pool of workers for data-parallel loops. Threads outside, vectors inside.
#ifndef SLM_RUNTIME_CORE_THREADS_H_
#define SLM_RUNTIME_CORE_THREADS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>

namespace slm {

// Processors that this process may use: affinity mask and cgroup CPU quota.
size_t AvailableCores();

// One Run at a time: a session takes the pool while it computes. Workers spin
// for a short while between loops, then sleep.
class ThreadPool {
 public:
  // `threads` counts the calling thread; 0 means AvailableCores().
  explicit ThreadPool(size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Number of workers, the caller included; worker indices are below it.
  size_t size() const { return size_; }

  // Calls body(worker) once on every worker and returns when all are done. The
  // body must not call Run. What it throws (std::bad_alloc) is thrown here, on
  // the calling thread, after all are done: the first one's wins.
  void Run(void (*body)(void* context, size_t worker), void* context);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  size_t size_;
};

// Splits [0, count) into contiguous ranges, one per worker, each a multiple of
// `grain` but the last: body(begin, end, worker). A range is never empty. The
// split depends on the arguments and the pool's size only. Say at the call why
// the grain is what it is: below about 10 us of work a range is not worth a
// thread. Where ranges should be finer than that to come out even, the caller
// limits the workers instead.
template <typename Body>
void ParallelFor(ThreadPool& pool, size_t count, size_t grain, const Body& body,
                 size_t most_workers = SIZE_MAX) {
  if (count == 0) return;
  const size_t blocks = (count + grain - 1) / grain;
  size_t workers = blocks < pool.size() ? blocks : pool.size();
  if (workers > most_workers) workers = most_workers;
  if (workers <= 1) {
    body(size_t{0}, count, size_t{0});
    return;
  }
  struct Context {
    const Body* body;
    size_t count, grain, blocks, workers;
  } context{&body, count, grain, blocks, workers};
  pool.Run(
      [](void* raw, size_t worker) {
        const auto& c = *static_cast<const Context*>(raw);
        if (worker >= c.workers) return;
        const size_t begin = c.blocks * worker / c.workers * c.grain;
        const size_t end_block = c.blocks * (worker + 1) / c.workers;
        const size_t end =
            end_block * c.grain < c.count ? end_block * c.grain : c.count;
        if (begin < end) (*c.body)(begin, end, worker);
      },
      &context);
}

// The same ranges of one grain each, taken in ascending order by whichever
// worker is free: for long loops, in which workers do not keep step on a
// machine that others use, too. Only where no result depends on the worker.
template <typename Body>
void ParallelForEach(ThreadPool& pool, size_t count, size_t grain,
                     const Body& body, size_t most_workers = SIZE_MAX) {
  const size_t blocks = (count + grain - 1) / grain;
  std::atomic<size_t> next{0};
  ParallelFor(
      pool, blocks < pool.size() ? blocks : pool.size(), 1,
      [&](size_t, size_t, size_t worker) {
        for (size_t i; (i = next.fetch_add(1)) < blocks;) {
          const size_t begin = i * grain;
          body(begin, count - begin < grain ? count : begin + grain, worker);
        }
      },
      most_workers);
}

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_THREADS_H_
