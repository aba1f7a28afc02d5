// SPDX-License-Identifier: MIT
#include "tools/convert/progress.h"

#include <cstdio>

#include "runtime/core/file_output.h"

namespace slm::convert {

void ProgressLine::ShowBytes(uint64_t done, uint64_t total) {
  constexpr double kMega = 1e6;
  if (!Due(done >= total)) return;
  const double seconds = last_ - begin_;
  std::fprintf(
      stderr, "\rslm-convert: %3.0f %%  %.0f of %.0f MB  %.0f MB/s ",
      total ? 100.0 * static_cast<double>(done) / static_cast<double>(total)
            : 100.0,
      static_cast<double>(done) / kMega, static_cast<double>(total) / kMega,
      seconds > 0 ? static_cast<double>(done) / kMega / seconds : 0);
  std::fflush(stderr);
}

void ProgressLine::ShowSteps(const char* what, size_t done, size_t total) {
  if (!Due(false)) return;
  std::fprintf(stderr, "\rslm-convert: %s: %zu of %zu ", what, done, total);
  std::fflush(stderr);
}

void ProgressLine::End() {
  if (shown_ && last_ > 0) std::fprintf(stderr, "\r%60s\r", "");
}

bool ProgressLine::Due(bool at_the_end) {
  const double now = MonotonicSeconds();
  if (!shown_ || (now - last_ < 0.1 && !at_the_end)) return false;
  last_ = now;
  return true;
}

Status CheckSignals() {
  return HeldSignal() ? Error(ErrorKind::kRuntime, "interrupted") : OkStatus();
}

}  // namespace slm::convert
