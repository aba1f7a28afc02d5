// SPDX-License-Identifier: MIT
// The one list of operators. Tables register themselves nowhere: a static
// library drops what nobody names.
#include "ops/families.h"
#include "ops/op.h"

namespace slm {

std::span<const std::span<const OpDef>> OpFamilies() {
  static const std::span<const OpDef> kFamilies[] = {
      ControlOps(),    ElementwiseOps(),     CompareOps(),     UnaryOps(),
      ActivationOps(), ShapeOps(),           LayoutOps(),      SliceOps(),
      GatherOps(),     GatherQuantizedOps(), CastOps(),        NormOps(),
      SoftmaxOps(),    MatMulOps(),          MatMulNBitsOps(), InternalOps(),
      AttentionOps(),  RotaryOps(),
  };
  return kFamilies;
}

}  // namespace slm
