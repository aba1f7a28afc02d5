// SPDX-License-Identifier: MIT
// Constant folding: nodes whose inputs are all constants become constants.
#ifndef SLM_RUNTIME_PLAN_FOLD_H_
#define SLM_RUNTIME_PLAN_FOLD_H_

#include "runtime/core/result.h"
#include "runtime/graph/graph.h"

namespace slm {

// Computes what can be computed now. Reshapes of constants share memory;
// casts of half constants to a float type vanish (run-time types, ops/op.h).
// A node whose output would be large and much larger than its inputs is left
// to run time: a hostile Range must not eat the memory at load.
Status FoldConstants(Graph* graph);

// A float32 copy of a float16 or bfloat16 constant, as a new value.
Result<ValueId> ConstantAsFloat(Graph* graph, ValueId half);

}  // namespace slm

#endif  // SLM_RUNTIME_PLAN_FOLD_H_
