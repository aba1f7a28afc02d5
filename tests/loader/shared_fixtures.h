// SPDX-License-Identifier: MIT
// The team's fixtures, which a checkout elsewhere does not have.
#ifndef SLM_TESTS_LOADER_SHARED_FIXTURES_H_
#define SLM_TESTS_LOADER_SHARED_FIXTURES_H_

#include <cstdlib>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/core/file.h"
#include "runtime/core/log.h"

// Skips, or fails where continuous integration should have had them.
#define SLM_NEED_SHARED(folder)                                       \
  do {                                                                \
    if (!::slm::IsFolder(folder)) {                                   \
      if (std::getenv("CI")) FAIL() << "no fixtures in " << (folder); \
      GTEST_SKIP() << "no fixtures in " << (folder);                  \
    }                                                                 \
  } while (false)

namespace slm {

// Collects what a library says.
struct LogLines {
  std::vector<std::string> lines;

  LogSink Sink() {
    return [this](LogLevel level, std::string_view message) {
      if (level <= LogLevel::kWarn) lines.emplace_back(message);
    };
  }
  bool Holds(std::string_view part) const {
    for (const std::string& line : lines) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }
};

}  // namespace slm

#endif  // SLM_TESTS_LOADER_SHARED_FIXTURES_H_
