// SPDX-License-Identifier: MIT
// Programmer errors. Data and files never trigger these: they get a Status.
#ifndef SLM_RUNTIME_CORE_CHECK_H_
#define SLM_RUNTIME_CORE_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace slm {

[[noreturn]] inline void CheckFailed(const char* what, const char* file,
                                     int line) {
  std::fprintf(stderr,
               "slm: check failed: %s at %s:%d; this is a bug, please report\n",
               what, file, line);
  std::abort();
}

}  // namespace slm

#define SLM_CHECK(condition) \
  ((condition) ? (void)0 : ::slm::CheckFailed(#condition, __FILE__, __LINE__))

#ifdef SLM_DCHECKS
#define SLM_DCHECK(condition) SLM_CHECK(condition)
#else
#define SLM_DCHECK(condition) ((void)sizeof(condition))
#endif

#endif  // SLM_RUNTIME_CORE_CHECK_H_
