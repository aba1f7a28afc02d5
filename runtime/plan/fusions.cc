// SPDX-License-Identifier: MIT
#include "runtime/plan/fusions.h"

#include <algorithm>

#include "runtime/plan/fold.h"

namespace slm {
namespace {

Status Fold(FusionContext* context) { return FoldConstants(context->graph); }

// PlanOptions::accuracy_level.
Status OverrideAccuracy(FusionContext* context) {
  const int level = context->options->accuracy_level;
  if (level < 0) return OkStatus();
  for (Node& node : context->graph->nodes) {
    if (!IsNBitsProduct(&node)) continue;
    std::erase_if(node.attributes, [](const Attribute& a) {
      return a.name == "accuracy_level";
    });
    node.attributes.push_back(IntAttribute("accuracy_level", level));
  }
  return OkStatus();
}

constexpr Fusion kFusions[] = {
    // Before folding: it would write transposed or dequantised copies.
    {"transposed-matmul", FuseTransposedMatMul},
    {"quantized-matmul", FuseQuantizedMatMul},
    {"transposed-gather", FuseTransposedGather},
    {"default-zero-points", DropDefaultZeroPoints},
    {"fold-constants", Fold},
    {"bind-attention", BindAttention},
    // The rest depends on the level.
    {"accuracy-level", OverrideAccuracy},
    {"narrow-scales", NarrowScales},
    {"narrow-attention", NarrowAttention},
    // Last: the proof that binds attention knows the operators of files.
    {"gated-matmul", FuseGatedMatMul},
    {"gated-mlp", FuseGatedMlp},
};

}  // namespace

std::span<const Fusion> Fusions() { return kFusions; }

bool HasExperts(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [](const Node& node) {
                       return node.type == "MoE" || node.type == "QMoE";
                     });
}

}  // namespace slm
