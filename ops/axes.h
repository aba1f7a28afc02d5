// SPDX-License-Identifier: MIT
// Axes that ONNX moved from an attribute to an input over the years, and other
// checks that several families share.
#ifndef SLM_OPS_AXES_H_
#define SLM_OPS_AXES_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "ops/op.h"

namespace slm {

// One axis made non-negative, or a refusal.
Result<size_t> CheckedAxis(int64_t axis, size_t rank);

// Axes made non-negative and sorted; refuses those outside and twice named.
Result<std::vector<size_t>> CheckedAxes(const std::vector<int64_t>& axes,
                                        size_t rank);

// "axes" as attribute (older opsets) or nothing.
std::optional<std::vector<int64_t>> AxesAttribute(AttributeReader& attributes);

// The attribute's axes, or else those of input i, or nullopt if it is absent.
Result<std::optional<std::vector<int64_t>>> AxesValue(
    const OpContext& context, const std::optional<std::vector<int64_t>>& fixed,
    size_t input);

// Shape::Make with a message.
Result<Shape> MakeShape(std::span<const int64_t> dims);

// Refuses int4 and uint4, whose elements are not whole bytes.
Status CheckMovable(const OpContext& context, size_t input);

// Refuses an input that is not int64 or int32, naming what it is for.
Status CheckIndexType(const OpContext& context, size_t input);

// Element k of an int64 or int32 tensor.
inline int64_t IntegerAt(const TensorView& t, size_t k) {
  return t.dtype == DType::kI64 ? t.As<int64_t>()[k] : t.As<int32_t>()[k];
}

}  // namespace slm

#endif  // SLM_OPS_AXES_H_
