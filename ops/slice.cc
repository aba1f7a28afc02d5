// SPDX-License-Identifier: MIT
// Parts and borders of tensors: Slice, Pad, Trilu.
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

// --- Slice

struct SliceParams {
  // Opset 1-9 only; later the same as inputs 1, 2, 3 (and steps as 4).
  std::optional<std::vector<int64_t>> starts, ends, axes;
};

Result<OpParams> ParseSlice1(AttributeReader& attributes) {
  attributes.CheckArity(1, 1, 1);
  SliceParams params;
  attributes.FailUnless(attributes.Has("starts") && attributes.Has("ends"),
                        "attribute \"starts\" or \"ends\" is missing");
  params.starts = attributes.Ints("starts");
  params.ends = attributes.Ints("ends");
  params.axes = AxesAttribute(attributes);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(std::move(params));
}

Result<OpParams> ParseSlice(AttributeReader& attributes) {
  attributes.CheckArity(3, 5, 1);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(SliceParams());
}

// Elements start, start + step, ... of one axis.
struct AxisSlice {
  int64_t start = 0, step = 1, count = 0;
};

// ONNX's clamping: bounds beyond the axis mean its end in that direction.
AxisSlice ClampSlice(int64_t start, int64_t end, int64_t step, int64_t dim) {
  if (start < 0) start += dim;
  if (end < 0) end += dim;
  AxisSlice s;
  s.step = step;
  if (step > 0) {
    s.start = std::clamp<int64_t>(start, 0, dim);
    end = std::clamp<int64_t>(end, 0, dim);
    if (end > s.start) s.count = 1 + (end - s.start - 1) / step;
  } else {
    s.start = std::clamp<int64_t>(start, -1, dim - 1);
    end = std::clamp<int64_t>(end, -1, dim - 1);
    // The most negative step has no positive twin in int64.
    const uint64_t back = 0 - static_cast<uint64_t>(step);
    if (s.start > end) {
      s.count = 1 + static_cast<int64_t>(
                        static_cast<uint64_t>(s.start - end - 1) / back);
    }
  }
  return s;
}

struct SliceSpec {
  AxisSlice axes[Shape::kMaxRank];
};

Result<SliceSpec> ResolveSlice(const OpContext& c) {
  const auto& params = c.Params<SliceParams>();
  const Shape& x = c.In(0).shape;
  SLM_ASSIGN_OR_RETURN(const auto starts, AxesValue(c, params.starts, 1));
  SLM_ASSIGN_OR_RETURN(const auto ends, AxesValue(c, params.ends, 2));
  SLM_ASSIGN_OR_RETURN(auto axes, AxesValue(c, params.axes, 3));
  SLM_ASSIGN_OR_RETURN(const auto steps, AxesValue(c, std::nullopt, 4));
  const size_t n = starts->size();
  if (!axes) {
    axes.emplace();
    for (size_t i = 0; i < n; ++i) axes->push_back(static_cast<int64_t>(i));
  }
  if (ends->size() != n || axes->size() != n || (steps && steps->size() != n)) {
    return Invalid("%zu starts, %zu ends, %zu axes and %zu steps", n,
                   ends->size(), axes->size(), steps ? steps->size() : n);
  }
  SLM_RETURN_IF_ERROR(CheckedAxes(*axes, x.rank()).status());
  SliceSpec spec;
  for (size_t i = 0; i < x.rank(); ++i) spec.axes[i].count = x[i];
  for (size_t i = 0; i < n; ++i) {
    const size_t axis = *NormalizeAxis((*axes)[i], x.rank());
    const int64_t step = steps ? (*steps)[i] : 1;
    if (step == 0) return Invalid("axis %zu: step is 0", axis);
    spec.axes[axis] = ClampSlice((*starts)[i], (*ends)[i], step, x[axis]);
  }
  return spec;
}

Status InferSlice(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckMovable(c, 0));
  SLM_ASSIGN_OR_RETURN(const SliceSpec spec, ResolveSlice(c));
  Shape out = c.In(0).shape;
  for (size_t i = 0; i < out.rank(); ++i) out[i] = spec.axes[i].count;
  c.SetOutput(0, c.In(0).dtype, out);
  return OkStatus();
}

void RunSlice(OpContext& c) {
  const auto spec = ResolveSlice(c);
  if (!spec.ok()) return;  // infer has resolved the same values
  const Shape& x = c.In(0).shape;
  StridedView view;
  int64_t stride = 1;
  for (size_t i = x.rank(); i-- > 0;) {
    const AxisSlice& s = spec->axes[i];
    view.offset += s.start * stride;
    stride *= x[i];
  }
  stride = static_cast<int64_t>(x.Count());
  if (c.Out(0).Count() == 0) return;
  for (size_t i = 0; i < x.rank(); ++i) {
    const AxisSlice& s = spec->axes[i];
    stride /= x[i];
    // One element needs no step, and a huge step no product.
    view.Append(static_cast<size_t>(s.count),
                s.count > 1 ? s.step * stride : 0);
  }
  CopyStrided(c, view, c.In(0).dtype, c.In(0).data, c.Out(0).data);
}

// --- Pad

enum class PadMode { kConstant, kReflect, kEdge, kWrap };

struct PadParams {
  PadMode mode = PadMode::kConstant;
  std::optional<std::vector<int64_t>> pads;  // opset 2-10
  float value = 0;                           // opset 2-10
};

constexpr struct {
  const char* name;
  PadMode mode;
} kPadModes[] = {{"constant", PadMode::kConstant},
                 {"reflect", PadMode::kReflect},
                 {"edge", PadMode::kEdge},
                 {"wrap", PadMode::kWrap}};

Result<OpParams> ParsePad(AttributeReader& attributes) {
  const bool old = attributes.node().version < 11;
  attributes.CheckArity(old ? 1 : 2, old ? 1 : 4, 1);
  PadParams params;
  const std::string name = attributes.String("mode", "constant");
  bool known = false;
  for (const auto& m : kPadModes) {
    if (name != m.name) continue;
    params.mode = m.mode;
    known = true;
  }
  attributes.FailUnless(known, Format("attribute \"mode\" = \"%s\", supported: "
                                      "constant, reflect, edge, wrap",
                                      Printable(name).c_str()));
  if (old) {
    params.pads = attributes.Ints("pads");
    params.value = attributes.Float("value", 0);
  }
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(std::move(params));
}

struct PadSpec {
  int64_t before[Shape::kMaxRank] = {}, after[Shape::kMaxRank] = {};
};

Result<PadSpec> ResolvePads(const OpContext& c) {
  const auto& params = c.Params<PadParams>();
  const Shape& x = c.In(0).shape;
  SLM_ASSIGN_OR_RETURN(const auto pads, AxesValue(c, params.pads, 1));
  SLM_ASSIGN_OR_RETURN(auto axes, AxesValue(c, std::nullopt, 3));
  if (!axes) {
    axes.emplace();
    for (size_t i = 0; i < x.rank(); ++i) {
      axes->push_back(static_cast<int64_t>(i));
    }
  }
  if (pads->size() != 2 * axes->size()) {
    return Invalid("%zu pads for %zu axes of %s", pads->size(), axes->size(),
                   x.ToString().c_str());
  }
  SLM_RETURN_IF_ERROR(CheckedAxes(*axes, x.rank()).status());
  PadSpec spec;
  for (size_t i = 0; i < axes->size(); ++i) {
    const size_t axis = *NormalizeAxis((*axes)[i], x.rank());
    const int64_t before = (*pads)[i], after = (*pads)[i + axes->size()];
    constexpr int64_t kMost = int64_t{1} << 48;  // no memory holds more
    const bool whole = params.mode != PadMode::kConstant;
    if (std::max(before, after) > kMost || std::min(before, after) < -kMost ||
        (whole && std::min(before, after) < 0) ||
        (whole && x[axis] == 0 && std::max(before, after) > 0)) {
      return Invalid(
          "axis %zu of %s: pads %lld and %lld are not possible in "
          "mode %s",
          axis, x.ToString().c_str(), static_cast<long long>(before),
          static_cast<long long>(after),
          kPadModes[static_cast<size_t>(params.mode)].name);
    }
    spec.before[axis] = before;
    spec.after[axis] = after;
  }
  return spec;
}

Status InferPad(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckMovable(c, 0));
  if (c.HasInput(2) &&
      (c.In(2).dtype != c.In(0).dtype || c.In(2).Count() != 1)) {
    return Invalid("constant value is %s %s, expected one %s",
                   Name(c.In(2).dtype), c.In(2).shape.ToString().c_str(),
                   Name(c.In(0).dtype));
  }
  if (c.Params<PadParams>().value != 0 && c.In(0).dtype != DType::kF32) {
    return Invalid("type %s with attribute \"value\" is not supported",
                   Name(c.In(0).dtype));
  }
  SLM_ASSIGN_OR_RETURN(const PadSpec spec, ResolvePads(c));
  Shape out = c.In(0).shape;
  for (size_t i = 0; i < out.rank(); ++i) {
    out[i] = std::max<int64_t>(out[i] + spec.before[i] + spec.after[i], 0);
  }
  SLM_ASSIGN_OR_RETURN(out, MakeShape(out.dims()));
  c.SetOutput(0, c.In(0).dtype, out);
  return OkStatus();
}

// Where element i of an axis (0 = first of the input) comes from; -1: constant.
int64_t PadSource(PadMode mode, int64_t i, int64_t dim) {
  if (i >= 0 && i < dim) return i;
  switch (mode) {
    case PadMode::kConstant:
      return -1;
    case PadMode::kEdge:
      return i < 0 ? 0 : dim - 1;
    case PadMode::kWrap:
      return (i % dim + dim) % dim;
    case PadMode::kReflect: {
      if (dim == 1) return 0;
      const int64_t period = 2 * (dim - 1);
      const int64_t at = (i % period + period) % period;
      return at < dim ? at : period - at;
    }
  }
  return -1;
}

template <typename T>
void PadRows(OpContext& c, const PadSpec& spec, T value) {
  const PadMode mode = c.Params<PadParams>().mode;
  const Shape& x = c.In(0).shape;
  const Shape& out = c.Out(0).shape;
  const T* from = static_cast<const T*>(c.In(0).data);
  T* to = static_cast<T*>(c.Out(0).data);
  const size_t rank = x.rank();
  for (size_t at = 0; at < c.Out(0).Count(); ++at) {
    size_t rest = at, stride = 1;
    int64_t offset = 0;
    for (size_t d = rank; d-- > 0 && offset >= 0;) {
      const size_t dim = static_cast<size_t>(out[d]);
      const int64_t source = PadSource(
          mode, static_cast<int64_t>(rest % dim) - spec.before[d], x[d]);
      rest /= dim;
      offset = source < 0 ? -1 : offset + source * static_cast<int64_t>(stride);
      stride *= static_cast<size_t>(x[d]);
    }
    to[at] = offset < 0 ? value : from[offset];
  }
}

void RunPad(OpContext& c) {
  const auto spec = ResolvePads(c);
  if (!spec.ok()) return;  // infer has resolved the same values
  VisitWidth(c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    T value = 0;
    if (c.HasInput(2)) {
      std::memcpy(&value, c.In(2).data, sizeof value);
    } else if constexpr (sizeof(T) == sizeof(float)) {
      std::memcpy(&value, &c.Params<PadParams>().value, sizeof value);
    }
    PadRows<T>(c, *spec, value);
  });
}

// --- Trilu: the upper or lower triangle of the last two axes.

struct TriluParams {
  bool upper = true;
};

Result<OpParams> ParseTrilu(AttributeReader& attributes) {
  attributes.CheckArity(1, 2, 1);
  TriluParams params;
  params.upper = attributes.Int("upper", 1) != 0;
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(params);
}

Status InferTrilu(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckMovable(c, 0));
  if (c.In(0).shape.rank() < 2) {
    return Invalid("input has shape %s, expected matrices",
                   c.In(0).shape.ToString().c_str());
  }
  if (c.HasInput(1) && (c.In(1).dtype != DType::kI64 || c.In(1).Count() != 1)) {
    return Invalid("k is %s %s, expected one int64", Name(c.In(1).dtype),
                   c.In(1).shape.ToString().c_str());
  }
  return InferSameAsInput0(c);
}

void RunTrilu(OpContext& c) {
  const Shape& x = c.In(0).shape;
  const int64_t rows = x.back(1), columns = x.back(0);
  const bool upper = c.Params<TriluParams>().upper;
  int64_t k = c.HasInput(1) ? *c.In(1).As<int64_t>() : 0;
  k = std::clamp<int64_t>(k, -rows, columns);
  const size_t matrices = x.CountOf(0, x.rank() - 2);
  VisitWidth(c.In(0).dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* from = static_cast<const T*>(c.In(0).data);
    T* to = static_cast<T*>(c.Out(0).data);
    for (size_t m = 0; m < matrices; ++m) {
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t col = 0; col < columns; ++col, ++from, ++to) {
          const bool keep = upper ? col - r >= k : col - r <= k;
          *to = keep ? *from : T(0);
        }
      }
    }
  });
}

constexpr OpDef kOps[] = {
    {"", "Slice", 1, 9, ParseSlice1, InferSlice, RunSlice, kRowwise, 0},
    {"", "Slice", 10, kLatestOpset, ParseSlice, InferSlice, RunSlice, kRowwise,
     0},
    {"", "Pad", 2, kLatestOpset, ParsePad, InferPad, RunPad, kNoTraits, 0},
    {"", "Trilu", 14, kLatestOpset, ParseTrilu, InferTrilu, RunTrilu, kInPlace,
     0},
};

}  // namespace

std::span<const OpDef> SliceOps() { return kOps; }

}  // namespace slm
