// SPDX-License-Identifier: MIT
#include "runtime/plan/fold.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "ops/op.h"
#include "runtime/core/half.h"
#include "runtime/core/threads.h"

namespace slm {
namespace {

constexpr size_t kAlwaysFold = size_t{1} << 20;  // bytes
constexpr size_t kMaxGrowth = 8;  // int4 weights dequantised to float32

bool AllInputsConstant(const Graph& graph, const Node& node) {
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
    return id == kNoValue || graph.IsConstant(id);
  });
}

// A Cast between float types whose source is a half constant: at run time all
// of them are float32, and consumers may read the half weights directly.
bool IsHalfCast(const Graph& graph, const Node& node) {
  if (node.type != "Cast" || !node.domain.empty() || node.inputs.size() != 1 ||
      !graph.IsConstant(node.inputs[0])) {
    return false;
  }
  const Attribute* to = node.Find("to");
  const auto target =
      to ? DTypeFromOnnx(static_cast<int>(to->i)) : std::nullopt;
  return target && (IsHalf(*target) || *target == DType::kF32) &&
         IsHalf(graph.values[node.inputs[0]].constant->dtype);
}

class Folder {
 public:
  explicit Folder(Graph* graph) : graph_(graph), threads_(1) {}

  // True if the node's outputs are constants now.
  Result<bool> Fold(const Node& node) {
    if (IsHalfCast(*graph_, node)) {
      graph_->values[node.outputs[0]].constant =
          graph_->values[node.inputs[0]].constant;
      return true;
    }
    const OpDef* op = FindOp(node.domain, node.type, node.version);
    if (!op || !AllInputsConstant(*graph_, node) ||
        (op->traits & (kControlFlow | kSequence | kNotPure))) {
      return false;
    }
    OpParams params;
    if (op->parse) {
      AttributeReader reader(*graph_, node);
      SLM_ASSIGN_OR_RETURN(params, op->parse(reader));
    }
    return Compute(node, *op, params);
  }

 private:
  Result<bool> Compute(const Node& node, const OpDef& op,
                       const OpParams& params) {
    std::vector<TensorView> views(node.inputs.size());
    std::vector<const TensorView*> inputs(node.inputs.size());
    size_t input_bytes = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (node.inputs[i] == kNoValue) continue;
      ValueId id = node.inputs[i];
      if (IsHalf(graph_->values[id].constant->dtype) &&
          !(op.half_inputs >> i & 1) && !(op.traits & kAlias)) {
        SLM_ASSIGN_OR_RETURN(id, ConstantAsFloat(graph_, id));
      }
      views[i] = *graph_->values[id].constant;
      inputs[i] = &views[i];
      input_bytes += views[i].Bytes();
    }
    std::vector<TensorView> outputs(node.outputs.size());
    const auto wanted = std::make_unique<bool[]>(outputs.size());
    std::fill_n(wanted.get(), outputs.size(), true);
    OpContext context;
    context.params = params.get();
    context.node_name = node.name;
    context.inputs = inputs;
    context.outputs = outputs;
    context.wanted = {wanted.get(), outputs.size()};
    context.pool = &threads_;
    Status status = op.infer(context);
    if (!status.ok()) {
      return status.In(graph_->Where(node) + ": " + node.type);
    }
    size_t output_bytes = 0;
    for (const TensorView& t : outputs) output_bytes += t.Bytes();
    if (!(op.traits & kAlias) && output_bytes > kAlwaysFold &&
        output_bytes / kMaxGrowth > input_bytes) {
      return false;
    }
    SLM_RETURN_IF_ERROR(Run(op, &context));
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (node.outputs[i] == kNoValue) continue;
      graph_->values[node.outputs[i]].constant = outputs[i];
      graph_->values[node.outputs[i]].dtype = outputs[i].dtype;
    }
    return true;
  }

  Status Run(const OpDef& op, OpContext* context) {
    if (op.traits & kAlias) {
      context->outputs[0].data = context->In(0).data;
      // A half constant keeps its type through a reshape.
      context->outputs[0].dtype = context->In(0).dtype;
      return OkStatus();
    }
    for (TensorView& t : context->outputs) {
      SLM_ASSIGN_OR_RETURN(
          t.data, graph_->storage->Allocate(t.Bytes(), "a folded constant"));
    }
    SLM_ASSIGN_OR_RETURN(
        const AlignedBuffer scratch,
        AlignedBuffer::Allocate(context->scratch_bytes, "scratch"));
    context->scratch = scratch.data();
    op.run(*context);
    return OkStatus();
  }

  Graph* graph_;
  ThreadPool threads_;
};

}  // namespace

Result<ValueId> ConstantAsFloat(Graph* graph, ValueId half) {
  const TensorView from = *graph->values[half].constant;
  SLM_ASSIGN_OR_RETURN(
      const ValueId id,
      graph->AddConstant(graph->values[half].name, DType::kF32, from.shape));
  float* out = graph->values[id].constant->Mutable<float>();
  const uint8_t* in = from.Raw();
  for (size_t i = 0; i < from.Count(); ++i) {
    uint16_t bits;  // the source may be a mapped file at an odd offset
    std::memcpy(&bits, in + 2 * i, sizeof bits);
    out[i] =
        from.dtype == DType::kF16 ? FloatFromF16(bits) : FloatFromBF16(bits);
  }
  return id;
}

Status FoldConstants(Graph* graph) {
  Folder folder(graph);
  std::vector<Node> kept;
  kept.reserve(graph->nodes.size());
  // Topological order: a folded node's readers come later and see a constant.
  for (Node& node : graph->nodes) {
    SLM_ASSIGN_OR_RETURN(const bool folded, folder.Fold(node));
    if (!folded) kept.push_back(std::move(node));
  }
  graph->nodes = std::move(kept);
  return graph->Normalize();
}

}  // namespace slm
