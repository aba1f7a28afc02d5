// SPDX-License-Identifier: MIT
// The kernel of QGemm for one row, which is what decode is made of: a line of
// each of kLanes rows of b is multiplied as it lies in memory, and only sums are
// turned, so that lane n has column n as everywhere. For one SIMD target.
//
// A vector of b is 16 bytes ("units") of one row. Its products leave four sums
// a unit; four rows are folded into a vector with a sum a unit and row, and of
// those the units are turned. Of 16 rows and 64 bytes in AVX-512 that takes 30
// shuffles, with VPACKSSDW and VPMADDWD 20, where turning b itself takes 80:
// from a cache 8 bits are 1.7 times as fast.
#if defined(SLM_QUANT_QGEMM_ONE_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_QGEMM_ONE_ROW_INL_H_
#undef SLM_QUANT_QGEMM_ONE_ROW_INL_H_
#else
#define SLM_QUANT_QGEMM_ONE_ROW_INL_H_
#endif

#include "quant/dot-inl.h"
#include "quant/lines_ahead-inl.h"
#include "quant/pairs-inl.h"
#include "quant/qgemm-inl.h"
#include "quant/qgemm_args.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

inline constexpr size_t kVectorBytes = kLanes * 4;
inline constexpr size_t kVectorUnits = kLanes / 4;

// The activations that a vector of b is multiplied by, a sub-vector each.
template <int kBits>
struct RowWords {
  VU32 first, second;  // 8 bits: first only
};
template <int kBits>
HWY_INLINE RowWords<kBits> LoadRowWords(const uint32_t* a) {
  const DU32 du;
  const VU32 lower = hn::LoadU(du, a);
  if constexpr (kBits == 8) return {lower, lower};
  const VU32 upper = hn::LoadU(du, a + kLanes);
  return {hn::ConcatEven(du, upper, lower), hn::ConcatOdd(du, upper, lower)};
}

#if SLM_QGEMM_PAIRS

// Likewise of two pairs, whose words lie side by side (PackedRows).
HWY_INLINE RowWords<4> LoadPairRowWords(const uint32_t* a) {
  const DU32 du;
  alignas(64) static constexpr uint32_t kFirst[kLanes] = {
      0, 4, 8, 12, 1, 5, 9, 13, 16, 20, 24, 28, 17, 21, 25, 29};
  const VU32 first = hn::Load(du, kFirst);
  const VU32 second = hn::Add(first, hn::Set(du, 2));
  const VU32 lower = hn::LoadU(du, a), upper = hn::LoadU(du, a + kLanes);
  return {hn::TwoTablesLookupLanes(du, lower, upper,
                                   hn::IndicesFromVec(du, first)),
          hn::TwoTablesLookupLanes(du, lower, upper,
                                   hn::IndicesFromVec(du, second))};
}

// y + the part of a pair: sums of its blocks less what they start with.
HWY_INLINE VF32 AddRowPair(VI32 even, VI32 odd, const uint32_t* init, VU32 w,
                           const uint32_t* scales, VF32 y) {
  const DI32 di;
  even = hn::Add(even, hn::BitCast(di, BroadcastWord(init)));
  odd = hn::Add(odd, hn::BitCast(di, BroadcastWord(init + 1)));
  return AddSums(SideBySide(even, odd), w, scales, y);
}

#endif  // SLM_QGEMM_PAIRS

// sum + the products of a vector of b at p.
template <Dot kDot, int kBits>
HWY_INLINE VI32 DotVector(const uint8_t* p, const RowWords<kBits>& a,
                          VI32 sum) {
  const VU32 w = hn::BitCast(DU32(), hn::LoadU(DU8(), p));
  const VU32 first = SubVector<kDot, kBits>(w, 0);
  if constexpr (kBits == 8) {
    if constexpr (kDot == Dot::kPairs) {
      return AddPairs(SignedPairs(first, a.first), sum);
    } else {
      return Dot4<kDot>(first, a.first, sum);
    }
  } else {
    const VU32 second = SubVector<kDot, kBits>(w, 1);
    if constexpr (kDot == Dot::kPairs) {
      // 2 pairs of at most 2 * 15 * 127 fit int16.
      return AddPairs(
          hn::Add(Pairs(first, a.first), Pairs(second, a.second)), sum);
    } else {
      return Dot4<kDot>(second, a.second, Dot4<kDot>(first, a.first, sum));
    }
  }
}

// Of four rows, a vector each.
struct FourSums {
  VI32 s0, s1, s2, s3;
};
template <Dot kDot, int kBits>
HWY_INLINE void DotFour(const uint8_t* b, size_t stride,
                        const RowWords<kBits>& a, FourSums* sums) {
  sums->s0 = DotVector<kDot>(b, a, sums->s0);
  sums->s1 = DotVector<kDot>(b + stride, a, sums->s1);
  sums->s2 = DotVector<kDot>(b + 2 * stride, a, sums->s2);
  sums->s3 = DotVector<kDot>(b + 3 * stride, a, sums->s3);
}

// Lane 4 u + i of the result: the sum of unit u of row i. kNarrow: of the
// products of one vector of 4 bits, at most 8 * 15 * 127 a lane, two of which
// still fit an int16.
template <bool kNarrow>
HWY_INLINE VI32 Fold(const FourSums& v) {
#if HWY_ARCH_X86
  if constexpr (kNarrow) {
    const DI16 d16;
    const auto add = [&](VI32 x, VI32 y) HWY_ATTR {
      return hn::WidenMulPairwiseAdd(DI32(), hn::ReorderDemote2To(d16, x, y),
                                     hn::Set(d16, int16_t{1}));
    };
    return add(add(v.s0, v.s1), add(v.s2, v.s3));
  }
#endif
  return FoldUnits(v.s0, v.s1, v.s2, v.s3,
                   [](auto x, auto y) HWY_ATTR { return hn::Add(x, y); });
}

// Unit i of v[j] changes places with unit j of v[i].
HWY_INLINE void TransposeUnits(VI32 (&v)[kVectorUnits]) {
#if HWY_MAX_BYTES >= 64
  // Units 0 and 2, and 1 and 3, of two vectors.
  const auto even = [](VI32 x, VI32 y) HWY_ATTR {
    return VI32{_mm512_shuffle_i32x4(x.raw, y.raw, 0x88)};
  };
  const auto odd = [](VI32 x, VI32 y) HWY_ATTR {
    return VI32{_mm512_shuffle_i32x4(x.raw, y.raw, 0xDD)};
  };
  const VI32 even01 = even(v[0], v[1]), even23 = even(v[2], v[3]);
  const VI32 odd01 = odd(v[0], v[1]), odd23 = odd(v[2], v[3]);
  v[0] = even(even01, even23);
  v[1] = even(odd01, odd23);
  v[2] = odd(even01, even23);
  v[3] = odd(odd01, odd23);
#elif HWY_MAX_BYTES >= 32
  const DI32 di;
  const VI32 lower = hn::ConcatLowerLower(di, v[1], v[0]);
  v[1] = hn::ConcatUpperUpper(di, v[1], v[0]);
  v[0] = lower;
#else
  (void)v;
#endif
}

// acc [lane] += blocks of kLanes rows of b, as Int8Kernel does; how many blocks:
// all that are whole steps of kBlocks, which a vector holds. kBlocks == 1: a
// block is a vector or more, and a vector where kOneVector. A function of its
// own: among the others g++ 12 stores and loads every vector of b once more.
// kPairs: as DirectPairKernel does, and a vector holds two pairs.
template <Dot kDot, int kBits, size_t kBlocks, bool kOneVector,
          bool kPairs = false>
HWY_NOINLINE size_t OneRowKernel(const LaneRows& from, const PanelChunk& p,
                                 size_t lane, const PackedRows& a, bool has_zp,
                                 LinesAhead* ahead,
                                 uint32_t* HWY_RESTRICT acc) {
  constexpr size_t kUnits = kVectorUnits / kBlocks;  // of a block in a vector
  constexpr size_t kWords = kLanes * (8 / kBits);     // of a for a vector
  const size_t vectors =
      kOneVector ? 1 : p.groups_per_block * kBits / 8 / kVectorUnits;
  const VI32 zero = hn::Zero(DI32());
  LinesAhead lines = ahead ? *ahead : LinesAhead{};  // in registers
  const uint32_t* HWY_RESTRICT aq = a.words;
  VF32 y = LoadSums(p, acc);
  size_t block = 0, offset = 0;
  for (; block + kBlocks <= p.blocks; block += kBlocks) {
    VI32 sums[kVectorUnits];
    const RowWords<kBits> words = [&]() HWY_ATTR {
#if SLM_QGEMM_PAIRS
      if constexpr (kPairs) return LoadPairRowWords(aq);
#endif
      return LoadRowWords<kBits>(aq);
    }();
    HWY_UNROLL(4)
    for (size_t i = 0; i < kVectorUnits; ++i) {
      const uint8_t* rows = from.block[i] + offset;
      FourSums four = {zero, zero, zero, zero};
      if (ahead) lines.Fetch(kLanes / 4);
      DotFour<kDot>(rows, from.stride, words, &four);
      for (size_t v = 1; v < vectors; ++v) {
        if (ahead) lines.Fetch(kLanes / 4);
        DotFour<kDot>(rows + v * kVectorBytes, from.stride,
                      LoadRowWords<kBits>(aq + v * kWords), &four);
      }
      sums[i] = Fold<kBits == 4 && kOneVector>(four);
    }
    offset += vectors * kVectorBytes;
    aq += vectors * kWords;
    TransposeUnits(sums);
#if SLM_QGEMM_PAIRS
    if constexpr (kPairs) {
      HWY_UNROLL(2)
      for (size_t i = 0; i < kBlocks; i += 2) {
        y = AddRowPair(sums[i], sums[i + 1], a.init + block + i,
                       LoadWords(p.scales + (block + i) / 2 * kTile),
                       a.scales + block + i, y);
      }
      continue;
    }
#endif
    HWY_UNROLL(4)
    for (size_t i = 0; i < kBlocks; ++i) {
      VI32 sum = hn::BitCast(DI32(), BroadcastWord(a.init + block + i));
      HWY_UNROLL(4)
      for (size_t u = 0; u < kUnits; ++u) {
        sum = hn::Add(sum, sums[i * kUnits + u]);
      }
      const size_t at = (block + i) * kTile + lane;
      const VF32 scale = LoadFloats(p.scales + at);
      const uint32_t* a_scale = a.scales + block + i;
      y = has_zp ? AddBlock<true>(sum, LoadFloats(p.zero_points + at),
                                  a.sums + block + i, a_scale, scale, y)
                 : AddBlock<false>(sum, scale, nullptr, a_scale, scale, y);
    }
  }
  if (ahead) *ahead = lines;
#if SLM_QGEMM_PAIRS
  if (kPairs && block == p.blocks) {
    StorePairSum(y, p, lane, acc);
    return block;
  }
#endif
  StoreFloats(y, acc);
  return block;
}

// The kernel for p's blocks.
template <Dot kDot, int kBits>
HWY_INLINE size_t OneRow(const LaneRows& from, const PanelChunk& p, size_t lane,
                         const PackedRows& a, bool has_zp, LinesAhead* ahead,
                         uint32_t* HWY_RESTRICT acc) {
  const size_t units = p.groups_per_block * kBits / 8;
  if (units > kVectorUnits) {
    return OneRowKernel<kDot, kBits, 1, false>(from, p, lane, a, has_zp, ahead,
                                               acc);
  }
  if constexpr (kVectorUnits >= 4) {
    if (units == 2) {
      return OneRowKernel<kDot, kBits, kVectorUnits / 2, true>(
          from, p, lane, a, has_zp, ahead, acc);
    }
  }
  if constexpr (kVectorUnits >= 2) {
    if (units == 1) {
      return OneRowKernel<kDot, kBits, kVectorUnits, true>(
          from, p, lane, a, has_zp, ahead, acc);
    }
  }
  return OneRowKernel<kDot, kBits, 1, true>(from, p, lane, a, has_zp, ahead,
                                            acc);
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
