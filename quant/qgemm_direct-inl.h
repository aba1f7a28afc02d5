// SPDX-License-Identifier: MIT
// Kernels of QGemm for rows too few to pay for panels: 16 bytes of 16 rows of b
// are turned in registers and multiplied at once. For one SIMD target.
#if defined(SLM_QUANT_QGEMM_DIRECT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_QGEMM_DIRECT_INL_H_
#undef SLM_QUANT_QGEMM_DIRECT_INL_H_
#else
#define SLM_QUANT_QGEMM_DIRECT_INL_H_
#endif

#include <cstring>

#include "quant/dot-inl.h"
#include "quant/lines_ahead-inl.h"
#include "quant/pairs-inl.h"
#include "quant/qgemm-inl.h"
#include "quant/qgemm_args.h"
#include "quant/qgemm_one_row-inl.h"
#include "quant/qgemm_pack-inl.h"
#include "quant/qgemm_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

// DotGroup's words of 16 columns of b, from words of its rows.
template <Dot kDot, int kBits>
struct TurnedWords {
  VU32 w[kBits / 2];

  HWY_INLINE VU32 operator()(int j, int) const {
    return SubVector<kDot, kBits>(w[j * kBits / 8], j % (8 / kBits));
  }
};

// acc [r][lane] += p.blocks blocks of kLanes rows of b, as Int8Kernel does.
// kUnits: units of a block where that is known when compiling, or 0. Whether
// there are zero points is asked at run time: kernels of their own would be as
// much code again.
template <Dot kDot, int kBits, int kRows, int kUnits>
HWY_INLINE void DirectKernel(LaneRows from, const PanelChunk& p, size_t lane,
                             const PackedRows& a, bool has_zp,
                             LinesAhead* ahead, uint32_t* HWY_RESTRICT acc) {
  constexpr bool kSigned = kSignedWeights<kDot, kBits>;
  const DI32 di;
  VF32 y[kRows];
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) y[r] = LoadSums(p, acc + r * kQGemmColumns);
  const uint32_t* HWY_RESTRICT aq = a.words;
  const size_t units = kUnits > 0 ? kUnits : p.groups_per_block * kBits / 8;
  LinesAhead lines = ahead ? *ahead : LinesAhead{};  // in registers
  for (size_t block = 0; block < p.blocks; ++block) {
    VI32 sum[kRows][1];
    HWY_UNROLL(8)
    for (int r = 0; r < kRows; ++r) {
      sum[r][0] = hn::BitCast(di, BroadcastWord(a.init + block * kRows + r));
    }
    HWY_UNROLL(2)
    for (size_t u = 0; u < units; ++u) {
      if (ahead) lines.Fetch(kLanes / 4);
      const FourWords t = Transpose4Words(from);
      from.Advance(kUnitBytes);
      if constexpr (kBits == 4) {
        DotGroup<kDot, kSigned>(TurnedWords<kDot, kBits>{{t.w0, t.w1}}, aq,
                                sum);
        DotGroup<kDot, kSigned>(TurnedWords<kDot, kBits>{{t.w2, t.w3}},
                                aq + kRows * 4, sum);
        aq += kRows * 8;
      } else {
        DotGroup<kDot, kSigned>(
            TurnedWords<kDot, kBits>{{t.w0, t.w1, t.w2, t.w3}}, aq, sum);
        aq += kRows * 4;
      }
    }
    const size_t at = block * kTile + lane;
    const VF32 scale = LoadFloats(p.scales + at);
    const uint32_t* a_scales = a.scales + block * kRows;
    if (has_zp) {
      const VF32 zp = LoadFloats(p.zero_points + at);
      HWY_UNROLL(8)
      for (int r = 0; r < kRows; ++r) {
        y[r] = AddBlock<true>(sum[r][0], zp, a.sums + block * kRows + r,
                              a_scales + r, scale, y[r]);
      }
    } else {
      HWY_UNROLL(8)
      for (int r = 0; r < kRows; ++r) {
        y[r] = AddBlock<false>(sum[r][0], scale, nullptr, a_scales + r, scale,
                               y[r]);
      }
    }
  }
  if (ahead) *ahead = lines;
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) StoreFloats(y[r], acc + r * kQGemmColumns);
}

#if SLM_QGEMM_PAIRS

// sum [r] += four words of both blocks of a pair, two of which `t` has.
template <int kRows>
HWY_INLINE void DotPairWords(const TwoPairWords& t,
                             const uint32_t* HWY_RESTRICT a,
                             VI32 (&sum)[kRows][2]) {
  HWY_UNROLL(4)
  for (int j = 0; j < 4; ++j) {
    const PairWord& w = j < 2 ? t.first : t.second;
    DotPair<kRows>({SubVector<kNativeDot, 4>(w.lower, j % 2),
                    SubVector<kNativeDot, 4>(w.upper, j % 2)},
                   a + j * 2, sum);
  }
}

// Likewise for pairs of blocks (pairs-inl.h).
template <int kRows>
HWY_INLINE void DirectPairKernel(LaneRows from, const PanelChunk& p,
                                 const PackedRows& a, LinesAhead* ahead,
                                 uint32_t* HWY_RESTRICT acc) {
  static_assert(kLanes == kTile);
  VF32 y[kRows];
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) y[r] = LoadSums(p, acc + r * kQGemmColumns);
  const uint32_t* HWY_RESTRICT aq = a.words;
  const uint32_t* HWY_RESTRICT init = a.init;
  const uint32_t* HWY_RESTRICT scales = a.scales;
  LinesAhead lines = ahead ? *ahead : LinesAhead{};  // in registers
  for (size_t pair = 0; pair < p.blocks / 2; ++pair) {
    if (ahead) lines.Fetch(kLanes / 4);
    VU32 even[4], odd[4];
    LoadPairRows(from, 0, even);
    LoadPairRows(from, kUnitBytes, odd);
    from.Advance(2 * kUnitBytes);
    VI32 sum[kRows][2];
    StartPair<kRows>(init, sum);
    DotPairWords<kRows>(TransposePairs<false>(even, odd), aq, sum);
    if (ahead) lines.Fetch(kLanes / 4);
    DotPairWords<kRows>(TransposePairs<true>(even, odd), aq + kRows * 8, sum);
    AddPair<kRows>(sum, LoadWords(p.scales + pair * kTile), scales, y);
    aq += kRows * 16;
    init += kRows * 2;
    scales += kRows * 2;
  }
  if (ahead) *ahead = lines;
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) {
    StorePairSum(y[r], p, 0, acc + r * kQGemmColumns);
  }
}

#endif  // SLM_QGEMM_PAIRS

// kTile rows of b, or of a chunk of them.
struct DirectSource {
  const uint8_t* rows;
  size_t stride;
};

// What is left of a chunk and of one packed row behind `blocks` blocks.
HWY_INLINE PanelChunk Behind(PanelChunk p, size_t blocks, bool pairs) {
  p.scales += (pairs ? blocks / 2 : blocks) * kTile;
  p.zero_points += blocks * kTile;
  p.blocks -= blocks;
  p.first = p.first && blocks == 0;
  return p;
}
HWY_INLINE PackedRows Behind(PackedRows a, size_t blocks, size_t block_size) {
  a.words += blocks * (block_size / 4);
  a.scales += blocks;
  a.init += blocks;
  a.sums += blocks;
  return a;
}

// Those rows, the blocks of p, times `count` packed rows.
template <Dot kDot, int kBits, int kRows = static_cast<int>(kDirectCalls.most)>
HWY_INLINE void DirectRows(const DirectSource& b, size_t count,
                           const PanelChunk& p, const PackedRows& a,
                           const BlockQuantMatrix& kind, LinesAhead* ahead,
                           uint32_t* acc) {
  if constexpr (kRows > 1) {
    if (count < size_t{kRows}) {
      return DirectRows<kDot, kBits, kRows - 1>(b, count, p, a, kind, ahead,
                                                acc);
    }
  }
#if SLM_QGEMM_PAIRS
  if constexpr (kBits == 4) {
    if (UsePairs(kind)) {
      return DirectPairKernel<kRows>({b.rows, b.stride}, p, a, ahead, acc);
    }
  }
#endif
  const bool has_zp = kind.zero_point_kind != ZeroPoints::kNone;
  for (size_t n = 0; n < kTile; n += kLanes) {
    const LaneRows from(b.rows + n * b.stride, b.stride);
    // Blocks of 32 are what exporters write: up to 4 rows are 12 % faster
    // without a loop over units, more are not.
    constexpr int kUnitsOf32 = kRows <= 4 ? 2 * kBits / 8 : 0;
    if (kUnitsOf32 > 0 && p.groups_per_block == 2) {
      DirectKernel<kDot, kBits, kRows, kUnitsOf32>(from, p, n, a, has_zp, ahead,
                                                   acc + n);
    } else {
      DirectKernel<kDot, kBits, kRows, 0>(from, p, n, a, has_zp, ahead,
                                          acc + n);
    }
  }
}

// Whether the only row of a takes the kernel for it. Not on AMD's processors,
// where turning sums for four rows at a time decoded Llama-3.2-1B a sixth
// slower (Zen 5; this kernel was not timed there).
HWY_INLINE bool UseOneRow(const QGemmArgs& g) {
  return g.m == 1 && !g.past_second_cache;
}

// As DirectRows for that one.
template <Dot kDot, int kBits>
HWY_INLINE void DirectRow(const DirectSource& b, const PanelChunk& p,
                          const PackedRows& a, const BlockQuantMatrix& kind,
                          LinesAhead* ahead, uint32_t* acc) {
#if SLM_QGEMM_PAIRS
  if constexpr (kBits == 4) {
    if (UsePairs(kind)) {
      LaneRows from(b.rows, b.stride);
      const size_t done = OneRowKernel<kDot, 4, kVectorUnits, true, true>(
          from, p, 0, a, false, ahead, acc);
      if (done == p.blocks) return;
      from.Advance(done * kUnitBytes);
      return DirectPairKernel<1>(from, Behind(p, done, /*pairs=*/true),
                                 Behind(a, done, kind.block_size), ahead, acc);
    }
  }
#endif
  const bool has_zp = kind.zero_point_kind != ZeroPoints::kNone;
  for (size_t n = 0; n < kTile; n += kLanes) {
    LaneRows from(b.rows + n * b.stride, b.stride);
    const size_t done =
        OneRow<kDot, kBits>(from, p, n, a, has_zp, ahead, acc + n);
    if (done == p.blocks) continue;
    from.Advance(done * kind.block_bytes());
    DirectKernel<kDot, kBits, 1, 0>(from, Behind(p, done, /*pairs=*/false), n,
                                    Behind(a, done, kind.block_size), has_zp,
                                    ahead, acc + n);
  }
}

// Rows so far apart that all their lines fall on one set of a first-level
// cache, which has 8 or 12 ways, throw each other out before they are used up:
// a copy is read instead (K = 8192 in 4 bits: 66 instead of 58 GB/s with one
// row, 860 instead of 715 GOPS with 8). Elsewhere it would cost a quarter, and
// the kernel for one row, which uses each line up at once, a sixth.
HWY_INLINE DirectSource Unaliased(const DirectSource& from, size_t bytes,
                                  QGemmWorker& w) {
  constexpr size_t kWayBytes = 4096, kLine = 64;
  static_assert(kTile * (kQGemmMaxDepth + kLine) <= sizeof w.panel);
  if (from.stride % kWayBytes != 0) return from;
  auto* to = reinterpret_cast<uint8_t*>(w.panel);
  for (size_t r = 0; r < kTile; ++r) {
    std::memcpy(to + r * (bytes + kLine), from.rows + r * from.stride, bytes);
  }
  return {to, bytes + kLine};
}

// Columns [n0, n0 + columns) of one product, at most kQGemmColumns, for all
// rows: sums to the worker.
template <Dot kDot, int kBits>
void DirectTile(const QGemmArgs& g, size_t product, size_t n0, size_t columns,
                QGemmWorker& w) {
  const BlockQuantMatrix& b = g.Matrix(product);
  const size_t blocks = b.blocks(), row_bytes = b.row_bytes();
  const size_t chunk = kQGemmMaxDepth / b.block_size;
  const bool one_row = UseOneRow(g);
  for (size_t n = 0; n < columns; n += kTile) {
    DirectAhead ahead =
        AheadOf(g, static_cast<size_t>(&w - g.workers), product, n0, n);
    // Missing rows at the end of b: those before them once more.
    const size_t row = HWY_MIN(n0 + n, b.n - kTile);
    uint32_t* const acc = w.acc[product] + n;
    for (size_t block = 0; block < blocks; block += chunk) {
      const size_t count = HWY_MIN(chunk, blocks - block);
      if (ahead.scales.at) {
        ahead.scales.Fetch(kTile * b.scale_row_bytes() / 64 * count / blocks +
                           1);
      }
      const PanelChunk p =
          TurnScales<kTile>(b, row, kTile, block, count, /*int8=*/true, 0, w);
      const DirectSource in_place = {
          b.b + row * row_bytes + block * b.block_bytes(), row_bytes};
      const auto packed = [&](size_t m, size_t rows) HWY_ATTR {
        const size_t at = m * blocks + block * rows;
        return PackedRows{.words = g.a_words + at * (b.block_size / 4),
                          .scales = g.a_scales + at,
                          .init = g.a_init + at,
                          .sums = g.a_sums + at,
                          .next = 0};
      };
      LinesAhead* const lines = ahead.b.at ? &ahead.b : nullptr;
      if (one_row) {
        DirectRow<kDot, kBits>(in_place, p, packed(0, 1), b, lines, acc);
        continue;
      }
      const DirectSource from =
          Unaliased(in_place, count * b.block_bytes(), w);
      for (size_t m = 0, rows; m < g.m; m += rows) {
        rows = RowsOfCall(m, g.m, kDirectCalls);
        DirectRows<kDot, kBits>(from, rows, p, packed(m, rows), b,
                                m == 0 ? lines : nullptr,
                                acc + m * kQGemmColumns);
      }
    }
    for (size_t r = 0; row < n0 + n && r < g.m; ++r) {
      uint32_t* to = acc + r * kQGemmColumns;
      std::memmove(to, to + (n0 + n - row), (columns - n) * sizeof *to);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
