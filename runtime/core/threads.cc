// SPDX-License-Identifier: MIT
#include "runtime/core/threads.h"

#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace slm {
namespace {

inline void CpuRelax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Between two ops of a decode step lie a few microseconds; a wake-up from a
// futex costs 5-50 us. So spin about 100 us, then sleep.
constexpr int kSpins = 4000;

// cgroup v2 "max 100000" or "200000 100000" -> 2 cores.
size_t QuotaCores() {
#if defined(__linux__)
  if (std::FILE* f = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    double quota = 0, period = 0;
    const int got = std::fscanf(f, "%lf %lf", &quota, &period);
    std::fclose(f);
    if (got == 2 && quota > 0 && period > 0) {
      return static_cast<size_t>(std::ceil(quota / period));
    }
  }
#endif
  return SIZE_MAX;
}

}  // namespace

size_t AvailableCores() {
  size_t cores = std::thread::hardware_concurrency();
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    cores = static_cast<size_t>(CPU_COUNT(&set));
  }
#endif
  const size_t quota = QuotaCores();
  if (quota < cores) cores = quota;
  return cores ? cores : 1;
}

struct ThreadPool::Impl {
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable wake;
  // Incremented for every Run; a worker runs when it sees a new value.
  std::atomic<uint64_t> epoch{0};
  std::atomic<size_t> running{0};
  std::atomic<int> sleepers{0};
  bool stop = false;
  std::exception_ptr thrown;  // under `mutex` while a Run is on
  void (*body)(void*, size_t) = nullptr;
  void* context = nullptr;

  void Call(size_t index) {
    try {
      body(context, index);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex);
      if (!thrown) thrown = std::current_exception();
    }
  }

  void Worker(size_t index) {
    uint64_t seen = 0;
    for (;;) {
      int spins = 0;
      while (epoch.load(std::memory_order_acquire) == seen) {
        if (++spins < kSpins) {
          CpuRelax();
          continue;
        }
        std::unique_lock<std::mutex> lock(mutex);
        sleepers.fetch_add(1);
        wake.wait(lock, [&] { return epoch.load() != seen; });
        sleepers.fetch_sub(1);
      }
      ++seen;
      if (stop) return;
      Call(index);
      if (running.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        running.notify_one();
      }
    }
  }

  void Publish() {
    epoch.fetch_add(1);
    if (sleepers.load() > 0) {
      { std::lock_guard<std::mutex> lock(mutex); }
      wake.notify_all();
    }
  }
};

ThreadPool::ThreadPool(size_t threads)
    : impl_(std::make_unique<Impl>()),
      size_(threads ? threads : AvailableCores()),
      shares_(std::make_unique<Share[]>(size_)) {
  impl_->threads.reserve(size_ - 1);
  for (size_t i = 1; i < size_; ++i) {
    impl_->threads.emplace_back([this, i] { impl_->Worker(i); });
  }
}

ThreadPool::~ThreadPool() {
  impl_->stop = true;
  impl_->Publish();
  for (std::thread& t : impl_->threads) t.join();
}

void ThreadPool::Run(void (*body)(void*, size_t), void* context) {
  if (size_ == 1) {
    body(context, 0);
    return;
  }
  impl_->body = body;
  impl_->context = context;
  impl_->running.store(size_ - 1, std::memory_order_relaxed);
  impl_->Publish();
  impl_->Call(0);
  // Then sleep, not yield: on a machine that is busy with other work a caller
  // that spins uses up the time slice that its own workers wait for.
  for (int spins = 0;;) {
    const size_t left = impl_->running.load(std::memory_order_acquire);
    if (left == 0) break;
    if (++spins < kSpins) {
      CpuRelax();
    } else {
      impl_->running.wait(left, std::memory_order_acquire);
    }
  }
  if (impl_->thrown) {
    std::rethrow_exception(std::exchange(impl_->thrown, nullptr));
  }
}

}  // namespace slm
