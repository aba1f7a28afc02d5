// SPDX-License-Identifier: MIT
// The flags of slm-bench gate as plain values.
#ifndef SLM_TOOLS_BENCH_GATE_OPTIONS_H_
#define SLM_TOOLS_BENCH_GATE_OPTIONS_H_

#include "tools/bench/flags.h"

namespace slm::bench {

struct GateOptions : CommonOptions {
  std::optional<double> min_pp, min_tg;      // tokens a second
  std::optional<double> max_ttft, max_load;  // milliseconds
  std::optional<uint64_t> max_rss;           // bytes
  std::optional<double> max_ppl;
  size_t prompt = 512;    // tokens of the prefill test
  size_t generated = 64;  // tokens of the decode test
  size_t repetitions = 5;
  std::optional<std::string> file;  // the text of max_ppl
  size_t chunks = 0;                // of it; 0: all
  std::optional<std::string> from;  // a result of speed instead of a model
};

extern const FlagSet kGateFlags;
Result<GateOptions> ReadGateOptions(Flags* flags);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_GATE_OPTIONS_H_
