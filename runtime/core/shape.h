// SPDX-License-Identifier: MIT
// Shapes, and overflow-safe arithmetic for sizes that come from files.
//
// Dimension letters used in comments everywhere:
//   B batch   T new tokens   S cached + new   D model   H heads   K kv heads
//   E head size   F ffn   V vocab   G quantisation group
// and GEMM's M, N, K where a comment speaks of a matrix product.
#ifndef SLM_RUNTIME_CORE_SHAPE_H_
#define SLM_RUNTIME_CORE_SHAPE_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include "runtime/core/check.h"

namespace slm {

// nullopt on overflow of size_t.
constexpr std::optional<size_t> CheckedMul(size_t a, size_t b) {
  if (b != 0 && a > std::numeric_limits<size_t>::max() / b) return std::nullopt;
  return a * b;
}
constexpr std::optional<size_t> CheckedAdd(size_t a, size_t b) {
  if (a > std::numeric_limits<size_t>::max() - b) return std::nullopt;
  return a + b;
}
constexpr size_t CeilDiv(size_t a, size_t b) { return a / b + (a % b != 0); }
constexpr size_t RoundUp(size_t a, size_t multiple) {
  return CeilDiv(a, multiple) * multiple;
}

// Up to kMaxRank dimensions, none negative; a scalar has rank 0.
class Shape {
 public:
  static constexpr size_t kMaxRank = 8;

  constexpr Shape() = default;
  constexpr Shape(std::initializer_list<int64_t> dims) {
    for (int64_t d : dims) Append(d);
  }
  // The caller has checked rank and signs (Make does).
  explicit constexpr Shape(std::span<const int64_t> dims) {
    for (int64_t d : dims) Append(d);
  }
  // nullopt if the rank is above kMaxRank, a dimension is negative or the
  // number of elements times 8 bytes overflows.
  static std::optional<Shape> Make(std::span<const int64_t> dims);

  constexpr size_t rank() const { return rank_; }
  constexpr int64_t operator[](size_t i) const {
    SLM_DCHECK(i < rank_);
    return dims_[i];
  }
  constexpr int64_t& operator[](size_t i) {
    SLM_DCHECK(i < rank_);
    return dims_[i];
  }
  // Counted from the end: back(0) is the last dimension.
  constexpr int64_t back(size_t i = 0) const { return (*this)[rank_ - 1 - i]; }
  constexpr std::span<const int64_t> dims() const { return {dims_, rank_}; }

  constexpr void Append(int64_t dim) {
    SLM_CHECK(rank_ < kMaxRank);
    dims_[rank_++] = dim;
  }

  // Number of elements, 1 for a scalar. No overflow for a Shape from Make.
  constexpr size_t Count() const { return CountOf(0, rank_); }
  // Product of dims [begin, end).
  constexpr size_t CountOf(size_t begin, size_t end) const {
    size_t count = 1;
    for (size_t i = begin; i < end; ++i) count *= static_cast<size_t>(dims_[i]);
    return count;
  }

  friend constexpr bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (size_t i = 0; i < a.rank_; ++i) {
      if (a.dims_[i] != b.dims_[i]) return false;
    }
    return true;
  }

  std::string ToString() const;  // "[1, 7, 896]"

 private:
  int64_t dims_[kMaxRank] = {};
  size_t rank_ = 0;
};

// ONNX's multidirectional broadcasting; nullopt if the shapes do not fit.
std::optional<Shape> Broadcast(const Shape& a, const Shape& b);

// An axis in [-rank, rank) made non-negative; nullopt if it is outside.
constexpr std::optional<size_t> NormalizeAxis(int64_t axis, size_t rank) {
  const int64_t r = static_cast<int64_t>(rank);
  if (axis < -r || axis >= r) return std::nullopt;
  return static_cast<size_t>(axis < 0 ? axis + r : axis);
}

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_SHAPE_H_
