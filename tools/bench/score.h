// SPDX-License-Identifier: MIT
// Runs the windows of a text through models, piece by piece, and shows the
// logits of every scored token.
#ifndef SLM_TOOLS_BENCH_SCORE_H_
#define SLM_TOOLS_BENCH_SCORE_H_

#include <functional>
#include <span>

#include "runtime/core/threads.h"
#include "runtime/session.h"
#include "tools/bench/windows.h"

namespace slm::bench {

// One scored token: its number among all, itself, and the row of logits [V] of
// each model that it was to be foretold from. `worker` counts threads.
struct ScoredToken {
  size_t position = 0;
  int32_t token = 0;
  std::span<const std::span<const float>> logits;
  size_t worker = 0;
};
// Is called for several tokens at once. False: the logits are no numbers.
using UseToken = std::function<bool(const ScoredToken&)>;
// After each piece: how many positions of all are done.
using OnProgress = std::function<void(size_t done)>;

// Memory beside the models': logits of a piece are at most 32 MiB a model (one
// row, where that is more), once in the session and once in its plan. A plan in
// dense mode gets each window in one piece, since cutting may change its
// results (dynamic quantisation).
// Fails where logits are not finite, and after a signal that is held
// (runtime/core/file_output.h).
Status ScoreWindows(std::span<Session* const> sessions,
                    const WindowedText& text, ThreadPool& threads,
                    const UseToken& use, const OnProgress& progress);

// Mean of values and its standard error, sqrt(sum (x - mean)^2 / (n (n - 1))),
// as if they were independent; NaN for fewer than two.
struct MeanError {
  double mean = 0, error = 0;
};
MeanError MeanOf(std::span<const double> values);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_SCORE_H_
