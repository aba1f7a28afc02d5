// SPDX-License-Identifier: MIT
// The flags of slm-bench as plain values, and the tests that they ask for.
#ifndef SLM_TOOLS_BENCH_OPTIONS_H_
#define SLM_TOOLS_BENCH_OPTIONS_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/dtype.h"
#include "runtime/core/result.h"

namespace slm::bench {

enum class Action { kRun, kHelp, kVersion };
enum class OutputFormat { kText, kMarkdown, kCsv, kJson };

struct Options {
  Action action = Action::kRun;
  std::string model;
  std::vector<size_t> prompts = {512};   // -p; 0: no such test
  std::vector<size_t> generated = {64};  // -n; 0: no such test
  std::vector<size_t> depths = {0};
  std::vector<size_t> batches = {1};
  size_t repetitions = 5;
  size_t threads = 0;  // 0: the model's wish, else all cores
  DType kv = DType::kF16;
  OutputFormat output = OutputFormat::kText;
  bool profile = false;
  bool quiet = false;
};

// `args` without the program's name. Every failure is kUsage.
Result<Options> ParseOptions(std::span<const std::string> args);

std::string Help();

// One speed test: `tokens` of each of `batch` sequences that hold `depth`
// tokens already, all at once (prefill) or one after the other (decode).
struct SpeedTest {
  bool decode = false;
  size_t tokens = 0;
  size_t depth = 0;
  size_t batch = 1;

  // pp512, tg64, tg64@d4096, tg64x8, tg64@d4096x8.
  std::string Name() const;
};

// The product of the lists: for each batch and depth all prompts, then all
// generations, so that neighbours share what is in the cache.
std::vector<SpeedTest> TestsOf(const Options& options);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_OPTIONS_H_
