// SPDX-License-Identifier: MIT
// Operators are rows of data. To add one: write parse, infer and run in the
// file of its family, add its OpDef to that family's table; the tables are
// listed in ops/registry.cc.
//
//   parse  at load: reads every attribute, refuses what is not supported
//   infer  before each run: sets dtype and shape of the outputs, may refuse
//   run    computes; cannot fail
//
// Run-time types: float16 and bfloat16 are storage formats of constants only.
// Activations declared float16 or bfloat16 are held and computed in float32
// (closer to the exact model than 16-bit arithmetic), so an op sees them as
// kF32. Constant inputs keep their half type only where OpDef::half_inputs
// says so; everywhere else the plan has converted them.
#ifndef SLM_OPS_OP_H_
#define SLM_OPS_OP_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/batch.h"
#include "runtime/core/result.h"
#include "runtime/core/tensor.h"
#include "runtime/core/threads.h"
#include "runtime/graph/graph.h"

namespace slm {

// Reads a node's attributes at load. Every attribute must be read (or skipped
// with a reason); Finish refuses the rest by name.
class AttributeReader {
 public:
  AttributeReader(const Graph& graph, const Node& node);

  const Node& node() const { return node_; }
  const Graph& graph() const { return graph_; }
  // Constant behind input i; nullptr if it is absent or no constant.
  const TensorView* ConstantInput(size_t i) const;
  bool HasInput(size_t i) const { return node_.Input(i) != kNoValue; }
  bool HasOutput(size_t i) const {
    return i < node_.outputs.size() && node_.outputs[i] != kNoValue;
  }

  // Present with another type: remembered as the failure of Finish.
  int64_t Int(std::string_view name, int64_t fallback);
  float Float(std::string_view name, float fallback);
  std::string String(std::string_view name, std::string fallback);
  std::vector<int64_t> Ints(std::string_view name);
  bool Has(std::string_view name) const { return node_.Find(name) != nullptr; }
  const Attribute* Get(std::string_view name);  // any type, marks as read
  // Required: absent is a failure of Finish.
  int64_t RequiredInt(std::string_view name);
  // Must be absent or equal `only`: anything else is not supported.
  void OnlyInt(std::string_view name, int64_t only);
  // Declared unused, with the reason why that is right.
  void Ignore(std::string_view name, const char* reason);

  // Remembers a failure: "file: node "x": Type: message".
  void Fail(const std::string& message);
  void FailUnless(bool condition, const std::string& message) {
    if (!condition) Fail(message);
  }
  // `in` inclusive bounds on the number of inputs and outputs.
  void CheckArity(size_t min_inputs, size_t max_inputs, size_t max_outputs);

  Status Finish();

 private:
  const Attribute* Typed(std::string_view name, Attribute::Type type,
                         const char* type_name);

  const Graph& graph_;
  const Node& node_;
  std::vector<std::string_view> read_;
  Status status_;
};

// What infer and run see of one node.
class OpContext {
 public:
  // --- set by the executor
  const void* params = nullptr;
  std::string_view node_name;
  std::span<const TensorView* const> inputs;  // nullptr: left out
  std::span<TensorView> outputs;
  std::span<const bool> wanted;  // outputs that someone reads
  ThreadPool* pool = nullptr;
  const Batch* batch = nullptr;  // sequence ops in ragged mode, else nullptr
  void* scratch = nullptr;       // scratch_bytes, aligned to kAlignment
  // Weights and scales that the plan's next kBlockWeights op reads, or nullptr.
  const TensorView* next_weights = nullptr;
  const TensorView* next_scales = nullptr;
  // --- set by infer
  size_t scratch_bytes = 0;

  template <typename P>
  const P& Params() const {
    return *static_cast<const P*>(params);
  }
  size_t input_count() const { return inputs.size(); }
  bool HasInput(size_t i) const { return i < inputs.size() && inputs[i]; }
  const TensorView& In(size_t i) const { return *inputs[i]; }
  TensorView& Out(size_t i) const { return outputs[i]; }
  bool Wants(size_t i) const { return i < wanted.size() && wanted[i]; }
  // In a dry run (memory planning) large tensors have shapes but no data:
  // infer that needs values must ask, and refuse with NeedsValue.
  bool HasValue(size_t i) const { return HasInput(i) && In(i).data; }

  // Sets output i; for infer.
  void SetOutput(size_t i, DType dtype, const Shape& shape) {
    outputs[i].dtype = dtype;
    outputs[i].shape = shape;
  }
  // The values of an int64 or int32 input as int64; for infer.
  Result<std::vector<int64_t>> IntValues(size_t i) const;
  // Refusal in infer: message without the node's name, which the executor adds.
  static Status NeedsValue(size_t input);
};

enum OpTraits : uint32_t {
  kNoTraits = 0,
  // Output 0 is input 0's memory with another shape: run is never called.
  kAlias = 1u << 0,
  // Output 0 may be input 0's memory where both have the same size: run reads
  // an element of input 0 before it writes the same element of output 0.
  kInPlace = 1u << 1,
  // Runs its subgraphs through the executor (If); run is nullptr.
  kControlFlow = 1u << 2,
  // Treats each row independently once rows are the leading axis: elementwise
  // ops, products with constants, norms over the last axis. Ragged batches may
  // pass through; runtime/plan/rows.cc checks the shapes.
  kRowwise = 1u << 3,
  // Reads OpContext::batch (attention bound to sequence state ...).
  kSequence = 1u << 4,
  // Gives other results each time or has effects: never folded.
  kNotPure = 1u << 5,
  // Run reads only the shapes of its inputs: it runs in a dry run, too.
  kShapeOnly = 1u << 6,
  // Reads quantised weights, input 1, [N, ...] and their scales, input 2.
  kBlockWeights = 1u << 7,
};

using OpParams = std::shared_ptr<const void>;

struct OpDef {
  std::string_view domain;  // "", "com.microsoft", "slm" (made by fusions)
  std::string_view type;
  int since;                // first opset version of these semantics
  int until;                // last one, kLatestOpset for "still so"
  // nullptr: takes no attributes and needs no parameters.
  Result<OpParams> (*parse)(AttributeReader& attributes);
  Status (*infer)(OpContext& context);
  void (*run)(OpContext& context);  // nullptr for kAlias and kControlFlow
  uint32_t traits;
  uint32_t half_inputs;  // bit i: constant input i may be float16 or bfloat16
};

inline constexpr int kLatestOpset = 24;

// Every operator, grouped by family (ops/registry.cc).
std::span<const std::span<const OpDef>> OpFamilies();
// nullptr if there is none for that version.
const OpDef* FindOp(std::string_view domain, std::string_view type,
                    int version);

// Common shape functions for tables.
Status InferSameAsInput0(OpContext& context);

// Makes OpParams of a struct; a helper for parse functions.
template <typename P>
OpParams MakeParams(P params) {
  return std::make_shared<const P>(std::move(params));
}

}  // namespace slm

#endif  // SLM_OPS_OP_H_
