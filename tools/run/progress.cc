// SPDX-License-Identifier: MIT
#include "tools/run/progress.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "runtime/core/result.h"

namespace slm {
namespace {

constexpr double kLongSeconds = 2;

}  // namespace

std::string PromptProgress::Step(size_t done, size_t all, double now) {
  if (now - start_ < kLongSeconds) return "";
  visible_ = true;
  return Format("\rreading the prompt: %zu %%",
                100 * done / std::max<size_t>(all, 1));
}

std::string PromptProgress::Clear() {
  if (!std::exchange(visible_, false)) return "";
  // Blanks do on any terminal.
  return "\r" +
         std::string(std::string_view("reading the prompt: 100 %").size(),
                     ' ') +
         "\r";
}

}  // namespace slm
