// SPDX-License-Identifier: MIT
#include "runtime/graph/graph.h"

#include <algorithm>
#include <utility>

namespace slm {

const Attribute* Node::Find(std::string_view attribute) const {
  for (const Attribute& a : attributes) {
    if (a.name == attribute) return &a;
  }
  return nullptr;
}

Result<void*> GraphStorage::Allocate(size_t bytes, const char* what) {
  SLM_ASSIGN_OR_RETURN(AlignedBuffer buffer,
                       AlignedBuffer::Allocate(bytes, what));
  buffers.push_back(std::move(buffer));
  return buffers.back().data();
}

ValueId Graph::AddValue(std::string value_name) {
  values.emplace_back();
  values.back().name = std::move(value_name);
  return static_cast<ValueId>(values.size() - 1);
}

Result<ValueId> Graph::AddConstant(std::string value_name, DType dtype,
                                   const Shape& shape) {
  SLM_ASSIGN_OR_RETURN(
      void* data, storage->Allocate(BytesFor(dtype, shape.Count()),
                                    "a constant"));
  const ValueId id = AddValue(std::move(value_name));
  values[id].dtype = dtype;
  values[id].constant = TensorView{data, dtype, shape};
  return id;
}

ValueId Graph::FindValue(std::string_view value_name) const {
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].name == value_name) return static_cast<ValueId>(i);
  }
  return kNoValue;
}

std::string Graph::Where(const Node& node) const {
  return file + ": node \"" + Printable(node.name, 200) + "\"";
}

namespace {

// Calls visit(value of the graph) for everything that a node reads, captures
// of its subgraphs included.
template <typename Visit>
void ForEachRead(const Node& node, const Visit& visit) {
  for (ValueId id : node.inputs) {
    if (id != kNoValue) visit(id);
  }
  for (const Attribute& a : node.attributes) {
    if (!a.graph) continue;
    for (const Value& v : a.graph->values) {
      if (v.outer != kNoValue) visit(v.outer);
    }
  }
}

}  // namespace

std::vector<int32_t> Graph::CountUses() const {
  std::vector<int32_t> uses(values.size());
  for (const Node& node : nodes) {
    ForEachRead(node, [&](ValueId id) { ++uses[id]; });
  }
  for (ValueId id : outputs) ++uses[id];
  return uses;
}

Status Graph::Normalize() {
  for (Value& v : values) v.producer = -1;
  for (size_t n = 0; n < nodes.size(); ++n) {
    for (ValueId id : nodes[n].outputs) {
      if (id != kNoValue) values[id].producer = static_cast<int32_t>(n);
    }
  }
  // Depth-first from the outputs, without recursion: state 0 new, 1 open,
  // 2 done. A node that is met open again lies on a cycle.
  std::vector<uint8_t> state(nodes.size());
  std::vector<size_t> order;
  std::vector<std::pair<size_t, std::vector<ValueId>>> stack;
  const auto open = [&](size_t n) {
    state[n] = 1;
    std::vector<ValueId> reads;
    ForEachRead(nodes[n], [&](ValueId id) { reads.push_back(id); });
    std::reverse(reads.begin(), reads.end());
    stack.emplace_back(n, std::move(reads));
  };
  for (ValueId output : outputs) {
    const int32_t root = values[output].producer;
    if (root < 0 || state[root]) continue;
    open(root);
    while (!stack.empty()) {
      auto& [n, reads] = stack.back();
      if (reads.empty()) {
        state[n] = 2;
        order.push_back(n);
        stack.pop_back();
        continue;
      }
      const int32_t producer = values[reads.back()].producer;
      reads.pop_back();
      if (producer < 0 || state[producer] == 2) continue;
      if (state[producer] == 1) {
        return Invalid("%s: lies on a cycle", Where(nodes[producer]).c_str());
      }
      open(producer);
    }
  }
  std::vector<Node> sorted;
  sorted.reserve(order.size());
  for (size_t n : order) sorted.push_back(std::move(nodes[n]));
  nodes = std::move(sorted);
  for (Value& v : values) v.producer = -1;
  for (size_t n = 0; n < nodes.size(); ++n) {
    for (ValueId id : nodes[n].outputs) {
      if (id != kNoValue) values[id].producer = static_cast<int32_t>(n);
    }
  }
  return OkStatus();
}

}  // namespace slm
