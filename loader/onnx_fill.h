// SPDX-License-Identifier: MIT
// The plain data of loader/onnx_writer.h as protos. Private to
// loader/onnx_*.cc.
#ifndef SLM_LOADER_ONNX_FILL_H_
#define SLM_LOADER_ONNX_FILL_H_

#include <string>

#include "loader/onnx_writer.h"
#include "onnx/onnx.pb.h"

namespace slm {

void FillNode(const OnnxNode& node, onnx::NodeProto* proto);
// The tensor lies in `data_file`.
void FillInitializer(const OnnxInitializer& tensor,
                     const std::string& data_file, onnx::TensorProto* proto);
// Where the data of `proto` lies.
void FillPlace(const std::string& data_file, uint64_t offset, uint64_t length,
               onnx::TensorProto* proto);
Result<std::string> SerializeProto(const onnx::ModelProto& proto);

}  // namespace slm

#endif  // SLM_LOADER_ONNX_FILL_H_
