// SPDX-License-Identifier: MIT
// The graph as data: values, nodes in topological order, attributes. No ONNX
// protobuf here (loader/onnx_graph.cc makes it), no operator knowledge.
#ifndef SLM_RUNTIME_GRAPH_GRAPH_H_
#define SLM_RUNTIME_GRAPH_GRAPH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/memory.h"
#include "runtime/core/result.h"
#include "runtime/core/tensor.h"

namespace slm {

// Index into Graph::values.
using ValueId = int32_t;
inline constexpr ValueId kNoValue = -1;  // an optional input or output left out

struct Graph;

// Declared dimension: a size, or -1 with an optional symbol ("batch_size").
struct Dim {
  int64_t size = -1;
  std::string symbol;
};

struct Value {
  std::string name;
  std::optional<DType> dtype;             // where declared or constant
  std::optional<std::vector<Dim>> shape;  // where declared
  // Set for initializers and folded constants; memory is Graph::storage's.
  std::optional<TensorView> constant;
  int32_t producer = -1;  // node index; -1 for inputs and constants
  // In a subgraph: the value of the enclosing graph that this one stands for.
  ValueId outer = kNoValue;
  // A constant that the plan laid out for its own operators: `dtype` tells the
  // width of its elements, but not what they mean. No loader sets this.
  bool own_layout = false;
};

struct Attribute {
  enum class Type { kInt, kFloat, kString, kInts, kFloats, kStrings, kTensor,
                    kGraph };
  std::string name;
  Type type = Type::kInt;
  int64_t i = 0;
  float f = 0;
  std::string s;
  std::vector<int64_t> ints;
  std::vector<float> floats;
  std::vector<std::string> strings;
  TensorView tensor;
  std::shared_ptr<Graph> graph;
};

struct Node {
  std::string name;
  std::string domain;  // "" is ONNX's own ("ai.onnx" is spelled "")
  std::string type;
  int version = 1;     // opset of its domain that the model imports
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::vector<Attribute> attributes;

  const Attribute* Find(std::string_view attribute) const;
  // An integer attribute's value, `fallback` where it is left out.
  int64_t Int(std::string_view attribute, int64_t fallback) const {
    const Attribute* found = Find(attribute);
    return found ? found->i : fallback;
  }
  // Input i, kNoValue where it is left out or beyond the list.
  ValueId Input(size_t i) const {
    return i < inputs.size() ? inputs[i] : kNoValue;
  }
};

// Memory behind constants: mapped files and buffers made at load.
struct GraphStorage {
  std::vector<MappedFile> files;
  std::vector<AlignedBuffer> buffers;

  // A buffer of `bytes` that lives as long as the graph.
  Result<void*> Allocate(size_t bytes, const char* what);
};

struct Graph {
  std::string name;
  std::string file;  // shown in messages: "model.onnx"
  std::vector<Value> values;
  std::vector<Node> nodes;      // topological order
  std::vector<ValueId> inputs;  // without initializers
  std::vector<ValueId> outputs;
  std::shared_ptr<GraphStorage> storage;  // shared with subgraphs

  ValueId AddValue(std::string value_name);
  // A constant of its own memory, not yet filled.
  Result<ValueId> AddConstant(std::string value_name, DType dtype,
                              const Shape& shape);
  ValueId FindValue(std::string_view value_name) const;  // linear

  bool IsConstant(ValueId id) const {
    return id != kNoValue && values[id].constant.has_value();
  }
  bool HasOwnLayout(ValueId id) const {
    return id != kNoValue && values[id].own_layout;
  }
  const Node* Producer(ValueId id) const {
    return id == kNoValue || values[id].producer < 0
               ? nullptr
               : &nodes[values[id].producer];
  }
  // `file: node "name"` for messages.
  std::string Where(const Node& node) const;

  // Number of readers of each value: node inputs, subgraph captures, outputs.
  std::vector<int32_t> CountUses() const;
  // Sorts nodes topologically, sets producers, drops nodes whose outputs
  // nobody reads. Fails naming a node of a cycle.
  Status Normalize();
};

}  // namespace slm

#endif  // SLM_RUNTIME_GRAPH_GRAPH_H_
