// SPDX-License-Identifier: MIT
#include "tools/inspect/arguments.h"

#include <charconv>
#include <cstdio>
#include <cstring>

#include "cxxopts.hpp"

namespace slm::inspect {

Result<ParsedArguments> ParsedArguments::Parse(
    const Arguments& arguments, const std::string& usage,
    const std::vector<OptionSpec>& options, size_t positional) {
  cxxopts::Options parser("slm-inspect " + usage);
  parser.custom_help("");
  auto add = parser.add_options();
  for (const OptionSpec& o : options) {
    if (*o.value) {
      add(o.name, o.what, cxxopts::value<std::string>(), o.value);
    } else {
      add(o.name, o.what);
    }
  }
  add("h,help", "this text");
  add("words", "", cxxopts::value<std::vector<std::string>>());
  parser.parse_positional("words");
  std::vector<const char*> argv = {"slm-inspect"};
  for (const std::string& a : arguments) argv.push_back(a.c_str());

  ParsedArguments parsed;
  try {
    const auto result =
        parser.parse(static_cast<int>(argv.size()), argv.data());
    if (result.count("help")) {
      std::printf("usage: slm-inspect %s\n", usage.c_str());
      for (const OptionSpec& o : options) {
        std::string flag = o.name;
        const size_t comma = flag.find(',');
        flag = comma == flag.npos ? "    --" + flag
                                  : "-" + flag.substr(0, comma) + ", --" +
                                        flag.substr(comma + 1);
        if (*o.value) flag.append(" ").append(o.value);
        std::printf("  %-22s  %s\n", flag.c_str(), o.what);
      }
      parsed.help_ = true;
      return parsed;
    }
    if (result.count("words")) {
      parsed.positional_ = result["words"].as<std::vector<std::string>>();
    }
    for (const OptionSpec& o : options) {
      // "n,max-tokens" is known by its long name.
      const char* comma = std::strchr(o.name, ',');
      const std::string name = comma ? comma + 1 : o.name;
      if (!result.count(name)) continue;
      parsed.values_[name] = *o.value ? result[name].as<std::string>() : "";
    }
  } catch (const std::exception& e) {  // cxxopts' way to refuse
    return Usage("%s", e.what());
  }
  if (parsed.positional_.size() != positional) {
    return Usage("expected %zu words, got %zu; usage: slm-inspect %s",
                 positional, parsed.positional_.size(), usage.c_str());
  }
  return parsed;
}

std::string ParsedArguments::Text(const std::string& name,
                                  std::string fallback) const {
  const auto it = values_.find(name);
  return it == values_.end() ? fallback : it->second;
}

Result<int64_t> ParsedArguments::Int(const std::string& name, int64_t fallback,
                                     int64_t low, int64_t high) const {
  const auto it = values_.find(name);
  if (it == values_.end()) return fallback;
  const std::string& text = it->second;
  int64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low ||
      value > high) {
    return Usage("--%s = \"%s\", expected a number from %lld to %lld",
                 name.c_str(), Printable(text).c_str(),
                 static_cast<long long>(low), static_cast<long long>(high));
  }
  return value;
}

Result<std::vector<int32_t>> ParseIds(const std::string& text) {
  std::vector<int32_t> ids;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    while (at < end && (*at == ',' || *at == ' ' || *at == '\n' ||
                        *at == '\r' || *at == '[' || *at == ']')) {
      ++at;
    }
    if (at == end) return ids;
    int32_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc()) {
      return Usage("\"%s\" is no token id",
                   Printable({at, static_cast<size_t>(end - at)}, 20).c_str());
    }
    ids.push_back(id);
    at = next;
  }
}

}  // namespace slm::inspect
