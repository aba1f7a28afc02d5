// SPDX-License-Identifier: MIT
// ParallelFor over an operator's elements.
#ifndef SLM_OPS_PARALLEL_H_
#define SLM_OPS_PARALLEL_H_

#include "ops/op.h"
#include "runtime/core/threads.h"

namespace slm {

// Elements of one worker's share at least. Simple arithmetic on 32-bit
// elements runs at 0.3-1 ns an element out of L2, so 16 Ki elements are the
// 5-15 us that a hand-over to another thread must be worth.
inline constexpr size_t kCheapGrain = 16 * 1024;
// For libm calls and integer divisions of 5-20 ns an element.
inline constexpr size_t kCostlyGrain = 1024;

// body(begin, end) over [0, count); without a pool (constant folding) at once.
template <typename Body>
void ForElements(const OpContext& context, size_t count, size_t grain,
                 const Body& body) {
  if (count == 0) return;
  if (!context.pool) return body(size_t{0}, count);
  ParallelFor(*context.pool, count, grain,
              [&](size_t begin, size_t end, size_t) { body(begin, end); });
}

}  // namespace slm

#endif  // SLM_OPS_PARALLEL_H_
