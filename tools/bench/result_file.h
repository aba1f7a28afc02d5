// SPDX-License-Identifier: MIT
// A result that a verb wrote with -o json, read again.
#ifndef SLM_TOOLS_BENCH_RESULT_FILE_H_
#define SLM_TOOLS_BENCH_RESULT_FILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"

namespace slm::bench {

struct ResultTest {
  std::string name;
  std::string unit;  // "tok/s", "ms"
  std::vector<double> samples;
};

struct ResultFile {
  std::string path;  // as the user called it
  std::string verb;
  std::string model, version, cpu, target, kv;
  int64_t threads = 0;
  std::optional<double> load_ms, peak_rss_mib;
  std::vector<ResultTest> tests;

  const ResultTest* Find(std::string_view name) const;
};

// Where it was measured, with `between` between the words.
std::string MachineLine(const ResultFile& file, const char* between);

// Of speed, chat and soak; kInvalid for anything else, and for a schema that
// is not ours.
Result<ResultFile> ParseResult(std::string text, const std::string& path);
Result<ResultFile> LoadResult(const std::string& path);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_RESULT_FILE_H_
