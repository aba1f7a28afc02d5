// SPDX-License-Identifier: MIT
// ONNX files into slm::Graph. The only files that know protobuf are
// loader/onnx_*.cc.
#ifndef SLM_LOADER_ONNX_GRAPH_H_
#define SLM_LOADER_ONNX_GRAPH_H_

#include <memory>
#include <string>

#include "runtime/core/result.h"
#include "runtime/graph/graph.h"

namespace slm {

// Reads a model. Weights, inside the file or in external data files beside
// it, are mapped and not copied; only data that is not aligned to its element
// type, or is stored in typed proto fields, gets memory of its own. Constant
// nodes become constants. Unknown operators are not judged here.
Result<std::unique_ptr<Graph>> LoadOnnxGraph(const std::string& path);

// A TensorProto file (ONNX's test data: input_0.pb) as a tensor; the memory
// belongs to `storage`. Float16 and bfloat16 stay as they are.
Result<TensorView> LoadOnnxTensor(const std::string& path,
                                  GraphStorage* storage);

}  // namespace slm

#endif  // SLM_LOADER_ONNX_GRAPH_H_
