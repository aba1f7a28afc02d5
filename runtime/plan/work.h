// SPDX-License-Identifier: MIT
// The least that a step of a plan has to do: bytes that it must read and
// multiply-adds that it must make, from the shapes alone. Divided by time they
// say how far from the machine's limits a run was. No model is known here: a
// weight is a constant of the graph.
#ifndef SLM_RUNTIME_PLAN_WORK_H_
#define SLM_RUNTIME_PLAN_WORK_H_

#include <cstdint>
#include <string>

#include "runtime/plan/plan.h"

namespace slm {

struct Work {
  // Constants that the step reads, once however many rows it has: packed
  // weights with scales and zero points; of tables the gathered rows; of
  // experts as many as the rows can choose.
  uint64_t weight_bytes = 0;
  // Keys and values that the queries see, in the type of the cache (dense mode:
  // past tensors, of other states too).
  uint64_t kv_bytes = 0;
  // Other inputs, and outputs; most of them never leave the caches.
  uint64_t activation_bytes = 0;
  // M * N * K of products.
  uint64_t product_macs = 0;
  // Of attention: query x key and weight x value, for visible positions only
  // (dense mode: for all; where a graph spells attention out, product_macs).
  uint64_t attention_macs = 0;

  // What a step cannot avoid to bring from memory.
  uint64_t MustRead() const { return weight_bytes + kv_bytes; }
  Work& operator+=(const Work& other);
};

// After infer: `context` has the shapes of inputs and outputs. An operator
// that multiplies needs a row in the table of work.cc; the bytes of any other
// are counted right without.
Work WorkOf(const Graph& graph, const Step& step, const OpContext& context);

// "[1, 896] x [896, 4864] int4/32" for products, "T=512 H=14 K=2 E=64" for
// attention, the output's shape for others.
std::string ShapeLabel(const Graph& graph, const Step& step,
                       const OpContext& context);

}  // namespace slm

#endif  // SLM_RUNTIME_PLAN_WORK_H_
