// SPDX-License-Identifier: MIT
#include "runtime/core/threads.h"

#include <atomic>
#include <vector>

#include "gtest/gtest.h"

namespace slm {
namespace {

TEST(Threads, ParallelForCoversEachIndexOnce) {
  for (size_t threads : {1, 2, 3, 5}) {
    ThreadPool pool(threads);
    for (size_t count : {0, 1, 2, 7, 64, 1000}) {
      for (size_t grain : {1, 3, 64}) {
        std::vector<int> hits(count);
        ParallelFor(pool, count, grain,
                    [&](size_t begin, size_t end, size_t worker) {
                      EXPECT_LT(worker, threads);
                      EXPECT_EQ(begin % grain, 0u);
                      for (size_t i = begin; i < end; ++i) ++hits[i];
                    });
        for (int h : hits) EXPECT_EQ(h, 1);
      }
    }
  }
}

TEST(Threads, ManyRunsInARow) {
  ThreadPool pool(4);
  std::atomic<size_t> sum{0};
  for (int i = 0; i < 2000; ++i) {
    ParallelFor(pool, 4, 1, [&](size_t begin, size_t end, size_t) {
      sum += end - begin;
    });
  }
  EXPECT_EQ(sum.load(), 8000u);
}

}  // namespace
}  // namespace slm
