// SPDX-License-Identifier: MIT
// ScatterElements, ScatterND, TensorScatter: a copy of the data with updates
// written (or combined) at indices, in the order of the updates.
#include <algorithm>
#include <cstring>

#include "ops/axes.h"
#include "ops/families.h"
#include "ops/indexing.h"
#include "ops/types.h"

namespace slm {
namespace {

enum class Reduction { kNone, kAdd, kMul, kMax, kMin };

constexpr struct {
  const char* name;
  Reduction reduction;
} kReductions[] = {{"none", Reduction::kNone},
                   {"add", Reduction::kAdd},
                   {"mul", Reduction::kMul},
                   {"max", Reduction::kMax},
                   {"min", Reduction::kMin}};

struct ScatterParams {
  int64_t axis = 0;
  Reduction reduction = Reduction::kNone;
};

// ScatterElements has an axis, ScatterND none.
template <bool kAxis>
Result<OpParams> ParseScatter(AttributeReader& attributes) {
  attributes.CheckArity(3, 3, 1);
  ScatterParams params;
  if (kAxis) params.axis = attributes.Int("axis", 0);
  const std::string name = attributes.String("reduction", "none");
  bool known = false;
  for (const auto& r : kReductions) {
    if (name != r.name) continue;
    params.reduction = r.reduction;
    known = true;
  }
  attributes.FailUnless(known,
                        Format("attribute \"reduction\" = \"%s\", supported: "
                               "none, add, mul, max, min",
                               Printable(name).c_str()));
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

Status CheckUpdateType(const OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckMovable(c, 0));
  if (c.In(2).dtype != c.In(0).dtype) {
    return Invalid("updates are %s, data %s", Name(c.In(2).dtype),
                   Name(c.In(0).dtype));
  }
  if (c.Params<ScatterParams>().reduction != Reduction::kNone &&
      !Contains(Numbers(), c.In(0).dtype)) {
    return Invalid("type %s does not reduce", Name(c.In(0).dtype));
  }
  return OkStatus();
}

template <typename T>
T Combine(Reduction reduction, T old, T update) {
  // Integers wrap: in uint64_t overflow is defined.
  const auto wide = [](T v) {
    if constexpr (std::is_floating_point_v<T>)
      return v;
    else
      return static_cast<uint64_t>(v);
  };
  switch (reduction) {
    case Reduction::kNone:
      return update;
    case Reduction::kAdd:
      return static_cast<T>(wide(old) + wide(update));
    case Reduction::kMul:
      return static_cast<T>(wide(old) * wide(update));
    case Reduction::kMax:
      return old < update ? update : old;
    case Reduction::kMin:
      return update < old ? update : old;
  }
  return update;
}

// out[offset .. offset + n) op= update[0 .. n).
void Apply(Reduction reduction, const TensorView& out, size_t offset,
           const TensorView& updates, size_t from, size_t n) {
  if (reduction == Reduction::kNone) {
    const size_t width = ElementBytes(out.dtype);
    std::memcpy(static_cast<uint8_t*>(out.data) + offset * width,
                updates.Raw() + from * width, n * width);
    return;
  }
  Visit(Numbers(), out.dtype, [&](auto tag) {
    using T = decltype(tag);
    T* to = out.Mutable<T>() + offset;
    const T* update = updates.As<T>() + from;
    for (size_t i = 0; i < n; ++i) to[i] = Combine(reduction, to[i], update[i]);
  });
}

void CopyData(const OpContext& c) {
  if (c.In(0).Bytes() > 0) {
    std::memcpy(c.Out(0).data, c.In(0).data, c.In(0).Bytes());
  }
}

// --- ScatterElements: out[i, index[i, j], k] op= updates[i, j, k] for axis 1.

Status InferScatterElements(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const Shape& indices = c.In(1).shape;
  SLM_RETURN_IF_ERROR(CheckUpdateType(c));
  SLM_ASSIGN_OR_RETURN(const size_t axis,
                       CheckedAxis(c.Params<ScatterParams>().axis, x.rank()));
  bool fits = indices.rank() == x.rank() && indices == c.In(2).shape;
  for (size_t i = 0; fits && i < x.rank(); ++i) {
    fits = i == axis || indices[i] <= x[i];
  }
  if (!fits) {
    return Invalid("indices %s and updates %s do not fit data %s on axis %zu",
                   indices.ToString().c_str(), c.In(2).shape.ToString().c_str(),
                   x.ToString().c_str(), axis);
  }
  SLM_RETURN_IF_ERROR(CheckIndices(c, 1, x[axis]));
  return InferSameAsInput0(c);
}

void RunScatterElements(OpContext& c) {
  const auto& params = c.Params<ScatterParams>();
  const Shape& x = c.In(0).shape;
  const TensorView& indices = c.In(1);
  const size_t axis = *NormalizeAxis(params.axis, x.rank());
  CopyData(c);
  for (size_t i = 0; i < indices.Count(); ++i) {
    const int64_t at = WrapIndex(IntegerAt(indices, i), x[axis]);
    if (at < 0) continue;  // refused by infer
    size_t rest = i, stride = 1, offset = 0;
    for (size_t d = x.rank(); d-- > 0;) {
      const size_t dim = static_cast<size_t>(indices.shape[d]);
      offset += (d == axis ? static_cast<size_t>(at) : rest % dim) * stride;
      rest /= dim;
      stride *= static_cast<size_t>(x[d]);
    }
    Apply(params.reduction, c.Out(0), offset, c.In(2), i, 1);
  }
}

// --- ScatterND: the last axis of indices holds positions; updates are slices.

Status InferScatterND(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const Shape& indices = c.In(1).shape;
  SLM_RETURN_IF_ERROR(CheckUpdateType(c));
  bool fits = indices.rank() >= 1 && indices.back() >= 1 &&
              static_cast<size_t>(indices.back()) <= x.rank();
  std::vector<int64_t> want;
  if (fits) {
    want.assign(indices.dims().begin(), indices.dims().end() - 1);
    for (size_t i = static_cast<size_t>(indices.back()); i < x.rank(); ++i) {
      want.push_back(x[i]);
    }
    const auto dims = c.In(2).shape.dims();
    fits = std::equal(want.begin(), want.end(), dims.begin(), dims.end());
  }
  if (!fits) {
    return Invalid("indices %s and updates %s do not fit data %s",
                   indices.ToString().c_str(), c.In(2).shape.ToString().c_str(),
                   x.ToString().c_str());
  }
  SLM_RETURN_IF_ERROR(CheckIndexTuples(c, 1, x, 0));
  return InferSameAsInput0(c);
}

void RunScatterND(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const TensorView& indices = c.In(1);
  const size_t width = static_cast<size_t>(indices.shape.back());
  const size_t inner = x.CountOf(width, x.rank());
  CopyData(c);
  if (inner == 0) return;
  for (size_t t = 0; t < indices.Count() / width; ++t) {
    size_t offset = 0;
    bool inside = true;
    for (size_t k = 0; k < width; ++k) {
      const int64_t at = WrapIndex(IntegerAt(indices, t * width + k), x[k]);
      inside = inside && at >= 0;
      offset = offset * static_cast<size_t>(x[k]) +
               static_cast<size_t>(std::max<int64_t>(at, 0));
    }
    if (!inside) continue;  // refused by infer
    Apply(c.Params<ScatterParams>().reduction, c.Out(0), offset * inner,
          c.In(2), t * inner, inner);
  }
}

// --- TensorScatter: a cache [B, ..., S, ...] with update [B, ..., T, ...]
// written from position write_indices[b] of `axis`.

struct TensorScatterParams {
  int64_t axis = -2;
  bool circular = false;
};

Result<OpParams> ParseTensorScatter(AttributeReader& attributes) {
  attributes.CheckArity(2, 3, 1);
  TensorScatterParams params;
  params.axis = attributes.Int("axis", -2);
  const std::string mode = attributes.String("mode", "linear");
  attributes.FailUnless(
      mode == "linear" || mode == "circular",
      Format("attribute \"mode\" = \"%s\", supported: linear, circular",
             Printable(mode).c_str()));
  params.circular = mode == "circular";
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

Status InferTensorScatter(OpContext& c) {
  const auto& params = c.Params<TensorScatterParams>();
  const Shape& x = c.In(0).shape;
  const Shape& update = c.In(1).shape;
  SLM_RETURN_IF_ERROR(CheckMovable(c, 0));
  SLM_ASSIGN_OR_RETURN(const size_t axis, CheckedAxis(params.axis, x.rank()));
  bool fits =
      axis > 0 && update.rank() == x.rank() && c.In(1).dtype == c.In(0).dtype;
  for (size_t i = 0; fits && i < x.rank(); ++i) {
    fits = i == axis ? update[i] <= x[i] : update[i] == x[i];
  }
  if (!fits) {
    return Invalid("update %s %s does not fit cache %s %s on axis %zu",
                   Name(c.In(1).dtype), update.ToString().c_str(),
                   Name(c.In(0).dtype), x.ToString().c_str(), axis);
  }
  if (c.HasInput(2)) {
    SLM_RETURN_IF_ERROR(CheckIndexType(c, 2));
    if (!(c.In(2).shape == Shape{x[0]})) {
      return Invalid("write_indices have shape %s, expected [%lld]",
                     c.In(2).shape.ToString().c_str(),
                     static_cast<long long>(x[0]));
    }
    for (size_t b = 0; c.HasValue(2) && b < c.In(2).Count(); ++b) {
      const int64_t at = IntegerAt(c.In(2), b);
      const int64_t most =
          params.circular ? x[axis] - 1 : x[axis] - update[axis];
      if (update[axis] > 0 && (at < 0 || at > most)) {
        return Invalid("write index %lld with %lld positions does not fit %lld",
                       static_cast<long long>(at),
                       static_cast<long long>(update[axis]),
                       static_cast<long long>(x[axis]));
      }
    }
  }
  return InferSameAsInput0(c);
}

void RunTensorScatter(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const size_t axis =
      *NormalizeAxis(c.Params<TensorScatterParams>().axis, x.rank());
  const size_t s = static_cast<size_t>(x[axis]);
  const size_t t = static_cast<size_t>(c.In(1).shape[axis]);
  const size_t rows = x.CountOf(0, axis);
  const size_t inner = x.CountOf(axis + 1, x.rank());
  const size_t row_of_batch = x.CountOf(1, axis);
  CopyData(c);
  if (inner == 0 || t == 0) return;
  for (size_t row = 0; row < rows; ++row) {
    const int64_t at =
        c.HasInput(2) ? IntegerAt(c.In(2), row / row_of_batch) : 0;
    for (size_t i = 0; i < t; ++i) {
      // In range by infer; the remainder also wraps the circular mode.
      const size_t to = (static_cast<size_t>(at) + i) % s;
      Apply(Reduction::kNone, c.Out(0), (row * s + to) * inner, c.In(1),
            (row * t + i) * inner, inner);
    }
  }
}

constexpr OpDef kOps[] = {
    {"", "ScatterElements", 11, kLatestOpset, ParseScatter<true>,
     InferScatterElements, RunScatterElements, kNoTraits, 0},
    {"", "ScatterND", 11, kLatestOpset, ParseScatter<false>, InferScatterND,
     RunScatterND, kNoTraits, 0},
    {"", "TensorScatter", 24, kLatestOpset, ParseTensorScatter,
     InferTensorScatter, RunTensorScatter, kNoTraits, 0},
};

}  // namespace

std::span<const OpDef> ScatterOps() { return kOps; }

}  // namespace slm
