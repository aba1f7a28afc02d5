// SPDX-License-Identifier: MIT
// com.microsoft MatMulNBits: Y [..., N] = A [..., K] x dequant(B [N, K])^T, and
// the plan's own pair of them, GatedMatMulNBits.
#include "ops/block_weights.h"
#include "ops/families.h"
#include "ops/kernels/activation.h"
#include "quant/qgemm.h"

namespace slm {
namespace {

struct NBitsParams {
  size_t n = 0;
  size_t k = 0;
  int bits = 4;
  size_t block_size = 32;
  QGemmMode mode = QGemmMode::kFloat32Activations;
  Activation activation = Activation::kSwish;  // of the gated pair
  float alpha = 1;
};

bool IsBlockSize(int64_t size) {
  return size >= 16 && size <= 256 && (size & (size - 1)) == 0;
}

Result<NBitsParams> ReadNBits(AttributeReader& a) {
  // More than any tensor holds; keeps products of sizes far from overflow.
  constexpr int64_t kMaxSize = int64_t{1} << 31;
  const int64_t k = a.RequiredInt("K");
  const int64_t n = a.RequiredInt("N");
  const int64_t block = a.RequiredInt("block_size");
  const int64_t bits = a.Int("bits", 4);
  const int64_t level = a.Int("accuracy_level", 0);
  a.OnlyInt("weight_prepacked", 0);  // layouts of other processors
  for (int64_t size : {k, n}) {
    a.FailUnless(size > 0 && size <= kMaxSize,
                 Format("K = %lld, N = %lld: sizes must be 1 to 2^31",
                        static_cast<long long>(k), static_cast<long long>(n)));
  }
  a.FailUnless(
      bits == 2 || bits == 4 || bits == 8,
      Format("bits = %lld, supported: 2, 4, 8", static_cast<long long>(bits)));
  a.FailUnless(IsBlockSize(block),
               Format("block_size = %lld, supported: powers of two, 16 to 256",
                      static_cast<long long>(block)));
  a.FailUnless(level >= 0 && level <= 4,
               Format("accuracy_level = %lld, supported: 0 to 4",
                      static_cast<long long>(level)));
  SLM_RETURN_IF_ERROR(a.Finish());
  NBitsParams p;
  p.n = static_cast<size_t>(n);
  p.k = static_cast<size_t>(k);
  p.bits = static_cast<int>(bits);
  p.block_size = static_cast<size_t>(block);
  if (level == 4) p.mode = QGemmMode::kInt8Activations;
  return p;
}

Result<OpParams> ParseNBits(AttributeReader& a) {
  a.CheckArity(3, 6, 1);
  a.FailUnless(!a.HasInput(4), "input 4 (g_idx, deprecated) is not supported");
  SLM_ASSIGN_OR_RETURN(const NBitsParams p, ReadNBits(a));
  return MakeParams(p);
}

// Input `first` and those behind it: B, scales, zero points.
Result<BlockQuantMatrix> Weights(const OpContext& c, size_t first) {
  const auto& p = c.Params<NBitsParams>();
  return MakeBlockQuantMatrix(
      {.n = p.n,
       .k = p.k,
       .bits = p.bits,
       .block_size = p.block_size,
       .data = c.inputs[first],
       .scales = c.inputs[first + 1],
       .zero_points = c.HasInput(first + 2) ? c.inputs[first + 2] : nullptr});
}

Status CheckBias(const OpContext& c, size_t input) {
  const size_t n = c.Params<NBitsParams>().n;
  if (c.HasInput(input) &&
      (c.In(input).dtype != DType::kF32 || c.In(input).shape.Count() != n)) {
    return Invalid("bias is %s %s, expected float [%zu]",
                   Name(c.In(input).dtype),
                   c.In(input).shape.ToString().c_str(), n);
  }
  return OkStatus();
}

const float* Bias(const OpContext& c, size_t input) {
  return c.HasInput(input) ? c.In(input).As<float>() : nullptr;
}

Status InferNBits(OpContext& c) {
  const auto& p = c.Params<NBitsParams>();
  const TensorView& a = c.In(0);
  if (a.dtype != DType::kF32) {
    return Invalid("A has type %s, supported: float", Name(a.dtype));
  }
  if (a.shape.rank() == 0 || a.shape.back() != static_cast<int64_t>(p.k)) {
    return Invalid("A %s does not end in K = %zu", a.shape.ToString().c_str(),
                   p.k);
  }
  SLM_RETURN_IF_ERROR(CheckBias(c, 5));
  SLM_ASSIGN_OR_RETURN(const BlockQuantMatrix b, Weights(c, 1));
  Shape out = a.shape;
  out[out.rank() - 1] = static_cast<int64_t>(p.n);
  const auto checked = Shape::Make(out.dims());
  if (!checked) {
    return Invalid("output %s is too large", out.ToString().c_str());
  }
  c.SetOutput(0, DType::kF32, *checked);
  c.scratch_bytes =
      QGemmScratchBytes(a.shape.Count() / p.k, b, p.mode, c.pool->size());
  return OkStatus();
}

void RunNBits(OpContext& c) {
  const auto& p = c.Params<NBitsParams>();
  const size_t m = c.In(0).Count() / p.k;
  if (m == 0) return;
  const auto b = Weights(c, 1);  // cannot fail: infer has checked it
  QGemm(*c.pool, c.In(0).As<float>(), p.k, m, *b, Bias(c, 5),
        c.Out(0).Mutable<float>(), p.n, p.mode, c.scratch);
}

// GatedMatMulNBits: Y = f(A x dequant(B)^T + bias) * (A x dequant(U)^T +
// bias_u) with inputs A, B, scales, zero points, (unused), bias, U and its
// four.
constexpr size_t kUp = 6;

struct GateRow {
  const char* name;
  Activation f;
  float alpha;
};
constexpr GateRow kGates[] = {
    {"silu", Activation::kSwish, 1},
    {"gelu", Activation::kGelu, 0},
    {"gelu_tanh", Activation::kGeluTanh, 0},
};

Result<OpParams> ParseGated(AttributeReader& a) {
  const std::string name = a.String("activation", "");
  SLM_ASSIGN_OR_RETURN(NBitsParams p, ReadNBits(a));
  for (const GateRow& row : kGates) {
    if (name != row.name) continue;
    p.activation = row.f;
    p.alpha = row.alpha;
    return MakeParams(p);
  }
  return Invalid("activation \"%s\" is not supported", Printable(name).c_str());
}

Status InferGated(OpContext& c) {
  SLM_RETURN_IF_ERROR(InferNBits(c));
  SLM_RETURN_IF_ERROR(CheckBias(c, kUp + 4));
  SLM_ASSIGN_OR_RETURN(const BlockQuantMatrix b, Weights(c, 1));
  SLM_ASSIGN_OR_RETURN(const BlockQuantMatrix up, Weights(c, kUp));
  if (!CanGate(b, up)) return Invalid("weights of two kinds");
  return OkStatus();
}

void RunGated(OpContext& c) {
  const auto& p = c.Params<NBitsParams>();
  const size_t m = c.In(0).Count() / p.k;
  if (m == 0) return;
  const auto b = Weights(c, 1), up = Weights(c, kUp);
  const QGemmGate gate = {.up = &*up,
                          .up_bias = Bias(c, kUp + 4),
                          .f =
                              [](const void* context, const GateTile& t) {
                                const auto& params =
                                    *static_cast<const NBitsParams*>(context);
                                ActivateTile(params.activation, params.alpha,
                                             {.x = t.gate,
                                              .up = t.up,
                                              .stride = t.stride,
                                              .out = t.c,
                                              .out_stride = t.ldc,
                                              .rows = t.rows,
                                              .columns = t.columns});
                              },
                          .context = &p};
  QGemm(*c.pool, c.In(0).As<float>(), p.k, m, *b, Bias(c, 5),
        c.Out(0).Mutable<float>(), p.n, p.mode, c.scratch, &gate);
}

// Scales, and zero points in the type of the scales.
constexpr uint32_t kHalfScales = 1u << 2 | 1u << 3;

constexpr OpDef kOps[] = {
    {"com.microsoft", "MatMulNBits", 1, kLatestOpset, ParseNBits, InferNBits,
     RunNBits, kRowwise, kHalfScales},
    {"slm", "GatedMatMulNBits", 1, kLatestOpset, ParseGated, InferGated,
     RunGated, kRowwise, kHalfScales | kHalfScales << (kUp - 1)},
};

}  // namespace

std::span<const OpDef> MatMulNBitsOps() { return kOps; }

}  // namespace slm
