// SPDX-License-Identifier: MIT
// Binds GroupQueryAttention to sequence state, which takes the graph's mask,
// past and present tensors out of it and allows ragged batches. All or
// nothing: the whole graph must then be row-wise (rows.h), else it stays as it
// was and runs in dense mode.
#include <algorithm>
#include <map>
#include <set>

#include "runtime/core/threads.h"
#include "runtime/plan/executor.h"
#include "runtime/plan/fusions.h"
#include "runtime/plan/rows.h"

namespace slm {
namespace {

// Inputs of com.microsoft::GroupQueryAttention.
enum GqaInput : size_t {
  kQuery,
  kKey,
  kValue,
  kPastKey,
  kPastValue,
  kSeqlens,
  kTotal,
  kCos,
  kSin,
  kPositions,
  kBias,
  kSink,
  kKeyScale,
  kValueScale,
  kQNorm,
  kKNorm
};

// Attributes that the bound operator knows under the same name.
constexpr const char* kCopied[] = {
    "num_heads",         "kv_num_heads",   "scale",
    "softcap",           "do_rotary",      "rotary_interleaved",
    "local_window_size", "smooth_softmax", "qk_norm_epsilon"};

// A switch between two rope caches by the total length.
struct RopeSwitch {
  ValueId short_cache = kNoValue, long_cache = kNoValue;
  int64_t above = 0;  // long where the total length is greater
};

class Binder {
 public:
  explicit Binder(FusionContext* context)
      : context_(context), graph_(context->graph) {}

  // Empty if the graph is bound now, else why it cannot be; the graph may be
  // half rewritten then.
  Result<std::string> Bind() {
    const DecoderNames& names = *context_->options->decoder;
    FindInputs(names);
    if (ids_ == kNoValue) return "no input \"" + names.input_ids + "\"";
    Unprune(names.logits);
    uses_ = graph_->CountUses();
    size_t bound = 0;
    for (Node& node : graph_->nodes) {
      if (node.type != "GroupQueryAttention" ||
          node.domain != "com.microsoft") {
        continue;
      }
      SLM_ASSIGN_OR_RETURN(const std::string reason, BindNode(&node));
      if (!reason.empty()) {
        context_->Refused(node, reason);
        return "\"" + node.name + "\": " + reason;
      }
      ++bound;
    }
    if (bound == 0) return std::string("no GroupQueryAttention");
    return Finish(names);
  }

 private:
  void FindInputs(const DecoderNames& names) {
    for (ValueId id : graph_->inputs) {
      const std::string& name = graph_->values[id].name;
      if (name == names.input_ids) ids_ = id;
      if (name == names.attention_mask) mask_ = id;
      if (name == names.position_ids) positions_ = id;
    }
  }

  // Logits of the last token only: Gather(x, -1 along the tokens) and
  // Unsqueeze before the product. Row selection does the same.
  void Unprune(const std::string& logits) {
    for (Node& node : graph_->nodes) {
      if (node.outputs.size() != 1 ||
          graph_->values[node.outputs[0]].name != logits) {
        continue;
      }
      const Node* unsqueeze = graph_->Producer(node.Input(0));
      if (!unsqueeze || unsqueeze->type != "Unsqueeze") return;
      const Node* gather = graph_->Producer(unsqueeze->Input(0));
      const Attribute* axis = gather ? gather->Find("axis") : nullptr;
      if (!gather || gather->type != "Gather" || !axis || axis->i != 1 ||
          !graph_->IsConstant(gather->Input(1))) {
        return;
      }
      const TensorView& index = *graph_->values[gather->Input(1)].constant;
      if (index.dtype != DType::kI64 || index.Count() != 1 ||
          *index.As<int64_t>() != -1) {
        return;
      }
      node.inputs[0] = gather->inputs[0];
      context_->pruned_logits = true;
      return;
    }
  }

  Result<std::string> BindNode(Node* node) {
    for (const Attribute& a : node->attributes) {
      const std::string reason = JudgeAttribute(a);
      if (!reason.empty()) return reason;
    }
    const std::string reason = JudgeInputs(*node);
    if (!reason.empty()) return reason;
    Node bound;
    bound.name = node->name;
    bound.domain = "slm";
    bound.type = "GroupQueryAttention";
    for (const char* name : kCopied) {
      if (const Attribute* a = node->Find(name)) bound.attributes.push_back(*a);
    }
    bound.attributes.push_back(IntAttribute(
        "layer_slot", static_cast<int64_t>(context_->kv_slots.size())));
    bound.inputs = {node->Input(kQuery), node->Input(kKey),
                    node->Input(kValue)};
    SLM_ASSIGN_OR_RETURN(const std::string rope, AddRope(*node, &bound));
    if (!rope.empty()) return rope;
    bound.inputs.push_back(node->Input(kSink));
    bound.inputs.push_back(node->Input(kQNorm));
    bound.inputs.push_back(node->Input(kKNorm));
    bound.outputs = {node->outputs[0]};
    AddSlot(*node);
    *node = std::move(bound);
    context_->Done(*node);
    return std::string();
  }

  std::string JudgeAttribute(const Attribute& a) const {
    if (std::find_if(std::begin(kCopied), std::end(kCopied),
                     [&](const char* n) { return a.name == n; }) !=
        std::end(kCopied)) {
      return "";
    }
    // The ring layout of ORT's cache; our pages release windows themselves.
    if (a.name == "sliding_window_cache") return "";
    if (a.name == "causal" && a.i == 1) return "";
    if (a.name == "qk_output" && a.i == 0) return "";
    if ((a.name == "k_quant_type" || a.name == "v_quant_type") &&
        (a.s.empty() || a.s == "NONE")) {
      return "";
    }
    return "attribute \"" + a.name + "\"";
  }

  std::string JudgeInputs(const Node& node) const {
    for (size_t i : {kPastKey, kPastValue}) {
      const ValueId past = node.Input(i);
      if (past == kNoValue || graph_->values[past].producer >= 0 ||
          graph_->IsConstant(past)) {
        return "past keys or values are no graph input";
      }
      if (uses_[past] != 1) return "another node reads its past";
      if (graph_->values[past].dtype && !IsFloat(*graph_->values[past].dtype)) {
        return "quantised past";
      }
    }
    for (size_t o = 1; o < node.outputs.size(); ++o) {
      const ValueId id = node.outputs[o];
      if (id == kNoValue) continue;
      const bool output =
          std::count(graph_->outputs.begin(), graph_->outputs.end(), id) > 0;
      if (o > 2 ? uses_[id] > 0 : !output || uses_[id] != 1) {
        return "another node reads its present";
      }
    }
    if (node.Input(kBias) != kNoValue) return "attention bias";
    if (node.Input(kPositions) != kNoValue &&
        node.Input(kPositions) != positions_) {
      return "computed positions";
    }
    for (size_t i : {kKeyScale, kValueScale}) {
      if (node.Input(i) != kNoValue) return "quantised past";
    }
    return "";
  }

  void AddSlot(const Node& node) {
    KvSlot slot;
    slot.past_key = graph_->values[node.Input(kPastKey)].name;
    const Attribute* window = node.Find("local_window_size");
    if (window) slot.window = window->i;
    context_->kv_slots.push_back(slot);
    for (size_t i : {kPastKey, kPastValue}) replaced_.insert(node.Input(i));
    for (size_t o = 1; o < node.outputs.size(); ++o) {
      replaced_.insert(node.outputs[o]);
    }
  }

  // Inputs 3..6 of the bound node: cos, sin, and the long ones.
  Result<std::string> AddRope(const Node& node, Node* bound) {
    const ValueId cos = node.Input(kCos), sin = node.Input(kSin);
    if (cos == kNoValue || graph_->IsConstant(cos)) {
      if (sin != kNoValue && !graph_->IsConstant(sin)) {
        return std::string("computed rope caches");
      }
      for (ValueId id : {cos, sin, kNoValue, kNoValue}) {
        bound->inputs.push_back(id);
      }
      return std::string();
    }
    SLM_ASSIGN_OR_RETURN(const auto cos_switch, FindSwitch(cos));
    SLM_ASSIGN_OR_RETURN(const auto sin_switch, FindSwitch(sin));
    if (!cos_switch || !sin_switch || cos_switch->above != sin_switch->above) {
      return std::string("computed rope caches");
    }
    for (ValueId id : {cos_switch->short_cache, sin_switch->short_cache,
                       cos_switch->long_cache, sin_switch->long_cache}) {
      bound->inputs.push_back(id);
    }
    bound->attributes.push_back(IntAttribute("rope_switch", cos_switch->above));
    context_->rope_switch = static_cast<size_t>(cos_switch->above);
    return std::string();
  }

  Result<std::optional<RopeSwitch>> FindSwitch(ValueId cache) {
    const auto known = switches_.find(cache);
    if (known != switches_.end()) return known->second;
    SLM_ASSIGN_OR_RETURN(const auto found, JudgeSwitch(cache));
    switches_[cache] = found;
    return found;
  }

  // If(total length > constant) with constant caches in both branches. That
  // the condition is this is not read off the nodes but tried.
  Result<std::optional<RopeSwitch>> JudgeSwitch(ValueId cache) {
    const std::optional<RopeSwitch> none;
    const Node* node = graph_->Producer(cache);
    if (!node || node->type != "If" || mask_ == kNoValue) return none;
    const Node* greater = graph_->Producer(node->Input(0));
    if (!greater || greater->type != "Greater" ||
        !graph_->IsConstant(greater->Input(1))) {
      return none;
    }
    const TensorView& limit = *graph_->values[greater->Input(1)].constant;
    if (limit.Count() != 1 || limit.dtype != DType::kI64) return none;
    RopeSwitch result;
    result.above = *limit.As<int64_t>();
    if (result.above < 1 || result.above > (1 << 20)) return none;
    for (const int64_t length :
         {int64_t{1}, result.above, result.above + 1, 2 * result.above + 3}) {
      SLM_ASSIGN_OR_RETURN(const auto value,
                           EvaluateCondition(node->Input(0), length));
      if (!value || *value != (length > result.above)) return none;
    }
    const size_t output = static_cast<size_t>(
        std::find(node->outputs.begin(), node->outputs.end(), cache) -
        node->outputs.begin());
    const std::shared_ptr<Graph> branches[] = {
        node->Find("then_branch")->graph, node->Find("else_branch")->graph};
    ValueId* const targets[] = {&result.long_cache, &result.short_cache};
    const std::string name = graph_->values[cache].name;
    for (size_t b = 0; b < 2; ++b) {
      if (output >= branches[b]->outputs.size()) return none;
      const ValueId inner = branches[b]->outputs[output];
      if (!branches[b]->IsConstant(inner)) return none;
      const ValueId id = graph_->AddValue(name + (b ? ".short" : ".long"));
      graph_->values[id].constant = branches[b]->values[inner].constant;
      graph_->values[id].dtype = branches[b]->values[inner].dtype;
      *targets[b] = id;
    }
    return std::optional<RopeSwitch>(result);
  }

  // The value of a condition for a mask of that many ones; nullopt if it needs
  // more than the mask.
  Result<std::optional<bool>> EvaluateCondition(ValueId condition,
                                                int64_t length) {
    auto part = std::make_shared<Graph>(*graph_);
    part->outputs = {condition};
    SLM_RETURN_IF_ERROR(part->Normalize());
    for (const Node& node : part->nodes) {
      for (ValueId id : node.inputs) {
        if (id != kNoValue && id != mask_ && !part->IsConstant(id) &&
            part->values[id].producer < 0) {
          return std::optional<bool>();
        }
      }
    }
    SLM_ASSIGN_OR_RETURN(const auto plan, PlanGraph(part));
    ThreadPool threads(1);
    Executor executor(*plan, threads);
    SLM_ASSIGN_OR_RETURN(HeldTensor mask,
                         executor.NewTensor(DType::kI64, {1, length}));
    std::fill_n(mask.view.Mutable<int64_t>(), length, 1);
    executor.Feed(mask_, std::move(mask));
    SLM_RETURN_IF_ERROR(executor.Run());
    const TensorView result = executor.Output(0).view;
    if (result.dtype != DType::kBool || result.Count() != 1) {
      return std::optional<bool>();
    }
    return std::optional<bool>(*result.As<bool>());
  }

  // Drops what is bound, proves the rest row-wise, selects rows.
  Result<std::string> Finish(const DecoderNames& names) {
    std::erase_if(graph_->outputs,
                  [&](ValueId id) { return replaced_.count(id) > 0; });
    SLM_RETURN_IF_ERROR(graph_->Normalize());
    const std::vector<int32_t> uses = graph_->CountUses();
    std::vector<ValueId> token_inputs, left;
    for (ValueId id : graph_->inputs) {
      if (id == ids_ || id == positions_) {
        if (uses[id] > 0) token_inputs.push_back(id);
      } else if (uses[id] > 0) {
        return "input \"" + graph_->values[id].name + "\" is read elsewhere";
      }
    }
    graph_->inputs = token_inputs;
    SLM_ASSIGN_OR_RETURN(auto plan,
                         PlanGraph(std::make_shared<Graph>(*graph_)));
    SLM_ASSIGN_OR_RETURN(const std::string reason,
                         WhyNotRowwise(*plan, token_inputs));
    if (!reason.empty()) return reason;
    constexpr int64_t kTokens = 3;
    SLM_ASSIGN_OR_RETURN(const auto shapes,
                         ShapesFor(*plan, token_inputs, kTokens));
    MeasureHeads(*plan, shapes);
    context_->row_selection =
        SelectLogitRows(graph_, names.logits, *plan, shapes, kTokens);
    return std::string();
  }

  // K and E of every layer from the shapes of the bound nodes.
  void MeasureHeads(const Plan& plan, const std::vector<Shape>& shapes) {
    for (const Node& node : plan.graph->nodes) {
      if (node.domain != "slm" || node.type != "GroupQueryAttention") continue;
      KvSlot& slot =
          context_->kv_slots[static_cast<size_t>(node.Find("layer_slot")->i)];
      slot.kv_heads = static_cast<size_t>(node.Find("kv_num_heads")->i);
      const int64_t width = shapes[node.outputs[0]].back();
      slot.head_size = static_cast<size_t>(width / node.Find("num_heads")->i);
    }
  }

  FusionContext* context_;
  Graph* graph_;
  ValueId ids_ = kNoValue, mask_ = kNoValue, positions_ = kNoValue;
  std::vector<int32_t> uses_;
  std::set<ValueId> replaced_;
  std::map<ValueId, std::optional<RopeSwitch>> switches_;
};

}  // namespace

Status BindAttention(FusionContext* context) {
  if (!context->options->decoder) return OkStatus();
  if (context->options->force_dense) {
    context->dense_reason = "asked for";
    return OkStatus();
  }
  const Graph before = *context->graph;
  SLM_ASSIGN_OR_RETURN(context->dense_reason, Binder(context).Bind());
  context->ragged = context->dense_reason.empty();
  if (!context->ragged) {
    *context->graph = before;
    context->kv_slots.clear();
    context->rope_switch = 0;
    context->row_selection = kNoValue;
    context->pruned_logits = false;
  }
  return OkStatus();
}

}  // namespace slm
