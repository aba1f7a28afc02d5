// SPDX-License-Identifier: MIT
// The operator tables, one a family; each is defined in the family's file.
#ifndef SLM_OPS_FAMILIES_H_
#define SLM_OPS_FAMILIES_H_

#include <span>

#include "ops/op.h"

namespace slm {

std::span<const OpDef> ElementwiseOps();  // Add, Mul, Pow, Min, Sum ...
std::span<const OpDef> CompareOps();      // Equal, Less, And, Where, IsNaN ...
std::span<const OpDef> UnaryOps();        // Neg, Sqrt, Cos, Clip ...
std::span<const OpDef> ActivationOps();   // Sigmoid, Gelu, QuickGelu, Softplus
std::span<const OpDef> ShapeOps();        // Shape, Reshape, Squeeze ...
std::span<const OpDef> FillOps();         // ConstantOfShape, Range, EyeLike
std::span<const OpDef> LayoutOps();       // Transpose, Concat, Split ...
std::span<const OpDef> SliceOps();        // Slice, Pad, Trilu
std::span<const OpDef> GatherOps();       // Gather, GatherND, OneHot ...
std::span<const OpDef> ScatterOps();      // ScatterND, TensorScatter ...
std::span<const OpDef> GatherQuantizedOps();  // GatherBlockQuantized
std::span<const OpDef> ReduceOps();       // ReduceSum, ReduceMean ...
std::span<const OpDef> ScanOps();         // ArgMax, CumSum, TopK, NonZero ...
std::span<const OpDef> EinsumOps();       // Einsum
std::span<const OpDef> CastOps();         // Cast, CastLike
std::span<const OpDef> QuantizeOps();     // DequantizeLinear ...
std::span<const OpDef> NormOps();         // LayerNormalization, Skip* ...
std::span<const OpDef> SoftmaxOps();      // Softmax, LogSoftmax
std::span<const OpDef> MatMulOps();       // MatMul, Gemm, FusedMatMul
std::span<const OpDef> MatMulNBitsOps();  // MatMulNBits
std::span<const OpDef> MatMulIntegerOps();  // MatMulInteger ...
std::span<const OpDef> RotaryOps();       // RotaryEmbedding, both domains
std::span<const OpDef> AttentionOps();    // GroupQueryAttention, Attention ...
std::span<const OpDef> MoeOps();          // MoE, QMoE
std::span<const OpDef> ConvOps();         // Conv
std::span<const OpDef> CausalConvOps();   // CausalConvWithState
std::span<const OpDef> RecurrentOps();    // LinearAttention
std::span<const OpDef> ControlOps();      // If
std::span<const OpDef> InternalOps();     // domain "slm"

}  // namespace slm

#endif  // SLM_OPS_FAMILIES_H_
