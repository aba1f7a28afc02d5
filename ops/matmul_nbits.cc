// SPDX-License-Identifier: MIT
// com.microsoft MatMulNBits: Y [..., N] = A [..., K] x dequant(B [N, K])^T.
#include "ops/block_weights.h"
#include "ops/families.h"
#include "quant/qgemm.h"

namespace slm {
namespace {

struct NBitsParams {
  size_t n = 0;
  size_t k = 0;
  int bits = 4;
  size_t block_size = 32;
  QGemmMode mode = QGemmMode::kFloat32Activations;
};

bool IsBlockSize(int64_t size) {
  return size >= 16 && size <= 256 && (size & (size - 1)) == 0;
}

Result<OpParams> ParseNBits(AttributeReader& a) {
  // More than any tensor holds; keeps products of sizes far from overflow.
  constexpr int64_t kMaxSize = int64_t{1} << 31;
  a.CheckArity(3, 6, 1);
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
  a.FailUnless(!a.HasInput(4), "input 4 (g_idx, deprecated) is not supported");
  SLM_RETURN_IF_ERROR(a.Finish());
  NBitsParams p;
  p.n = static_cast<size_t>(n);
  p.k = static_cast<size_t>(k);
  p.bits = static_cast<int>(bits);
  p.block_size = static_cast<size_t>(block);
  if (level == 4) p.mode = QGemmMode::kInt8Activations;
  return MakeParams(p);
}

Result<BlockQuantMatrix> Weights(const OpContext& c) {
  const auto& p = c.Params<NBitsParams>();
  return MakeBlockQuantMatrix(
      {.n = p.n,
       .k = p.k,
       .bits = p.bits,
       .block_size = p.block_size,
       .data = c.inputs[1],
       .scales = c.inputs[2],
       .zero_points = c.HasInput(3) ? c.inputs[3] : nullptr});
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
  if (c.HasInput(5) &&
      (c.In(5).dtype != DType::kF32 || c.In(5).shape.Count() != p.n)) {
    return Invalid("bias is %s %s, expected float [%zu]", Name(c.In(5).dtype),
                   c.In(5).shape.ToString().c_str(), p.n);
  }
  SLM_ASSIGN_OR_RETURN(const BlockQuantMatrix b, Weights(c));
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
  const auto b = Weights(c);  // cannot fail: infer has checked it
  const float* bias = c.HasInput(5) ? c.In(5).As<float>() : nullptr;
  QGemm(*c.pool, c.In(0).As<float>(), p.k, m, *b, bias,
        c.Out(0).Mutable<float>(), p.n, p.mode, c.scratch);
}

// Scales, and zero points in the type of the scales.
constexpr uint32_t kHalfScales = 1u << 2 | 1u << 3;

constexpr OpDef kOps[] = {
    {"com.microsoft", "MatMulNBits", 1, kLatestOpset, ParseNBits, InferNBits,
     RunNBits, kRowwise, kHalfScales},
};

}  // namespace

std::span<const OpDef> MatMulNBitsOps() { return kOps; }

}  // namespace slm
