// SPDX-License-Identifier: MIT
// Computes logits, and all that leads to them alone, for the wanted rows only.
//
// Behind the last operator that reads the sequences every row stands for
// itself, so rows whose logits nobody asked for need not go there: a prompt
// leaves its last layer's output projection and MLP to its last token, and a
// chunk in the middle of a prompt skips them.
#include <algorithm>
#include <map>

#include "runtime/plan/fusions.h"

namespace slm {
namespace {

class Selection {
 public:
  Selection(Graph* graph, const Plan& plan, const std::vector<Shape>& shapes,
            int64_t tokens)
      : graph_(graph), plan_(plan), shapes_(shapes), tokens_(tokens) {}

  // The new input of rows, or kNoValue: the graph stays as it was.
  ValueId Insert(const std::string& logits) {
    MarkTail(logits);
    const std::vector<ValueId> cut = Cut();
    if (cut.empty() || !std::all_of(cut.begin(), cut.end(), [&](ValueId id) {
          return HasRowPerToken(id);
        })) {
      return kNoValue;
    }
    const ValueId rows = graph_->AddValue("slm.rows");
    graph_->values[rows].dtype = DType::kI64;
    graph_->inputs.push_back(rows);
    const size_t nodes = graph_->nodes.size();
    for (ValueId whole : cut) {
      const ValueId selected = AddSelectRows(whole, rows);
      for (size_t n = 0; n < nodes; ++n) {
        if (!tail_[n]) continue;
        auto& inputs = graph_->nodes[n].inputs;
        std::replace(inputs.begin(), inputs.end(), whole, selected);
      }
    }
    const Status sorted = graph_->Normalize();
    SLM_CHECK(sorted.ok());  // no cycle can come from an insertion
    return rows;
  }

 private:
  // Nodes whose results reach the logits and nothing else: no sequence state
  // and no other output.
  void MarkTail(const std::string& logits) {
    tail_.assign(graph_->nodes.size(), true);
    std::vector<bool> whole(graph_->values.size(), false);
    for (ValueId id : graph_->outputs) {
      whole[id] = graph_->values[id].name != logits;
    }
    for (size_t n = graph_->nodes.size(); n-- > 0;) {
      const Node& node = graph_->nodes[n];
      const bool reads_sequences = plan_.steps[n].op->traits & kSequence;
      tail_[n] =
          !reads_sequences &&
          std::none_of(node.outputs.begin(), node.outputs.end(),
                       [&](ValueId id) { return id != kNoValue && whole[id]; });
      if (tail_[n]) continue;
      for (ValueId id : node.inputs) {
        if (id != kNoValue) whole[id] = true;
      }
    }
  }

  // Activations that tail nodes read and others make.
  std::vector<ValueId> Cut() const {
    std::vector<ValueId> cut;
    for (size_t n = 0; n < graph_->nodes.size(); ++n) {
      if (!tail_[n]) continue;
      for (ValueId id : graph_->nodes[n].inputs) {
        if (id == kNoValue || graph_->IsConstant(id)) continue;
        const int32_t producer = graph_->values[id].producer;
        if (producer >= 0 && tail_[static_cast<size_t>(producer)]) continue;
        if (std::find(cut.begin(), cut.end(), id) == cut.end()) {
          cut.push_back(id);
        }
      }
    }
    return cut;
  }

  bool HasRowPerToken(ValueId id) const {
    const Shape& shape = shapes_[id];
    return shape.rank() >= 2 && shape[0] == 1 && shape[1] == tokens_;
  }

  ValueId AddSelectRows(ValueId whole, ValueId rows) {
    const std::string name = "slm.SelectRows" + std::to_string(whole);
    const ValueId selected = graph_->AddValue(name);
    Node node;
    node.name = name;
    node.domain = "slm";
    node.type = "SelectRows";
    node.inputs = {whole, rows};
    node.outputs = {selected};
    graph_->nodes.push_back(std::move(node));
    return selected;
  }

  Graph* graph_;
  const Plan& plan_;
  const std::vector<Shape>& shapes_;
  int64_t tokens_;
  std::vector<bool> tail_;  // by node
};

}  // namespace

ValueId SelectLogitRows(Graph* graph, const std::string& logits,
                        const Plan& plan, const std::vector<Shape>& shapes,
                        int64_t tokens) {
  return Selection(graph, plan, shapes, tokens).Insert(logits);
}

}  // namespace slm
