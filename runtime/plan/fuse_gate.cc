// SPDX-License-Identifier: MIT
// The feed-forward of most decoders, f(x W^T) * (x U^T): both products and what
// joins them become one step, so that x is quantised once and neither product
// goes through memory.
#include "runtime/plan/fusions.h"

namespace slm {
namespace {

bool IsProduct(const Node* node) {
  return node && node->domain == "com.microsoft" && node->type == "MatMulNBits";
}

// The product that an activation is taken of, and the activation's name.
struct Gate {
  const Node* product = nullptr;
  const char* activation = "";
  int32_t uses = 1;  // of the product, by this activation
};

// x * Sigmoid(x), Gelu(x) and FastGelu(x) without bias.
Gate GateOf(const Graph& graph, ValueId id) {
  const Node* node = graph.Producer(id);
  if (!node) return {};
  if (IsOp(node, "Mul")) {
    for (size_t i = 0; i < 2; ++i) {
      const Node* sigmoid = graph.Producer(node->Input(i));
      const ValueId x = node->Input(1 - i);
      if (IsOp(sigmoid, "Sigmoid") && sigmoid->Input(0) == x) {
        return {graph.Producer(x), "silu", 2};
      }
    }
    return {};
  }
  const Node* x = graph.Producer(node->Input(0));
  if (IsOp(node, "Gelu")) {
    const Attribute* kind = node->Find("approximate");
    const bool tanh = kind && kind->s == "tanh";
    return {x, tanh ? "gelu_tanh" : "gelu"};
  }
  if (node->domain != "com.microsoft") return {};
  if (node->type == "Gelu") return {x, "gelu"};
  if (node->type == "FastGelu" && node->Input(1) == kNoValue) {
    return {x, "gelu_tanh"};
  }
  return {};
}

// "" or why the products are not one.
std::string Compare(const Graph& graph, const Node& gate, const Node& up) {
  if (gate.Input(0) != up.Input(0)) return "the products read different rows";
  for (const char* name : {"K", "N", "bits", "block_size", "accuracy_level"}) {
    const Attribute* a = gate.Find(name);
    const Attribute* b = up.Find(name);
    if ((a ? a->i : -1) != (b ? b->i : -1)) {
      return std::string("the products differ in ") + name;
    }
  }
  for (size_t i = 1; i < 6; ++i) {
    const bool has_gate = gate.Input(i) != kNoValue;
    const bool has_up = up.Input(i) != kNoValue;
    if ((has_gate && !graph.IsConstant(gate.Input(i))) ||
        (has_up && !graph.IsConstant(up.Input(i)))) {
      return "their weights are not constant";
    }
    if (i == 4 && (has_gate || has_up)) return "g_idx";
    if (i == 3 && has_gate != has_up) return "one has zero points";
  }
  return "";
}

}  // namespace

// Mul(f(MatMulNBits(x, W)), MatMulNBits(x, U)) -> GatedMatMulNBits(x, W, U)
Status FuseGatedMatMul(FusionContext* context) {
  Graph& graph = *context->graph;
  const std::vector<int32_t> uses = graph.CountUses();
  for (Node& node : graph.nodes) {
    if (!IsOp(&node, "Mul")) continue;
    Gate gate;
    const Node* up = nullptr;
    for (size_t i = 0; i < 2 && !up; ++i) {
      const Node* other = graph.Producer(node.Input(1 - i));
      gate = GateOf(graph, node.Input(i));
      if (IsProduct(gate.product) && IsProduct(other) &&
          uses[node.Input(i)] == 1) {
        up = other;
      }
    }
    if (!up) continue;
    std::string reason = Compare(graph, *gate.product, *up);
    if (uses[gate.product->outputs[0]] != gate.uses ||
        uses[up->outputs[0]] != 1) {
      reason = "a product has other readers";
    }
    if (!reason.empty()) {
      context->Refused(node, reason);
      continue;
    }
    Node fused = *gate.product;
    fused.name = node.name;
    fused.domain = "slm";
    fused.type = "GatedMatMulNBits";
    fused.inputs.resize(6, kNoValue);
    for (size_t i = 1; i < 6; ++i) fused.inputs.push_back(up->Input(i));
    Attribute activation;
    activation.name = "activation";
    activation.type = Attribute::Type::kString;
    activation.s = gate.activation;
    fused.attributes.push_back(activation);
    fused.outputs = node.outputs;
    node = std::move(fused);
    context->Done(node);
  }
  return graph.Normalize();
}

}  // namespace slm
