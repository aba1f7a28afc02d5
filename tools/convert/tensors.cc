// SPDX-License-Identifier: MIT
#include "tools/convert/tensors.h"

namespace slm::convert {

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

}  // namespace slm::convert
