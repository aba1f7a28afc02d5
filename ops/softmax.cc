// SPDX-License-Identifier: MIT
#include "ops/kernels/softmax.h"

#include "ops/families.h"

namespace slm {
namespace {

struct SoftmaxParams {
  int64_t axis;
  bool flatten;  // before opset 13: over all axes from `axis` on
  bool log;
};

Result<OpParams> ParseSoftmax(AttributeReader& a) {
  SoftmaxParams p;
  a.CheckArity(1, 1, 1);
  p.flatten = a.node().version < 13;
  p.axis = a.Int("axis", p.flatten ? 1 : -1);
  p.log = a.node().type == "LogSoftmax";
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

Status InferSoftmax(OpContext& c) {
  const auto& p = c.Params<SoftmaxParams>();
  if (c.In(0).dtype != DType::kF32) {
    return Invalid("input has type %s, supported: float", Name(c.In(0).dtype));
  }
  if (!NormalizeAxis(p.axis, c.In(0).shape.rank())) {
    return Invalid("axis %lld is outside of input %s",
                   static_cast<long long>(p.axis),
                   c.In(0).shape.ToString().c_str());
  }
  return InferSameAsInput0(c);
}

void RunSoftmax(OpContext& c) {
  const auto& p = c.Params<SoftmaxParams>();
  const Shape& s = c.In(0).shape;
  const size_t axis = *NormalizeAxis(p.axis, s.rank());
  const size_t end = p.flatten ? s.rank() : axis + 1;
  Softmax({.input = c.In(0).As<float>(),
           .output = c.Out(0).Mutable<float>(),
           .outer = s.CountOf(0, axis),
           .n = s.CountOf(axis, end),
           .inner = s.CountOf(end, s.rank()),
           .log = p.log},
          *c.pool);
}

// Before opset 13 the flattened axes may take in the token axis.
constexpr OpDef kOps[] = {
    {"", "LogSoftmax", 1, 12, ParseSoftmax, InferSoftmax, RunSoftmax, kInPlace,
     0},
    {"", "LogSoftmax", 13, kLatestOpset, ParseSoftmax, InferSoftmax, RunSoftmax,
     kRowwise | kInPlace, 0},
    {"", "Softmax", 1, 12, ParseSoftmax, InferSoftmax, RunSoftmax, kInPlace, 0},
    {"", "Softmax", 13, kLatestOpset, ParseSoftmax, InferSoftmax, RunSoftmax,
     kRowwise | kInPlace, 0},
};

}  // namespace

std::span<const OpDef> SoftmaxOps() { return kOps; }

}  // namespace slm
