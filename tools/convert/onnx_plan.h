// SPDX-License-Identifier: MIT
// What becomes of the weights of an ONNX graph: the nodes that change, and the
// weights that are made for them.
#ifndef SLM_TOOLS_CONVERT_ONNX_PLAN_H_
#define SLM_TOOLS_CONVERT_ONNX_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "loader/onnx_document.h"
#include "runtime/core/result.h"
#include "tools/convert/graph.h"
#include "tools/convert/onnx_tensors.h"

namespace slm::convert {

struct OnnxRequest {
  GraphOptions graph;
  bool keeps = false;  // every weight stays as it is
  // Without it weights that have the bits that are asked for keep their blocks
  // and zero points.
  bool grid_given = false;
  bool requantize = false;      // even weights in the format that is asked for
  bool accuracy_given = false;  // for products that are there already
  // Nothing but the accuracy level is asked for: a graph that has MatMulNBits
  // keeps its weights.
  bool accuracy_alone = false;
};

// A weight for the graph that it goes into. Its parts may have other names than
// NamesOf's, where those are taken.
struct OnnxWeight {
  Weight weight;
  int graph = 0;
  std::vector<std::string> names;
};

struct OnnxPlan {
  std::vector<OnnxWeight> weights;
  std::vector<int> placed;  // initializers that stay, in the data file
  std::vector<std::string> notes;
  uint64_t values = 0;  // of all weights
};

// Edits the document, but for the places of initializers; `tensors` gets the
// matrices that the weights are made of.
Result<OnnxPlan> PlanOnnx(const OnnxRequest& request, OnnxDocument* document,
                          OnnxTensors* tensors);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_ONNX_PLAN_H_
