// SPDX-License-Identifier: MIT
// The one list of operators. Tables register themselves nowhere: a static
// library drops what nobody names.
#include "ops/families.h"
#include "ops/op.h"

namespace slm {

std::span<const std::span<const OpDef>> OpFamilies() {
  static const std::span<const OpDef> kFamilies[] = {
      // clang-format off: one a line, so that lists merge
      ControlOps(),
      ElementwiseOps(),
      CompareOps(),
      UnaryOps(),
      ActivationOps(),
      ShapeOps(),
      FillOps(),
      LayoutOps(),
      SliceOps(),
      GatherOps(),
      GatherQuantizedOps(),
      ScatterOps(),
      ReduceOps(),
      ScanOps(),
      EinsumOps(),
      CastOps(),
      QuantizeOps(),
      NormOps(),
      SoftmaxOps(),
      MatMulOps(),
      MatMulNBitsOps(),
      MatMulIntegerOps(),
      MoeOps(),
      ConvOps(),
      CausalConvOps(),
      RecurrentOps(),
      RotaryOps(),
      AttentionOps(),
      InternalOps(),
      // clang-format on
  };
  return kFamilies;
}

}  // namespace slm
