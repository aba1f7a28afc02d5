// SPDX-License-Identifier: MIT
// Operators of domain "slm": made by the plan's rewrites, never in a file.
#include <cstring>

#include "ops/families.h"
#include "runtime/core/half.h"

namespace slm {
namespace {

// SelectRows: x [1, T, ...], rows int64 [R] -> [1, R, ...]. Only wanted
// rows go on to the logits (runtime/plan/select_rows.cc).
Status InferSelectRows(OpContext& c) {
  const Shape& x = c.In(0).shape;
  if (x.rank() < 2 || x[0] != 1 || c.In(1).shape.rank() != 1 ||
      c.In(1).dtype != DType::kI64) {
    return Invalid("expected [1, T, ...] and int64 [R], got %s and %s %s",
                   x.ToString().c_str(), Name(c.In(1).dtype),
                   c.In(1).shape.ToString().c_str());
  }
  if (c.HasValue(1)) {
    for (int64_t row : c.In(1).Span<int64_t>()) {
      if (row < 0 || row >= x[1]) {
        return Invalid("row %lld is outside of %lld",
                       static_cast<long long>(row),
                       static_cast<long long>(x[1]));
      }
    }
  }
  Shape out = x;
  out[1] = c.In(1).shape[0];
  c.SetOutput(0, c.In(0).dtype, out);
  return OkStatus();
}

void RunSelectRows(OpContext& c) {
  const TensorView& x = c.In(0);
  const size_t row_bytes =
      BytesFor(x.dtype, x.shape.CountOf(2, x.shape.rank()));
  auto* out = static_cast<uint8_t*>(c.Out(0).data);
  for (int64_t row : c.In(1).Span<int64_t>()) {
    std::memcpy(out, x.Raw() + static_cast<size_t>(row) * row_bytes, row_bytes);
    out += row_bytes;
  }
}

// GatherColumns: table [D, V], ids [...] -> [..., D], out[t, :] = table[:, id].
// What Gather(Transpose(table), ids) means: a tied embedding stored as the
// logits' [D, V] weight needs no transposed copy.
Status InferGatherColumns(OpContext& c) {
  const TensorView& table = c.In(0);
  const TensorView& ids = c.In(1);
  if (table.shape.rank() != 2 ||
      (ids.dtype != DType::kI64 && ids.dtype != DType::kI32)) {
    return Invalid("expected table [D, V] and integer ids, got %s and %s",
                   table.shape.ToString().c_str(), Name(ids.dtype));
  }
  const int64_t vocab = table.shape[1];
  if (c.HasValue(1)) {
    SLM_ASSIGN_OR_RETURN(const auto values, c.IntValues(1));
    for (int64_t id : values) {
      if (id < -vocab || id >= vocab) {
        return Invalid("index %lld is outside of %lld columns",
                       static_cast<long long>(id),
                       static_cast<long long>(vocab));
      }
    }
  }
  if (ids.shape.rank() + 1 > Shape::kMaxRank) {
    return Invalid("rank %zu is too high", ids.shape.rank());
  }
  Shape out = ids.shape;
  out.Append(table.shape[0]);
  c.SetOutput(0, DType::kF32, out);
  return OkStatus();
}

float LoadFloat(const TensorView& t, size_t i) {
  if (t.dtype == DType::kF32) return t.As<float>()[i];
  uint16_t bits;
  std::memcpy(&bits, t.Raw() + 2 * i, sizeof bits);
  return t.dtype == DType::kF16 ? FloatFromF16(bits) : FloatFromBF16(bits);
}

void RunGatherColumns(OpContext& c) {
  const TensorView& table = c.In(0);
  const TensorView& ids = c.In(1);
  const size_t d = static_cast<size_t>(table.shape[0]);
  const size_t v = static_cast<size_t>(table.shape[1]);
  float* out = c.Out(0).Mutable<float>();
  for (size_t t = 0; t < ids.Count(); ++t) {
    int64_t id = ids.dtype == DType::kI64 ? ids.As<int64_t>()[t]
                                          : ids.As<int32_t>()[t];
    if (id < 0) id += static_cast<int64_t>(v);
    for (size_t i = 0; i < d; ++i) {
      *out++ = LoadFloat(table, i * v + static_cast<size_t>(id));
    }
  }
}

constexpr OpDef kOps[] = {
    {"slm", "SelectRows", 1, kLatestOpset, nullptr, InferSelectRows,
     RunSelectRows, kNoTraits, 0},
    {"slm", "GatherColumns", 1, kLatestOpset, nullptr, InferGatherColumns,
     RunGatherColumns, kRowwise, 1u << 0},
};

}  // namespace

std::span<const OpDef> InternalOps() { return kOps; }

}  // namespace slm
