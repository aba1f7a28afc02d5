// SPDX-License-Identifier: MIT
// Scales of 4-bit weights in blocks of 32 are a fifth of what a decode step
// reads. In 16 bits they are a tenth: as fixed scales (quant/formats.h), of
// which AVX-512 VNNI multiplies those of two blocks by one instruction, or else
// as float16. Rounding a float16 errs by 2^-12 of a scale, and a fixed one by
// 2^-16 of the largest of its row: both a small part of what rounding
// activations to 8 bits costs. So only accuracy level 4 has them.
#include <map>
#include <utility>

#include "ops/kernels/convert.h"
#include "ops/kernels/fixed_scales.h"
#include "quant/formats.h"
#include "runtime/plan/fusions.h"

namespace slm {
namespace {

constexpr size_t kScales = 2, kZeroPoints = 3;

// "" or why scales in the file's type are all that this product can have.
std::string Reason(const Graph& graph, const Node& node) {
  if (!graph.IsConstant(node.Input(kScales))) return "scales are not constant";
  const TensorView& scales = *graph.values[node.Input(kScales)].constant;
  if (scales.dtype != DType::kF32 && !IsHalf(scales.dtype)) {
    return std::string("scales of type ") + Name(scales.dtype);
  }
  if (reinterpret_cast<uintptr_t>(scales.data) % BytesFor(scales.dtype, 1)) {
    return "scales lie at an odd address";
  }
  return "";
}

// "" or why they cannot become float16.
std::string HalfReason(const Graph& graph, const Node& node) {
  const TensorView& scales = *graph.values[node.Input(kScales)].constant;
  if (scales.dtype != DType::kF32) return "scales are not float32";
  if (graph.IsConstant(node.Input(kZeroPoints)) &&
      graph.values[node.Input(kZeroPoints)].constant->dtype != DType::kU8) {
    return "zero points have the type of the scales";
  }
  if (!KeepPrecisionAsF16(scales.As<float>(), scales.Count())) {
    return "float16 would lose precision of a scale";
  }
  return "";
}

// "" or why no scales of the graph become fixed.
std::string NeverFixedReason(const FusionContext& context) {
  if (!context.options->fixed_scales) {
    return "nothing multiplies fixed ones here";
  }
  return HasExperts(*context.graph) ? "experts are chosen behind it" : "";
}

// "" and *rows, or why these do not become fixed, before a look at them. The
// operator refuses sizes that do not fit; it must see them as they are.
std::string FixedReason(const Graph& graph, const Node& node, size_t* rows) {
  const int64_t n = node.Int("N", 0), k = node.Int("K", 0);
  const Shape& shape = graph.values[node.Input(kScales)].constant->shape;
  if (node.Input(kZeroPoints) != kNoValue) return "zero points";
  if (node.Int("bits", 4) != 4 || node.Int("block_size", 0) != 32) {
    return "not 4 bits in blocks of 32";
  }
  if (n <= 0 || k <= 0 ||
      !CanHaveFixedScales(static_cast<size_t>(k), 4, 32, ZeroPoints::kNone)) {
    return "columns are not whole pairs of blocks";
  }
  *rows = static_cast<size_t>(n);
  const auto count = CheckedMul(*rows, static_cast<size_t>(k) / 32);
  if (!count || shape.Count() != *count ||
      (shape.rank() != 1 && shape[0] != n)) {
    return "scales do not fit";
  }
  return "";
}

// The constants made so far: of which one, and of how many rows.
struct Made {
  std::map<ValueId, ValueId> halves;
  // kNoValue where a scale would lose precision.
  std::map<std::pair<ValueId, size_t>, ValueId> fixed;
};

// Nobody reads the file's own in this process again, or else they come back.
void Release(const Graph& graph, const TensorView& scales) {
  for (const MappedFile& file : graph.storage->files) {
    file.Release(scales.data, scales.Bytes());
  }
}

Result<ValueId> Halves(Graph* graph, ValueId from, Made* made) {
  const auto known = made->halves.find(from);
  if (known != made->halves.end()) return known->second;
  const TensorView scales = *graph->values[from].constant;
  SLM_ASSIGN_OR_RETURN(const ValueId to,
                       graph->AddConstant(graph->values[from].name + ".f16",
                                          DType::kF16, scales.shape));
  HalvesFromFloats(DType::kF16, scales.As<float>(), scales.Count(),
                   graph->values[to].constant->data);
  Release(*graph, scales);
  made->halves.emplace(from, to);
  return to;
}

// kNoValue where a scale would lose precision.
Result<ValueId> Fixed(Graph* graph, ValueId from, size_t rows, Made* made) {
  const auto known = made->fixed.find({from, rows});
  if (known != made->fixed.end()) return known->second;
  const TensorView scales = *graph->values[from].constant;
  const size_t blocks = scales.Count() / rows;
  // In memory already: two more a row are far from overflow.
  const Shape shape = {static_cast<int64_t>(rows),
                       static_cast<int64_t>(blocks + kFixedScaleUnit)};
  // Its own until it is filled: a graph keeps what it is given.
  SLM_ASSIGN_OR_RETURN(
      AlignedBuffer buffer,
      AlignedBuffer::Allocate(BytesFor(DType::kI16, shape.Count()),
                              "fixed scales"));
  ValueId to = kNoValue;
  if (FixScales(scales.dtype, scales.data, rows, blocks,
                static_cast<int16_t*>(buffer.data()))) {
    to = graph->AddValue(graph->values[from].name + ".i16");
    Value& value = graph->values[to];
    value.dtype = DType::kI16;
    value.constant = TensorView{buffer.data(), DType::kI16, shape};
    value.own_layout = true;
    graph->storage->buffers.push_back(std::move(buffer));
    Release(*graph, scales);
  }
  made->fixed.emplace(std::pair(from, rows), to);
  return to;
}

Status Narrow(FusionContext* context, const std::string& never_fixed,
              Node* node, Made* made) {
  Graph& graph = *context->graph;
  std::string reason = Reason(graph, *node);
  if (!reason.empty()) {
    context->Refused(*node, reason);
    return OkStatus();
  }
  ValueId& scales = node->inputs[kScales];
  size_t rows = 0;
  reason = never_fixed.empty() ? FixedReason(graph, *node, &rows) : never_fixed;
  if (reason.empty()) {
    SLM_ASSIGN_OR_RETURN(const ValueId fixed,
                         Fixed(&graph, scales, rows, made));
    if (fixed != kNoValue) {
      scales = fixed;
      context->Done(*node);
      return OkStatus();
    }
    reason = "most scales of a row are below 1/128 of its largest";
  }
  const std::string half_reason = HalfReason(graph, *node);
  if (!half_reason.empty()) {
    context->Refused(*node, "not fixed: " + reason + "; " + half_reason);
    return OkStatus();
  }
  SLM_ASSIGN_OR_RETURN(scales, Halves(&graph, scales, made));
  context->Done(*node, "as float16: " + reason);
  return OkStatus();
}

}  // namespace

Status NarrowScales(FusionContext* context) {
  const std::string never_fixed = NeverFixedReason(*context);
  Made made;
  for (Node& node : context->graph->nodes) {
    if (!IsNBitsProduct(&node) || AccuracyLevel(node) != 4) continue;
    SLM_RETURN_IF_ERROR(Narrow(context, never_fixed, &node, &made));
  }
  return OkStatus();
}

}  // namespace slm
