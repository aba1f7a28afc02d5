// SPDX-License-Identifier: MIT
// Attention that only products of accuracy level 4 read, which round it to 8
// bits, may multiply 16-bit integers itself: AttentionShape::int16. That errs
// by a hundredth of what their rounding does. Not before a choice of experts.
#include "runtime/plan/fusions.h"

namespace slm {
namespace {

// How often products of accuracy level 4 read each value.
std::vector<int32_t> CountInt8Uses(const Graph& graph,
                                   const std::vector<int32_t>& uses) {
  std::vector<int32_t> count(graph.values.size());
  // Readers come behind what they read.
  for (size_t n = graph.nodes.size(); n-- > 0;) {
    const Node& node = graph.nodes[n];
    const ValueId made = node.outputs.empty() ? kNoValue : node.outputs[0];
    const bool passes = node.domain == "slm" && node.type == "SelectRows" &&
                        made != kNoValue && count[made] == uses[made];
    const bool product = IsNBitsProduct(&node) && AccuracyLevel(node) == 4;
    const ValueId read = node.Input(0);
    if (read != kNoValue && (passes || product)) ++count[read];
  }
  return count;
}

}  // namespace

Status NarrowAttention(FusionContext* context) {
  Graph& graph = *context->graph;
  const bool experts = HasExperts(graph);
  const std::vector<int32_t> uses = graph.CountUses();
  const std::vector<int32_t> int8_uses = CountInt8Uses(graph, uses);
  for (Node& node : graph.nodes) {
    if (node.domain != "slm" || node.type != "GroupQueryAttention") continue;
    const ValueId result = node.outputs[0];
    if (result == kNoValue || int8_uses[result] != uses[result]) {
      context->Refused(node, "not all that reads it takes 8 bits");
      continue;
    }
    if (experts) {
      context->Refused(node, "experts are chosen behind it");
      continue;
    }
    node.attributes.push_back(IntAttribute("int16", 1));
    context->Done(node);
  }
  return OkStatus();
}

}  // namespace slm
