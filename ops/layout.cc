// SPDX-License-Identifier: MIT
// Operators that move whole tensors: Transpose, Concat, Split, Expand, Tile,
// Dropout.
#include <algorithm>
#include <cstring>
#include <limits>

#include "ops/axes.h"
#include "ops/families.h"
#include "ops/parallel.h"
#include "ops/strided.h"
#include "ops/types.h"

namespace slm {
namespace {

// Row-major strides in elements.
void Strides(const Shape& shape, int64_t* strides) {
  int64_t stride = 1;
  for (size_t i = shape.rank(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
}

// --- Transpose

struct TransposeParams {
  std::vector<int64_t> perm;  // empty: reversed
};

Result<OpParams> ParseTranspose(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  TransposeParams params;
  params.perm = attributes.Ints("perm");
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(std::move(params));
}

size_t PermAt(const TransposeParams& params, size_t rank, size_t i) {
  return params.perm.empty() ? rank - 1 - i
                             : static_cast<size_t>(params.perm[i]);
}

Status InferTranspose(OpContext& c) {
  const auto& params = c.Params<TransposeParams>();
  const Shape& x = c.In(0).shape;
  SLM_RETURN_IF_ERROR(CheckMovable(c, 0));
  std::vector<int64_t> sorted = params.perm;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (sorted.size() != x.rank() || sorted[i] != static_cast<int64_t>(i)) {
      return Invalid(
          "attribute \"perm\" is no permutation of the %zu axes of "
          "%s",
          x.rank(), x.ToString().c_str());
    }
  }
  Shape out;
  for (size_t i = 0; i < x.rank(); ++i) {
    out.Append(x[PermAt(params, x.rank(), i)]);
  }
  c.SetOutput(0, c.In(0).dtype, out);
  return OkStatus();
}

void RunTranspose(OpContext& c) {
  const Shape& x = c.In(0).shape;
  int64_t strides[Shape::kMaxRank];
  Strides(x, strides);
  StridedView view;
  for (size_t i = 0; i < x.rank(); ++i) {
    const size_t from = PermAt(c.Params<TransposeParams>(), x.rank(), i);
    view.Append(static_cast<size_t>(x[from]), strides[from]);
  }
  CopyStrided(c, view, c.In(0).dtype, c.In(0).data, c.Out(0).data);
}

// --- Concat, Split: blocks of bytes, one a row of the axes before `axis`.

constexpr size_t kMaxParts = 1024;

struct AxisParams {
  int64_t axis = 0;
};

Result<OpParams> ParseConcat(AttributeReader& attributes) {
  attributes.CheckArity(1, kMaxParts, 1);
  for (size_t i = 0; i < attributes.node().inputs.size(); ++i) {
    attributes.FailUnless(attributes.HasInput(i),
                          Format("input %zu is missing", i));
  }
  AxisParams params;
  params.axis = attributes.RequiredInt("axis");
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

Status InferConcat(OpContext& c) {
  Shape out = c.In(0).shape;
  SLM_RETURN_IF_ERROR(CheckMovable(c, 0));
  SLM_ASSIGN_OR_RETURN(const size_t axis,
                       CheckedAxis(c.Params<AxisParams>().axis, out.rank()));
  for (size_t i = 1; i < c.input_count(); ++i) {
    Shape other = c.In(i).shape;
    bool fits = other.rank() == out.rank() && c.In(i).dtype == c.In(0).dtype;
    for (size_t d = 0; fits && d < out.rank(); ++d) {
      fits = d == axis || other[d] == out[d];
    }
    if (!fits) {
      return Invalid(
          "input %zu, %s %s, does not fit input 0, %s %s, on axis "
          "%zu",
          i, Name(c.In(i).dtype), other.ToString().c_str(), Name(c.In(0).dtype),
          c.In(0).shape.ToString().c_str(), axis);
    }
    // Each dimension is below 2^60 (Shape::Make): 1024 of them fit a uint64,
    // so check after every step.
    out[axis] += other[axis];
    SLM_ASSIGN_OR_RETURN(out, MakeShape(out.dims()));
  }
  c.SetOutput(0, c.In(0).dtype, out);
  return OkStatus();
}

void RunConcat(OpContext& c) {
  const Shape& out = c.Out(0).shape;
  const size_t axis = *NormalizeAxis(c.Params<AxisParams>().axis, out.rank());
  const size_t rows = out.CountOf(0, axis);
  const size_t width = ElementBytes(c.Out(0).dtype);
  const size_t row_bytes = out.CountOf(axis, out.rank()) * width;
  auto* to = static_cast<uint8_t*>(c.Out(0).data);
  size_t at = 0;
  for (const TensorView* part : c.inputs) {
    const size_t bytes = part->shape.CountOf(axis, out.rank()) * width;
    if (bytes == 0) continue;
    for (size_t r = 0; r < rows; ++r) {
      std::memcpy(to + r * row_bytes + at, part->Raw() + r * bytes, bytes);
    }
    at += bytes;
  }
}

struct SplitParams {
  int64_t axis = 0;
  std::vector<int64_t> split;
  bool uneven = false;  // opset 18: the last part may be smaller
};

Result<OpParams> ParseSplit(AttributeReader& attributes) {
  const int version = attributes.node().version;
  attributes.CheckArity(1, version < 13 ? 1 : 2, kMaxParts);
  SplitParams params;
  params.axis = attributes.Int("axis", 0);
  if (version < 13) params.split = attributes.Ints("split");
  if (version >= 18) {
    const int64_t outputs =
        static_cast<int64_t>(attributes.node().outputs.size());
    params.uneven = attributes.Has("num_outputs");
    const int64_t count = attributes.Int("num_outputs", outputs);
    attributes.FailUnless(
        count == outputs,
        Format("attribute \"num_outputs\" = %lld, the node has %lld",
               static_cast<long long>(count), static_cast<long long>(outputs)));
  }
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(std::move(params));
}

// Sizes of the parts along an axis of `dim`.
Result<std::vector<int64_t>> PartSizes(const OpContext& c, int64_t dim) {
  const auto& params = c.Params<SplitParams>();
  const size_t n = c.outputs.size();
  std::vector<int64_t> sizes = params.split;
  if (c.HasInput(1)) {
    SLM_ASSIGN_OR_RETURN(sizes, c.IntValues(1));
  }
  if (sizes.empty()) {
    const int64_t count = static_cast<int64_t>(n);
    if (dim % count != 0 && !params.uneven) {
      return Invalid("axis of %lld does not split into %zu equal parts",
                     static_cast<long long>(dim), n);
    }
    const int64_t part = dim / count + (dim % count != 0);
    for (int64_t at = 0; sizes.size() < n; at += part) {
      sizes.push_back(std::clamp<int64_t>(dim - at, 0, part));
    }
    return sizes;
  }
  if (sizes.size() != n) {
    return Invalid("%zu sizes for %zu outputs", sizes.size(), n);
  }
  int64_t rest = dim;
  for (int64_t size : sizes) {
    if (size < 0 || size > rest) {
      return Invalid("a part of %lld does not fit the axis of %lld",
                     static_cast<long long>(size), static_cast<long long>(dim));
    }
    rest -= size;
  }
  if (rest != 0) {
    return Invalid("the parts leave %lld of %lld", static_cast<long long>(rest),
                   static_cast<long long>(dim));
  }
  return sizes;
}

Status InferSplit(OpContext& c) {
  const Shape& x = c.In(0).shape;
  SLM_RETURN_IF_ERROR(CheckMovable(c, 0));
  SLM_ASSIGN_OR_RETURN(const size_t axis,
                       CheckedAxis(c.Params<SplitParams>().axis, x.rank()));
  SLM_ASSIGN_OR_RETURN(const auto sizes, PartSizes(c, x[axis]));
  for (size_t i = 0; i < sizes.size(); ++i) {
    Shape out = x;
    out[axis] = sizes[i];
    c.SetOutput(i, c.In(0).dtype, out);
  }
  return OkStatus();
}

void RunSplit(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const size_t axis = *NormalizeAxis(c.Params<SplitParams>().axis, x.rank());
  const size_t rows = x.CountOf(0, axis);
  const size_t width = ElementBytes(c.In(0).dtype);
  const size_t row_bytes = x.CountOf(axis, x.rank()) * width;
  size_t at = 0;
  for (size_t i = 0; i < c.outputs.size(); ++i) {
    const size_t bytes = c.Out(i).shape.CountOf(axis, x.rank()) * width;
    auto* to = static_cast<uint8_t*>(c.Out(i).data);
    for (size_t r = 0; bytes > 0 && c.Wants(i) && r < rows; ++r) {
      std::memcpy(to + r * bytes, c.In(0).Raw() + r * row_bytes + at, bytes);
    }
    at += bytes;
  }
}

// --- Expand, Tile: repeated axes have stride 0.

Result<OpParams> ParseTwo(AttributeReader& attributes) {
  attributes.CheckArity(2, 2, 1);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return OpParams();
}

Status InferExpand(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckMovable(c, 0));
  SLM_ASSIGN_OR_RETURN(const auto dims, c.IntValues(1));
  SLM_ASSIGN_OR_RETURN(const Shape to, MakeShape(dims));
  const auto out = Broadcast(c.In(0).shape, to);
  if (!out) {
    return Invalid("cannot expand %s to %s", c.In(0).shape.ToString().c_str(),
                   to.ToString().c_str());
  }
  c.SetOutput(0, c.In(0).dtype, *out);
  return OkStatus();
}

void RunExpand(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const Shape& out = c.Out(0).shape;
  int64_t strides[Shape::kMaxRank];
  Strides(x, strides);
  StridedView view;
  const size_t ahead = out.rank() - x.rank();
  for (size_t i = 0; i < out.rank(); ++i) {
    const bool repeated = i < ahead || x[i - ahead] == 1;
    view.Append(static_cast<size_t>(out[i]), repeated ? 0 : strides[i - ahead]);
  }
  CopyStrided(c, view, c.In(0).dtype, c.In(0).data, c.Out(0).data);
}

Status InferTile(OpContext& c) {
  const Shape& x = c.In(0).shape;
  SLM_RETURN_IF_ERROR(CheckMovable(c, 0));
  SLM_ASSIGN_OR_RETURN(const auto repeats, c.IntValues(1));
  if (repeats.size() != x.rank()) {
    return Invalid("%zu repeats for %s", repeats.size(), x.ToString().c_str());
  }
  Shape out = x;
  for (size_t i = 0; i < x.rank(); ++i) {
    if (repeats[i] < 0 ||
        (x[i] > 0 && repeats[i] > std::numeric_limits<int64_t>::max() / x[i])) {
      return Invalid("axis %zu of %s: %lld repeats", i, x.ToString().c_str(),
                     static_cast<long long>(repeats[i]));
    }
    out[i] = x[i] * repeats[i];
  }
  SLM_ASSIGN_OR_RETURN(out, MakeShape(out.dims()));
  c.SetOutput(0, c.In(0).dtype, out);
  return OkStatus();
}

void RunTile(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const Shape& out = c.Out(0).shape;
  if (out.Count() == 0) return;
  int64_t strides[Shape::kMaxRank];
  Strides(x, strides);
  StridedView view;
  for (size_t i = 0; i < x.rank(); ++i) {
    view.Append(static_cast<size_t>(out[i] / x[i]), 0);
    view.Append(static_cast<size_t>(x[i]), strides[i]);
  }
  CopyStrided(c, view, c.In(0).dtype, c.In(0).data, c.Out(0).data);
}

// --- Dropout at inference: the input and a mask of true.

Result<OpParams> ParseDropout(AttributeReader& attributes) {
  attributes.CheckArity(1, attributes.node().version < 12 ? 1 : 3, 2);
  attributes.Ignore("ratio", "training only");
  attributes.Ignore("seed", "training only");
  if (attributes.HasInput(2)) {
    const TensorView* training = attributes.ConstantInput(2);
    attributes.FailUnless(training && training->Count() == 1 &&
                              training->dtype == DType::kBool &&
                              !*training->As<bool>(),
                          "training_mode is not a constant false");
  }
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return OpParams();
}

Status InferDropout(OpContext& c) {
  SLM_RETURN_IF_ERROR(InferSameAsInput0(c));
  if (c.outputs.size() > 1) c.SetOutput(1, DType::kBool, c.In(0).shape);
  return OkStatus();
}

void RunDropout(OpContext& c) {
  const size_t bytes = c.In(0).Bytes();
  if (c.Out(0).data != c.In(0).data && bytes > 0) {
    std::memcpy(c.Out(0).data, c.In(0).data, bytes);
  }
  if (c.Wants(1)) {
    std::fill_n(c.Out(1).Mutable<bool>(), c.Out(1).Count(), true);
  }
}

constexpr OpDef kOps[] = {
    {"", "Transpose", 1, kLatestOpset, ParseTranspose, InferTranspose,
     RunTranspose, kRowwise, 0},
    {"", "Concat", 4, kLatestOpset, ParseConcat, InferConcat, RunConcat,
     kRowwise, 0},
    {"", "Split", 2, kLatestOpset, ParseSplit, InferSplit, RunSplit, kRowwise,
     0},
    {"", "Expand", 8, kLatestOpset, ParseTwo, InferExpand, RunExpand, kNoTraits,
     0},
    {"", "Tile", 6, kLatestOpset, ParseTwo, InferTile, RunTile, kNoTraits, 0},
    {"", "Dropout", 7, kLatestOpset, ParseDropout, InferDropout, RunDropout,
     kRowwise | kInPlace, 0},
};

}  // namespace

std::span<const OpDef> LayoutOps() { return kOps; }

}  // namespace slm
