// SPDX-License-Identifier: MIT
// The flags of slm-bench compare as plain values.
#ifndef SLM_TOOLS_BENCH_COMPARE_OPTIONS_H_
#define SLM_TOOLS_BENCH_COMPARE_OPTIONS_H_

#include "tools/bench/flags.h"

namespace slm::bench {

struct CompareOptions : CommonOptions {
  std::vector<std::string> files;  // two at least; the first is the base
  std::optional<std::string> svg;  // a picture of the result
};

extern const FlagSet kCompareFlags;
Result<CompareOptions> ReadCompareOptions(Flags* flags);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_COMPARE_OPTIONS_H_
