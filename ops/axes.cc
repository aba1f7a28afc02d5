// SPDX-License-Identifier: MIT
#include "ops/axes.h"

#include <algorithm>

#include "ops/types.h"

namespace slm {

Result<size_t> CheckedAxis(int64_t axis, size_t rank) {
  const auto normalized = NormalizeAxis(axis, rank);
  if (!normalized) {
    return Invalid("axis %lld is outside of rank %zu",
                   static_cast<long long>(axis), rank);
  }
  return *normalized;
}

Result<std::vector<size_t>> CheckedAxes(const std::vector<int64_t>& axes,
                                        size_t rank) {
  std::vector<size_t> result;
  for (int64_t axis : axes) {
    SLM_ASSIGN_OR_RETURN(const size_t checked, CheckedAxis(axis, rank));
    result.push_back(checked);
  }
  std::sort(result.begin(), result.end());
  const auto twice = std::adjacent_find(result.begin(), result.end());
  if (twice != result.end()) {
    return Invalid("axis %zu is given twice", *twice);
  }
  return result;
}

std::optional<std::vector<int64_t>> AxesAttribute(AttributeReader& attributes) {
  if (!attributes.Has("axes")) return std::nullopt;
  return attributes.Ints("axes");
}

Result<std::optional<std::vector<int64_t>>> AxesValue(
    const OpContext& context, const std::optional<std::vector<int64_t>>& fixed,
    size_t input) {
  if (fixed || !context.HasInput(input)) return fixed;
  SLM_ASSIGN_OR_RETURN(auto values, context.IntValues(input));
  return std::optional<std::vector<int64_t>>(std::move(values));
}

Result<Shape> MakeShape(std::span<const int64_t> dims) {
  const auto shape = Shape::Make(dims);
  if (shape) return *shape;
  std::string text;
  for (size_t i = 0; i < dims.size() && i < 2 * Shape::kMaxRank; ++i) {
    text += (i ? ", " : "") + std::to_string(dims[i]);
  }
  return Invalid("shape [%s] is not possible (rank up to %zu)", text.c_str(),
                 Shape::kMaxRank);
}

Status CheckMovable(const OpContext& context, size_t input) {
  if (IsMovable(context.In(input).dtype)) return OkStatus();
  return Invalid("input %zu: type %s is not supported", input,
                 Name(context.In(input).dtype));
}

Status CheckIndexType(const OpContext& context, size_t input) {
  const DType dtype = context.In(input).dtype;
  if (dtype == DType::kI64 || dtype == DType::kI32) return OkStatus();
  return Invalid("input %zu has type %s, expected int32 or int64", input,
                 Name(dtype));
}

}  // namespace slm
