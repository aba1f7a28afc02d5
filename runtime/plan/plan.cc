// SPDX-License-Identifier: MIT
#include "runtime/plan/plan.h"

#include <algorithm>
#include <map>

#include "runtime/plan/fold.h"
#include "runtime/plan/fusions.h"

namespace slm {
namespace {

// Half constants go to operators only where these read them.
Status ConvertHalfInputs(Graph* graph, size_t node_index, const OpDef& op,
                         std::map<ValueId, ValueId>* converted) {
  if (op.traits & (kControlFlow | kAlias)) return OkStatus();
  for (size_t i = 0; i < graph->nodes[node_index].inputs.size(); ++i) {
    const ValueId id = graph->nodes[node_index].inputs[i];
    if (!graph->IsConstant(id) || !IsHalf(graph->values[id].constant->dtype) ||
        (op.half_inputs >> i & 1)) {
      continue;
    }
    auto known = converted->find(id);
    if (known == converted->end()) {
      SLM_ASSIGN_OR_RETURN(const ValueId as_float, ConstantAsFloat(graph, id));
      known = converted->emplace(id, as_float).first;
    }
    graph->nodes[node_index].inputs[i] = known->second;
  }
  return OkStatus();
}

Status PlanStep(Graph* graph, size_t n, std::map<ValueId, ValueId>* converted,
                Step* step) {
  const Node& node = graph->nodes[n];
  step->node = static_cast<int32_t>(n);
  step->op = FindOp(node.domain, node.type, node.version);
  if (!step->op) {
    return Invalid(
        "%s: op %s%s%s (version %d) is not supported; slm-inspect "
        "ops lists all",
        graph->Where(node).c_str(), Printable(node.domain).c_str(),
        node.domain.empty() ? "" : "::", Printable(node.type).c_str(),
        node.version);
  }
  SLM_RETURN_IF_ERROR(ConvertHalfInputs(graph, n, *step->op, converted));
  if (step->op->parse) {
    AttributeReader reader(*graph, graph->nodes[n]);
    SLM_ASSIGN_OR_RETURN(step->params, step->op->parse(reader));
  } else {
    AttributeReader reader(*graph, graph->nodes[n]);
    SLM_RETURN_IF_ERROR(reader.Finish());
  }
  if (step->op->traits & kControlFlow) {
    for (const char* branch : {"then_branch", "else_branch"}) {
      SLM_ASSIGN_OR_RETURN(auto plan,
                           PlanGraph(graph->nodes[n].Find(branch)->graph));
      step->branches.push_back(std::move(plan));
    }
  }
  return OkStatus();
}

// Which step reads a value last, captures of subgraphs included.
void SetReleases(Plan* plan) {
  const Graph& graph = *plan->graph;
  std::vector<int32_t> last(graph.values.size(), -1);
  std::vector<int32_t> uses = graph.CountUses();
  for (size_t s = 0; s < plan->steps.size(); ++s) {
    const Node& node = graph.nodes[plan->steps[s].node];
    for (ValueId id : node.inputs) {
      if (id != kNoValue) last[id] = static_cast<int32_t>(s);
    }
    for (const auto& branch : plan->steps[s].branches) {
      for (const Value& v : branch->graph->values) {
        if (v.outer != kNoValue) last[v.outer] = static_cast<int32_t>(s);
      }
    }
    for (ValueId id : node.outputs) {
      const bool wanted = id != kNoValue && uses[id] > 0;
      plan->steps[s].wanted.push_back(wanted);
      if (id != kNoValue) last[id] = static_cast<int32_t>(s);
    }
  }
  for (ValueId id : graph.outputs) last[id] = -1;
  for (size_t id = 0; id < last.size(); ++id) {
    if (last[id] >= 0 && !graph.values[id].constant) {
      plan->steps[last[id]].release.push_back(static_cast<ValueId>(id));
    }
  }
}

// What a product may ask memory for before it ends.
void SetNextWeights(Plan* plan) {
  const Graph& graph = *plan->graph;
  ValueId weights = kNoValue, scales = kNoValue;
  for (size_t s = plan->steps.size(); s-- > 0;) {
    Step& step = plan->steps[s];
    step.next_weights = weights;
    step.next_scales = scales;
    const Node& node = graph.nodes[step.node];
    if (!(step.op->traits & kBlockWeights) ||
        !graph.IsConstant(node.Input(1)) || !graph.IsConstant(node.Input(2))) {
      continue;
    }
    weights = node.Input(1);
    scales = node.Input(2);
  }
}

}  // namespace

Result<std::unique_ptr<Plan>> PlanGraph(std::shared_ptr<Graph> graph) {
  auto plan = std::make_unique<Plan>();
  plan->graph = std::move(graph);
  std::map<ValueId, ValueId> converted;
  for (size_t n = 0; n < plan->graph->nodes.size(); ++n) {
    plan->steps.emplace_back();
    SLM_RETURN_IF_ERROR(
        PlanStep(plan->graph.get(), n, &converted, &plan->steps.back()));
  }
  for (ValueId& id : plan->graph->outputs) {
    if (!plan->graph->IsConstant(id)) continue;
    if (!IsHalf(plan->graph->values[id].constant->dtype)) continue;
    SLM_ASSIGN_OR_RETURN(id, ConstantAsFloat(plan->graph.get(), id));
  }
  SetReleases(plan.get());
  SetNextWeights(plan.get());
  return plan;
}

Result<std::unique_ptr<Plan>> BuildPlan(std::unique_ptr<Graph> graph,
                                        const PlanOptions& options) {
  std::shared_ptr<Graph> shared = std::move(graph);
  FusionContext context;
  context.graph = shared.get();
  context.options = &options;
  for (const Fusion& fusion : Fusions()) {
    context.fusion = fusion.name;
    SLM_RETURN_IF_ERROR(fusion.apply(&context));
  }
  SLM_ASSIGN_OR_RETURN(auto plan, PlanGraph(shared));
  plan->notes = std::move(context.notes);
  plan->ragged = context.ragged;
  plan->dense_reason = std::move(context.dense_reason);
  plan->kv_slots = std::move(context.kv_slots);
  plan->rope_switch = context.rope_switch;
  plan->row_selection = context.row_selection;
  plan->pruned_logits = context.pruned_logits;
  return plan;
}

}  // namespace slm
