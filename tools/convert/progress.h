// SPDX-License-Identifier: MIT
// What a person who waits for a conversion sees, and how it is interrupted.
#ifndef SLM_TOOLS_CONVERT_PROGRESS_H_
#define SLM_TOOLS_CONVERT_PROGRESS_H_

#include <cstddef>
#include <cstdint>

#include "runtime/core/clock.h"
#include "runtime/core/result.h"

namespace slm::convert {

// One line on a terminal that is written over, ten times a second.
class ProgressLine {
 public:
  explicit ProgressLine(bool shown) : shown_(shown) {}

  // Bytes written.
  void ShowBytes(uint64_t done, uint64_t total);
  void ShowSteps(const char* what, size_t done, size_t total);
  // The line is free for something else.
  void End();

 private:
  bool Due(bool at_the_end);

  bool shown_;
  double begin_ = MonotonicSeconds();
  double last_ = 0;
};

// kRuntime where a signal is held (HoldSignals).
Status CheckSignals();

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_PROGRESS_H_
