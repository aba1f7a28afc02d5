// SPDX-License-Identifier: MIT
#include "tools/convert/safetensor_source.h"

#include <utility>

#include "tools/convert/decode.h"

namespace slm::convert {
namespace {

size_t Columns(const SafeTensor& tensor) {
  return tensor.shape.rank() < 2 ? 1 : static_cast<size_t>(tensor.shape.back());
}

}  // namespace

SafeTensorSource::SafeTensorSource(SafeTensors file) : file_(std::move(file)) {
  files_ = file_.files();
  total_bytes_ = file_.total_bytes();
  for (const auto& [name, tensor] : file_.tensors()) {
    TensorInfo& info = tensors_[name];
    info.shape = tensor.shape;
    info.type = SafeTypeName(tensor.type);
    info.readable = IsFloatType(tensor.type);
    // Convolutions of a channel by itself [C, 1, taps] are matrices.
    if (tensor.shape.rank() == 3 && tensor.shape[1] == 1) {
      info.shape = {tensor.shape[0], tensor.shape[2]};
    }
  }
  experts_ = FindExperts(file_);
  for (const auto& [name, view] : experts_) {
    for (const std::string& part : view.parts) tensors_.erase(part);
    TensorInfo& info = tensors_[name];
    info.shape = {view.experts * view.n, view.k};
    info.type = view.type();
    info.readable = true;
    info.rows_at_once = 64;
  }
}

void SafeTensorSource::ReadRows(std::string_view name, int64_t first,
                                int64_t rows, float* out) const {
  const auto view = experts_.find(name);
  if (view != experts_.end()) return view->second.Read(first, rows, out);
  const SafeTensor& tensor = *file_.Find(name);
  const size_t k = Columns(tensor);
  Decode(tensor.type,
         tensor.bytes.data() +
             static_cast<size_t>(first) * k * SafeTypeBytes(tensor.type),
         static_cast<size_t>(rows) * k, out);
}

void SafeTensorSource::Release(std::string_view name, int64_t first,
                               int64_t rows) const {
  const auto view = experts_.find(name);
  if (view != experts_.end()) return view->second.Release(file_, first, rows);
  const SafeTensor& tensor = *file_.Find(name);
  const size_t row = Columns(tensor) * SafeTypeBytes(tensor.type);
  file_.Release(tensor, static_cast<size_t>(first) * row,
                static_cast<size_t>(rows) * row);
}

bool SafeTensorSource::SameBytes(std::string_view a, std::string_view b) const {
  const SafeTensor* one = file_.Find(a);
  const SafeTensor* two = file_.Find(b);
  return one && two && one->type == two->type && one->shape == two->shape &&
         one->bytes == two->bytes;
}

}  // namespace slm::convert
