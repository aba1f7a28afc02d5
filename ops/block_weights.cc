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

// int16 is a type of scales where the plan made them, not in a file.
Status AddScales(const BlockWeights& w, BlockQuantMatrix& m) {
  const TensorView& scales = *w.scales;
  const ZeroPoints zeros =
      w.zero_points ? ZeroPoints::kPacked : ZeroPoints::kNone;
  const bool known =
      w.fixed_scales ? scales.dtype == DType::kI16 &&
                           CanHaveFixedScales(m.k, m.bits, m.block_size, zeros)
                     : scales.dtype == DType::kF32 || IsHalf(scales.dtype);
  if (!known) {
    return Invalid("scales have type %s, supported: float, float16, bfloat16",
                   Name(scales.dtype));
  }
  m.scales = scales.data;
  m.scale_dtype = scales.dtype;
  return CheckSize("scales", scales.shape, m.n, m.scale_columns());
}

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
  SLM_RETURN_IF_ERROR(CheckSize("weights", w.data->shape, m.n, m.row_bytes()));
  SLM_RETURN_IF_ERROR(AddScales(w, m));
  m.b = w.data->Raw();
  if (w.zero_points) SLM_RETURN_IF_ERROR(AddZeroPoints(*w.zero_points, m));
  return m;
}

}  // namespace slm
