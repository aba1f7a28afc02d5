// SPDX-License-Identifier: MIT
#include "ops/block_weights.h"

namespace slm {
namespace {

// `shape` holds rows x rest elements, as [rows, ...] or flat.
Status CheckSize(const char* name, const Shape& shape, size_t rows,
                 size_t rest) {
  const auto count = CheckedMul(rows, rest);
  const bool fits =
      count && shape.Count() == *count && shape.rank() >= 1 &&
      (shape.rank() == 1 || shape[0] == static_cast<int64_t>(rows));
  if (fits) return OkStatus();
  return Invalid("%s %s does not hold [%zu, %zu]", name,
                 shape.ToString().c_str(), rows, rest);
}

bool IsScaleType(DType dtype) { return dtype == DType::kF32 || IsHalf(dtype); }

Status AddZeroPoints(const TensorView& zero_points, BlockQuantMatrix& m) {
  m.zero_points = zero_points.data;
  if (zero_points.dtype == DType::kU8) {
    m.zero_point_kind = ZeroPoints::kPacked;
    return CheckSize("zero_points", zero_points.shape, m.n,
                     m.zero_point_row_bytes());
  }
  if (zero_points.dtype != m.scale_dtype) {
    return Invalid(
        "zero_points have type %s, supported: uint8 and %s as scales",
        Name(zero_points.dtype), Name(m.scale_dtype));
  }
  m.zero_point_kind = ZeroPoints::kFloat;
  return CheckSize("zero_points", zero_points.shape, m.n, m.blocks());
}

}  // namespace

Result<BlockQuantMatrix> MakeBlockQuantMatrix(const BlockWeights& w) {
  BlockQuantMatrix m;
  m.n = w.n;
  m.k = w.k;
  m.bits = w.bits;
  m.block_size = w.block_size;
  if (w.data->dtype != DType::kU8) {
    return Invalid("weights have type %s, supported: uint8",
                   Name(w.data->dtype));
  }
  if (!IsScaleType(w.scales->dtype)) {
    return Invalid("scales have type %s, supported: float, float16, bfloat16",
                   Name(w.scales->dtype));
  }
  SLM_RETURN_IF_ERROR(CheckSize("weights", w.data->shape, m.n, m.row_bytes()));
  SLM_RETURN_IF_ERROR(CheckSize("scales", w.scales->shape, m.n, m.blocks()));
  m.b = w.data->Raw();
  m.scales = w.scales->data;
  m.scale_dtype = w.scales->dtype;
  if (w.zero_points) SLM_RETURN_IF_ERROR(AddZeroPoints(*w.zero_points, m));
  return m;
}

}  // namespace slm
