// SPDX-License-Identifier: MIT
// The flags of slm-bench speed as plain values, and the tests that they ask
// for.
#ifndef SLM_TOOLS_BENCH_SPEED_OPTIONS_H_
#define SLM_TOOLS_BENCH_SPEED_OPTIONS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tools/bench/flags.h"

namespace slm::bench {

struct SpeedOptions : CommonOptions {
  std::vector<size_t> prompts = {128, 512};  // -p; 0: no such test
  std::vector<size_t> generated = {64};      // -n; 0: no such test
  std::vector<size_t> depths = {0};
  std::vector<size_t> batches = {1};
  size_t repetitions = 5;
  bool profile = false;
  std::optional<std::string> svg;  // a picture of the result
};

extern const FlagSet kSpeedFlags;
Result<SpeedOptions> ReadSpeedOptions(Flags* flags);

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
// generations.
std::vector<SpeedTest> TestsOf(const SpeedOptions& options);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_SPEED_OPTIONS_H_
