// SPDX-License-Identifier: MIT
// The operator tables, one a family; each is defined in the family's file.
#ifndef SLM_OPS_FAMILIES_H_
#define SLM_OPS_FAMILIES_H_

#include <span>

#include "ops/op.h"

namespace slm {

std::span<const OpDef> ElementwiseOps();  // Add, Mul, Where, Pow, compare ...
std::span<const OpDef> ActivationOps();   // Sigmoid, Gelu, QuickGelu, Softplus
std::span<const OpDef> ShapeOps();        // Shape, Reshape, Concat, Slice ...
std::span<const OpDef> GatherOps();       // Gather, GatherBlockQuantized ...
std::span<const OpDef> ReduceOps();       // ReduceSum, ArgMax, CumSum, TopK
std::span<const OpDef> CastOps();         // Cast, DequantizeLinear ...
std::span<const OpDef> NormOps();         // LayerNormalization, Skip* ...
std::span<const OpDef> SoftmaxOps();      // Softmax, LogSoftmax
std::span<const OpDef> MatMulOps();       // MatMul, Gemm, FusedMatMul
std::span<const OpDef> MatMulNBitsOps();  // MatMulNBits
std::span<const OpDef> RotaryOps();       // RotaryEmbedding, both domains
std::span<const OpDef> AttentionOps();    // GroupQueryAttention, Attention ...
std::span<const OpDef> MoeOps();          // MoE, QMoE
std::span<const OpDef> ConvOps();         // Conv, CausalConvWithState
std::span<const OpDef> RecurrentOps();    // LinearAttention
std::span<const OpDef> ControlOps();      // If
std::span<const OpDef> InternalOps();     // domain "slm"

}  // namespace slm

#endif  // SLM_OPS_FAMILIES_H_
