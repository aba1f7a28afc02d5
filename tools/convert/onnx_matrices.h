// SPDX-License-Identifier: MIT
// The constant matrices of an ONNX graph: which nodes multiply with one or look
// up rows of one, and how the file holds it.
#ifndef SLM_TOOLS_CONVERT_ONNX_MATRICES_H_
#define SLM_TOOLS_CONVERT_ONNX_MATRICES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "loader/onnx_document.h"

namespace slm::convert {

// W [n, k] of y = x W^T, or a table of n rows.
struct OnnxMatrix {
  enum class Form {
    kFloat,   // [n, k], or [k, n] where it is turned
    kPacked,  // codes of MatMulNBits
    kTable,   // codes of GatherBlockQuantized
    kLinear,  // codes of DequantizeLinear, [n, k] or turned
  };
  Form form = Form::kFloat;
  // Indices into the document's tensors; -1: there is none.
  int values = -1, scales = -1, zero_points = -1;
  bool turned = false;
  int64_t n = 0, k = 0;
  DType type = DType::kF32;  // of the product or the rows

  // Quantised forms. Scale and zero point of [r, c] in kLinear are at
  // r * row_step + c / block_size * block_step.
  int bits = 0;
  size_t block_size = 0;
  size_t row_step = 0, block_step = 0;
  bool is_signed = false;
  // The form that MatMulNBits can hold without a change: blocks of its sizes
  // along k and integer zero points.
  bool has_grid = false;
  bool symmetric = true;  // no zero points, codes around 2^(bits-1)

  bool quantized() const { return form != Form::kFloat; }
};

struct OnnxUse {
  enum class Op { kMatMul, kGemm, kMatMulNBits, kGather, kGatherQuantized };
  Op op = Op::kMatMul;
  int graph = 0, node = 0;
  OnnxMatrix matrix;
  // Nodes between the file's tensor and this node.
  std::vector<std::pair<int, int>> chain;
  // Why it cannot be changed; empty: it can.
  std::string fixed;
};

struct OnnxUses {
  std::vector<OnnxUse> uses;
  // Weights of these operators are quantised in ways that are not read.
  std::map<std::string, int> unread;
};

// Fails where a quantised weight's sizes contradict each other.
Result<OnnxUses> FindMatrices(const OnnxDocument& document);

// Where a name of a graph comes from.
struct OnnxOrigin {
  int tensor = -1;            // index into the document's tensors
  int graph = -1, node = -1;  // the node that makes it
  bool input = false;         // of the graph
};

class OnnxNames {
 public:
  explicit OnnxNames(const OnnxDocument& document);
  OnnxOrigin Find(int graph, const std::string& name) const;

 private:
  struct Scope {
    std::map<std::string, int> tensors, nodes;
    std::set<std::string> inputs;
  };
  const OnnxDocument& document_;
  std::vector<Scope> scopes_;
};

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_ONNX_MATRICES_H_
