// SPDX-License-Identifier: MIT
// The flags of slm-bench soak as plain values.
#ifndef SLM_TOOLS_BENCH_SOAK_OPTIONS_H_
#define SLM_TOOLS_BENCH_SOAK_OPTIONS_H_

#include "tools/bench/chat_options.h"

namespace slm::bench {

struct SoakOptions : CommonOptions {
  std::optional<std::string> file;  // empty: the built-in prompts
  AnswerOptions answer;
  // One of the two.
  std::optional<double> minutes;
  size_t rounds = 0;
  std::optional<double> max_leak;   // MiB an hour
  std::optional<double> max_drift;  // percent that it may get slower
  std::optional<std::string> svg;   // a picture of the result
};

extern const FlagSet kSoakFlags;
Result<SoakOptions> ReadSoakOptions(Flags* flags);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_SOAK_OPTIONS_H_
