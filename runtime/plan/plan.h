// SPDX-License-Identifier: MIT
// A Plan is a graph made ready to run: fused, folded, every operator found and
// its attributes parsed. Immutable after BuildPlan, shared by any number of
// executors and threads.
//
// Two ways to run a decoder:
//   ragged  activations are [1, T, ...] with the new tokens of all sequences;
//           attention is bound to sequence state (ops/batch.h). Taken when the
//           whole graph is proved row-wise (runtime/plan/rows.cc).
//   dense   the graph as it stands: one sequence, its own mask, past and
//           present tensors. Everything that ONNX can say works, copying K/V.
#ifndef SLM_RUNTIME_PLAN_PLAN_H_
#define SLM_RUNTIME_PLAN_PLAN_H_

#include <memory>
#include <string>
#include <vector>

#include "ops/op.h"
#include "quant/qgemm.h"
#include "runtime/core/result.h"
#include "runtime/graph/graph.h"

namespace slm {

struct Plan;

struct Step {
  int32_t node = -1;  // index into Plan::graph->nodes
  const OpDef* op = nullptr;
  OpParams params;
  std::vector<ValueId> release;  // values that nobody reads after this step
  std::vector<bool> wanted;      // outputs that somebody reads
  // Constants of the next step that is kBlockWeights, or kNoValue.
  ValueId next_weights = kNoValue, next_scales = kNoValue;
  // Control flow: one plan a subgraph, in the order then, else.
  std::vector<std::unique_ptr<Plan>> branches;
};

// What a fusion did, or why it did not: slm-inspect plan prints it.
struct FusionNote {
  std::string fusion;
  std::string node;
  std::string outcome;  // "done", "done, ...", or the reason of refusal
  bool done = false;
};

// One layer of keys and values that ragged mode keeps for the graph.
struct KvSlot {
  std::string past_key;  // graph input that it stands for
  size_t kv_heads = 0;   // K
  size_t head_size = 0;  // E
  int64_t window = -1;   // tokens that a query sees, -1 = all
};

struct Plan {
  std::shared_ptr<Graph> graph;
  std::vector<Step> steps;
  std::vector<FusionNote> notes;

  bool ragged = false;
  std::string dense_reason;  // why not ragged
  std::vector<KvSlot> kv_slots;
  // Ragged mode: total length above which long rope factors apply, 0 = none.
  size_t rope_switch = 0;
  // Ragged mode: int64 [R], the rows whose logits are wanted; kNoValue if the
  // graph gives logits for every row.
  ValueId row_selection = kNoValue;
  // The graph as exported gives logits of the last token only.
  bool pruned_logits = false;
};

// Names by which the runtime knows a decoder's inputs and outputs; from
// genai_config.json or the defaults. A name that the graph lacks is not used.
struct DecoderNames {
  std::string input_ids = "input_ids";
  std::string attention_mask = "attention_mask";
  std::string position_ids = "position_ids";
  std::string past_key = "past_key_values.%d.key";
  std::string past_value = "past_key_values.%d.value";
  std::string present_key = "present.%d.key";
  std::string present_value = "present.%d.value";
  // LFM2's last inputs of its convolutions.
  std::string past_conv = "past_conv.%d";
  std::string present_conv = "present_conv.%d";
  std::string logits = "logits";
};

struct PlanOptions {
  // Set for decoders: allows the ragged form. Absent: the graph as it stands.
  const DecoderNames* decoder = nullptr;
  bool force_dense = false;
  int accuracy_level = -1;  // overrides MatMulNBits' attribute when >= 0
  // For products of accuracy level 4; see narrow_scales.cc.
  bool fixed_scales = MultipliesFixedScales();
};

// Takes the graph over. Fails naming file, node and cause.
Result<std::unique_ptr<Plan>> BuildPlan(std::unique_ptr<Graph> graph,
                                        const PlanOptions& options);

// The type at run time: float16 and bfloat16 activations are float32.
constexpr DType RunType(DType dtype) {
  return IsHalf(dtype) ? DType::kF32 : dtype;
}

}  // namespace slm

#endif  // SLM_RUNTIME_PLAN_PLAN_H_
