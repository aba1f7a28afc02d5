// SPDX-License-Identifier: MIT
// The feed-forward of most decoders, (f(x W^T) * (x U^T)) D^T: the first two
// products and what joins them become one step, so that x is quantised once and
// neither goes through memory; where D takes int8 activations, it joins them,
// and what it is multiplied by is never written as floats.
#include <algorithm>

#include "quant/qgemm.h"
#include "runtime/plan/fusions.h"

namespace slm {
namespace {

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

// "" or why the product cannot be a part of a step: what a fused operator does
// not take over must not get lost.
std::string Check(const Graph& graph, const Node& product) {
  static constexpr const char* kKnown[] = {"K", "N", "bits", "block_size",
                                           "accuracy_level"};
  for (const Attribute& a : product.attributes) {
    if (std::find(std::begin(kKnown), std::end(kKnown), a.name) ==
            std::end(kKnown) &&
        (a.name != "weight_prepacked" || a.i != 0)) {
      return "attribute " + a.name;
    }
  }
  for (size_t i = 1; i < product.inputs.size(); ++i) {
    const ValueId id = product.Input(i);
    if (id == kNoValue) continue;
    if (i == 4) return "g_idx";
    if (!graph.IsConstant(id)) return "its weights are not constant";
  }
  return "";
}

// "" or why the products are not one.
std::string Compare(const Graph& graph, const Node& gate, const Node& up) {
  if (gate.Input(0) != up.Input(0)) return "the products read different rows";
  for (const char* name : {"K", "N", "bits", "block_size", "accuracy_level"}) {
    if (gate.Int(name, -1) != up.Int(name, -1)) {
      return std::string("the products differ in ") + name;
    }
  }
  if ((gate.Input(3) != kNoValue) != (up.Input(3) != kNoValue)) {
    return "one has zero points";
  }
  if (graph.HasOwnLayout(gate.Input(2)) != graph.HasOwnLayout(up.Input(2))) {
    return "one has fixed scales";
  }
  const std::string reason = Check(graph, gate);
  return reason.empty() ? Check(graph, up) : reason;
}

BlockQuantMatrix SizeOf(const Node& product) {
  BlockQuantMatrix m;
  m.n = static_cast<size_t>(product.Int("N", 0));
  m.k = static_cast<size_t>(product.Int("K", 0));
  m.block_size = static_cast<size_t>(product.Int("block_size", 0));
  return m;
}

// "" or why the gated product stays apart from the one that reads it.
std::string CompareDown(const Graph& graph, const Node& gated,
                        const Node& down) {
  if (AccuracyLevel(gated) != 4 || AccuracyLevel(down) != 4) {
    return "activations are not int8";
  }
  if (!CanFeed(SizeOf(gated), SizeOf(down))) {
    return "a tile of the gated product is not whole blocks of this one";
  }
  return Check(graph, down);
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
      if (IsNBitsProduct(gate.product) && IsNBitsProduct(other) &&
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

// MatMulNBits(GatedMatMulNBits(x, W, U), D) -> GatedMlpNBits(x, W, U, D)
Status FuseGatedMlp(FusionContext* context) {
  Graph& graph = *context->graph;
  const std::vector<int32_t> uses = graph.CountUses();
  for (Node& node : graph.nodes) {
    if (!IsNBitsProduct(&node)) continue;
    const Node* gated = graph.Producer(node.Input(0));
    if (!gated || gated->domain != "slm" || gated->type != "GatedMatMulNBits") {
      continue;
    }
    std::string reason = CompareDown(graph, *gated, node);
    if (uses[node.Input(0)] != 1)
      reason = "the gated product has other readers";
    if (!reason.empty()) {
      context->Refused(node, reason);
      continue;
    }
    Node fused = *gated;
    fused.name = node.name;
    fused.type = "GatedMlpNBits";
    for (size_t i = 1; i < 6; ++i) fused.inputs.push_back(node.Input(i));
    const auto add = [&](const char* name, int64_t value) {
      fused.attributes.push_back(IntAttribute(name, value));
    };
    add("down_N", node.Int("N", 0));
    add("down_bits", node.Int("bits", 4));
    add("down_block_size", node.Int("block_size", 0));
    fused.outputs = node.outputs;
    node = std::move(fused);
    context->Done(node);
  }
  return graph.Normalize();
}

}  // namespace slm
