// SPDX-License-Identifier: MIT
#include "quant/matmul_integer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/matmul_integer.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "quant/panel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

// Both sides become int16 with their zero points subtracted, two values of k in
// a word: |a| and |b| are at most 255, so a pair's sum fits int32 easily.
inline constexpr size_t kChunkPairs = 256;
inline constexpr size_t kRowBlock = 32;
inline constexpr size_t kRowsAtOnce = 4;

struct IntegerWorker {
  alignas(64) uint32_t panel[kChunkPairs * kTile];  // [k/2][16]
  uint32_t a[kRowBlock * kChunkPairs];              // [row][k/2]
  uint32_t acc[kRowsAtOnce * kTile];
};

HWY_INLINE int ByteAt(const ByteMatrix& m, const void* data, size_t i) {
  return m.is_signed ? static_cast<const int8_t*>(data)[i]
                     : static_cast<const uint8_t*>(data)[i];
}

HWY_INLINE int ZeroPointAt(const ByteMatrix& m, size_t line) {
  return m.zero_points ? ByteAt(m, m.zero_points, m.per_line ? line : 0) : 0;
}

HWY_INLINE uint32_t PairWord(int low, int high) {
  return (static_cast<uint32_t>(low) & 0xFFFFu) |
         (static_cast<uint32_t>(high) << 16);
}

// w.a = rows [m0, m1), columns [k0, k0 + k) of A; an odd k ends with a zero.
HWY_INLINE void PackA(const MatMulIntegerArgs& g, size_t m0, size_t m1,
                      size_t k0, size_t k, IntegerWorker& w) {
  for (size_t m = m0; m < m1; ++m) {
    const int zero = ZeroPointAt(g.a, m);
    const size_t row = m * g.a.stride + k0;
    uint32_t* to = w.a + (m - m0) * kChunkPairs;
    for (size_t i = 0; i < k; i += 2) {
      const int low = ByteAt(g.a, g.a.data, row + i) - zero;
      const int high =
          i + 1 < k ? ByteAt(g.a, g.a.data, row + i + 1) - zero : 0;
      to[i / 2] = PairWord(low, high);
    }
  }
}

// 32-bit lanes of kLanes bytes at p.
HWY_INLINE VI32 PromoteBytes(const uint8_t* p, bool is_signed) {
  const DI32 di;
  const hn::Rebind<uint8_t, DI32> du8;
  const hn::Rebind<int8_t, DI32> di8;
  const auto v = hn::LoadU(du8, p);
  return is_signed ? hn::PromoteTo(di, hn::BitCast(di8, v))
                   : hn::PromoteTo(di, v);
}

// w.panel = rows [k0, k0 + k) of B, columns [n0, n0 + columns).
HWY_INLINE void PackB(const MatMulIntegerArgs& g, size_t n0, size_t columns,
                      size_t k0, size_t k, IntegerWorker& w) {
  alignas(64) int32_t zeros[kTile] = {};
  for (size_t n = 0; n < columns; ++n) zeros[n] = ZeroPointAt(g.b, n0 + n);
  const auto* base = static_cast<const uint8_t*>(g.b.data);
  uint8_t rows[2][kTile] = {};
  const VU32 low_half = hn::Set(DU32(), 0xFFFFu);
  for (size_t i = 0; i < k; i += 2) {
    const bool odd = i + 1 == k;
    const uint8_t* p0 = base + (k0 + i) * g.b.stride + n0;
    const uint8_t* p1 = odd ? p0 : p0 + g.b.stride;
    if (columns < kTile) {
      std::memcpy(rows[0], p0, columns);
      std::memcpy(rows[1], p1, columns);
      p0 = rows[0];
      p1 = rows[1];
    }
    for (size_t n = 0; n < kTile; n += kLanes) {
      const VI32 zero = hn::Load(DI32(), zeros + n);
      const VI32 low = hn::Sub(PromoteBytes(p0 + n, g.b.is_signed), zero);
      // With an odd k, A's half is zero: any value will do here.
      const VI32 high = hn::Sub(PromoteBytes(p1 + n, g.b.is_signed), zero);
      const VU32 word = hn::Or(hn::And(hn::BitCast(DU32(), low), low_half),
                               hn::ShiftLeft<16>(hn::BitCast(DU32(), high)));
      hn::Store(word, DU32(), w.panel + i / 2 * kTile + n);
    }
  }
}

// w.acc [r][n] = sum over pairs of a [r][pair] * panel [pair][n], `kRows` rows.
template <int kRows>
HWY_INLINE void IntegerKernel(const uint32_t* a, size_t pairs, size_t n,
                              IntegerWorker& w) {
  const hn::Repartition<int16_t, DI32> di16;
  VI32 sum[kRows];
  HWY_UNROLL(4)
  for (int r = 0; r < kRows; ++r) sum[r] = hn::Zero(DI32());
  for (size_t i = 0; i < pairs; ++i) {
    const auto b = hn::BitCast(di16, LoadWords(w.panel + i * kTile + n));
    HWY_UNROLL(4)
    for (int r = 0; r < kRows; ++r) {
      const auto x = hn::BitCast(di16, BroadcastWord(a + r * kChunkPairs + i));
      sum[r] = hn::Add(sum[r], hn::WidenMulPairwiseAdd(DI32(), b, x));
    }
  }
  HWY_UNROLL(4)
  for (int r = 0; r < kRows; ++r) {
    hn::Store(hn::BitCast(DU32(), sum[r]), DU32(), w.acc + r * kTile + n);
  }
}

// c [rows, columns] = or += w.acc, modulo 2^32.
HWY_INLINE void AddTile(const IntegerWorker& w, size_t rows, size_t columns,
                        bool first, int32_t* c, size_t ldc) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t n = 0; n < columns; ++n) {
      const uint32_t old = first ? 0 : static_cast<uint32_t>(c[r * ldc + n]);
      c[r * ldc + n] = static_cast<int32_t>(old + w.acc[r * kTile + n]);
    }
  }
}

// Columns [begin, end) of all rows.
void IntegerColumns(const MatMulIntegerArgs& g, size_t begin, size_t end) {
  IntegerWorker w;
  constexpr size_t kChunk = 2 * kChunkPairs;
  for (size_t m0 = 0; m0 < g.m; m0 += kRowBlock) {
    const size_t m1 = std::min(g.m, m0 + kRowBlock);
    // At least one turn: k = 0 gives zeros.
    for (size_t k0 = 0; k0 == 0 || k0 < g.k; k0 += kChunk) {
      const size_t k = std::min(kChunk, g.k - k0), pairs = (k + 1) / 2;
      PackA(g, m0, m1, k0, k, w);
      for (size_t n0 = begin; n0 < end; n0 += kTile) {
        const size_t columns = std::min(kTile, end - n0);
        PackB(g, n0, columns, k0, k, w);
        for (size_t m = m0; m < m1;) {
          const size_t rows = m1 - m >= kRowsAtOnce ? kRowsAtOnce : 1;
          const uint32_t* a = w.a + (m - m0) * kChunkPairs;
          for (size_t n = 0; n < kTile; n += kLanes) {
            if (rows == 1) {
              IntegerKernel<1>(a, pairs, n, w);
            } else {
              IntegerKernel<kRowsAtOnce>(a, pairs, n, w);
            }
          }
          AddTile(w, rows, columns, k0 == 0, g.c + m * g.ldc + n0, g.ldc);
          m += rows;
        }
      }
    }
  }
}

// Smallest and largest of x [count] and 0.
void Range(const float* x, size_t count, float* low, float* high) {
  const DF32 df;
  VF32 vlow = hn::Zero(df), vhigh = hn::Zero(df);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const VF32 v = hn::LoadU(df, x + i);
    vlow = hn::Min(vlow, v);
    vhigh = hn::Max(vhigh, v);
  }
  *low = hn::ReduceMin(df, vlow);
  *high = hn::ReduceMax(df, vhigh);
  for (; i < count; ++i) {
    *low = std::min(*low, x[i]);
    *high = std::max(*high, x[i]);
  }
}

// y = saturate(round(x / scale) + zero).
void QuantizeBytes(const float* x, size_t count, float scale, int zero,
                   uint8_t* y) {
  const DF32 df;
  const hn::Rebind<uint8_t, DF32> du8;
  const VF32 vscale = hn::Set(df, scale);
  const VI32 vzero = hn::Set(DI32(), zero);
  for (size_t i = 0; i < count; i += kLanes) {
    const size_t left = std::min(kLanes, count - i);
    const VF32 v =
        left == kLanes ? hn::LoadU(df, x + i) : hn::LoadN(df, x + i, left);
    const VI32 q = hn::Add(hn::NearestInt(hn::Div(v, vscale)), vzero);
    const auto bytes = hn::DemoteTo(du8, q);
    if (left == kLanes) {
      hn::StoreU(bytes, du8, y + i);
    } else {
      hn::StoreN(bytes, du8, y + i, left);
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

HWY_EXPORT(IntegerColumns);
HWY_EXPORT(Range);
HWY_EXPORT(QuantizeBytes);

}  // namespace

void MatMulInteger(ThreadPool* pool, const MatMulIntegerArgs& args) {
  if (args.m == 0 || args.n == 0) return;
  const auto columns = HWY_DYNAMIC_POINTER(IntegerColumns);
  if (!pool) return columns(args, 0, args.n);
  // 2^18 multiply-adds take about 5 us.
  const size_t work =
      16 * std::max<size_t>(1, args.k) * std::min<size_t>(args.m, 64);
  const size_t grain = 16 * std::max<size_t>(1, (size_t{1} << 18) / work);
  ParallelFor(*pool, args.n, grain, [&](size_t begin, size_t end, size_t) {
    columns(args, begin, end);
  });
}

DynamicQuantization DynamicQuantizeLinear(const float* x, size_t count,
                                          uint8_t* y) {
  float low = 0, high = 0;
  HWY_DYNAMIC_DISPATCH(Range)(x, count, &low, &high);
  float scale = (high - low) / 255.0f;
  if (scale == 0) scale = 1;
  // In [0, 255] but for rounding; NaN, from infinite input, becomes 0.
  const float zero = std::nearbyint(-low / scale);
  const int zero_point = zero >= 255 ? 255
                         : zero > 0  ? static_cast<int>(zero)
                                     : 0;
  HWY_DYNAMIC_DISPATCH(QuantizeBytes)(x, count, scale, zero_point, y);
  return {.scale = scale, .zero_point = static_cast<uint8_t>(zero_point)};
}

}  // namespace slm
#endif  // HWY_ONCE
