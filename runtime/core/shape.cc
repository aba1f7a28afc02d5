// SPDX-License-Identifier: MIT
#include "runtime/core/shape.h"

#include <algorithm>

namespace slm {

std::optional<Shape> Shape::Make(std::span<const int64_t> dims) {
  if (dims.size() > kMaxRank) return std::nullopt;
  // A zero dimension must not hide an overflow of the others.
  size_t total = sizeof(int64_t);
  for (int64_t d : dims) {
    if (d < 0) return std::nullopt;
    if (d == 0) continue;
    const auto product = CheckedMul(total, static_cast<size_t>(d));
    if (!product || *product > static_cast<size_t>(
                                   std::numeric_limits<int64_t>::max())) {
      return std::nullopt;
    }
    total = *product;
  }
  return Shape(dims);
}

std::string Shape::ToString() const {
  std::string text = "[";
  for (size_t i = 0; i < rank_; ++i) {
    if (i) text += ", ";
    text += std::to_string(dims_[i]);
  }
  return text + "]";
}

std::optional<Shape> Broadcast(const Shape& a, const Shape& b) {
  const size_t rank = std::max(a.rank(), b.rank());
  int64_t dims[Shape::kMaxRank];
  for (size_t i = 0; i < rank; ++i) {
    const int64_t da = i < a.rank() ? a.back(i) : 1;
    const int64_t db = i < b.rank() ? b.back(i) : 1;
    if (da != db && da != 1 && db != 1) return std::nullopt;
    dims[rank - 1 - i] = da == 1 ? db : da;
  }
  return Shape::Make({dims, rank});
}

}  // namespace slm
