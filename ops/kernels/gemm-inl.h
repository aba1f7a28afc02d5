// SPDX-License-Identifier: MIT
// Kernels of GemmF32 for one SIMD target.
#if defined(SLM_OPS_KERNELS_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_OPS_KERNELS_GEMM_INL_H_
#undef SLM_OPS_KERNELS_GEMM_INL_H_
#else
#define SLM_OPS_KERNELS_GEMM_INL_H_
#endif

#include <cstring>

#include "ops/kernels/gemm_args.h"
#include "quant/panel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

// kLanes elements at p, of which `count` exist, as float32; zero behind them.
template <bool kAll>
HWY_INLINE VF32 LoadAsFloat(const uint8_t* p, DType dtype, size_t count) {
  const DF32 df;
  if (dtype == DType::kF32) {
    const auto* f = reinterpret_cast<const float*>(p);
    return kAll ? hn::LoadU(df, f) : hn::LoadN(df, f, count);
  }
  const hn::Rebind<uint16_t, DF32> d16;
  const auto* h = reinterpret_cast<const uint16_t*>(p);
  const auto half = kAll ? hn::LoadU(d16, h) : hn::LoadN(d16, h, count);
  return dtype == DType::kBF16 ? FloatsFromBF16(half) : FloatsFromF16(half);
}

// acc [r][n] += sum over k of a [r][k] * panel [k][n], for kVectors vectors of
// columns: AVX2 has 8 lanes and needs 2 x 4 chains to hide the latency of its
// multiply-add, AVX-512 has 8 rows.
template <int kRows, int kVectors>
HWY_INLINE void GemmKernel(const uint32_t* HWY_RESTRICT panel,
                           const float* HWY_RESTRICT a, size_t lda, size_t k,
                           uint32_t* HWY_RESTRICT acc) {
  VF32 sum[kRows][kVectors];
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(DF32());
  }
  for (size_t i = 0; i < k; ++i) {
    VF32 b[kVectors];
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) b[v] = LoadFloats(panel + v * kLanes);
    HWY_UNROLL(8)
    for (int r = 0; r < kRows; ++r) {
      const VF32 x = hn::Set(DF32(), a[r * lda + i]);
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) {
        sum[r][v] = hn::MulAdd(b[v], x, sum[r][v]);
      }
    }
    panel += kTile;
  }
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      uint32_t* at = acc + r * kTile + v * kLanes;
      StoreFloats(hn::Add(LoadFloats(at), sum[r][v]), at);
    }
  }
}

template <int kRows>
HWY_NOINLINE void GemmRows(const uint32_t* panel, const float* a, size_t lda,
                           size_t k, uint32_t* acc) {
  constexpr int kVectors = kLanes < kTile ? 2 : 1;
  for (size_t n = 0; n < kTile; n += kVectors * kLanes) {
    GemmKernel<kRows, kVectors>(panel + n, a, lda, k, acc + n);
  }
}

// w.panel [k][16] = columns [n0, n0 + columns) of rows [k0, k0 + k) of B.
HWY_INLINE void PreparePanel(const GemmB& b, size_t n0, size_t columns,
                             size_t k0, size_t k, GemmWorker& w) {
  if (b.transposed) {
    return TurnFloats(b.data, b.dtype, n0, columns, b.stride, k0, k, w.words,
                      w.panel);
  }
  const size_t size = BytesFor(b.dtype, 1);
  const auto* base =
      static_cast<const uint8_t*>(b.data) + (k0 * b.stride + n0) * size;
  for (size_t i = 0; i < k; ++i) {
    const uint8_t* p = base + i * b.stride * size;
    uint32_t* to = w.panel + i * kTile;
    for (size_t n = 0; n < kTile; n += kLanes) {
      if (n + kLanes <= columns) {
        StoreFloats(LoadAsFloat<true>(p + n * size, b.dtype, kLanes), to + n);
      } else {
        const size_t left = columns > n ? columns - n : 0;
        StoreFloats(LoadAsFloat<false>(p + n * size, b.dtype, left), to + n);
      }
    }
  }
}

// sum [n] += a [0..rows) times `rows` rows of B from p on, for `columns`.
template <int kRows>
HWY_INLINE void StripRows(const float* a, const uint8_t* p, size_t row_bytes,
                          DType dtype, size_t columns, uint32_t* sum) {
  const size_t size = BytesFor(dtype, 1);
  VF32 x[kRows];
  HWY_UNROLL(4)
  for (int r = 0; r < kRows; ++r) x[r] = hn::Set(DF32(), a[r]);
  size_t n = 0;
  for (; n + kLanes <= columns; n += kLanes) {
    VF32 y = LoadFloats(sum + n);
    HWY_UNROLL(4)
    for (int r = 0; r < kRows; ++r) {
      const uint8_t* at = p + r * row_bytes + n * size;
      y = hn::MulAdd(LoadAsFloat<true>(at, dtype, kLanes), x[r], y);
    }
    StoreFloats(y, sum + n);
  }
  if (n == columns) return;
  VF32 y = LoadFloats(sum + n);
  for (int r = 0; r < kRows; ++r) {
    const uint8_t* at = p + r * row_bytes + n * size;
    y = hn::MulAdd(LoadAsFloat<false>(at, dtype, columns - n), x[r], y);
  }
  StoreFloats(y, sum + n);
}

// M = 1 and B [K, N]: rows of B are read along, not across. The additions to
// one output are those of GemmKernel, so the bits are, too.
HWY_INLINE void Strip(const GemmArgs& g, size_t n0, size_t columns,
                      GemmWorker& w) {
  const GemmB& b = *g.b;
  const size_t size = BytesFor(b.dtype, 1), row_bytes = b.stride * size;
  const size_t padded = (columns + kTile - 1) / kTile * kTile;
  std::memset(w.acc, 0, padded * sizeof *w.acc);
  for (size_t k0 = 0; k0 < b.k; k0 += kGemmChunk) {
    const size_t k1 = b.k < k0 + kGemmChunk ? b.k : k0 + kGemmChunk;
    const auto* p = static_cast<const uint8_t*>(b.data) + n0 * size;
    std::memset(w.sum, 0, padded * sizeof *w.sum);
    size_t i = k0;
    for (; i + 4 <= k1; i += 4) {
      StripRows<4>(g.a + i, p + i * row_bytes, row_bytes, b.dtype, columns,
                   w.sum);
    }
    for (; i < k1; ++i) {
      StripRows<1>(g.a + i, p + i * row_bytes, row_bytes, b.dtype, columns,
                   w.sum);
    }
    for (size_t n = 0; n < padded; n += kLanes) {
      StoreFloats(hn::Add(LoadFloats(w.acc + n), LoadFloats(w.sum + n)),
                  w.acc + n);
    }
  }
  for (size_t n = 0; n < columns; n += kTile) {
    StoreTileRow(w.acc + n, g.bias ? g.bias + n0 + n : nullptr,
                 columns - n < kTile ? columns - n : kTile, g.c + n0 + n);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
