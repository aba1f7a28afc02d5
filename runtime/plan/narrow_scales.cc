// SPDX-License-Identifier: MIT
// Scales of 4-bit weights in blocks of 32 are a fifth of what a decode step
// reads. As float16 they are a tenth, and a rounding of 2^-12 is a fiftieth of
// what rounding activations to 8 bits costs: so only accuracy level 4 has them.
#include <map>

#include "ops/kernels/convert.h"
#include "runtime/plan/fusions.h"

namespace slm {
namespace {

constexpr size_t kScales = 2, kZeroPoints = 3;

// "" or why the scales of this product stay float32.
std::string Reason(const Graph& graph, const Node& node) {
  if (!graph.IsConstant(node.Input(kScales))) return "scales are not constant";
  const TensorView& scales = *graph.values[node.Input(kScales)].constant;
  if (scales.dtype != DType::kF32) return "scales are not float32";
  if (graph.IsConstant(node.Input(kZeroPoints)) &&
      graph.values[node.Input(kZeroPoints)].constant->dtype != DType::kU8) {
    return "zero points have the type of the scales";
  }
  if (reinterpret_cast<uintptr_t>(scales.data) % alignof(float) != 0) {
    return "scales lie at an odd address";
  }
  if (!KeepPrecisionAsF16(scales.As<float>(), scales.Count())) {
    return "float16 would lose precision of a scale";
  }
  return "";
}

}  // namespace

Status NarrowScales(FusionContext* context) {
  Graph& graph = *context->graph;
  std::map<ValueId, ValueId> narrowed;
  for (Node& node : graph.nodes) {
    if (!IsNBitsProduct(&node) || AccuracyLevel(node) != 4) continue;
    const std::string reason = Reason(graph, node);
    if (!reason.empty()) {
      context->Refused(node, reason);
      continue;
    }
    const ValueId from = node.inputs[kScales];
    auto known = narrowed.find(from);
    if (known == narrowed.end()) {
      const TensorView scales = *graph.values[from].constant;
      SLM_ASSIGN_OR_RETURN(const ValueId to,
                           graph.AddConstant(graph.values[from].name + ".f16",
                                             DType::kF16, scales.shape));
      HalvesFromFloats(DType::kF16, scales.As<float>(), scales.Count(),
                       graph.values[to].constant->data);
      for (const MappedFile& file : graph.storage->files) {
        file.Release(scales.data, scales.Bytes());
      }
      known = narrowed.emplace(from, to).first;
    }
    node.inputs[kScales] = known->second;
    context->Done(node);
  }
  return OkStatus();
}

}  // namespace slm
