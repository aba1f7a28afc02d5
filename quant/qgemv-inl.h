// SPDX-License-Identifier: MIT
// QGemm for few rows and one SIMD target. Rows of b are read as they lie, four
// side by side, and multiplied at once; what is turned, so that a lane holds a
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
// Rows of b that are multiplied side by side.
inline constexpr size_t kGroupRows = 4;
// Words of the sums of kTile rows and one vector of each: a vector for each
// group, whose lane 4u + n is the product of unit u and row n.
inline constexpr size_t kVectorSums = kTile / kGroupRows * kLanes;

// One vector of each row of a group, in sub-vectors.
template <Dot kDot, int kBits>
struct GroupVectors {
  VU32 w[kGroupRows][8 / kBits];

  HWY_INLINE explicit GroupVectors(const VU32 (&words)[kGroupRows]) {
    HWY_UNROLL(4)
    for (size_t n = 0; n < kGroupRows; ++n) {
      w[n][0] = SubVector<kDot, kBits>(words[n], 0);
      if constexpr (kBits == 4) w[n][1] = SubVector<kDot, kBits>(words[n], 1);
    }
  }
};

// A row's vector times its columns of a, one vector for each sub-vector. Lanes
// 4u..4u+3 of the result add up to the product of unit u.
template <Dot kDot, int kBits>
HWY_INLINE VI32 DotVector(const VU32 (&w)[8 / kBits], VU32 a0, VU32 a1) {
  const VI32 zero = hn::Zero(DI32());
  if constexpr (kBits == 4) {
    if constexpr (kDot == Dot::kPairs) {
      return AddPairs(hn::Add(Pairs(w[0], a0), Pairs(w[1], a1)), zero);
    } else {
      return Dot4<kDot>(w[1], a1, Dot4<kDot>(w[0], a0, zero));
    }
  } else if constexpr (kDot == Dot::kPairs) {
    return AddPairs(SignedPairs(w[0], a0), zero);
  } else {
    return Dot4<kDot>(w[0], a0, zero);
  }
}

// Four rows: lane 4u + n of the result is the product of unit u and row n.
template <Dot kDot, int kBits>
HWY_INLINE VI32 DotFourRows(const GroupVectors<kDot, kBits>& v,
                            const uint32_t* HWY_RESTRICT a) {
  const VU32 a0 = LoadWords(a);
  const VU32 a1 = kBits == 4 ? LoadWords(a + kLanes) : a0;
  const VI32 s0 = DotVector<kDot, kBits>(v.w[0], a0, a1);
  const VI32 s1 = DotVector<kDot, kBits>(v.w[1], a0, a1);
  const VI32 s2 = DotVector<kDot, kBits>(v.w[2], a0, a1);
  const VI32 s3 = DotVector<kDot, kBits>(v.w[3], a0, a1);
#if HWY_ARCH_X86
  if constexpr (kBits == 4) {
    // A lane is 8 products of at most 15 * 128, two lanes are 30720: both fit
    // int16, where packing and adding neighbours takes 6 instructions, not 9.
    const DI16 d16;
    const DI32 di;
    const auto one = hn::Set(d16, int16_t{1});
    const auto s01 = hn::ReorderDemote2To(d16, s0, s1);
    const auto s23 = hn::ReorderDemote2To(d16, s2, s3);
    const auto pairs =
        hn::ReorderDemote2To(d16, hn::WidenMulPairwiseAdd(di, s01, one),
                             hn::WidenMulPairwiseAdd(di, s23, one));
    return hn::WidenMulPairwiseAdd(di, pairs, one);
  }
#endif
  return FoldUnits(s0, s1, s2, s3,
                   [](auto x, auto y) HWY_ATTR { return hn::Add(x, y); });
}

// Asks for the lines of kTile rows of b, one row after the other, while as many
// bytes before them are multiplied. In the order of memory: the processor's own
// prefetcher then helps, and the slow of this machine's two memory states gives
// 53 GB/s, all that it has, instead of 40 to 44. Non-temporal: a line is read
// once, and on its way past the second cache more are under way at a time.
struct LineFetcher {
  const uint8_t* at;
  size_t left, lines;  // of this row; of each
  size_t skip;         // bytes between the rows' lines

  LineFetcher(const uint8_t* rows, size_t bytes, size_t stride)
      : at(rows),
        left((bytes + 63) / 64),
        lines(left),
        skip(stride > lines * 64 ? stride - lines * 64 : 0) {}

  // Rows that lie one behind the other are fetched while they are multiplied.
  // Pieces of rows wait longer for memory; half of them is fetched while sums
  // are added (52 to 56 GB/s).
  bool spread() const { return skip > 0 && kVectorBytes >= 32; }

  HWY_INLINE void Fetch(size_t count) {
    HWY_UNROLL(4)
    for (size_t i = 0; i < count; ++i) {
      __builtin_prefetch(at, /*write=*/0, /*locality=*/0);
      at += 64;
      --left;
      at += left == 0 ? skip : 0;
      left = left == 0 ? lines : left;
    }
  }
};

// Up to kTile rows of b and what is left of a row, or a piece of it.
struct GemvRows {
  const uint8_t* b;
  size_t stride, rows, bytes;

  size_t SumWords() const {  // for one row of a
    return (bytes + kVectorBytes - 1) / kVectorBytes * kVectorSums;
  }
};

// sums [m][vector][kVectorSums] = the products with m rows of a.
template <Dot kDot, int kBits>
HWY_INLINE void DotRows(const GemvRows& b, const uint32_t* HWY_RESTRICT a,
                        size_t a_stride, size_t m, LineFetcher& lines,
                        uint32_t* HWY_RESTRICT sums) {
  constexpr size_t kStep = kLanes * (8 / kBits);
  constexpr size_t kLines = kGroupRows * kVectorBytes / 64;
  const hn::Repartition<uint8_t, DU32> d8;
  const size_t sum_words = b.SumWords();
  LineFetcher fetcher = lines;  // in registers
  const bool spread = fetcher.spread();
  for (size_t n = 0; n < b.rows; n += kGroupRows) {
    const uint8_t* row[kGroupRows];
    for (size_t i = 0; i < kGroupRows; ++i) {
      // Missing rows repeat the last: their columns are not stored.
      row[i] = b.b + HWY_MIN(n + i, b.rows - 1) * b.stride;
    }
    const uint32_t* HWY_RESTRICT from = a;
    uint32_t* HWY_RESTRICT to = sums + n / kGroupRows * kLanes;
    const auto multiply = [&](const VU32(&words)[kGroupRows]) HWY_ATTR {
      const GroupVectors<kDot, kBits> v(words);
      for (size_t r = 0; r < m; ++r) {
        const VI32 s = DotFourRows(v, from + r * a_stride);
        hn::Store(hn::BitCast(DU32(), s), DU32(), to + r * sum_words);
      }
      from += kStep;
      to += kVectorSums;
    };
    size_t at = 0;
    for (; at + kVectorBytes <= b.bytes; at += kVectorBytes) {
      fetcher.Fetch(kLines / 2);
      if (!spread) fetcher.Fetch(kLines - kLines / 2);
      VU32 words[kGroupRows];
      for (size_t i = 0; i < kGroupRows; ++i) {
        words[i] = hn::BitCast(DU32(), hn::LoadU(d8, row[i] + at));
      }
      multiply(words);
    }
    if (at == b.bytes) continue;
    alignas(64) uint8_t tail[kVectorBytes] = {};
    VU32 words[kGroupRows];
    for (size_t i = 0; i < kGroupRows; ++i) {
      std::memcpy(tail, row[i] + at, b.bytes - at);
      words[i] = hn::BitCast(DU32(), hn::Load(d8, tail));
    }
    multiply(words);
  }
  lines = fetcher;
}

// Lane n: the product of column n and a unit; `sums` are those of the vector
// that the unit is in and of n's first group.
HWY_INLINE VU32 UnitSums(const uint32_t* HWY_RESTRICT sums, size_t unit) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(sums + unit * 4);
  return LoadRowBlocks(LaneRows(bytes, kLanes), 0);
}

// acc [16] += the blocks whose units are `sums`; see Int8Kernel's formula.
template <bool kHasZp>
HWY_INLINE void AddBlocks(const uint32_t* HWY_RESTRICT sums,
                          const PanelChunk& p, size_t units_per_block,
                          const PackedRows& a, LineFetcher* lines,
                          uint32_t* HWY_RESTRICT acc) {
  const DI32 di;
  for (size_t n = 0; n < kTile; n += kLanes) {
    VF32 y = LoadFloats(acc + n);
    const uint32_t* HWY_RESTRICT from = sums + n / kGroupRows * kLanes;
    const auto add = [&](size_t block, VU32 sum) HWY_ATTR {
      const VF32 scale = LoadFloats(p.scales + block * kTile + n);
      const VF32 zp =
          kHasZp ? LoadFloats(p.zero_points + block * kTile + n) : scale;
      sum = hn::Add(sum, BroadcastWord(a.init + block));
      y = AddBlock<kHasZp>(hn::BitCast(di, sum), zp, a.sums + block,
                           a.scales + block, scale, y);
    };
    // Half of the lines: a unit of 16 rows is four.
    constexpr size_t kUnitLines = 2 * kLanes / kTile;
    size_t block = 0;
    // Blocks of 32 in 4 bits, which exporters write: without a loop over units
    // two sequences are 4 % faster.
    for (; units_per_block == 1 && block + kVectorUnits <= p.blocks;
         block += kVectorUnits) {
      if (lines) lines->Fetch(kVectorUnits * kUnitLines);
      HWY_UNROLL(4)
      for (size_t u = 0; u < kVectorUnits; ++u) {
        add(block + u, UnitSums(from, u));
      }
      from += kVectorSums;
    }
    for (size_t unit = 0; block < p.blocks; ++block) {
      VU32 sum = hn::Zero(DU32());
      for (size_t u = 0; u < units_per_block; ++u, ++unit) {
        if (lines) lines->Fetch(kUnitLines);
        sum = hn::Add(sum, UnitSums(from + unit / kVectorUnits * kVectorSums,
                                    unit % kVectorUnits));
      }
      add(block, sum);
    }
    StoreFloats(y, acc + n);
  }
}

// Blocks of b that are multiplied at a time: rows of up to 1 KiB whole, pieces
// of 512 bytes of others, so that what 16 of them and the next 16 take stays in
// the first cache.
HWY_INLINE size_t GemvChunkBlocks(const BlockQuantMatrix& b) {
  const bool whole = b.row_bytes() <= kQGemvUnits * kUnitBytes;
  return (whole ? kQGemvUnits : kQGemvUnits / 2) * kUnitBytes / b.block_bytes();
}

// Columns [n0, n0 + columns) of one product, at most 16, for all (at most
// kQGemvRows) rows: acc [m][kQGemvColumns].
template <Dot kDot, int kBits, bool kHasZp>
void GemvTile(const QGemmArgs& g, size_t product, size_t n0, size_t columns,
              QGemmWorker& w, uint32_t* acc) {
  const BlockQuantMatrix& b = g.Matrix(product);
  const size_t blocks = b.blocks(), row_bytes = b.row_bytes();
  const size_t chunk = GemvChunkBlocks(b);
  const size_t scale_bytes = BytesFor(b.scale_dtype, 1);
  for (size_t m = 0; m < g.m; ++m) {
    std::memset(acc + m * kQGemvColumns, 0, kTile * sizeof *acc);
  }
  for (size_t block = 0; block < blocks; block += chunk) {
    const size_t count = HWY_MIN(chunk, blocks - block);
    const size_t bytes = count * b.block_bytes();
    const uint8_t* from = b.b + n0 * row_bytes + block * b.block_bytes();
    const bool last = block + chunk >= blocks;
    LineFetcher lines(last ? b.b + (n0 + kTile) * row_bytes : from + bytes,
                      bytes, row_bytes);
    const uint8_t* next_scales = static_cast<const uint8_t*>(b.scales) +
                                 ((n0 + kTile) * blocks + block) * scale_bytes;
    LineFetcher scale_lines(next_scales, count * scale_bytes,
                            blocks * scale_bytes);
    scale_lines.Fetch(columns * scale_lines.lines);
    const PanelChunk p =
        TurnScales<kTile>(b, n0, columns, block, count, /*int8=*/true, 0, w);
    const GemvRows rows = {
        .b = from, .stride = row_bytes, .rows = columns, .bytes = bytes};
    const uint32_t* a = g.a_words + block * b.block_size / sizeof(uint32_t);
    DotRows<kDot, kBits>(rows, a, QGemvRowBytes(b) / 4, g.m, lines, w.panel);
    for (size_t m = 0; m < g.m; ++m) {
      const size_t at = m * blocks + block;
      AddBlocks<kHasZp>(
          w.panel + m * rows.SumWords(), p, b.block_bytes() / kUnitBytes,
          {.words = nullptr,
           .scales = g.a_scales + at,
           .init = g.a_init + at,
           .sums = g.a_sums + at,
           .next = 0},
          m == 0 && lines.spread() ? &lines : nullptr, acc + m * kQGemvColumns);
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
