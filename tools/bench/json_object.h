// SPDX-License-Identifier: MIT
#ifndef SLM_TOOLS_BENCH_JSON_OBJECT_H_
#define SLM_TOOLS_BENCH_JSON_OBJECT_H_

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "loader/json.h"
#include "runtime/core/result.h"

namespace slm::bench {

// Writes "key": value members with the right commas.
class JsonObject {
 public:
  explicit JsonObject(std::string* out) : out_(*out) { out_ += "{"; }

  void Text(const char* key, std::string_view text) {
    Key(key);
    AppendJsonString(text, &out_);
  }
  // JSON has no NaN: what is not known is null.
  void Number(const char* key, double value, int decimals) {
    Key(key);
    Append(value, decimals);
  }
  void Numbers(const char* key, std::span<const double> values, int decimals) {
    Key(key);
    out_ += "[";
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out_ += ", ";
      Append(values[i], decimals);
    }
    out_ += "]";
  }
  void Count(const char* key, uint64_t value) {
    Key(key);
    out_ += Format("%llu", static_cast<unsigned long long>(value));
  }
  void Bool(const char* key, bool value) {
    Key(key);
    out_ += value ? "true" : "false";
  }
  // The caller appends the value.
  void Key(const char* key) {
    out_ += Format("%s\"%s\": ", first_ ? "" : ", ", key);
    first_ = false;
  }
  void End() { out_ += "}"; }

 private:
  void Append(double value, int decimals) {
    out_ += std::isfinite(value) ? Format("%.*f", decimals, value) : "null";
  }

  std::string& out_;
  bool first_ = true;
};

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_JSON_OBJECT_H_
