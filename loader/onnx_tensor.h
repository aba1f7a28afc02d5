// SPDX-License-Identifier: MIT
// TensorProto into TensorView: external data, data inside the proto, typed
// fields. Private to loader/onnx_*.cc.
#ifndef SLM_LOADER_ONNX_TENSOR_H_
#define SLM_LOADER_ONNX_TENSOR_H_

#include <map>
#include <string>

#include "onnx/onnx.pb.h"
#include "runtime/core/result.h"
#include "runtime/graph/graph.h"

namespace slm {

// Maps each data file once.
class TensorReader {
 public:
  // `model` is the mapped .onnx file, where inline data lies; it has been
  // moved into storage by the caller and outlives this reader. Data that is
  // not aligned to its element type, or a bool above 1, gets memory of its own;
  // kAsItIs leaves it where and as it is.
  enum class Data { kForKernels, kAsItIs };
  TensorReader(std::string folder, std::string_view model,
               GraphStorage* storage, Data data = Data::kForKernels)
      : folder_(std::move(folder)),
        model_(model),
        storage_(storage),
        data_(data) {}

  // Fails naming the tensor.
  Result<TensorView> Read(const onnx::TensorProto& proto);
  // The bytes of external data, and of raw_data that SlimModel took out, of any
  // element type; `size` where the proto gives no length.
  Result<std::string_view> ExternalBytes(const onnx::TensorProto& proto,
                                         size_t size);
  // Data files that were read, by location.
  const std::map<std::string, std::string_view>& files() const {
    return files_;
  }

 private:
  Result<std::string_view> DataFile(const std::string& location);
  Result<TensorView> External(const onnx::TensorProto& proto, TensorView view);
  Result<TensorView> Place(std::string_view bytes, TensorView view,
                           bool lives_on);
  Result<TensorView> Typed(const onnx::TensorProto& proto, TensorView view);

  std::string folder_;
  std::string_view model_;
  GraphStorage* storage_;
  Data data_;
  std::map<std::string, std::string_view> files_;  // by location
};

}  // namespace slm

#endif  // SLM_LOADER_ONNX_TENSOR_H_
