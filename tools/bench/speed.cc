// SPDX-License-Identifier: MIT
#include "tools/bench/speed.h"

#include <algorithm>
#include <cstdio>

#include "ops/kernels/machine_limits.h"
#include "runtime/core/clock.h"
#include "runtime/core/cpu.h"
#include "runtime/core/memory.h"
#include "tools/bench/open.h"
#include "tools/bench/svg.h"

namespace slm::bench {
namespace {

// Before hours of others: a test that cannot fit.
Status CheckContext(std::span<const SpeedTest> tests, size_t context) {
  for (const SpeedTest& test : tests) {
    if (test.depth + test.tokens > context) {
      return Error(ErrorKind::kOverflow,
                   "%s needs %zu tokens, the context is %zu; make -d, -p or -n "
                   "smaller",
                   test.Name().c_str(), test.depth + test.tokens, context);
    }
  }
  return OkStatus();
}

// Repetitions go in rounds of all tests: a shared machine changes within
// seconds to minutes, and what two tests make of each other (a depth and none,
// a batch and one) counts only within the same seconds.
Status RunTests(const SpeedOptions& options, std::span<const SpeedTest> tests,
                SpeedTester* tester, std::vector<TestResult>* results) {
  const bool progress = ShowsProgress(options);
  for (const SpeedTest& test : tests) {
    if (progress) std::fprintf(stderr, "slm-bench: %s\n", test.Name().c_str());
    SLM_ASSIGN_OR_RETURN(TestResult result, tester->Prepare(test));
    results->push_back(std::move(result));
  }
  for (size_t round = 1; round <= options.repetitions; ++round) {
    if (progress) {
      std::fprintf(stderr, "slm-bench: round %zu of %zu\r", round,
                   options.repetitions);
    }
    for (TestResult& result : *results) {
      SLM_RETURN_IF_ERROR(tester->Repeat(&result));
    }
  }
  if (progress) std::fprintf(stderr, "\033[K");
  if (!options.profile) return OkStatus();
  for (TestResult& result : *results) {
    SLM_RETURN_IF_ERROR(tester->RepeatProfiled(&result));
  }
  return OkStatus();
}

double CpuPercent(std::span<const TestResult> results, size_t threads) {
  double cpu = 0, wall = 0;
  for (const TestResult& result : results) {
    for (const Elapsed& e : result.repetitions) {
      cpu += e.cpu_seconds;
      wall += e.seconds;
    }
  }
  return wall > 0 ? 100 * cpu / wall / static_cast<double>(threads) : 0;
}

// Another program that takes a core for half a second spoils one round, so
// there are several, and the best counts as it does for the tests.
void ImproveInt8(ThreadPool& threads, Limits* limits) {
  limits->int8_ops = std::max(limits->int8_ops, MeasureInt8Peak(threads));
}

// After the tests: the buffer would count in their peak of memory.
void ImproveBoth(ThreadPool& threads, Limits* limits) {
  constexpr int kRounds = 3;
  // Far larger than the cache, but no gigabyte on account of a server's. The
  // same where the size of the cache is not known.
  const size_t cache = LastCacheBytes();
  const size_t buffer =
      cache ? std::clamp(4 * cache, size_t{64} << 20, size_t{512} << 20)
            : size_t{256} << 20;
  for (int i = 0; i < kRounds; ++i) {
    const Result<double> read = MeasureReadBandwidth(threads, buffer);
    if (read.ok()) limits->read_bytes = std::max(limits->read_bytes, *read);
    ImproveInt8(threads, limits);
  }
}

}  // namespace

Result<Report> MeasureSpeed(const SpeedOptions& options, bool limits) {
  SLM_ASSIGN_OR_RETURN(const Opened opened, Open(options));
  Report report;
  report.load_ms = opened.load_seconds * 1e3;
  const std::vector<SpeedTest> tests = TestsOf(options);
  SLM_RETURN_IF_ERROR(
      CheckContext(tests, opened.model->decoder().context_length));
  SpeedTester tester(opened.session.get());
  SLM_RETURN_IF_ERROR(tester.FirstToken());
  report.ttft_ms = (MonotonicSeconds() - opened.begin) * 1e3;

  report.info = InfoOf(options, opened);
  report.weight_bytes = opened.model->WeightBytes();
  SLM_RETURN_IF_ERROR(RunTests(options, tests, &tester, &report.tests));
  report.peak_rss = GetProcessMemory().peak;
  report.cpu_percent = CpuPercent(report.tests, report.info.threads);
  if (limits) ImproveBoth(*opened.threads, &report.limits);
  return report;
}

Result<int> RunSpeed(Flags* flags) {
  SLM_ASSIGN_OR_RETURN(const SpeedOptions options, ReadSpeedOptions(flags));
  SLM_RETURN_IF_ERROR(CheckPicture(options.svg));
  SLM_ASSIGN_OR_RETURN(const Report report,
                       MeasureSpeed(options, /*limits=*/true));
  if (options.svg) {
    SLM_RETURN_IF_ERROR(WritePicture(*options.svg, Chart(report)));
  }
  const std::string text = Print(report, options.output);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

}  // namespace slm::bench
