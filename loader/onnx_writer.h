// SPDX-License-Identifier: MIT
// ONNX files as plain data, and their serialisation. Weights lie in one
// external file, of which the model holds names, shapes and places only: a
// writer of many gigabytes needs memory for the graph alone.
#ifndef SLM_LOADER_ONNX_WRITER_H_
#define SLM_LOADER_ONNX_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "runtime/core/dtype.h"
#include "runtime/core/result.h"
#include "runtime/graph/graph.h"

namespace slm {

struct OnnxGraph;

// A tensor inside the model file.
struct OnnxConstant {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> dims;
  std::string bytes;  // little-endian
};

struct OnnxAttribute {
  std::string name;
  std::variant<int64_t, float, std::string, std::vector<int64_t>, OnnxConstant,
               std::shared_ptr<OnnxGraph>>
      value;
};

struct OnnxNode {
  std::string name, type, domain;
  std::vector<std::string> inputs, outputs;
  std::vector<OnnxAttribute> attributes;
};

struct OnnxValue {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<Dim> dims;
};

// A tensor in the external file.
struct OnnxInitializer {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> dims;
  uint64_t offset = 0, length = 0;
};

struct OnnxGraph {
  std::string name;
  std::vector<OnnxNode> nodes;
  std::vector<OnnxValue> inputs, outputs;
  std::vector<OnnxInitializer> initializers;
};

struct OnnxModel {
  std::string producer, producer_version;
  std::string data_file;  // beside the model: "model.onnx.data"
  OnnxGraph graph;
};

// A ModelProto of IR version 10, opset 21 and com.microsoft 1. Fails where it
// would exceed protobuf's 2 GiB.
Result<std::string> SerializeOnnx(const OnnxModel& model);

}  // namespace slm

#endif  // SLM_LOADER_ONNX_WRITER_H_
