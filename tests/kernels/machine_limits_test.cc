// SPDX-License-Identifier: MIT
#include "ops/kernels/machine_limits.h"

#include "gtest/gtest.h"
#include "runtime/core/cpu.h"

namespace slm {
namespace {

// A byte product a cycle of the slowest target and a megabyte a millisecond
// are far below every machine that runs this, a terabyte a second and a
// hundred TOPS a thread far above.
TEST(MachineLimits, AreOfTheSizeOfMachinesOnEveryTarget) {
  ThreadPool pool(2);
  for (const std::string& target : UsableTargets()) {
    ASSERT_TRUE(ForceTarget(target).ok()) << target;
    const Result<double> read = MeasureReadBandwidth(pool, size_t{32} << 20);
    ASSERT_TRUE(read.ok()) << read.status().message();
    EXPECT_GT(*read, 1e9) << target;
    EXPECT_LT(*read, 2e12) << target;
    const double peak = MeasureInt8Peak(pool);
    EXPECT_GT(peak, 1e9) << target;
    EXPECT_LT(peak, 2e14) << target;
    RecordProperty(target + "_gops", static_cast<int>(peak / 1e9));
    std::printf("%s: read %.1f GB/s, int8 %.0f GOPS\n", target.c_str(),
                *read / 1e9, peak / 1e9);
  }
  ASSERT_TRUE(ForceTarget("").ok());
}

TEST(MachineLimits, NoMemoryIsAFailureAndNoEnd) {
  ThreadPool pool(1);
  const Result<double> read = MeasureReadBandwidth(pool, SIZE_MAX / 2);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.status().kind(), ErrorKind::kMemory);
}

}  // namespace
}  // namespace slm
