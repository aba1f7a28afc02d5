// SPDX-License-Identifier: MIT
// The ordered list of rewrites between import and planning. Each says what it
// did, and where it nearly fired, why it did not (slm-inspect plan).
#ifndef SLM_RUNTIME_PLAN_FUSIONS_H_
#define SLM_RUNTIME_PLAN_FUSIONS_H_

#include <span>
#include <string>
#include <vector>

#include "runtime/plan/plan.h"

namespace slm {

struct FusionContext {
  Graph* graph = nullptr;
  const PlanOptions* options = nullptr;
  const char* fusion = "";  // the running one, for notes
  std::vector<FusionNote> notes;
  // Results of binding to sequence state; see Plan.
  bool ragged = false;
  std::string dense_reason;
  std::vector<KvSlot> kv_slots;
  size_t rope_switch = 0;
  ValueId row_selection = kNoValue;
  bool pruned_logits = false;

  // `how` where it could have been done better.
  void Done(const Node& node, const std::string& how = "") {
    Note(node, how.empty() ? "done" : "done, " + how, true);
  }
  void Refused(const Node& node, const std::string& reason) {
    Note(node, reason, false);
  }

 private:
  void Note(const Node& node, const std::string& outcome, bool done) {
    notes.push_back({fusion, node.name, outcome, done});
  }
};

struct Fusion {
  const char* name;
  Status (*apply)(FusionContext* context);
};

inline Attribute IntAttribute(const char* name, int64_t value) {
  Attribute a;
  a.name = name;
  a.i = value;
  return a;
}

// An operator of ONNX's own domain; nullptr is none.
inline bool IsOp(const Node* node, const char* type) {
  return node && node->domain.empty() && node->type == type;
}

inline bool IsNBitsProduct(const Node* node) {
  return node && node->domain == "com.microsoft" && node->type == "MatMulNBits";
}

// Of one such.
inline int64_t AccuracyLevel(const Node& node) {
  return node.Int("accuracy_level", 0);
}

// Whether a choice of experts reads what products made: where two experts are
// nearly equal, any rounding may choose the other one.
bool HasExperts(const Graph& graph);

// The last step of BuildPlan: finds and parses every operator.
Result<std::unique_ptr<Plan>> PlanGraph(std::shared_ptr<Graph> graph);

// Puts slm::SelectRows before all that leads to the logits alone; `plan` and
// its `shapes` (rows.h) for that many tokens are of `graph`, which is row-wise.
// The new input int64 [R] of rows, or kNoValue where the graph has no [1, T,
// ...] there; it stays as it was then. select_rows.cc.
ValueId SelectLogitRows(Graph* graph, const std::string& logits,
                        const Plan& plan, const std::vector<Shape>& shapes,
                        int64_t tokens);

// In the order in which they run.
std::span<const Fusion> Fusions();

// One file a family: fuse_matmul.cc, fuse_gate.cc, fuse_attention.cc.
Status FuseTransposedMatMul(FusionContext* context);
Status FuseQuantizedMatMul(FusionContext* context);
Status FuseTransposedGather(FusionContext* context);
Status DropDefaultZeroPoints(FusionContext* context);
Status BindAttention(FusionContext* context);
Status NarrowScales(FusionContext* context);     // narrow_scales.cc
Status NarrowAttention(FusionContext* context);  // narrow_attention.cc
Status FuseGatedMatMul(FusionContext* context);
Status FuseGatedMlp(FusionContext* context);

}  // namespace slm

#endif  // SLM_RUNTIME_PLAN_FUSIONS_H_
