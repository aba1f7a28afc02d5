// SPDX-License-Identifier: MIT
// QGemm for one or two rows and one SIMD target. A row of b is read as it lies,
// front to back, and multiplied at once; what is turned, so that a lane holds a
// column of c, are the integer sums: 4 bytes for 16 of weights. The sums of a
// block are exact, so c has the bits that the panel kernels give.
#if defined(SLM_QUANT_QGEMV_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_QGEMV_INL_H_
#undef SLM_QUANT_QGEMV_INL_H_
#else
#define SLM_QUANT_QGEMV_INL_H_
#endif

#include <cstring>

#include "quant/dot-inl.h"
#include "quant/qgemm-inl.h"
#include "quant/qgemm_args.h"
#include "quant/qgemm_pack-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

inline constexpr size_t kVectorBytes = kLanes * 4;
inline constexpr size_t kVectorUnits = kVectorBytes / kUnitBytes;

// One vector of a row of b times its columns of a, kept as one vector for each
// sub-vector. Lanes 4u..4u+3 of the result add up to the product of unit u.
template <Dot kDot, int kBits>
HWY_INLINE VI32 DotVector(VU32 w, const uint32_t* HWY_RESTRICT a) {
  const VI32 zero = hn::Zero(DI32());
  const VU32 w0 = SubVector<kDot, kBits>(w, 0), a0 = LoadWords(a);
  if constexpr (kBits == 4) {
    const VU32 w1 = SubVector<kDot, kBits>(w, 1), a1 = LoadWords(a + kLanes);
    if constexpr (kDot == Dot::kPairs) {
      return AddPairs(hn::Add(Pairs(w0, a0), Pairs(w1, a1)), zero);
    } else {
      return Dot4<kDot>(w1, a1, Dot4<kDot>(w0, a0, zero));
    }
  } else if constexpr (kDot == Dot::kPairs) {
    return AddPairs(SignedPairs(w0, a0), zero);
  } else {
    return Dot4<kDot>(w0, a0, zero);
  }
}

// Four vectors of a row make one of sums: unit v * kVectorUnits + u in lane
// 4u + v. Vectors from `count` on are missing.
template <Dot kDot, int kBits>
HWY_INLINE VI32 DotFourVectors(const uint8_t* HWY_RESTRICT b, size_t count,
                               const uint32_t* HWY_RESTRICT a) {
  constexpr size_t kStep = kLanes * (8 / kBits);
  const hn::Repartition<uint8_t, DU32> d8;
  const auto one = [&](size_t i) HWY_ATTR {
    const VU32 w = hn::BitCast(DU32(), hn::LoadU(d8, b + i * kVectorBytes));
    return DotVector<kDot, kBits>(w, a + i * kStep);
  };
  const VI32 zero = hn::Zero(DI32());
  return FoldUnits(one(0), count > 1 ? one(1) : zero, count > 2 ? one(2) : zero,
                   count > 3 ? one(3) : zero,
                   [](auto x, auto y) HWY_ATTR { return hn::Add(x, y); });
}

// Memory answers in 100 to 200 ns, the time of 4 to 8 KiB at the speed of a
// core: so far ahead of its use a line is fetched. The processor's own
// prefetcher loses the stream while sums are turned (25 instead of 50 GB/s on
// two Zen 5 cores). Non-temporal: a line is read once, and on its way past the
// second cache more are under way at a time (one core: 23 to 30 GB/s).
inline constexpr size_t kAhead = 8192;
HWY_INLINE void PrefetchLines(const void* from, size_t bytes) {
  const auto* lines = static_cast<const uint8_t*>(from);
  for (size_t i = 0; i < bytes; i += 64) {
    __builtin_prefetch(lines + i, /*write=*/0, /*locality=*/0);
  }
}

// sums [ceil(bytes / (4 * kVectorBytes))][kLanes]: the units of one row.
template <Dot kDot, int kBits>
HWY_INLINE void DotRow(const uint8_t* HWY_RESTRICT b, size_t bytes,
                       const uint32_t* HWY_RESTRICT a,
                       uint32_t* HWY_RESTRICT sums) {
  constexpr size_t kStep = 4 * kLanes * (8 / kBits);
  const DU32 du;
  const size_t whole = bytes / kVectorBytes;
  size_t v = 0;
  for (; v + 4 <= whole; v += 4) {
    PrefetchLines(b + v * kVectorBytes + kAhead, 4 * kVectorBytes);
    const VI32 s = DotFourVectors<kDot, kBits>(b + v * kVectorBytes, 4, a);
    hn::Store(hn::BitCast(du, s), du, sums);
    a += kStep;
    sums += kLanes;
  }
  const size_t left = bytes - v * kVectorBytes;
  if (left == 0) return;
  PrefetchLines(b + v * kVectorBytes + kAhead, left);
  if (left % kVectorBytes == 0) {
    const VI32 s = DotFourVectors<kDot, kBits>(b + v * kVectorBytes,
                                               left / kVectorBytes, a);
    hn::Store(hn::BitCast(du, s), du, sums);
    return;
  }
  alignas(64) uint8_t tail[4 * kVectorBytes] = {};
  std::memcpy(tail, b + v * kVectorBytes, left);
  const VI32 s = DotFourVectors<kDot, kBits>(
      tail, (left + kVectorBytes - 1) / kVectorBytes, a);
  hn::Store(hn::BitCast(du, s), du, sums);
}

// turned [unit][16] = sums [16][.] in the order of DotFourVectors.
HWY_INLINE void TurnSums(const uint32_t* HWY_RESTRICT sums, size_t units,
                         uint32_t* HWY_RESTRICT turned) {
  const DU32 du;
  constexpr size_t kStride = kQGemvUnits * sizeof(uint32_t);
  const auto* bytes = reinterpret_cast<const uint8_t*>(sums);
  for (size_t first = 0; first < units; first += kLanes) {
    for (size_t u = 0; u < kVectorUnits; ++u) {
      const size_t at = first + 4 * u;
      for (size_t n = 0; n < kTile; n += kLanes) {
        const FourWords t =
            Transpose4Words({bytes + n * kStride + at * 4, kStride});
        uint32_t* to = turned + (first + u) * kTile + n;
        hn::Store(t.w0, du, to);
        hn::Store(t.w1, du, to + kVectorUnits * kTile);
        hn::Store(t.w2, du, to + 2 * kVectorUnits * kTile);
        hn::Store(t.w3, du, to + 3 * kVectorUnits * kTile);
      }
    }
  }
}

// acc [16] += the blocks whose sums are `turned`; see Int8Kernel's formula.
template <bool kHasZp>
HWY_INLINE void AddBlocks(const uint32_t* HWY_RESTRICT turned,
                          const PanelChunk& p, size_t units_per_block,
                          const PackedRows& a, uint32_t* HWY_RESTRICT acc) {
  const DI32 di;
  for (size_t n = 0; n < kTile; n += kLanes) {
    VF32 y = LoadFloats(acc + n);
    const uint32_t* HWY_RESTRICT unit = turned + n;
    for (size_t block = 0; block < p.blocks; ++block) {
      VU32 sum = BroadcastWord(a.init + block);
      for (size_t u = 0; u < units_per_block; ++u) {
        sum = hn::Add(sum, LoadWords(unit));
        unit += kTile;
      }
      const VF32 scale = LoadFloats(p.scales + block * kTile + n);
      const VF32 zp =
          kHasZp ? LoadFloats(p.zero_points + block * kTile + n) : scale;
      y = AddBlock<kHasZp>(hn::BitCast(di, sum), zp, a.sums + block,
                           a.scales + block, scale, y);
    }
    StoreFloats(y, acc + n);
  }
}

// Columns [n0, n0 + columns) of one product, at most 16, for all (at most
// kQGemvRows) rows: acc [m][kQGemvColumns].
template <Dot kDot, int kBits, bool kHasZp>
void GemvTile(const QGemmArgs& g, size_t product, size_t n0, size_t columns,
              QGemmWorker& w, uint32_t* acc) {
  const BlockQuantMatrix& b = g.Matrix(product);
  const size_t units_per_block = b.block_bytes() / kUnitBytes;
  const size_t chunk = kQGemvUnits / units_per_block;
  const size_t row_words = QGemvRowBytes(b) / 4;
  const size_t scale_bytes = BytesFor(b.scale_dtype, 1);
  uint32_t* const turned = w.panel;
  uint32_t* const sums = w.panel + kQGemvUnits * kTile;
  for (size_t m = 0; m < g.m; ++m) {
    std::memset(acc + m * kQGemvColumns, 0, kTile * sizeof *acc);
  }
  for (size_t block = 0; block < b.blocks(); block += chunk) {
    const size_t count = HWY_MIN(chunk, b.blocks() - block);
    const size_t bytes = count * b.block_bytes();
    const uint8_t* next_scales =
        static_cast<const uint8_t*>(b.scales) +
        ((n0 + kTile) * b.blocks() + block) * scale_bytes;
    const PanelChunk p =
        TurnScales<kTile>(b, n0, columns, block, count, /*int8=*/true, 0, w);
    for (size_t m = 0; m < g.m; ++m) {
      const uint32_t* a =
          g.a_words + m * row_words + block * b.block_size / sizeof(uint32_t);
      for (size_t n = 0; n < columns; ++n) {
        PrefetchLines(next_scales + n * b.blocks() * scale_bytes,
                      count * scale_bytes);
        DotRow<kDot, kBits>(
            b.b + (n0 + n) * b.row_bytes() + block * b.block_bytes(), bytes, a,
            sums + n * kQGemvUnits);
      }
      TurnSums(sums, count * units_per_block, turned);
      const size_t at = m * b.blocks() + block;
      AddBlocks<kHasZp>(turned, p, units_per_block,
                        {.words = nullptr,
                         .scales = g.a_scales + at,
                         .init = g.a_init + at,
                         .sums = g.a_sums + at,
                         .next = 0},
                        acc + m * kQGemvColumns);
    }
  }
}

// Columns [begin, end) of c for all rows.
template <Dot kDot, int kBits, bool kHasZp>
void GemvTiles(const QGemmArgs& g, size_t begin, size_t end, QGemmWorker& w) {
  for (size_t n0 = begin; n0 < end; n0 += kQGemvColumns) {
    const size_t columns = HWY_MIN(kQGemvColumns, end - n0);
    for (size_t product = 0; product < g.products(); ++product) {
      for (size_t n = 0; n < columns; n += kTile) {
        GemvTile<kDot, kBits, kHasZp>(g, product, n0 + n,
                                      HWY_MIN(kTile, columns - n), w,
                                      w.acc[product] + n);
      }
    }
    if (g.gate) {
      GateRows(g, w, 0, n0,
               {.stride = kQGemvColumns,
                .rows = g.m,
                .columns = columns,
                .c = g.c + n0,
                .ldc = g.ldc});
    } else {
      StoreRows(w.acc[0], kQGemvColumns, g.bias, 0, g.m, n0, columns, g);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
