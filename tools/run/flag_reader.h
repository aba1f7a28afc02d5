// SPDX-License-Identifier: MIT
// Flags that were parsed, as values.
#ifndef SLM_TOOLS_RUN_FLAG_READER_H_
#define SLM_TOOLS_RUN_FLAG_READER_H_

#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/core/result.h"

// A comma is a part of a stop string or a prompt, not a separator.
#define CXXOPTS_VECTOR_DELIMITER '\0'
#define CXXOPTS_NO_REGEX  // its own parser does, without the size of std::regex
#include "cxxopts.hpp"

namespace slm {

using Strings = std::vector<std::string>;

// Reads flags of a parse result into fields and remembers the first failure.
class FlagReader {
 public:
  explicit FlagReader(const cxxopts::ParseResult& parsed) : parsed_(parsed) {}

  bool Has(const char* name) const { return parsed_.count(name) > 0; }
  Strings List(const char* name) const {
    return Has(name) ? parsed_[name].as<Strings>() : Strings();
  }
  // What the user wrote, if the flag is there and no other one failed yet.
  const std::string* Text(const char* name) const {
    return status_.ok() && Has(name) ? &parsed_[name].as<std::string>()
                                     : nullptr;
  }
  void Fail(const char* name, std::string_view text, const char* expected) {
    if (!status_.ok()) return;
    status_ = Usage("--%s is \"%s\", must be %s", name, Printable(text).c_str(),
                    expected);
  }
  const Status& status() const { return status_; }

  void Get(const char* name, std::optional<std::string>* out) {
    if (const std::string* text = Text(name)) *out = *text;
  }
  void Get(const char* name, int64_t low, int64_t high,
           std::optional<int64_t>* out) {
    const std::string* text = Text(name);
    if (text == nullptr) return;
    int64_t value = 0;
    if (ParseAll(*text, &value) && value >= low && value <= high) {
      *out = value;
    } else if (high == std::numeric_limits<int64_t>::max()) {
      Fail(name, *text, Format("a whole number from %lld", Long(low)).c_str());
    } else {
      Fail(name, *text,
           Format("a whole number %lld..%lld", Long(low), Long(high)).c_str());
    }
  }
  void Get(const char* name, double low, double high,
           std::optional<double>* out) {
    const std::string* text = Text(name);
    if (text == nullptr) return;
    double value = 0;
    if (ParseAll(*text, &value) && std::isfinite(value) && value >= low &&
        value <= high) {
      *out = value;
    } else if (low == -kAny) {
      Fail(name, *text, "a number");
    } else if (high == kAny) {
      Fail(name, *text, Format("a number from %g", low).c_str());
    } else {
      Fail(name, *text, Format("a number %g..%g", low, high).c_str());
    }
  }
  template <typename Enum>
  void Get(const char* name,
           std::initializer_list<std::pair<const char*, Enum>> choices,
           Enum* out) {
    const std::string* text = Text(name);
    if (text == nullptr) return;
    std::string expected;
    for (const auto& [choice, value] : choices) {
      if (*text == choice) {
        *out = value;
        return;
      }
      expected += (expected.empty() ? "" : ", ") + std::string(choice);
    }
    Fail(name, *text, ("one of " + expected).c_str());
  }

  // The whole text is a number.
  template <typename T>
  static bool ParseAll(std::string_view text, T* value) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, *value);
    return error == std::errc() && stop == end && !text.empty();
  }

  static constexpr double kAny = std::numeric_limits<double>::max();

 private:
  static long long Long(int64_t value) { return value; }

  const cxxopts::ParseResult& parsed_;
  Status status_;
};

}  // namespace slm

#endif  // SLM_TOOLS_RUN_FLAG_READER_H_
