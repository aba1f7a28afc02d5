// SPDX-License-Identifier: MIT
// A pool of workers for data-parallel loops. Threads outside, vectors inside.
#ifndef SLM_RUNTIME_CORE_THREADS_H_
#define SLM_RUNTIME_CORE_THREADS_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>

namespace slm {

// Processors that this process may use: affinity mask and cgroup CPU quota.
size_t AvailableCores();

// Blocks [begin, end) of a loop that nobody has begun: their owner takes the
// first, others the last.
class alignas(64) Share {
 public:
  void Set(size_t begin, size_t end) {
    left_.store(Pack(begin, end), std::memory_order_relaxed);
  }
  // False if nothing is left.
  bool Take(bool first, size_t* block) {
    uint64_t left = left_.load(std::memory_order_relaxed);
    for (;;) {
      const size_t begin = left >> 32, end = left & 0xFFFFFFFF;
      if (begin >= end) return false;
      const uint64_t rest = first ? Pack(begin + 1, end) : Pack(begin, end - 1);
      *block = first ? begin : end - 1;
      // Relaxed: what is computed is published by ThreadPool::Run.
      if (left_.compare_exchange_weak(left, rest, std::memory_order_relaxed)) {
        return true;
      }
    }
  }

 private:
  static uint64_t Pack(size_t begin, size_t end) {
    return uint64_t{begin} << 32 | end;
  }
  std::atomic<uint64_t> left_{0};
};

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

  // [size()], for the loop that runs.
  Share* shares() { return shares_.get(); }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  size_t size_;
  std::unique_ptr<Share[]> shares_;
};

// Workers of a loop of `blocks`: no more than there are, none for no blocks.
inline size_t WorkersFor(const ThreadPool& pool, size_t blocks,
                         size_t most_workers) {
  const size_t most = std::max<size_t>(1, std::min(pool.size(), most_workers));
  return std::min(blocks, most);
}

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
  const size_t workers = WorkersFor(pool, blocks, most_workers);
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

// Blocks [0, count) of the loop that runs, below 2^32, in shares of its
// workers.
class SharedBlocks {
 public:
  SharedBlocks(ThreadPool& pool, size_t count, size_t most_workers)
      : shares_(pool.shares()),
        workers_(WorkersFor(pool, count, most_workers)) {
    for (size_t w = 0; w < workers_; ++w) {
      shares_[w].Set(First(count, workers_, w), First(count, workers_, w + 1));
    }
  }

  // The first block of a worker's share; `count` for worker == workers.
  static size_t First(size_t count, size_t workers, size_t worker) {
    return count * worker / workers;
  }

  size_t workers() const { return workers_; }

  // The next block of the worker's share, in ascending order, or else the last
  // one of another's; false if none is left.
  bool Take(size_t worker, size_t* block) const {
    for (size_t i = 0; i < workers_; ++i) {
      Share& share = shares_[(worker + i) % workers_];
      if (share.Take(/*first=*/i == 0, block)) return true;
    }
    return false;
  }

 private:
  Share* shares_;
  size_t workers_;
};

// As ParallelFor, but each range is of one grain, in the order of SharedBlocks.
// For long loops, in which workers do not keep step on a machine that others
// use, too. Only where no result depends on the worker; below 2^32 ranges.
template <typename Body>
void ParallelForEach(ThreadPool& pool, size_t count, size_t grain,
                     const Body& body, size_t most_workers = SIZE_MAX) {
  const SharedBlocks blocks(pool, (count + grain - 1) / grain, most_workers);
  ParallelFor(pool, blocks.workers(), 1, [&](size_t, size_t, size_t worker) {
    for (size_t block; blocks.Take(worker, &block);) {
      const size_t begin = block * grain;
      body(begin, std::min(count, begin + grain), worker);
    }
  });
}

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_THREADS_H_
