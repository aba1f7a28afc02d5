// SPDX-License-Identifier: MIT
#include "tools/convert/tensors.h"

#include <utility>

#include "loader/safetensors.h"
#include "tools/convert/decode.h"

namespace slm::convert {
namespace {

class SafeTensorSource : public TensorSource {
 public:
  explicit SafeTensorSource(SafeTensors file) : file_(std::move(file)) {
    files_ = file_.files();
    total_bytes_ = file_.total_bytes();
    for (const auto& [name, tensor] : file_.tensors()) {
      TensorInfo& info = tensors_[name];
      info.shape = tensor.shape;
      info.type = SafeTypeName(tensor.type);
      info.readable = IsFloatType(tensor.type);
    }
  }

  void ReadRows(std::string_view name, int64_t first, int64_t rows,
                float* out) const override {
    const SafeTensor& tensor = *file_.Find(name);
    const size_t k = Columns(tensor);
    Decode(tensor.type,
           tensor.bytes.data() +
               static_cast<size_t>(first) * k * SafeTypeBytes(tensor.type),
           static_cast<size_t>(rows) * k, out);
  }

  void Release(std::string_view name, int64_t first,
               int64_t rows) const override {
    const SafeTensor& tensor = *file_.Find(name);
    const size_t row = Columns(tensor) * SafeTypeBytes(tensor.type);
    file_.Release(tensor, static_cast<size_t>(first) * row,
                  static_cast<size_t>(rows) * row);
  }

  bool SameBytes(std::string_view a, std::string_view b) const override {
    const SafeTensor* one = file_.Find(a);
    const SafeTensor* two = file_.Find(b);
    return one && two && one->type == two->type && one->shape == two->shape &&
           one->bytes == two->bytes;
  }

 private:
  static size_t Columns(const SafeTensor& tensor) {
    return tensor.shape.rank() == 2 ? static_cast<size_t>(tensor.shape[1]) : 1;
  }

  SafeTensors file_;
};

}  // namespace

void TensorSource::ReadCodes(std::string_view, int64_t, int64_t,
                             const QuantizeOptions&,
                             const QuantizedRows&) const {}

void TensorSource::Release(std::string_view, int64_t, int64_t) const {}

bool TensorSource::SameBytes(std::string_view, std::string_view) const {
  return false;
}

bool Fits(const QuantGrid& grid, const QuantizeOptions& as) {
  return grid.bits <= as.bits && as.block_size <= grid.block_size &&
         (grid.symmetric || !as.symmetric);
}

Result<std::unique_ptr<TensorSource>> OpenSafeTensorSource(
    const std::string& folder) {
  SLM_ASSIGN_OR_RETURN(SafeTensors file, SafeTensors::Open(folder));
  return std::unique_ptr<TensorSource>(
      std::make_unique<SafeTensorSource>(std::move(file)));
}

}  // namespace slm::convert
