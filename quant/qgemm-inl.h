// SPDX-License-Identifier: MIT
// Kernels of QGemm for many rows and one SIMD target: weights come as a panel
// with a column of c a lane, activations are broadcast.
#if defined(SLM_QUANT_QGEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_QGEMM_INL_H_
#undef SLM_QUANT_QGEMM_INL_H_
#else
#define SLM_QUANT_QGEMM_INL_H_
#endif

#include "hwy/cache_control.h"
#include "quant/dot-inl.h"
#include "quant/qgemm_args.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

// y + ((sum - zp * a_sum) * a_scale) * scale: the end of a block of b for
// kLanes columns. |sum| < 2^24, so the conversion is exact.
template <bool kHasZp>
HWY_INLINE VF32 AddBlock(VI32 sum, VF32 zp, const uint32_t* a_sum,
                         const uint32_t* a_scale, VF32 scale, VF32 y) {
  VF32 f = hn::ConvertTo(DF32(), sum);
  if constexpr (kHasZp) f = hn::NegMulAdd(zp, BroadcastFloat(a_sum), f);
  return hn::MulAdd(hn::Mul(f, BroadcastFloat(a_scale)), scale, y);
}

// Rows [row, row + rows) of c from acc [rows][stride], `columns` from n0 on.
HWY_INLINE void StoreRows(const uint32_t* acc, size_t stride, const float* bias,
                          size_t row, size_t rows, size_t n0, size_t columns,
                          const QGemmArgs& g) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t n = 0; n < columns; n += kTile) {
      StoreTileRow(acc + r * stride + n, bias ? bias + n0 + n : nullptr,
                   HWY_MIN(kTile, columns - n),
                   g.c + (row + r) * g.ldc + n0 + n);
    }
  }
}

// A tile's c from both products, which lie in the worker from word `at` on; t
// has all but them.
HWY_INLINE void GateRows(const QGemmArgs& g, QGemmWorker& w, size_t at,
                         size_t n0, GateTile t) {
  float* const sums[2] = {reinterpret_cast<float*>(w.acc[0] + at),
                          reinterpret_cast<float*>(w.acc[1] + at)};
  for (size_t product = 0; product < 2; ++product) {
    const float* bias = g.Bias(product);
    for (size_t r = 0; bias && r < t.rows; ++r) {
      for (size_t n = 0; n < t.columns; ++n) {
        sums[product][r * t.stride + n] += bias[n0 + n];
      }
    }
  }
  t.gate = sums[0];
  t.up = sums[1];
  g.gate->f(g.gate->context, t);
}

// The columns and rows that a kernel holds in registers. An accumulator is two
// vectors, int32 and float32. With 32 registers, 6 rows x 2 vectors load an
// activation for two products and a weight for six: two loads a cycle feed two
// products a cycle. 16 registers have room for 4 x 1, or 3 x 2 where a product
// is one instruction.
template <Dot kDot>
struct Int8Shape {
  static constexpr bool kMany = !HWY_ARCH_X86 || HWY_TARGET <= HWY_AVX3;
  static constexpr int kVectors = kDot == Dot::kPairs ? 1 : 2;
  static constexpr int kRows =
      kMany ? (kDot == Dot::kPairs ? 8 : 6) : (kDot == Dot::kPairs ? 4 : 3);
};

// sum [r][v] += 16 columns of b times 16 bytes of each row at a. `word(j, v)`
// has sub-vector j of the 16 for vector v of columns of c.
template <Dot kDot, bool kSigned, int kRows, int kVectors, typename Word>
HWY_INLINE void DotGroup(const Word& word, const uint32_t* HWY_RESTRICT a,
                         VI32 (&sum)[kRows][kVectors]) {
  if constexpr (kDot != Dot::kPairs) {
    HWY_UNROLL(4)
    for (int j = 0; j < 4; ++j) {
      VU32 w[kVectors];
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) w[v] = word(j, v);
      HWY_UNROLL(8)
      for (int r = 0; r < kRows; ++r) {
        const VU32 ar = BroadcastWord(a + r * 4 + j);
        HWY_UNROLL(2)
        for (int v = 0; v < kVectors; ++v) {
          sum[r][v] = Dot4<kDot>(w[v], ar, sum[r][v]);
        }
      }
    }
  } else {
    static_assert(kVectors == 1);
    const VU32 w0 = word(0, 0), w1 = word(1, 0);
    const VU32 w2 = word(2, 0), w3 = word(3, 0);
    HWY_UNROLL(8)
    for (int r = 0; r < kRows; ++r) {
      const uint32_t* ar = a + r * 4;
      const VU32 a0 = BroadcastWord(ar), a1 = BroadcastWord(ar + 1);
      const VU32 a2 = BroadcastWord(ar + 2), a3 = BroadcastWord(ar + 3);
      if constexpr (kSigned) {
        sum[r][0] = AddPairs(SignedPairs(w0, a0), sum[r][0]);
        sum[r][0] = AddPairs(SignedPairs(w1, a1), sum[r][0]);
        sum[r][0] = AddPairs(SignedPairs(w2, a2), sum[r][0]);
        sum[r][0] = AddPairs(SignedPairs(w3, a3), sum[r][0]);
      } else {
        // 4 pairs of at most 2 * 15 * 127: 15240, fits int16.
        const auto p = hn::Add(hn::Add(Pairs(w0, a0), Pairs(w1, a1)),
                               hn::Add(Pairs(w2, a2), Pairs(w3, a3)));
        sum[r][0] = AddPairs(p, sum[r][0]);
      }
    }
  }
}

// DotGroup's words from a panel.
struct PanelWords {
  const uint32_t* HWY_RESTRICT panel;

  HWY_INLINE VU32 operator()(int j, int v) const {
    return LoadWords(panel + j * kQGemmColumns + v * kLanes);
  }
};

// The share of p.next that falls to a block.
HWY_INLINE void PrefetchNext(const PanelChunk& p, size_t block) {
  const size_t end = (block + 1) * kTile / p.blocks;
  for (size_t row = block * kTile / p.blocks; row < end; ++row) {
    for (size_t i = 0; i < p.next_bytes; i += 64) {
      hwy::Prefetch(p.next + row * p.next_stride + i);
    }
  }
}

// A row of acc before a chunk of b: zero before the first, whatever lies there.
HWY_INLINE VF32 LoadSums(const PanelChunk& p, const uint32_t* acc) {
  return p.first ? hn::Zero(DF32()) : LoadFloats(acc);
}

// Up to so many sums leave room for a second set of them, and need it: a
// product takes four cycles, of which two begin in each.
inline constexpr int kFewSums = !HWY_ARCH_X86 || HWY_TARGET <= HWY_AVX3 ? 8 : 0;

// acc [r][n] += sum over blocks of
//   (init[r] + dot(q[n], a[r]) - zp[n] * sum(a[r])) * scale[n] * a_scale[r]
// for kVectors * kLanes columns n and kRows rows r. All but the last two
// operations (and zp, where it is a float) are exact. kGroups: 16ths of a block
// where that is known when compiling, or 0.
template <Dot kDot, bool kSigned, bool kHasZp, int kRows, int kVectors,
          int kGroups>
HWY_INLINE void Int8Kernel(const PanelChunk& p, size_t n, const PackedRows& a,
                           uint32_t* HWY_RESTRICT acc) {
  const DI32 di;
  VF32 y[kRows][kVectors];
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      y[r][v] = LoadSums(p, acc + r * kQGemmColumns + v * kLanes);
    }
  }
  const uint32_t* HWY_RESTRICT panel = p.words + n;
  const uint32_t* HWY_RESTRICT aq = a.words;
  for (size_t block = 0; block < p.blocks; ++block) {
    const size_t groups = kGroups > 0 ? kGroups : p.groups_per_block;
    // The next rows come from a cache further out.
    HWY_UNROLL(4)
    for (size_t i = 0; i < groups * kRows * 4; i += 16) {
      hwy::Prefetch(aq + a.next + i);
    }
    if (p.next) PrefetchNext(p, block);
    VI32 sum[kRows][kVectors];
    HWY_UNROLL(8)
    for (int r = 0; r < kRows; ++r) {
      const VU32 init = BroadcastWord(a.init + block * kRows + r);
      HWY_UNROLL(2)
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::BitCast(di, init);
    }
    if constexpr (kGroups == 2 && kRows * kVectors <= kFewSums) {
      VI32 more[kRows][kVectors];
      HWY_UNROLL(8)
      for (int r = 0; r < kRows; ++r) {
        HWY_UNROLL(2)
        for (int v = 0; v < kVectors; ++v) more[r][v] = hn::Zero(di);
      }
      DotGroup<kDot, kSigned>(PanelWords{panel}, aq, sum);
      DotGroup<kDot, kSigned>(PanelWords{panel + 4 * kQGemmColumns},
                              aq + kRows * 4, more);
      panel += 8 * kQGemmColumns;
      aq += kRows * 8;
      HWY_UNROLL(8)
      for (int r = 0; r < kRows; ++r) {
        HWY_UNROLL(2)
        for (int v = 0; v < kVectors; ++v) {
          sum[r][v] = hn::Add(sum[r][v], more[r][v]);
        }
      }
    } else {
      HWY_UNROLL(2)
      for (size_t g = 0; g < groups; ++g) {
        DotGroup<kDot, kSigned>(PanelWords{panel}, aq, sum);
        panel += 4 * kQGemmColumns;
        aq += kRows * 4;
      }
    }
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      const size_t at = block * kQGemmColumns + n + v * kLanes;
      const VF32 scale = LoadFloats(p.scales + at);
      const VF32 zp = kHasZp ? LoadFloats(p.zero_points + at) : scale;
      HWY_UNROLL(8)
      for (int r = 0; r < kRows; ++r) {
        const size_t row = block * kRows + r;
        y[r][v] = AddBlock<kHasZp>(sum[r][v], zp, a.sums + row, a.scales + row,
                                   scale, y[r][v]);
      }
    }
  }
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(2)
    for (int v = 0; v < kVectors; ++v) {
      StoreFloats(y[r][v], acc + r * kQGemmColumns + v * kLanes);
    }
  }
}

// acc [r][n] += sum over blocks of
//   scale[n] * (sum over the block's k of (q[n, k] - zp[n]) * a[r, k])
template <int kBits, int kRows>
HWY_INLINE void FloatKernel(const PanelChunk& p, size_t n,
                            const uint32_t* HWY_RESTRICT a,
                            uint32_t* HWY_RESTRICT acc) {
  constexpr int kColumns = 32 / kBits;
  const VU32 mask = hn::Set(DU32(), (1u << kBits) - 1);
  VF32 y[kRows];
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) y[r] = LoadSums(p, acc + r * kQGemmColumns);
  const uint32_t* HWY_RESTRICT panel = p.words + n;
  const size_t words_per_block = p.groups_per_block * (kBits / 2);
  for (size_t block = 0; block < p.blocks; ++block) {
    const VF32 zp = LoadFloats(p.zero_points + block * kQGemmColumns + n);
    VF32 sum[kRows];
    HWY_UNROLL(8)
    for (int r = 0; r < kRows; ++r) sum[r] = hn::Zero(DF32());
    for (size_t w = 0; w < words_per_block; ++w) {
      VU32 word = LoadWords(panel);
      panel += kQGemmColumns;
      HWY_UNROLL(16)
      for (int i = 0; i < kColumns; ++i) {
        const auto q = hn::BitCast(DI32(), hn::And(word, mask));
        const VF32 weight = hn::Sub(hn::ConvertTo(DF32(), q), zp);
        word = hn::ShiftRight<kBits>(word);
        HWY_UNROLL(8)
        for (int r = 0; r < kRows; ++r) {
          sum[r] = hn::MulAdd(weight, BroadcastFloat(a + r), sum[r]);
        }
        a += kRows;
      }
    }
    const VF32 scale = LoadFloats(p.scales + block * kQGemmColumns + n);
    HWY_UNROLL(8)
    for (int r = 0; r < kRows; ++r) y[r] = hn::MulAdd(sum[r], scale, y[r]);
  }
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) StoreFloats(y[r], acc + r * kQGemmColumns);
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
