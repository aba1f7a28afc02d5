// SPDX-License-Identifier: MIT
#include "runtime/plan/fusions.h"

#include "runtime/plan/fold.h"

namespace slm {
namespace {

Status Fold(FusionContext* context) { return FoldConstants(context->graph); }

constexpr Fusion kFusions[] = {
    // Before folding: it would write transposed or dequantised copies.
    {"transposed-matmul", FuseTransposedMatMul},
    {"quantized-matmul", FuseQuantizedMatMul},
    {"transposed-gather", FuseTransposedGather},
    {"fold-constants", Fold},
    {"bind-attention", BindAttention},
    {"narrow-scales", NarrowScales},
    // Last: the proof that binds attention knows the operators of files.
    {"gated-matmul", FuseGatedMatMul},
};

}  // namespace

std::span<const Fusion> Fusions() { return kFusions; }

}  // namespace slm
