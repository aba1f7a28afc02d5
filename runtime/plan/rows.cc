// SPDX-License-Identifier: MIT
#include "runtime/plan/rows.h"

#include <algorithm>
#include <array>
#include <optional>

#include "runtime/core/threads.h"
#include "runtime/plan/executor.h"

namespace slm {
namespace {

// Two primes that no weight has as a dimension's only difference.
constexpr int64_t kTokens[2] = {3, 5};

// How an operator's `axis` names what it combines. Operators with kRowwise
// that are not listed combine nothing but what lies inside a token's block.
enum class AxisKind { kOne, kFrom };  // that axis; that axis and all behind

struct AxisRule {
  const char* type;
  AxisKind kind;
  int64_t fallback;  // where the attribute is left out
};

constexpr AxisRule kAxisRules[] = {
    {"Softmax", AxisKind::kOne, -1},
    {"LogSoftmax", AxisKind::kOne, -1},
    {"Concat", AxisKind::kOne, 0},
    {"Split", AxisKind::kOne, 0},
    {"LpNormalization", AxisKind::kOne, -1},
    {"LayerNormalization", AxisKind::kFrom, -1},
    {"RMSNormalization", AxisKind::kFrom, -1},
    {"SimplifiedLayerNormalization", AxisKind::kFrom, -1},
    {"SkipLayerNormalization", AxisKind::kFrom, -1},
    {"SkipSimplifiedLayerNormalization", AxisKind::kFrom, -1},
};

// Products: rows in input 0, contracted over its last axis, constants beside.
constexpr const char* kProducts[] = {"MatMul", "MatMulNBits", "FusedMatMul",
                                     "Gemm",   "QMoE",        "MoE"};
// Look a token up in a constant table: ids are input 1.
constexpr const char* kLookups[] = {"Gather", "GatherBlockQuantized",
                                    "GatherColumns"};

template <size_t N>
bool Contains(const char* const (&names)[N], const std::string& type) {
  return std::find(names, names + N, type) != names + N;
}

class RowProof {
 public:
  RowProof(const Plan& plan, std::vector<Shape> a, std::vector<Shape> b)
      : plan_(plan), graph_(*plan.graph), a_(std::move(a)), b_(std::move(b)) {}

  std::string Run(const std::vector<ValueId>& token_inputs) {
    fed_ = token_inputs;
    for (const Step& step : plan_.steps) {
      const Node& node = graph_.nodes[step.node];
      const std::string reason = Check(node, *step.op);
      if (!reason.empty()) {
        return node.type + " \"" + Printable(node.name) + "\": " + reason;
      }
    }
    return "";
  }

 private:
  // The token axis of a value; nullopt for constants and if there is none.
  std::optional<size_t> TokenAxis(ValueId id) const {
    if (graph_.IsConstant(id)) return std::nullopt;
    for (size_t i = 0; i < a_[id].rank() && i < b_[id].rank(); ++i) {
      if (a_[id][i] != b_[id][i]) return i;
    }
    return std::nullopt;
  }

  // Empty if the value is token blocks one after the other in memory.
  std::string TokenMajor(ValueId id) const {
    const Shape &a = a_[id], &b = b_[id];
    const auto axis = TokenAxis(id);
    if (!axis || a.rank() != b.rank()) return "does not grow with the tokens";
    if (a[*axis] % kTokens[0] || b[*axis] % kTokens[1] ||
        a[*axis] / kTokens[0] != b[*axis] / kTokens[1]) {
      return "is not a number of rows a token: " + a.ToString();
    }
    for (size_t i = 0; i < a.rank(); ++i) {
      if (i < *axis && a[i] != 1) {
        return "has another axis before the tokens: " + a.ToString();
      }
      if (i > *axis && a[i] != b[i]) return "grows in two axes";
    }
    return "";
  }

  std::string Check(const Node& node, const OpDef& op) const {
    // Picks whole blocks: what follows sees rows again.
    if (node.domain == "slm" && node.type == "SelectRows") return "";
    if (!(op.traits & (kRowwise | kAlias | kSequence))) {
      return "may look across tokens";
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId id = node.inputs[i];
      if (id == kNoValue || graph_.IsConstant(id)) continue;
      if (graph_.values[id].producer < 0 &&
          !std::count(fed_.begin(), fed_.end(), id)) {
        return "reads graph input \"" + graph_.values[id].name + "\"";
      }
      const std::string reason = TokenMajor(id);
      if (!reason.empty()) return "input " + std::to_string(i) + " " + reason;
    }
    for (ValueId id : node.outputs) {
      // Left-out outputs of norms have no shape here.
      if (id == kNoValue || (a_[id].rank() == 0 && b_[id].rank() == 0))
        continue;
      const std::string reason = TokenMajor(id);
      if (!reason.empty()) return "its output " + reason;
    }
    if (op.traits & (kAlias | kSequence)) return "";
    if (Contains(kProducts, node.type)) return CheckProduct(node);
    if (Contains(kLookups, node.type)) return CheckLookup(node);
    if (node.type == "RotaryEmbedding") return CheckRotary(node);
    if (node.type.compare(0, 6, "Reduce") == 0) return CheckReduce(node);
    return CheckAxes(node);
  }

  std::string CheckProduct(const Node& node) const {
    const auto axis = TokenAxis(node.inputs[0]);
    const Attribute* transposed = node.Find("transA");
    if (!axis || *axis + 1 == a_[node.inputs[0]].rank() ||
        (transposed && transposed->i)) {
      return "sums over tokens";
    }
    const bool moe = node.type == "QMoE" || node.type == "MoE";
    for (size_t i = moe ? 2 : 1; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != kNoValue && !graph_.IsConstant(node.inputs[i])) {
        return "input " + std::to_string(i) + " is not constant";
      }
    }
    // A bias or C that is as long as the batch would differ by token.
    return "";
  }

  std::string CheckLookup(const Node& node) const {
    return graph_.IsConstant(node.inputs[0]) ? "" : "its table is not constant";
  }

  // Rows are [1, T, heads * size] or [1, heads, T, size]. A row's angles are
  // those at its own position of a constant cache, or its own row of a computed
  // one.
  std::string CheckRotary(const Node& node) const {
    const bool microsoft = node.domain == "com.microsoft";
    const ValueId x = node.inputs[0], ids = node.Input(microsoft ? 1 : 3);
    if (TokenAxis(x) != a_[x].rank() - 2) return "takes tokens for heads";
    if (ids != kNoValue && graph_.IsConstant(ids)) {
      return "counts positions from its first row";
    }
    for (size_t i : microsoft ? std::array<size_t, 2>{2, 3}
                              : std::array<size_t, 2>{1, 2}) {
      if (graph_.IsConstant(node.inputs[i]) != (ids != kNoValue)) {
        return "its caches are not by position";
      }
    }
    return "";
  }

  // Sums, maxima ... inside of a token's block; axes are an attribute or a
  // constant input.
  std::string CheckReduce(const Node& node) const {
    std::vector<int64_t> axes;
    if (const Attribute* a = node.Find("axes")) axes = a->ints;
    if (graph_.IsConstant(node.Input(1))) {
      const TensorView& input = *graph_.values[node.Input(1)].constant;
      if (input.dtype != DType::kI64) return "its axes are not judged here";
      axes.assign(input.As<int64_t>(), input.As<int64_t>() + input.Count());
    }
    // None means all.
    if (axes.empty()) return "works along the tokens";
    const size_t token = *TokenAxis(node.inputs[0]);
    for (int64_t axis : axes) {
      const auto at = NormalizeAxis(axis, a_[node.inputs[0]].rank());
      if (!at || *at == token) return "works along the tokens";
    }
    return "";
  }

  std::string CheckAxes(const Node& node) const {
    const ValueId first = *std::find_if(
        node.inputs.begin(), node.inputs.end(),
        [&](ValueId id) { return id != kNoValue && TokenAxis(id); });
    const size_t axis = *TokenAxis(first);
    const size_t rank = a_[first].rank();
    for (const AxisRule& rule : kAxisRules) {
      if (node.type != rule.type) continue;
      const auto at = NormalizeAxis(node.Int("axis", rule.fallback), rank);
      if (!at || (rule.kind == AxisKind::kOne ? *at == axis : *at <= axis)) {
        return "works along the tokens";
      }
      return "";
    }
    if (node.Find("axis") || node.Find("axes")) {
      return "its axis is not judged here";
    }
    if (node.type == "Slice" || node.type == "Transpose") {
      // Shapes tell: the token axis is whole and still in front (TokenMajor);
      // a reversed slice would keep the shape.
      if (node.type == "Slice" && node.Input(4) != kNoValue) {
        return "a step may reverse the tokens";
      }
      return a_[node.outputs[0]][axis] == a_[first][axis]
                 ? ""
                 : "cuts or moves tokens";
    }
    return CheckBroadcast(node, rank - axis);
  }

  // Elementwise: all operands have the token axis at the same place, counted
  // from the back, and constants do not vary along it.
  std::string CheckBroadcast(const Node& node, size_t from_back) const {
    for (ValueId id : node.inputs) {
      if (id == kNoValue) continue;
      const Shape& shape =
          graph_.IsConstant(id) ? graph_.values[id].constant->shape : a_[id];
      const auto axis = TokenAxis(id);
      if (axis && shape.rank() - *axis != from_back) {
        return "tokens lie on different axes";
      }
      if (!axis && shape.rank() >= from_back &&
          shape[shape.rank() - from_back] != 1) {
        return "a constant varies along the tokens";
      }
    }
    return "";
  }

  const Plan& plan_;
  const Graph& graph_;
  std::vector<Shape> a_, b_;
  std::vector<ValueId> fed_;
};

}  // namespace

namespace {

// Dry run with `tokens` new tokens of one sequence and logits of the last
// `logit_rows`; gives the peak bytes.
Result<size_t> DryRun(const Plan& plan,
                      const std::vector<ValueId>& token_inputs, int64_t tokens,
                      int64_t logit_rows, Executor* executor) {
  for (ValueId id : token_inputs) {
    HeldTensor tensor;
    tensor.view.dtype = plan.graph->values[id].dtype.value_or(DType::kI64);
    tensor.view.shape =
        id == plan.row_selection ? Shape{logit_rows} : Shape{1, tokens};
    executor->Feed(id, std::move(tensor));
  }
  const BatchSequence sequence{0, static_cast<size_t>(tokens), 0, 0, {}};
  const Batch batch{{&sequence, 1}};
  return executor->Measure(&batch);
}

}  // namespace

Result<std::vector<Shape>> ShapesFor(const Plan& plan,
                                     const std::vector<ValueId>& token_inputs,
                                     int64_t tokens) {
  ThreadPool threads(1);
  Executor executor(plan, threads);
  SLM_RETURN_IF_ERROR(
      DryRun(plan, token_inputs, tokens, tokens, &executor).status());
  std::vector<Shape> shapes;
  for (size_t i = 0; i < plan.graph->values.size(); ++i) {
    shapes.push_back(executor.ValueOf(static_cast<ValueId>(i)).shape);
  }
  return shapes;
}

Result<size_t> ActivationBytesFor(const Plan& plan,
                                  const std::vector<ValueId>& token_inputs,
                                  int64_t tokens) {
  ThreadPool threads(1);
  Executor executor(plan, threads);
  return DryRun(plan, token_inputs, tokens, /*logit_rows=*/1, &executor);
}

Result<std::string> WhyNotRowwise(const Plan& plan,
                                  const std::vector<ValueId>& token_inputs) {
  SLM_ASSIGN_OR_RETURN(auto a, ShapesFor(plan, token_inputs, kTokens[0]));
  SLM_ASSIGN_OR_RETURN(auto b, ShapesFor(plan, token_inputs, kTokens[1]));
  return RowProof(plan, std::move(a), std::move(b)).Run(token_inputs);
}

}  // namespace slm
