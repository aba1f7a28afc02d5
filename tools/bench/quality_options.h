// SPDX-License-Identifier: MIT
// The command lines of ppl, ref and kld.
#ifndef SLM_TOOLS_BENCH_QUALITY_OPTIONS_H_
#define SLM_TOOLS_BENCH_QUALITY_OPTIONS_H_

#include <string>

#include "tools/bench/flags.h"
#include "tools/bench/windows.h"

namespace slm::bench {

extern const FlagSet kPerplexityFlags, kReferenceFlags, kDivergenceFlags;

struct QualityOptions : CommonOptions {
  std::string file;  // text; "" where a reference has it
  WindowOptions windows;
  std::string save;             // ref: the file to write
  std::string reference;        // kld: a file that ref wrote, or ""
  std::string reference_model;  // kld: a model in its place, or ""
};

Result<QualityOptions> ReadPerplexityOptions(Flags* flags);
Result<QualityOptions> ReadReferenceOptions(Flags* flags);
Result<QualityOptions> ReadDivergenceOptions(Flags* flags);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_QUALITY_OPTIONS_H_
