// SPDX-License-Identifier: MIT
// Runs one operator through its row of the tables, as the executor would.
#ifndef SLM_TESTS_OPS_OP_TEST_UTIL_H_
#define SLM_TESTS_OPS_OP_TEST_UTIL_H_

#include <cstring>
#include <string>
#include <vector>

#include "ops/op.h"
#include "runtime/core/half.h"

namespace slm {

// A tensor with memory of exactly its size, so that sanitizers see overruns.
struct TestTensor {
  DType dtype = DType::kF32;
  Shape shape;
  std::vector<uint8_t> bytes;

  size_t Count() const { return shape.Count(); }
  template <typename T>
  T At(size_t i) const {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    return value;
  }
  // Element i of a float, float16 or bfloat16 tensor.
  float Float(size_t i) const {
    if (dtype == DType::kF32) return At<float>(i);
    const uint16_t half = At<uint16_t>(i);
    return dtype == DType::kF16 ? FloatFromF16(half) : FloatFromBF16(half);
  }
  template <typename T>
  std::vector<T> Values() const {
    std::vector<T> values(Count());
    if (!values.empty()) {
      std::memcpy(values.data(), bytes.data(), bytes.size());
    }
    return values;
  }
};

template <typename T>
TestTensor MakeTensor(const Shape& shape, const std::vector<T>& values) {
  TestTensor t{.dtype = DTypeOf<T>(), .shape = shape, .bytes = {}};
  SLM_CHECK(values.size() == shape.Count());
  t.bytes.resize(values.size() * sizeof(T));
  if (!values.empty()) {
    std::memcpy(t.bytes.data(), values.data(), t.bytes.size());
  }
  return t;
}

// float16 and bfloat16 become float, as the plan does with activations and
// with constants that an operator does not take as they are.
inline TestTensor ToFloat(const TestTensor& t) {
  if (!IsHalf(t.dtype)) return t;
  std::vector<float> values(t.Count());
  for (size_t i = 0; i < values.size(); ++i) values[i] = t.Float(i);
  return MakeTensor(t.shape, values);
}

class OpTest {
 public:
  OpTest(std::string domain, std::string type, int version) {
    node_.name = "n";
    node_.domain = std::move(domain);
    node_.type = std::move(type);
    node_.version = version;
  }

  OpTest& Int(std::string name, int64_t value) {
    Attribute a = Named(std::move(name), Attribute::Type::kInt);
    a.i = value;
    node_.attributes.push_back(std::move(a));
    return *this;
  }
  OpTest& Float(std::string name, float value) {
    Attribute a = Named(std::move(name), Attribute::Type::kFloat);
    a.f = value;
    node_.attributes.push_back(std::move(a));
    return *this;
  }
  OpTest& String(std::string name, std::string value) {
    Attribute a = Named(std::move(name), Attribute::Type::kString);
    a.s = std::move(value);
    node_.attributes.push_back(std::move(a));
    return *this;
  }
  OpTest& Ints(std::string name, std::vector<int64_t> values) {
    Attribute a = Named(std::move(name), Attribute::Type::kInts);
    a.ints = std::move(values);
    node_.attributes.push_back(std::move(a));
    return *this;
  }
  OpTest& Attr(Attribute attribute) {
    node_.attributes.push_back(std::move(attribute));
    return *this;
  }
  OpTest& Input(TestTensor tensor, bool constant = false) {
    inputs_.push_back({std::move(tensor), constant, true});
    return *this;
  }
  OpTest& Constant(TestTensor tensor) { return Input(std::move(tensor), true); }
  OpTest& NoInput() {
    inputs_.push_back({});
    return *this;
  }
  // Which outputs the node has; one by default.
  OpTest& Outputs(std::vector<bool> wanted) {
    wanted_ = std::move(wanted);
    return *this;
  }
  OpTest& Threads(size_t threads) {
    threads_ = threads;
    return *this;
  }

  // A ragged batch for operators that are bound to sequence state.
  OpTest& Batched(const Batch* batch) {
    batch_ = batch;
    return *this;
  }

  // The outputs (empty tensors where not wanted), or why not.
  Result<std::vector<TestTensor>> Run() {
    Graph graph;
    graph.file = "test";
    const OpDef* op = FindOp(node_.domain, node_.type, node_.version);
    if (!op) return Invalid("no such operator: %s", node_.type.c_str());
    std::vector<TestTensor> memory(inputs_.size());
    std::vector<TensorView> views(inputs_.size());
    std::vector<const TensorView*> inputs(inputs_.size());
    node_.inputs.clear();
    node_.outputs.clear();
    for (size_t i = 0; i < inputs_.size(); ++i) {
      node_.inputs.push_back(kNoValue);
      if (!inputs_[i].present) continue;
      const bool keep =
          inputs_[i].constant && i < 32 && (op->half_inputs >> i & 1);
      memory[i] = keep ? inputs_[i].tensor : ToFloat(inputs_[i].tensor);
      views[i] = {memory[i].bytes.data(), memory[i].dtype, memory[i].shape};
      inputs[i] = &views[i];
      node_.inputs[i] = graph.AddValue("in" + std::to_string(i));
      if (inputs_[i].constant) {
        graph.values[node_.inputs[i]].constant = views[i];
      }
    }
    for (size_t i = 0; i < wanted_.size(); ++i) {
      node_.outputs.push_back(
          wanted_[i] ? graph.AddValue("out" + std::to_string(i)) : kNoValue);
    }
    AttributeReader reader(graph, node_);
    OpParams params;
    if (op->parse) {
      SLM_ASSIGN_OR_RETURN(params, op->parse(reader));
    } else {
      SLM_RETURN_IF_ERROR(reader.Finish());
    }
    return Execute(*op, params.get(), inputs);
  }

 private:
  static Attribute Named(std::string name, Attribute::Type type) {
    Attribute a;
    a.name = std::move(name);
    a.type = type;
    return a;
  }

  struct Given {
    TestTensor tensor;
    bool constant = false;
    bool present = false;
  };

  Result<std::vector<TestTensor>> Execute(
      const OpDef& op, const void* params,
      std::span<const TensorView* const> inputs) {
    ThreadPool pool(threads_);
    const size_t count = wanted_.size();
    std::vector<TensorView> outputs(count);
    const auto wanted = std::make_unique<bool[]>(count);
    for (size_t i = 0; i < count; ++i) wanted[i] = wanted_[i];
    OpContext context;
    context.params = params;
    context.node_name = node_.name;
    context.inputs = inputs;
    context.outputs = outputs;
    context.wanted = {wanted.get(), count};
    context.pool = &pool;
    context.batch = batch_;
    SLM_RETURN_IF_ERROR(op.infer(context));
    SLM_ASSIGN_OR_RETURN(
        const AlignedBuffer scratch,
        AlignedBuffer::Allocate(context.scratch_bytes, "scratch"));
    context.scratch = scratch.data();
    std::vector<TestTensor> results(count);
    for (size_t i = 0; i < count; ++i) {
      if (!wanted_[i]) continue;
      // 0xFF bytes are NaN: an element that run forgets is seen.
      results[i] = {.dtype = outputs[i].dtype,
                    .shape = outputs[i].shape,
                    .bytes = std::vector<uint8_t>(outputs[i].Bytes(), 0xFF)};
      outputs[i].data = results[i].bytes.data();
    }
    if (op.run) {
      op.run(context);
    } else if (outputs[0].Bytes() > 0) {  // memcpy takes no null pointer
      std::memcpy(outputs[0].data, inputs[0]->data, outputs[0].Bytes());
    }
    return results;
  }

  Node node_;
  std::vector<Given> inputs_;
  std::vector<bool> wanted_ = {true};
  size_t threads_ = 2;
  const Batch* batch_ = nullptr;
};

}  // namespace slm

#endif  // SLM_TESTS_OPS_OP_TEST_UTIL_H_
