// SPDX-License-Identifier: MIT
// com.microsoft MatMulNBits: Y [..., N] = A [..., K] x dequant(B [N, K])^T, and
// the plan's own pair and three of them, GatedMatMulNBits and GatedMlpNBits.
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
  bool fixed_scales = false;  // of all matrices that this describes
  QGemmMode mode = QGemmMode::kFloat32Activations;
  Activation activation = Activation::kSwish;  // of the gated pair
  float alpha = 1;
};

bool IsBlockSize(int64_t size) {
  return size >= 16 && size <= 256 && (size & (size - 1)) == 0;
}

// The attributes that describe a matrix [N, K].
struct NBitsNames {
  const char *n, *k, *bits, *block_size;
};
constexpr NBitsNames kOwn = {"N", "K", "bits", "block_size"};

// Whether the plan made the scales of the matrix at input `first`.
bool HasFixedScales(const AttributeReader& a, size_t first) {
  return a.graph().HasOwnLayout(a.node().Input(first + 1));
}

// Of the matrix at input `first`. What is wrong is a failure of a.Finish.
NBitsParams ReadNBits(AttributeReader& a, const NBitsNames& names,
                      size_t first) {
  // More than any tensor holds; keeps products of sizes far from overflow.
  constexpr int64_t kMaxSize = int64_t{1} << 31;
  const int64_t k = a.RequiredInt(names.k);
  const int64_t n = a.RequiredInt(names.n);
  const int64_t block = a.RequiredInt(names.block_size);
  const int64_t bits = a.Int(names.bits, 4);
  const int64_t level = a.Int("accuracy_level", 0);
  a.OnlyInt("weight_prepacked", 0);  // layouts of other processors
  for (int64_t size : {k, n}) {
    a.FailUnless(
        size > 0 && size <= kMaxSize,
        Format("%s = %lld, %s = %lld: sizes must be 1 to 2^31", names.k,
               static_cast<long long>(k), names.n, static_cast<long long>(n)));
  }
  a.FailUnless(bits == 2 || bits == 4 || bits == 8,
               Format("%s = %lld, supported: 2, 4, 8", names.bits,
                      static_cast<long long>(bits)));
  a.FailUnless(IsBlockSize(block),
               Format("%s = %lld, supported: powers of two, 16 to 256",
                      names.block_size, static_cast<long long>(block)));
  a.FailUnless(level >= 0 && level <= 4,
               Format("accuracy_level = %lld, supported: 0 to 4",
                      static_cast<long long>(level)));
  NBitsParams p;
  p.n = static_cast<size_t>(n);
  p.k = static_cast<size_t>(k);
  p.bits = static_cast<int>(bits);
  p.block_size = static_cast<size_t>(block);
  p.fixed_scales = HasFixedScales(a, first);
  if (level == 4) p.mode = QGemmMode::kInt8Activations;
  return p;
}

Result<OpParams> ParseNBits(AttributeReader& a) {
  a.CheckArity(3, 6, 1);
  a.FailUnless(!a.HasInput(4), "input 4 (g_idx, deprecated) is not supported");
  const NBitsParams p = ReadNBits(a, kOwn, 1);
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

// Input `first` and those behind it: B, scales, zero points.
Result<BlockQuantMatrix> Weights(const OpContext& c, const NBitsParams& p,
                                 size_t first) {
  return MakeBlockQuantMatrix(
      {.n = p.n,
       .k = p.k,
       .bits = p.bits,
       .block_size = p.block_size,
       .data = c.inputs[first],
       .scales = c.inputs[first + 1],
       .zero_points = c.HasInput(first + 2) ? c.inputs[first + 2] : nullptr,
       .fixed_scales = p.fixed_scales});
}

Status CheckBias(const OpContext& c, const NBitsParams& p, size_t input) {
  if (c.HasInput(input) &&
      (c.In(input).dtype != DType::kF32 || c.In(input).shape.Count() != p.n)) {
    return Invalid("bias is %s %s, expected float [%zu]",
                   Name(c.In(input).dtype),
                   c.In(input).shape.ToString().c_str(), p.n);
  }
  return OkStatus();
}

const float* Bias(const OpContext& c, size_t input) {
  return c.HasInput(input) ? c.In(input).As<float>() : nullptr;
}

// [..., N] for rows [..., K].
Result<Shape> ShapeOfProduct(const Shape& a, const NBitsParams& p) {
  if (a.rank() == 0 || a.back() != static_cast<int64_t>(p.k)) {
    return Invalid("A %s does not end in K = %zu", a.ToString().c_str(), p.k);
  }
  Shape out = a;
  out[out.rank() - 1] = static_cast<int64_t>(p.n);
  auto checked = Shape::Make(out.dims());
  if (!checked) {
    return Invalid("output %s is too large", out.ToString().c_str());
  }
  return *checked;
}

Status CheckType(const TensorView& a) {
  if (a.dtype == DType::kF32) return OkStatus();
  return Invalid("A has type %s, supported: float", Name(a.dtype));
}

NextWeights NextOf(const OpContext& c) {
  const TensorView *b = c.next_weights, *scales = c.next_scales;
  // Not checked yet: that is done where they are used.
  if (!b || !scales || b->shape.rank() == 0 || b->Count() == 0) return {};
  const size_t n = static_cast<size_t>(b->shape[0]);
  return {.b = static_cast<const uint8_t*>(b->data),
          .scales = static_cast<const uint8_t*>(scales->data),
          .n = n,
          .row_bytes = b->Bytes() / n,
          .scale_row_bytes = scales->Bytes() / n};
}

size_t RowCount(const OpContext& c, const NBitsParams& p) {
  return c.In(0).Count() / p.k;
}

Status InferNBits(OpContext& c) {
  const auto& p = c.Params<NBitsParams>();
  SLM_RETURN_IF_ERROR(CheckType(c.In(0)));
  SLM_ASSIGN_OR_RETURN(const Shape out, ShapeOfProduct(c.In(0).shape, p));
  SLM_RETURN_IF_ERROR(CheckBias(c, p, 5));
  SLM_ASSIGN_OR_RETURN(const BlockQuantMatrix b, Weights(c, p, 1));
  c.SetOutput(0, DType::kF32, out);
  c.scratch_bytes =
      QGemmScratchBytes(RowCount(c, p), b, p.mode, c.pool->size());
  return OkStatus();
}

void RunNBits(OpContext& c) {
  const auto& p = c.Params<NBitsParams>();
  const size_t m = RowCount(c, p);
  if (m == 0) return;
  const auto b = Weights(c, p, 1);  // cannot fail: infer has checked it
  QGemm(*c.pool, c.In(0).As<float>(), p.k, m, *b, Bias(c, 5),
        c.Out(0).Mutable<float>(), p.n, p.mode, c.scratch, nullptr, NextOf(c));
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

NBitsParams ReadGated(AttributeReader& a) {
  const std::string name = a.String("activation", "");
  NBitsParams p = ReadNBits(a, kOwn, 1);
  // The plan joins no two of which one has them.
  p.fixed_scales &= HasFixedScales(a, kUp);
  for (const GateRow& row : kGates) {
    if (name != row.name) continue;
    p.activation = row.f;
    p.alpha = row.alpha;
    return p;
  }
  a.Fail(Format("activation \"%s\" is not supported", Printable(name).c_str()));
  return p;
}

Result<OpParams> ParseGated(AttributeReader& a) {
  const NBitsParams p = ReadGated(a);
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

Status CheckUp(const OpContext& c, const NBitsParams& p) {
  SLM_RETURN_IF_ERROR(CheckBias(c, p, kUp + 4));
  SLM_ASSIGN_OR_RETURN(const BlockQuantMatrix b, Weights(c, p, 1));
  SLM_ASSIGN_OR_RETURN(const BlockQuantMatrix up, Weights(c, p, kUp));
  if (!CanGate(b, up)) return Invalid("weights of two kinds");
  return OkStatus();
}

Status InferGated(OpContext& c) {
  SLM_RETURN_IF_ERROR(InferNBits(c));
  return CheckUp(c, c.Params<NBitsParams>());
}

QGemmGate GateOf(const OpContext& c, const NBitsParams& p,
                 const BlockQuantMatrix& up) {
  return {.up = &up,
          .up_bias = Bias(c, kUp + 4),
          .f =
              [](const void* context, const GateTile& t) {
                const auto& params = *static_cast<const NBitsParams*>(context);
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
}

void RunGated(OpContext& c) {
  const auto& p = c.Params<NBitsParams>();
  const size_t m = RowCount(c, p);
  if (m == 0) return;
  const auto b = Weights(c, p, 1), up = Weights(c, p, kUp);
  const QGemmGate gate = GateOf(c, p, *up);
  QGemm(*c.pool, c.In(0).As<float>(), p.k, m, *b, Bias(c, 5),
        c.Out(0).Mutable<float>(), p.n, p.mode, c.scratch, &gate, NextOf(c));
}

// GatedMlpNBits: Z = Y x dequant(D)^T + bias_d with Y as above, D and its four
// behind U's.
constexpr size_t kDown = kUp + 5;
constexpr NBitsNames kDownNames = {"down_N", "N", "down_bits",
                                   "down_block_size"};

struct GatedMlpParams {
  NBitsParams gated, down;
};

Result<OpParams> ParseGatedMlp(AttributeReader& a) {
  const GatedMlpParams p = {ReadGated(a), ReadNBits(a, kDownNames, kDown)};
  a.FailUnless(p.down.mode == QGemmMode::kInt8Activations,
               "accuracy_level is not 4");
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

Status InferGatedMlp(OpContext& c) {
  const auto& p = c.Params<GatedMlpParams>();
  SLM_RETURN_IF_ERROR(CheckType(c.In(0)));
  SLM_ASSIGN_OR_RETURN(const Shape y, ShapeOfProduct(c.In(0).shape, p.gated));
  SLM_ASSIGN_OR_RETURN(const Shape out, ShapeOfProduct(y, p.down));
  SLM_RETURN_IF_ERROR(CheckBias(c, p.gated, 5));
  SLM_RETURN_IF_ERROR(CheckUp(c, p.gated));
  SLM_RETURN_IF_ERROR(CheckBias(c, p.down, kDown + 4));
  SLM_ASSIGN_OR_RETURN(const BlockQuantMatrix b, Weights(c, p.gated, 1));
  SLM_ASSIGN_OR_RETURN(const BlockQuantMatrix down, Weights(c, p.down, kDown));
  if (!CanFeed(b, down)) return Invalid("weights do not fit each other");
  c.SetOutput(0, DType::kF32, out);
  c.scratch_bytes =
      QGatedMlpScratchBytes(RowCount(c, p.gated), b, down, c.pool->size());
  return OkStatus();
}

void RunGatedMlp(OpContext& c) {
  const auto& p = c.Params<GatedMlpParams>();
  const size_t m = RowCount(c, p.gated);
  if (m == 0) return;
  const auto b = Weights(c, p.gated, 1), up = Weights(c, p.gated, kUp);
  const auto down = Weights(c, p.down, kDown);
  const GatedMlp mlp = {.b = &*b,
                        .bias = Bias(c, 5),
                        .gate = GateOf(c, p.gated, *up),
                        .down = &*down,
                        .down_bias = Bias(c, kDown + 4)};
  QGatedMlp(*c.pool, c.In(0).As<float>(), p.gated.k, m, mlp,
            c.Out(0).Mutable<float>(), p.down.n, c.scratch, NextOf(c));
}

// Scales, and zero points in the type of the scales.
constexpr uint32_t kHalfScales = 1u << 2 | 1u << 3;
constexpr uint32_t kHalfGated = kHalfScales | kHalfScales << (kUp - 1);
constexpr uint32_t kHalfMlp = kHalfGated | kHalfScales << (kDown - 1);

constexpr OpDef kOps[] = {
    {"com.microsoft", "MatMulNBits", 1, kLatestOpset, ParseNBits, InferNBits,
     RunNBits, kRowwise | kBlockWeights, kHalfScales},
    {"slm", "GatedMatMulNBits", 1, kLatestOpset, ParseGated, InferGated,
     RunGated, kRowwise | kBlockWeights, kHalfGated},
    {"slm", "GatedMlpNBits", 1, kLatestOpset, ParseGatedMlp, InferGatedMlp,
     RunGatedMlp, kRowwise | kBlockWeights, kHalfMlp},
};

}  // namespace

std::span<const OpDef> MatMulNBitsOps() { return kOps; }

}  // namespace slm
