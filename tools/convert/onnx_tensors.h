// SPDX-License-Identifier: MIT
// The matrices of an ONNX graph as rows of float32, or as codes.
#ifndef SLM_TOOLS_CONVERT_ONNX_TENSORS_H_
#define SLM_TOOLS_CONVERT_ONNX_TENSORS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "loader/onnx_document.h"
#include "tools/convert/onnx_matrices.h"
#include "tools/convert/tensors.h"

namespace slm::convert {

class OnnxTensors : public TensorSource {
 public:
  // The document outlives this object.
  explicit OnnxTensors(const OnnxDocument& document);

  // The matrix under the name that is returned, each once.
  std::string Add(const OnnxMatrix& matrix);

  void ReadRows(std::string_view name, int64_t first, int64_t rows,
                float* out) const override;
  void ReadCodes(std::string_view name, int64_t first, int64_t rows,
                 const QuantizeOptions& as,
                 const QuantizedRows& out) const override;
  void Release(std::string_view name, int64_t first,
               int64_t rows) const override;

 private:
  const DocumentTensor& Tensor(int index) const {
    return document_.tensors()[static_cast<size_t>(index)];
  }
  const OnnxMatrix& Matrix(std::string_view name) const {
    return matrices_.find(name)->second;
  }

  const OnnxDocument& document_;
  std::map<std::string, OnnxMatrix, std::less<>> matrices_;
};

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_ONNX_TENSORS_H_
