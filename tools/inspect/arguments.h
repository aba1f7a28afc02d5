// SPDX-License-Identifier: MIT
// Command lines of slm-inspect: positional words and --name value options.
#ifndef SLM_TOOLS_INSPECT_ARGUMENTS_H_
#define SLM_TOOLS_INSPECT_ARGUMENTS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/core/result.h"
#include "tools/inspect/commands.h"

namespace slm::inspect {

struct OptionSpec {
  const char* name;   // without the dashes
  const char* value;  // "" for a switch, else what the value is
  const char* what;
};

class ParsedArguments {
 public:
  // Refuses unknown options and a wrong number of positional words. --help
  // prints usage and options and yields help() == true.
  static Result<ParsedArguments> Parse(const Arguments& arguments,
                                       const std::string& usage,
                                       const std::vector<OptionSpec>& options,
                                       size_t positional);

  bool help() const { return help_; }
  const std::string& operator[](size_t i) const { return positional_[i]; }
  bool Has(const std::string& name) const { return values_.count(name) > 0; }
  std::string Text(const std::string& name, std::string fallback = "") const;
  // Within [low, high].
  Result<int64_t> Int(const std::string& name, int64_t fallback, int64_t low,
                      int64_t high) const;

 private:
  bool help_ = false;
  std::vector<std::string> positional_;
  std::map<std::string, std::string> values_;
};

// "1,2,3" or one number a line.
Result<std::vector<int32_t>> ParseIds(const std::string& text);

}  // namespace slm::inspect

#endif  // SLM_TOOLS_INSPECT_ARGUMENTS_H_
