// SPDX-License-Identifier: MIT
// Command lines as Python's argparse reads them: --name value, --name=value,
// beginnings of names, -x value, -xvalue, lists up to the next flag.
#ifndef SLM_TOOLS_CONVERT_OLIVE_ARGUMENTS_H_
#define SLM_TOOLS_CONVERT_OLIVE_ARGUMENTS_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"

namespace slm::convert {

enum class Takes { kNothing, kOne, kMany };

enum class Use {
  kSet,     // handled by name
  kIgnore,  // means nothing here: a note
  kSilent,  // means nothing and nobody expects it to
  kRefuse,  // would change the result
};

struct Flag {
  std::string_view name;  // long, without dashes
  char letter;            // 0: none
  Takes takes;
  Use use;
};

struct Argument {
  std::string_view name;
  std::vector<std::string> values;

  const std::string& value() const { return values.front(); }
};

// The arguments that are kSet; notes on those that are kIgnore.
Result<std::vector<Argument>> SplitArguments(std::span<const Flag> flags,
                                             std::span<const std::string> args,
                                             std::vector<std::string>* notes);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_OLIVE_ARGUMENTS_H_
