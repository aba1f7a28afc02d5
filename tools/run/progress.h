// SPDX-License-Identifier: MIT
// "reading the prompt: 45 %", where that takes long.
#ifndef SLM_TOOLS_RUN_PROGRESS_H_
#define SLM_TOOLS_RUN_PROGRESS_H_

#include <cstddef>
#include <string>

namespace slm {

// Seconds are those of one clock, whatever it counts from.
class PromptProgress {
 public:
  explicit PromptProgress(double now) : start_(now) {}

  // What a terminal gets after so many of all tokens of the prompt; "" in the
  // first two seconds, in which nobody wonders.
  std::string Step(size_t done, size_t all, double now);
  // What takes it away again.
  std::string Clear();

 private:
  const double start_;
  bool visible_ = false;
};

}  // namespace slm

#endif  // SLM_TOOLS_RUN_PROGRESS_H_
