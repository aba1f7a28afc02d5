// SPDX-License-Identifier: MIT
// Elementwise operators with ONNX's broadcasting.
#include "ops/families.h"

namespace slm {
namespace {

Result<OpParams> ParseBinary(AttributeReader& attributes) {
  attributes.CheckArity(2, 2, 1);
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return OpParams();
}

Status InferBinary(OpContext& c) {
  const auto shape = Broadcast(c.In(0).shape, c.In(1).shape);
  if (!shape) {
    return Invalid("shapes %s and %s do not broadcast",
                   c.In(0).shape.ToString().c_str(),
                   c.In(1).shape.ToString().c_str());
  }
  if (c.In(0).dtype != c.In(1).dtype) {
    return Invalid("types differ: %s and %s", Name(c.In(0).dtype),
                   Name(c.In(1).dtype));
  }
  if (c.In(0).dtype != DType::kF32) {
    return Invalid("type %s is not supported", Name(c.In(0).dtype));
  }
  c.SetOutput(0, c.In(0).dtype, *shape);
  return OkStatus();
}

void RunAdd(OpContext& c) {
  const size_t n = c.Out(0).Count();
  const size_t na = c.In(0).Count(), nb = c.In(1).Count();
  const float* a = c.In(0).As<float>();
  const float* b = c.In(1).As<float>();
  float* out = c.Out(0).Mutable<float>();
  for (size_t i = 0; i < n; ++i) out[i] = a[i % na] + b[i % nb];
}

constexpr OpDef kOps[] = {
    {"", "Add", 7, kLatestOpset, ParseBinary, InferBinary, RunAdd, kRowwise, 0},
};

}  // namespace

std::span<const OpDef> ElementwiseOps() { return kOps; }

}  // namespace slm
