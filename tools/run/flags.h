// SPDX-License-Identifier: MIT
// The flags of slm-run as a table, and the screen that tells of the most used.
#ifndef SLM_TOOLS_RUN_FLAGS_H_
#define SLM_TOOLS_RUN_FLAGS_H_

#include <span>
#include <string_view>

namespace slm {

// One row per flag. A flag without a value has an empty `value`.
struct RunFlag {
  const char* group;
  const char* names;  // as cxxopts wants them: "s,system"
  const char* value;
  const char* help;
};

std::span<const RunFlag> RunFlags();
// "system" of "s,system".
std::string_view LongName(const RunFlag& flag);
// By its long name; nullptr if there is none.
const RunFlag* FindFlag(std::string_view name);
// It may come several times.
bool IsList(const RunFlag& flag);
const char* ShortRunHelp();

}  // namespace slm

#endif  // SLM_TOOLS_RUN_FLAGS_H_
