// SPDX-License-Identifier: MIT
// Gather, GatherElements, GatherND.
#include <algorithm>
#include <cstring>

#include "ops/axes.h"
#include "ops/families.h"
#include "ops/indexing.h"
#include "ops/parallel.h"
#include "ops/types.h"
#include "runtime/core/half.h"

namespace slm {

Status CheckIndices(const OpContext& c, size_t input, int64_t dim) {
  SLM_RETURN_IF_ERROR(CheckIndexType(c, input));
  if (!c.HasValue(input)) return OkStatus();
  const TensorView& t = c.In(input);
  for (size_t i = 0; i < t.Count(); ++i) {
    const int64_t index = IntegerAt(t, i);
    if (WrapIndex(index, dim) < 0) {
      return Invalid("index %lld is outside of the axis of %lld",
                     static_cast<long long>(index),
                     static_cast<long long>(dim));
    }
  }
  return OkStatus();
}

Status CheckIndexTuples(const OpContext& c, size_t input, const Shape& shape,
                        size_t first) {
  SLM_RETURN_IF_ERROR(CheckIndexType(c, input));
  if (!c.HasValue(input)) return OkStatus();
  const TensorView& t = c.In(input);
  const size_t width = static_cast<size_t>(t.shape.back());
  for (size_t i = 0; i < t.Count(); ++i) {
    const int64_t dim = shape[first + i % width];
    if (WrapIndex(IntegerAt(t, i), dim) < 0) {
      return Invalid("index %lld is outside of axis %zu of %s",
                     static_cast<long long>(IntegerAt(t, i)), first + i % width,
                     shape.ToString().c_str());
    }
  }
  return OkStatus();
}

namespace {

struct AxisParams {
  int64_t axis = 0;
};

Result<OpParams> ParseAxis(AttributeReader& attributes) {
  attributes.CheckArity(2, 2, 1);
  AxisParams params;
  params.axis = attributes.Int("axis", 0);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

// --- Gather: data [A, dim, B], indices [I] -> [A, I, B].

Status InferGather(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const Shape& indices = c.In(1).shape;
  SLM_RETURN_IF_ERROR(CheckMovable(c, 0));
  SLM_ASSIGN_OR_RETURN(const size_t axis,
                       CheckedAxis(c.Params<AxisParams>().axis, x.rank()));
  SLM_RETURN_IF_ERROR(CheckIndices(c, 1, x[axis]));
  std::vector<int64_t> dims;
  for (size_t i = 0; i < axis; ++i) dims.push_back(x[i]);
  for (int64_t d : indices.dims()) dims.push_back(d);
  for (size_t i = axis + 1; i < x.rank(); ++i) dims.push_back(x[i]);
  SLM_ASSIGN_OR_RETURN(const Shape out, MakeShape(dims));
  const DType dtype = c.In(0).dtype;
  c.SetOutput(0, IsHalf(dtype) ? DType::kF32 : dtype, out);
  return OkStatus();
}

// n elements from `in`, half ones as float; zeros where in is nullptr.
void CopyElements(const uint8_t* in, DType dtype, size_t n, uint8_t* out) {
  if (!in) {
    std::memset(out, 0, n * (IsHalf(dtype) ? 4 : ElementBytes(dtype)));
  } else if (!IsHalf(dtype)) {
    std::memcpy(out, in, n * ElementBytes(dtype));
  } else {
    float* to = reinterpret_cast<float*>(out);
    for (size_t i = 0; i < n; ++i) {
      uint16_t bits;
      std::memcpy(&bits, in + 2 * i, sizeof bits);
      to[i] = dtype == DType::kF16 ? FloatFromF16(bits) : FloatFromBF16(bits);
    }
  }
}

void RunGather(OpContext& c) {
  const TensorView& x = c.In(0);
  const TensorView& indices = c.In(1);
  const size_t axis =
      *NormalizeAxis(c.Params<AxisParams>().axis, x.shape.rank());
  const int64_t dim = x.shape[axis];
  const size_t inner = x.shape.CountOf(axis + 1, x.shape.rank());
  const size_t outer = x.shape.CountOf(0, axis);
  const size_t n = indices.Count();
  if (inner == 0) return;
  auto* out = static_cast<uint8_t*>(c.Out(0).data);
  const size_t out_row = inner * ElementBytes(c.Out(0).dtype);
  const size_t in_row = inner * ElementBytes(x.dtype);
  const size_t grain = std::max<size_t>(kCheapGrain / inner, 1);
  ForElements(c, outer * n, grain, [&](size_t row, size_t end) {
    for (; row < end; ++row) {
      const int64_t at = WrapIndex(IntegerAt(indices, row % n), dim);
      const size_t from = row / n * static_cast<size_t>(dim) +
                          static_cast<size_t>(std::max<int64_t>(at, 0));
      CopyElements(at < 0 ? nullptr : x.Raw() + from * in_row, x.dtype, inner,
                   out + row * out_row);
    }
  });
}

// --- GatherElements: out[i, j, k] = data[i, index[i, j, k], k] for axis 1.

Status InferGatherElements(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const Shape& indices = c.In(1).shape;
  SLM_RETURN_IF_ERROR(CheckMovable(c, 0));
  SLM_ASSIGN_OR_RETURN(const size_t axis,
                       CheckedAxis(c.Params<AxisParams>().axis, x.rank()));
  bool fits = indices.rank() == x.rank();
  for (size_t i = 0; fits && i < x.rank(); ++i) {
    fits = i == axis || indices[i] <= x[i];
  }
  if (!fits) {
    return Invalid("indices %s do not fit data %s on axis %zu",
                   indices.ToString().c_str(), x.ToString().c_str(), axis);
  }
  SLM_RETURN_IF_ERROR(CheckIndices(c, 1, x[axis]));
  c.SetOutput(0, c.In(0).dtype, indices);
  return OkStatus();
}

void RunGatherElements(OpContext& c) {
  const TensorView& x = c.In(0);
  const TensorView& indices = c.In(1);
  const size_t rank = x.shape.rank();
  const size_t axis = *NormalizeAxis(c.Params<AxisParams>().axis, rank);
  VisitWidth(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* from = static_cast<const T*>(x.data);
    T* out = static_cast<T*>(c.Out(0).data);
    ForElements(c, indices.Count(), kCostlyGrain, [&](size_t i, size_t end) {
      for (; i < end; ++i) {
        const int64_t at = WrapIndex(IntegerAt(indices, i), x.shape[axis]);
        size_t rest = i, stride = 1, offset = 0;
        for (size_t d = rank; d-- > 0;) {
          const size_t dim = static_cast<size_t>(indices.shape[d]);
          const size_t own = rest % dim;
          rest /= dim;
          offset += (d == axis ? static_cast<size_t>(std::max<int64_t>(at, 0))
                               : own) *
                    stride;
          stride *= static_cast<size_t>(x.shape[d]);
        }
        out[i] = at < 0 ? T(0) : from[offset];
      }
    });
  });
}

// --- GatherND: the last axis of indices holds positions in the axes of data
// behind batch_dims.

struct GatherNDParams {
  int64_t batch_dims = 0;
};

Result<OpParams> ParseGatherND(AttributeReader& attributes) {
  attributes.CheckArity(2, 2, 1);
  GatherNDParams params;
  params.batch_dims = attributes.Int("batch_dims", 0);
  attributes.FailUnless(params.batch_dims >= 0,
                        Format("attribute \"batch_dims\" = %lld is negative",
                               static_cast<long long>(params.batch_dims)));
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

Status InferGatherND(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const Shape& indices = c.In(1).shape;
  SLM_RETURN_IF_ERROR(CheckMovable(c, 0));
  const size_t batch =
      static_cast<size_t>(c.Params<GatherNDParams>().batch_dims);
  bool fits = indices.rank() > batch && x.rank() > batch &&
              indices.back() >= 1 &&
              static_cast<size_t>(indices.back()) <= x.rank() - batch;
  for (size_t i = 0; fits && i < batch; ++i) fits = indices[i] == x[i];
  if (!fits) {
    return Invalid("indices %s do not fit data %s with %zu batch axes",
                   indices.ToString().c_str(), x.ToString().c_str(), batch);
  }
  SLM_RETURN_IF_ERROR(CheckIndexTuples(c, 1, x, batch));
  std::vector<int64_t> dims(indices.dims().begin(), indices.dims().end() - 1);
  for (size_t i = batch + static_cast<size_t>(indices.back()); i < x.rank();
       ++i) {
    dims.push_back(x[i]);
  }
  SLM_ASSIGN_OR_RETURN(const Shape out, MakeShape(dims));
  c.SetOutput(0, c.In(0).dtype, out);
  return OkStatus();
}

void RunGatherND(OpContext& c) {
  const TensorView& x = c.In(0);
  const TensorView& indices = c.In(1);
  const size_t batch =
      static_cast<size_t>(c.Params<GatherNDParams>().batch_dims);
  const size_t width = static_cast<size_t>(indices.shape.back());
  const size_t inner = x.shape.CountOf(batch + width, x.shape.rank());
  const size_t tuples = indices.Count() / width;
  const size_t batches = x.shape.CountOf(0, batch);
  if (inner == 0 || tuples == 0) return;
  auto* out = static_cast<uint8_t*>(c.Out(0).data);
  const size_t bytes = inner * ElementBytes(x.dtype);
  for (size_t t = 0; t < tuples; ++t) {
    size_t offset = t / (tuples / batches);
    bool inside = true;
    for (size_t k = 0; k < width; ++k) {
      const int64_t dim = x.shape[batch + k];
      const int64_t at = WrapIndex(IntegerAt(indices, t * width + k), dim);
      inside = inside && at >= 0;
      offset = offset * static_cast<size_t>(dim) +
               static_cast<size_t>(std::max<int64_t>(at, 0));
    }
    CopyElements(inside ? x.Raw() + offset * bytes : nullptr, x.dtype, inner,
                 out + t * bytes);
  }
}

constexpr OpDef kOps[] = {
    {"", "Gather", 1, kLatestOpset, ParseAxis, InferGather, RunGather, kRowwise,
     1u << 0},
    {"", "GatherElements", 11, kLatestOpset, ParseAxis, InferGatherElements,
     RunGatherElements, kNoTraits, 0},
    {"", "GatherND", 11, kLatestOpset, ParseGatherND, InferGatherND,
     RunGatherND, kNoTraits, 0},
};

}  // namespace

std::span<const OpDef> GatherOps() { return kOps; }

}  // namespace slm
