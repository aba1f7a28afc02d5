// SPDX-License-Identifier: MIT
#include "tools/convert/olive_arguments.h"

#include <optional>
#include <utility>

namespace slm::convert {
namespace {

// The flag of that name or of a beginning that no other has, as argparse.
Result<const Flag*> FindFlag(std::span<const Flag> flags,
                             std::string_view name) {
  const Flag* found = nullptr;
  for (const Flag& flag : flags) {
    if (flag.name == name) return &flag;
    if (flag.name.substr(0, name.size()) != name) continue;
    if (found) {
      return Usage("--%s may be --%s or --%s", Printable(name).c_str(),
                   std::string(found->name).c_str(),
                   std::string(flag.name).c_str());
    }
    found = &flag;
  }
  if (found && !name.empty()) return found;
  return Usage("unknown flag --%s; see slm-convert --help",
               Printable(name).c_str());
}

Result<const Flag*> FindLetter(std::span<const Flag> flags, char letter) {
  for (const Flag& flag : flags) {
    if (flag.letter == letter) return &flag;
  }
  return Usage("unknown flag -%s; see slm-convert --help",
               Printable(std::string_view(&letter, 1)).c_str());
}

bool IsFlag(const std::string& text) {
  return text.size() > 1 && text[0] == '-';
}

}  // namespace

Result<std::vector<Argument>> SplitArguments(std::span<const Flag> flags,
                                             std::span<const std::string> args,
                                             std::vector<std::string>* notes) {
  std::vector<Argument> out;
  for (size_t i = 0; i < args.size();) {
    std::string_view text = args[i++];
    if (!IsFlag(args[i - 1])) {
      return Usage("\"%s\" is no flag", Printable(text).c_str());
    }
    std::optional<std::string> inline_value;
    const Flag* flag = nullptr;
    if (text.substr(0, 2) == "--") {
      const size_t equals = text.find('=');
      if (equals != std::string_view::npos) {
        inline_value = std::string(text.substr(equals + 1));
        text = text.substr(0, equals);
      }
      SLM_ASSIGN_OR_RETURN(flag, FindFlag(flags, text.substr(2)));
    } else {
      SLM_ASSIGN_OR_RETURN(flag, FindLetter(flags, text[1]));
      if (text.size() > 2) inline_value = std::string(text.substr(2));
    }
    const std::string name(flag->name);
    Argument argument{flag->name, {}};
    if (inline_value) argument.values.push_back(*inline_value);
    while (i < args.size() && !IsFlag(args[i]) &&
           (flag->takes == Takes::kMany ||
            (flag->takes == Takes::kOne && argument.values.empty()))) {
      argument.values.push_back(args[i++]);
    }
    if (argument.values.empty() != (flag->takes == Takes::kNothing)) {
      return Usage("--%s takes %s value", name.c_str(),
                   flag->takes == Takes::kNothing ? "no" : "a");
    }
    if (flag->use == Use::kRefuse) {
      return Usage("--%s is not supported", name.c_str());
    }
    if (flag->use == Use::kIgnore) {
      notes->push_back("--" + name + " means nothing here");
    }
    if (flag->use == Use::kSet) out.push_back(std::move(argument));
  }
  return out;
}

}  // namespace slm::convert
