// SPDX-License-Identifier: MIT
#include "ops/kernels/gemm.h"

#include <algorithm>
#include <cstring>

#include "ops/kernels/gemm_args.h"
#include "runtime/core/check.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/gemm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "ops/kernels/gemm-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

// Rows that share a panel: they stay in 1 MiB of cache.
HWY_INLINE size_t RowBlock(size_t k) {
  const size_t rows = (size_t{1} << 18) / (k + 1) / 8 * 8;
  return std::clamp<size_t>(rows, 32, kGemmMostRows);
}

// The panel of `k` rows from k0 on against rows [m0, m1) of a.
HWY_INLINE void GemmPanel(const GemmArgs& g, size_t k0, size_t k, size_t m0,
                          size_t m1, GemmWorker& w) {
  for (size_t m = m0; m < m1;) {
    const size_t rows = RowsAtOnce(m1 - m);
    const float* a = g.a + m * g.lda + k0;
    uint32_t* acc = w.acc + (m - m0) * kTile;
    if (rows == 8) {
      if constexpr (kMaxRows == 8) GemmRows<8>(w.panel, a, g.lda, k, acc);
    } else if (rows == 4) {
      GemmRows<4>(w.panel, a, g.lda, k, acc);
    } else if (rows == 2) {
      GemmRows<2>(w.panel, a, g.lda, k, acc);
    } else {
      GemmRows<1>(w.panel, a, g.lda, k, acc);
    }
    m += rows;
  }
}

// Columns [begin, end) of all rows.
void GemmColumns(const GemmArgs& g, size_t begin, size_t end) {
  GemmWorker w;
  const GemmB& b = *g.b;
  if (g.m == 1 && !b.transposed) {
    for (size_t n = begin; n < end; n += kGemmStrip) {
      Strip(g, n, std::min(kGemmStrip, end - n), w);
    }
    return;
  }
  const size_t row_block = RowBlock(b.k);
  for (size_t m0 = 0; m0 < g.m; m0 += row_block) {
    const size_t m1 = std::min(g.m, m0 + row_block);
    for (size_t n0 = begin; n0 < end; n0 += kTile) {
      const size_t columns = std::min(kTile, end - n0);
      std::memset(w.acc, 0, (m1 - m0) * kTile * sizeof *w.acc);
      for (size_t k0 = 0; k0 < b.k; k0 += kGemmChunk) {
        const size_t k = std::min(kGemmChunk, b.k - k0);
        PreparePanel(b, n0, columns, k0, k, w);
        GemmPanel(g, k0, k, m0, m1, w);
      }
      for (size_t m = m0; m < m1; ++m) {
        StoreTileRow(w.acc + (m - m0) * kTile, g.bias ? g.bias + n0 : nullptr,
                     columns, g.c + m * g.ldc + n0);
      }
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {
namespace {

HWY_EXPORT(GemmColumns);

}  // namespace

void GemmF32(ThreadPool* pool, const float* a, size_t lda, size_t m,
             const GemmB& b, const float* bias, float* c, size_t ldc) {
  SLM_DCHECK(b.dtype == DType::kF32 || IsHalf(b.dtype));
  if (m == 0 || b.n == 0) return;
  GemmB matrix = b;
  if (matrix.stride == 0) matrix.stride = b.transposed ? b.k : b.n;
  const GemmArgs args = {.a = a,
                         .lda = lda,
                         .m = m,
                         .b = &matrix,
                         .bias = bias,
                         .c = c,
                         .ldc = ldc};
  const auto columns = HWY_DYNAMIC_POINTER(GemmColumns);
  if (!pool) return columns(args, 0, b.n);
  // 2^18 multiply-adds take about 5 us; a wider range lets M = 1 read along.
  const size_t work = 16 * std::max<size_t>(1, b.k) * std::min<size_t>(m, 64);
  const size_t grain = 16 * std::max<size_t>(1, (size_t{1} << 18) / work);
  ParallelFor(*pool, b.n, grain, [&](size_t begin, size_t end, size_t) {
    columns(args, begin, end);
  });
}

}  // namespace slm
#endif  // HWY_ONCE
