// SPDX-License-Identifier: MIT
// Small graphs by hand, and a way to run their plans.
#ifndef SLM_TESTS_PLAN_GRAPH_MAKER_H_
#define SLM_TESTS_PLAN_GRAPH_MAKER_H_

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/plan/executor.h"
#include "runtime/plan/plan.h"

namespace slm {

class GraphMaker {
 public:
  GraphMaker() : graph_(std::make_unique<Graph>()) {
    graph_->file = "test.onnx";
    graph_->storage = std::make_shared<GraphStorage>();
  }

  ValueId Input(const std::string& name, DType dtype) {
    const ValueId id = graph_->AddValue(name);
    graph_->values[id].dtype = dtype;
    graph_->inputs.push_back(id);
    return id;
  }
  ValueId ids() const { return graph_->inputs[0]; }
  template <typename T>
  ValueId Constant(const Shape& shape, const std::vector<T>& values) {
    return Bytes(DTypeOf<T>(), shape, values.data(), values.size() * sizeof(T));
  }
  // Packed elements as they lie in memory.
  ValueId Bytes(DType dtype, const Shape& shape, const void* data,
                size_t size) {
    auto id = graph_->AddConstant("c" + std::to_string(graph_->values.size()),
                                  dtype, shape);
    EXPECT_TRUE(id.ok());
    TensorView& view = *graph_->values[*id].constant;
    EXPECT_EQ(view.Bytes(), size);
    std::memcpy(view.data, data, size);
    return *id;
  }
  struct Option {
    const char* name;
    std::vector<int64_t> values;  // one: an int; more: ints
    bool list = false;
  };
  ValueId Node(const std::string& type, std::vector<ValueId> inputs,
               const std::vector<Option>& options = {}, int version = 21,
               const std::string& domain = "") {
    slm::Node node;
    node.name = type + std::to_string(graph_->nodes.size());
    node.domain = domain;
    node.type = type;
    node.version = version;
    node.inputs = std::move(inputs);
    for (const Option& option : options) {
      Attribute a;
      a.name = option.name;
      const bool ints = option.list || option.values.size() > 1;
      a.type = ints ? Attribute::Type::kInts : Attribute::Type::kInt;
      if (ints)
        a.ints = option.values;
      else
        a.i = option.values[0];
      node.attributes.push_back(std::move(a));
    }
    const ValueId out = graph_->AddValue(node.name + ".out");
    node.outputs = {out};
    graph_->nodes.push_back(std::move(node));
    return out;
  }
  void Float(const char* name, float value) {  // of the last node
    Attribute a;
    a.name = name;
    a.type = Attribute::Type::kFloat;
    a.f = value;
    graph_->nodes.back().attributes.push_back(std::move(a));
  }
  void String(const char* name, const char* value) {  // likewise
    Attribute a;
    a.name = name;
    a.type = Attribute::Type::kString;
    a.s = value;
    graph_->nodes.back().attributes.push_back(std::move(a));
  }
  // Takes the graph.
  std::unique_ptr<Graph> Finish(ValueId output, const std::string& name) {
    graph_->values[output].name = name;
    graph_->outputs = {output};
    const Status sorted = graph_->Normalize();
    EXPECT_TRUE(sorted.ok()) << sorted.message();
    return std::move(graph_);
  }

 private:
  std::unique_ptr<Graph> graph_;
};

// Output 0 for one input.
template <typename T>
std::vector<float> RunPlan(const Plan& plan, const Shape& shape,
                           const std::vector<T>& values) {
  ThreadPool pool(1);
  Executor executor(plan, pool);
  auto tensor = executor.NewTensor(DTypeOf<T>(), shape);
  EXPECT_TRUE(tensor.ok());
  std::memcpy(tensor->view.data, values.data(), values.size() * sizeof(T));
  executor.Feed(plan.graph->inputs[0], std::move(tensor).value());
  const Status status = executor.Run();
  EXPECT_TRUE(status.ok()) << status.message();
  if (!status.ok()) return {};
  const HeldTensor out = executor.Output(0);
  const auto span = out.view.Span<float>();
  return {span.begin(), span.end()};
}

inline size_t CountNodes(const Plan& plan, const std::string& type) {
  size_t count = 0;
  for (const Node& node : plan.graph->nodes) count += node.type == type;
  return count;
}

}  // namespace slm

#endif  // SLM_TESTS_PLAN_GRAPH_MAKER_H_
