// SPDX-License-Identifier: MIT
#include "runtime/core/threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace slm {
namespace {

TEST(Threads, LoopsCoverEachIndexOnce) {
  for (size_t threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    for (size_t count : {0, 1, 2, 7, 64, 1000}) {
      for (size_t grain : {1, 3, 64}) {
        std::vector<int> hits(count);
        const auto body = [&](size_t begin, size_t end, size_t worker) {
          EXPECT_LT(worker, threads);
          EXPECT_EQ(begin % grain, 0u);
          EXPECT_LE(end, count);
          for (size_t i = begin; i < end; ++i) ++hits[i];
        };
        ParallelFor(pool, count, grain, body);
        ParallelForEach(pool, count, grain, body);
        ParallelForEach(pool, count, grain, body, /*most_workers=*/2);
        // As one.
        ParallelForEach(pool, count, grain, body, /*most_workers=*/0);
        for (int h : hits) EXPECT_EQ(h, 4);
      }
    }
  }
}

// One worker is held up by its first range: others take the rest.
TEST(Threads, FreeWorkersTakeWhatIsLeft) {
  ThreadPool pool(2);
  std::atomic<size_t> done{0};
  ParallelForEach(pool, 50, 1, [&](size_t begin, size_t, size_t) {
    while (begin == 0 && done < 49) std::this_thread::yield();
    ++done;
  });
  EXPECT_EQ(done.load(), 50u);
}

TEST(Threads, ManyRunsInARow) {
  ThreadPool pool(4);
  std::atomic<size_t> sum{0};
  for (int i = 0; i < 2000; ++i) {
    ParallelFor(pool, 4, 1,
                [&](size_t begin, size_t end, size_t) { sum += end - begin; });
  }
  EXPECT_EQ(sum.load(), 8000u);
}

// Both sides spin for some 100 us before they sleep: 2 ms is beyond that.
TEST(Threads, WorkersAndTheCallerWakeFromSleep) {
  ThreadPool pool(3);
  const auto nap = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  };
  std::vector<size_t> work(3);
  for (size_t i = 0; i < 10; ++i) {
    nap();
    ParallelFor(pool, 3, 1, [&](size_t begin, size_t, size_t) {
      if (begin != 0) nap();
      ++work[begin];
    });
    for (const size_t w : work) EXPECT_EQ(w, i + 1);
  }
}

// An allocation that fails in a worker must not end the host's process.
TEST(Threads, WhatABodyThrowsArrivesAtTheCaller) {
  ThreadPool pool(3);
  for (size_t thrower = 0; thrower < 3; ++thrower) {
    std::atomic<size_t> done{0};
    EXPECT_THROW(ParallelFor(pool, 3, 1,
                             [&](size_t begin, size_t, size_t) {
                               ++done;
                               if (begin == thrower) throw std::bad_alloc();
                             }),
                 std::bad_alloc);
    EXPECT_EQ(done.load(), 3u);
  }
  std::atomic<size_t> sum{0};
  ParallelFor(pool, 9, 1,
              [&](size_t begin, size_t end, size_t) { sum += end - begin; });
  EXPECT_EQ(sum.load(), 9u);
}

TEST(Threads, RangesGoToNoMoreWorkersThanAllowed) {
  ThreadPool pool(4);
  for (size_t most = 1; most < 6; ++most) {
    std::atomic<size_t> ranges{0}, sum{0};
    ParallelFor(
        pool, 100, 1,
        [&](size_t begin, size_t end, size_t worker) {
          EXPECT_LT(worker, most);
          ++ranges;
          sum += end - begin;
        },
        most);
    EXPECT_EQ(ranges.load(), std::min<size_t>(most, 4));
    EXPECT_EQ(sum.load(), 100u);
  }
}

}  // namespace
}  // namespace slm
