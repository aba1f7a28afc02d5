// SPDX-License-Identifier: MIT
// Products of float matrices: MatMul, Gemm, FusedMatMul. A constant B may stay
// float16 or bfloat16; everything is accumulated in float32.
#include <cmath>

#include "ops/families.h"
#include "ops/kernels/gemm.h"
#include "ops/matmul_shape.h"

namespace slm {
namespace {

struct MatMulParams {
  bool transpose_a = false;
  bool transpose_b = false;
  float alpha = 1;
};

Result<OpParams> ParseMatMul(AttributeReader& a) {
  a.CheckArity(2, 2, 1);
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(MatMulParams());
}

bool ReadFlag(AttributeReader& a, const char* name) {
  const int64_t value = a.Int(name, 0);
  a.FailUnless(value == 0 || value == 1,
               Format("attribute \"%s\" = %lld, supported: 0, 1", name,
                      static_cast<long long>(value)));
  return value == 1;
}

Result<OpParams> ParseFusedMatMul(AttributeReader& a) {
  MatMulParams p;
  a.CheckArity(2, 2, 1);
  p.transpose_a = ReadFlag(a, "transA");
  p.transpose_b = ReadFlag(a, "transB");
  a.OnlyInt("transBatchA", 0);
  a.OnlyInt("transBatchB", 0);
  p.alpha = a.Float("alpha", 1);
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

Status CheckTypes(const OpContext& c) {
  if (c.In(0).dtype != DType::kF32) {
    return Invalid("A has type %s, supported: float", Name(c.In(0).dtype));
  }
  if (c.In(1).dtype != DType::kF32 && !IsHalf(c.In(1).dtype)) {
    return Invalid("B has type %s, supported: float, float16, bfloat16",
                   Name(c.In(1).dtype));
  }
  return OkStatus();
}

// y [cols, rows] = x [rows, cols] transposed, for `count` matrices.
void Transpose(const float* x, size_t count, size_t rows, size_t cols, float* y,
               ThreadPool& pool) {
  // Columns of x are strided reads, about 2 ns each: 8 Ki elements a range.
  const size_t grain = 8192 / (rows ? rows : 1) + 1;
  ParallelFor(pool, count * cols, grain, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; ++i) {
      const float* from = x + i / cols * rows * cols + i % cols;
      float* to = y + i * rows;
      for (size_t r = 0; r < rows; ++r) to[r] = from[r * cols];
    }
  });
}

void Scale(float factor, std::span<float> y, ThreadPool& pool) {
  if (factor == 1) return;
  ParallelFor(pool, y.size(), 32768, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; ++i) y[i] *= factor;
  });
}

Status InferMatMul(OpContext& c) {
  const auto& p = c.Params<MatMulParams>();
  SLM_RETURN_IF_ERROR(CheckTypes(c));
  SLM_ASSIGN_OR_RETURN(const MatMulShape s,
                       MakeMatMulShape(c.In(0).shape, c.In(1).shape,
                                       p.transpose_a, p.transpose_b));
  c.SetOutput(0, DType::kF32, s.output);
  if (p.transpose_a) c.scratch_bytes = c.In(0).Count() * sizeof(float);
  return OkStatus();
}

// One product for each entry of the batch.
void MultiplyBatch(const MatMulShape& s, const float* a, const TensorView& b,
                   bool transpose_b, float* y, ThreadPool& pool) {
  const size_t matrix_bytes = s.k * s.n * BytesFor(b.dtype, 1);
  const auto one = [&](size_t i, ThreadPool* threads) {
    const GemmB matrix{.data = b.Raw() + s.MatrixB(i) * matrix_bytes,
                       .dtype = b.dtype,
                       .transposed = transpose_b,
                       .n = s.n,
                       .k = s.k};
    GemmF32(threads, a + s.MatrixA(i) * s.m * s.k, s.k, s.m, matrix, nullptr,
            y + i * s.m * s.n, s.n);
  };
  // Matrices whose product takes a thread less than 10 us (about 100 k
  // multiply-adds), or enough of them: whole matrices a thread.
  const size_t batch = s.BatchCount();
  const size_t work = s.m * s.k * s.n;
  if (batch < pool.size() && work > 100'000) {
    for (size_t i = 0; i < batch; ++i) one(i, &pool);
    return;
  }
  ParallelFor(pool, batch, 100'000 / (work + 1) + 1,
              [&](size_t begin, size_t end, size_t) {
                for (size_t i = begin; i < end; ++i) one(i, nullptr);
              });
}

void RunMatMul(OpContext& c) {
  const auto& p = c.Params<MatMulParams>();
  const TensorView& b = c.In(1);
  const auto made =
      MakeMatMulShape(c.In(0).shape, b.shape, p.transpose_a, p.transpose_b);
  const MatMulShape& s = *made;
  const float* a = c.In(0).As<float>();
  float* y = c.Out(0).Mutable<float>();
  const bool transpose_b = p.transpose_b && b.shape.rank() > 1;
  if (p.transpose_a && c.In(0).shape.rank() > 1) {
    float* turned = static_cast<float*>(c.scratch);
    Transpose(a, s.a_batch.Count(), s.k, s.m, turned, *c.pool);
    a = turned;
  }
  if (s.output.Count() == 0) return;
  if (s.Folds()) {
    const GemmB matrix{.data = b.data,
                       .dtype = b.dtype,
                       .transposed = transpose_b,
                       .n = s.n,
                       .k = s.k};
    GemmF32(c.pool, a, s.k, s.BatchCount() * s.m, matrix, nullptr, y, s.n);
  } else {
    MultiplyBatch(s, a, b, transpose_b, y, *c.pool);
  }
  Scale(p.alpha, {y, s.output.Count()}, *c.pool);
}

// ---- Gemm: Y [M, N] = alpha * A' x B' + beta * C

struct GemmParams {
  bool transpose_a = false;
  bool transpose_b = false;
  float alpha = 1;
  float beta = 1;
};

Result<OpParams> ParseGemm(AttributeReader& a) {
  GemmParams p;
  a.CheckArity(2, 3, 1);
  p.transpose_a = ReadFlag(a, "transA");
  p.transpose_b = ReadFlag(a, "transB");
  p.alpha = a.Float("alpha", 1);
  p.beta = a.Float("beta", 1);
  if (a.node().version < 7) a.Ignore("broadcast", "C is broadcast anyway");
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

Status InferGemm(OpContext& c) {
  const auto& p = c.Params<GemmParams>();
  SLM_RETURN_IF_ERROR(CheckTypes(c));
  const Shape& a = c.In(0).shape;
  const Shape& b = c.In(1).shape;
  if (a.rank() != 2 || b.rank() != 2) {
    return Invalid("A %s and B %s must have rank 2", a.ToString().c_str(),
                   b.ToString().c_str());
  }
  SLM_ASSIGN_OR_RETURN(const MatMulShape s,
                       MakeMatMulShape(a, b, p.transpose_a, p.transpose_b));
  if (c.HasInput(2)) {
    const TensorView& added = c.In(2);
    const auto shape = Broadcast(added.shape, s.output);
    if (added.dtype != DType::kF32) {
      return Invalid("C has type %s, supported: float", Name(added.dtype));
    }
    if (!shape || !(*shape == s.output)) {
      return Invalid("C %s does not broadcast to %s",
                     added.shape.ToString().c_str(),
                     s.output.ToString().c_str());
    }
  }
  c.SetOutput(0, DType::kF32, s.output);
  if (p.transpose_a) c.scratch_bytes = c.In(0).Count() * sizeof(float);
  return OkStatus();
}

// y += beta * c, c broadcast to y [m, n].
void AddBroadcast(const TensorView& c, float beta, size_t m, size_t n, float* y,
                  ThreadPool& pool) {
  const size_t rank = c.shape.rank();
  const size_t column_step = rank >= 1 && c.shape.back(0) != 1 ? 1 : 0;
  const size_t row_step =
      rank == 2 && c.shape[0] != 1 ? static_cast<size_t>(c.shape[1]) : 0;
  const float* from = c.As<float>();
  ParallelFor(pool, m, 32768 / n + 1, [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; ++r) {
      for (size_t i = 0; i < n; ++i) {
        y[r * n + i] += beta * from[r * row_step + i * column_step];
      }
    }
  });
}

void RunGemm(OpContext& c) {
  const auto& p = c.Params<GemmParams>();
  const size_t m = static_cast<size_t>(c.Out(0).shape[0]);
  const size_t n = static_cast<size_t>(c.Out(0).shape[1]);
  if (m == 0 || n == 0) return;
  const size_t k = static_cast<size_t>(c.In(0).shape[p.transpose_a ? 0 : 1]);
  const float* a = c.In(0).As<float>();
  float* y = c.Out(0).Mutable<float>();
  if (p.transpose_a) {
    float* turned = static_cast<float*>(c.scratch);
    Transpose(a, 1, k, m, turned, *c.pool);
    a = turned;
  }
  const GemmB matrix{.data = c.In(1).data,
                     .dtype = c.In(1).dtype,
                     .transposed = p.transpose_b,
                     .n = n,
                     .k = k};
  GemmF32(c.pool, a, k, m, matrix, nullptr, y, n);
  Scale(p.alpha, {y, m * n}, *c.pool);
  if (c.HasInput(2)) AddBroadcast(c.In(2), p.beta, m, n, y, *c.pool);
}

constexpr uint32_t kHalfB = 1u << 1;

constexpr OpDef kOps[] = {
    {"", "Gemm", 1, kLatestOpset, ParseGemm, InferGemm, RunGemm, kRowwise,
     kHalfB},
    {"", "MatMul", 1, kLatestOpset, ParseMatMul, InferMatMul, RunMatMul,
     kRowwise, kHalfB},
    {"com.microsoft", "FusedMatMul", 1, kLatestOpset, ParseFusedMatMul,
     InferMatMul, RunMatMul, kRowwise, kHalfB},
};

}  // namespace

std::span<const OpDef> MatMulOps() { return kOps; }

}  // namespace slm
