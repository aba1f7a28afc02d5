// SPDX-License-Identifier: MIT
// The team's shared fixtures: absent on other machines, where tests that need
// them say so and skip; on CI their absence is a failure.
#ifndef SLM_TESTS_SHARED_FIXTURES_H_
#define SLM_TESTS_SHARED_FIXTURES_H_

#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "runtime/core/file.h"

namespace slm {

inline std::string SharedPath(const std::string& relative) {
  return std::string(SLM_SHARED_DIR) + "/" + relative;
}

}  // namespace slm

// First statement of a test that reads `relative` below the shared folder.
#define SLM_NEEDS_SHARED(relative)                                      \
  do {                                                                  \
    if (!::slm::IsFolder(::slm::SharedPath(relative))) {                \
      if (std::getenv("CI")) {                                          \
        GTEST_FAIL() << ::slm::SharedPath(relative) << " is absent";    \
      }                                                                 \
      GTEST_SKIP() << "no shared fixtures at "                          \
                   << ::slm::SharedPath(relative);                      \
    }                                                                   \
  } while (false)

#endif  // SLM_TESTS_SHARED_FIXTURES_H_
