// SPDX-License-Identifier: MIT
// What a model will need, known before anything big is allocated.
#ifndef SLM_RUNTIME_MEMORY_PLAN_H_
#define SLM_RUNTIME_MEMORY_PLAN_H_

#include <cstddef>
#include <string>

#include "runtime/model.h"

namespace slm {

// Keys and values of `context` tokens in all layers, by the pages' layout; 0
// of a graph that keeps its own tensors (dense mode).
size_t KvBytesFor(const Plan& plan, DType dtype, size_t context);

// Peak activations and scratch of one execution of a session, which takes at
// most 512 tokens of a prompt. Not of a dense plan.
Result<size_t> ScratchBytesFor(const Plan& plan, size_t tokens);

// Weights, KV cache in each type and scratch, a line each.
Result<std::string> DescribeMemory(const Model& model);

}  // namespace slm

#endif  // SLM_RUNTIME_MEMORY_PLAN_H_
