// SPDX-License-Identifier: MIT
// Conv over one or two spatial axes.
#include <algorithm>

#include "ops/families.h"

namespace slm {
namespace {

enum class AutoPad { kNone, kValid, kSameUpper, kSameLower };

struct ConvParams {
  size_t axes = 0;  // of the attributes; 0 where none is given
  AutoPad auto_pad = AutoPad::kNone;
  size_t groups = 1;
  // Empty: all ones (pads: zeros).
  std::vector<int64_t> kernel, strides, pads, dilations;
};

void ReadList(AttributeReader& a, const char* name, int64_t least,
              size_t per_axis, std::vector<int64_t>& list, size_t& axes) {
  list = a.Ints(name);
  if (list.empty()) return;
  for (int64_t value : list) {
    a.FailUnless(
        value >= least && value <= (1 << 30),
        Format("%s holds %lld, supported: %lld to 2^30", name,
               static_cast<long long>(value), static_cast<long long>(least)));
  }
  const size_t of_this = list.size() / per_axis;
  a.FailUnless(list.size() % per_axis == 0 && (axes == 0 || axes == of_this),
               Format("%s has %zu values, which is not a value for each axis",
                      name, list.size()));
  axes = of_this;
}

Result<OpParams> ParseConv(AttributeReader& a) {
  ConvParams p;
  a.CheckArity(2, 3, 1);
  const std::string pad = a.String("auto_pad", "NOTSET");
  constexpr struct {
    const char* name;
    AutoPad value;
  } kPads[] = {{"NOTSET", AutoPad::kNone},
               {"VALID", AutoPad::kValid},
               {"SAME_UPPER", AutoPad::kSameUpper},
               {"SAME_LOWER", AutoPad::kSameLower}};
  bool known = false;
  for (const auto& row : kPads) {
    if (pad != row.name) continue;
    known = true;
    p.auto_pad = row.value;
  }
  a.FailUnless(known, Format("auto_pad \"%s\" is not supported",
                             Printable(pad).c_str()));
  ReadList(a, "kernel_shape", 1, 1, p.kernel, p.axes);
  ReadList(a, "strides", 1, 1, p.strides, p.axes);
  ReadList(a, "dilations", 1, 1, p.dilations, p.axes);
  ReadList(a, "pads", 0, 2, p.pads, p.axes);
  a.FailUnless(p.auto_pad == AutoPad::kNone || p.pads.empty(),
               "auto_pad and pads exclude each other");
  const int64_t groups = a.Int("group", 1);
  a.FailUnless(groups >= 1, Format("group = %lld, supported: 1 and more",
                                   static_cast<long long>(groups)));
  p.groups = static_cast<size_t>(std::max<int64_t>(groups, 1));
  a.FailUnless(p.axes <= 2,
               Format("%zu spatial axes, supported: 1, 2", p.axes));
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

// One spatial axis: out[o] = sum_k w[k] * x[o * stride + k * dilation - pad].
struct ConvAxis {
  int64_t size = 1;  // of the input
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t pad = 0;
  int64_t out = 1;

  // The outputs whose tap k lies inside of the input: [First, End).
  int64_t First(int64_t k) const {
    const int64_t before = pad - k * dilation;
    return before <= 0 ? 0 : std::min(out, (before + stride - 1) / stride);
  }
  int64_t End(int64_t k) const {
    const int64_t last = size - 1 + pad - k * dilation;
    return last < 0 ? 0 : std::min(out, last / stride + 1);
  }
};

int64_t AttributeAt(const std::vector<int64_t>& list, size_t i,
                    int64_t fallback) {
  return i < list.size() ? list[i] : fallback;
}

Result<ConvAxis> MakeAxis(const ConvParams& p, size_t i, size_t axes,
                          int64_t size, int64_t kernel) {
  ConvAxis axis{.size = size, .kernel = kernel};
  axis.stride = AttributeAt(p.strides, i, 1);
  axis.dilation = AttributeAt(p.dilations, i, 1);
  if (AttributeAt(p.kernel, i, kernel) != kernel) {
    return Invalid("kernel_shape says %lld on axis %zu, W has %lld",
                   static_cast<long long>(p.kernel[i]), i,
                   static_cast<long long>(kernel));
  }
  const int64_t reach = (kernel - 1) * axis.dilation + 1;
  int64_t end_pad = AttributeAt(p.pads, i + axes, 0);
  axis.pad = AttributeAt(p.pads, i, 0);
  if (p.auto_pad == AutoPad::kSameUpper || p.auto_pad == AutoPad::kSameLower) {
    const int64_t out = (size + axis.stride - 1) / axis.stride;
    const int64_t total =
        std::max<int64_t>(0, (out - 1) * axis.stride + reach - size);
    axis.pad =
        p.auto_pad == AutoPad::kSameUpper ? total / 2 : total - total / 2;
    end_pad = total - axis.pad;
  }
  const int64_t room = size + axis.pad + end_pad - reach;
  if (room < 0) {
    return Invalid(
        "kernel reaches over %lld on axis %zu, the padded input has "
        "%lld",
        static_cast<long long>(reach), i,
        static_cast<long long>(size + axis.pad + end_pad));
  }
  axis.out = room / axis.stride + 1;
  return axis;
}

struct ConvShape {
  size_t batch = 0, channels = 0, outputs = 0, group_channels = 0;
  ConvAxis h, w;  // h is trivial for one axis
  Shape output;
};

Result<ConvShape> MakeConvShape(const OpContext& c) {
  const auto& p = c.Params<ConvParams>();
  const Shape& x = c.In(0).shape;
  const Shape& w = c.In(1).shape;
  const size_t axes = x.rank() >= 2 ? x.rank() - 2 : 0;
  if (axes < 1 || axes > 2 || w.rank() != x.rank() ||
      (p.axes != 0 && p.axes != axes)) {
    return Invalid(
        "X %s and W %s with attributes for %zu axes; supported are "
        "1 and 2 spatial axes",
        x.ToString().c_str(), w.ToString().c_str(), p.axes);
  }
  ConvShape s;
  s.batch = static_cast<size_t>(x[0]);
  s.channels = static_cast<size_t>(x[1]);
  s.outputs = static_cast<size_t>(w[0]);
  s.group_channels = static_cast<size_t>(w[1]);
  if (s.group_channels * p.groups != s.channels || s.channels % p.groups != 0 ||
      s.outputs % p.groups != 0 || s.channels == 0 || w.Count() == 0) {
    return Invalid("X %s, W %s and group = %zu do not fit",
                   x.ToString().c_str(), w.ToString().c_str(), p.groups);
  }
  // Keeps the sums of MakeAxis, which are of a few factors of 2^30, in range.
  for (size_t i = 2; i < x.rank(); ++i) {
    if (x[i] > (1 << 30) || w[i] > (1 << 30)) {
      return Invalid("X %s or W %s is too large", x.ToString().c_str(),
                     w.ToString().c_str());
    }
  }
  if (axes == 2) {
    SLM_ASSIGN_OR_RETURN(s.h, MakeAxis(p, 0, axes, x[2], w[2]));
  }
  SLM_ASSIGN_OR_RETURN(s.w, MakeAxis(p, axes - 1, axes, x.back(), w.back()));
  Shape output{x[0], w[0]};
  if (axes == 2) output.Append(s.h.out);
  output.Append(s.w.out);
  const auto checked = Shape::Make(output.dims());
  if (!checked) {
    return Invalid("output %s is too large", output.ToString().c_str());
  }
  s.output = *checked;
  return s;
}

Status InferConv(OpContext& c) {
  for (size_t i = 0; i < c.input_count(); ++i) {
    if (c.HasInput(i) && c.In(i).dtype != DType::kF32) {
      return Invalid("input %zu has type %s, supported: float", i,
                     Name(c.In(i).dtype));
    }
  }
  SLM_ASSIGN_OR_RETURN(const ConvShape s, MakeConvShape(c));
  if (c.HasInput(2) &&
      !(c.In(2).shape == Shape{static_cast<int64_t>(s.outputs)})) {
    return Invalid("bias is %s, expected [%zu]",
                   c.In(2).shape.ToString().c_str(), s.outputs);
  }
  c.SetOutput(0, DType::kF32, s.output);
  return OkStatus();
}

// y [h.out, w.out] += x [h.size, w.size] * kernel [h.kernel, w.kernel]: a tap
// at a time, so that the innermost loop runs along contiguous outputs.
void ConvolvePlane(const ConvShape& s, const float* x, const float* kernel,
                   float* y) {
  for (int64_t kh = 0; kh < s.h.kernel; ++kh) {
    for (int64_t kw = 0; kw < s.w.kernel; ++kw) {
      const float tap = kernel[kh * s.w.kernel + kw];
      const int64_t begin = s.w.First(kw);
      const int64_t count = s.w.End(kw) - begin;
      if (count <= 0) continue;
      for (int64_t oh = s.h.First(kh); oh < s.h.End(kh); ++oh) {
        const int64_t ih = oh * s.h.stride + kh * s.h.dilation - s.h.pad;
        const int64_t iw = begin * s.w.stride + kw * s.w.dilation - s.w.pad;
        const float* from = x + ih * s.w.size + iw;
        float* to = y + oh * s.w.out + begin;
        for (int64_t i = 0; i < count; ++i) to[i] += tap * from[i * s.w.stride];
      }
    }
  }
}

void RunConv(OpContext& c) {
  const auto& p = c.Params<ConvParams>();
  const auto made = MakeConvShape(c);  // cannot fail: infer has made it
  const ConvShape& s = *made;
  const float* x = c.In(0).As<float>();
  const float* weights = c.In(1).As<float>();
  const float* bias = c.HasInput(2) ? c.In(2).As<float>() : nullptr;
  float* y = c.Out(0).Mutable<float>();
  const size_t plane = static_cast<size_t>(s.h.size * s.w.size);
  const size_t out_plane = static_cast<size_t>(s.h.out * s.w.out);
  const size_t taps = static_cast<size_t>(s.h.kernel * s.w.kernel);
  const size_t outputs_of_group = s.outputs / p.groups;
  // About 1 ns a multiplication: 8 Ki of them are worth a thread.
  const size_t grain = 8192 / (out_plane * taps * s.group_channels + 1) + 1;
  ParallelFor(*c.pool, s.batch * s.outputs, grain,
              [&](size_t begin, size_t end, size_t) {
                for (size_t i = begin; i < end; ++i) {
                  const size_t n = i / s.outputs;
                  const size_t m = i % s.outputs;
                  const size_t first = m / outputs_of_group * s.group_channels;
                  float* out = y + i * out_plane;
                  std::fill_n(out, out_plane, bias ? bias[m] : 0.0f);
                  for (size_t k = 0; k < s.group_channels; ++k) {
                    ConvolvePlane(s, x + (n * s.channels + first + k) * plane,
                                  weights + (m * s.group_channels + k) * taps,
                                  out);
                  }
                }
              });
}

constexpr OpDef kOps[] = {
    {"", "Conv", 1, kLatestOpset, ParseConv, InferConv, RunConv, kNoTraits, 0},
};

}  // namespace

std::span<const OpDef> ConvOps() { return kOps; }

}  // namespace slm
