// SPDX-License-Identifier: MIT
// Kernels of QGemm for one SIMD target. Vocabulary: a word is 32 bits of a row
// of b and holds 32/bits columns; sub-vector s of a word vector is its bits
// [s*bits, (s+1)*bits) of each byte: 4 columns a lane, (8/bits) columns apart.
// A group is 4 sub-vectors: 16 columns.
#if defined(SLM_QUANT_QGEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_QGEMM_INL_H_
#undef SLM_QUANT_QGEMM_INL_H_
#else
#define SLM_QUANT_QGEMM_INL_H_
#endif

#include <cmath>
#include <limits>

#include "quant/formats.h"
#include "quant/panel-inl.h"
#include "quant/qgemm_args.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

// How the machine multiplies bytes:
//   kU8I8   VNNI: u8 x i8, four a lane, exact
//   kI8I8   ARM dot product: i8 x i8, four a lane, exact
//   kPairs  older x86: u8 x i8 pairs, saturated to int16, exact up to 32767
enum class Dot { kU8I8, kI8I8, kPairs };
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
inline constexpr Dot kDot = Dot::kU8I8;
#elif HWY_ARCH_X86
inline constexpr Dot kDot = Dot::kPairs;
#else
inline constexpr Dot kDot = Dot::kI8I8;
#endif

// 8-bit weights become signed (q - 128) where u8 x i8 is not exact.
template <int kBits>
inline constexpr bool kSigned = kBits == 8 && kDot != Dot::kU8I8;

using DU8 = hn::Repartition<uint8_t, DU32>;
using DI8 = hn::Repartition<int8_t, DU32>;
using DI16 = hn::Repartition<int16_t, DU32>;

template <int kBits>
HWY_INLINE VU32 SubVector(VU32 word, size_t s) {
  if constexpr (kBits == 8) {
    if constexpr (kSigned<8>) {
      return hn::Xor(word, hn::Set(DU32(), 0x80808080u));
    }
    return word;
  } else {
    const VU32 mask = hn::Set(DU32(), kBits == 4 ? 0x0F0F0F0Fu : 0x03030303u);
    const int shift = static_cast<int>(s) * kBits;
    return hn::And(hn::ShiftRightSame(word, shift), mask);
  }
}

// The sub-vectors of one group of weights, ready to be multiplied.
struct Group {
  VU32 q0, q1, q2, q3;
};

template <int kBits>
HWY_INLINE Group LoadGroup(const uint32_t* HWY_RESTRICT panel) {
  if constexpr (kBits == 8) {
    return {SubVector<8>(LoadWords(panel), 0),
            SubVector<8>(LoadWords(panel + kTile), 0),
            SubVector<8>(LoadWords(panel + 2 * kTile), 0),
            SubVector<8>(LoadWords(panel + 3 * kTile), 0)};
  } else if constexpr (kBits == 4) {
    const VU32 w0 = LoadWords(panel), w1 = LoadWords(panel + kTile);
    return {SubVector<4>(w0, 0), SubVector<4>(w0, 1), SubVector<4>(w1, 0),
            SubVector<4>(w1, 1)};
  } else {
    const VU32 w = LoadWords(panel);
    return {SubVector<2>(w, 0), SubVector<2>(w, 1), SubVector<2>(w, 2),
            SubVector<2>(w, 3)};
  }
}

// int16 pairs of u8 x i8 products; exact when |sum| <= 32767.
HWY_INLINE hn::Vec<DI16> Pairs(VU32 u, VU32 a) {
  return hn::SatWidenMulPairwiseAdd(DI16(), hn::BitCast(DU8(), u),
                                    hn::BitCast(DI8(), a));
}

// Signed weight w times a as |w| x (a with the sign of w): |w| <= 128 and
// |a| <= 127, so a pair is at most 32512.
HWY_INLINE hn::Vec<DI16> SignedPairs(VU32 w, VU32 a) {
  const auto wi = hn::BitCast(DI8(), w), ai = hn::BitCast(DI8(), a);
  const auto magnitude = hn::BitCast(DU8(), hn::Abs(wi));
  return hn::SatWidenMulPairwiseAdd(DI16(), magnitude,
                                    hn::IfNegativeThenNegOrUndefIfZero(wi, ai));
}

// sum [n] += the 16 columns of group g times the 16 bytes at a.
template <int kBits>
HWY_INLINE VI32 DotGroup(const Group& g, const uint32_t* a, VI32 sum) {
  const VU32 a0 = BroadcastWord(a), a1 = BroadcastWord(a + 1);
  const VU32 a2 = BroadcastWord(a + 2), a3 = BroadcastWord(a + 3);
  const DI32 di;
  const auto i8 = [](VU32 v) HWY_ATTR { return hn::BitCast(DI8(), v); };
  if constexpr (kDot == Dot::kU8I8) {
    const auto u8 = [](VU32 v) HWY_ATTR { return hn::BitCast(DU8(), v); };
    sum = hn::SumOfMulQuadAccumulate(di, u8(g.q0), i8(a0), sum);
    sum = hn::SumOfMulQuadAccumulate(di, u8(g.q1), i8(a1), sum);
    sum = hn::SumOfMulQuadAccumulate(di, u8(g.q2), i8(a2), sum);
    return hn::SumOfMulQuadAccumulate(di, u8(g.q3), i8(a3), sum);
  } else if constexpr (kDot == Dot::kI8I8) {
    sum = hn::SumOfMulQuadAccumulate(di, i8(g.q0), i8(a0), sum);
    sum = hn::SumOfMulQuadAccumulate(di, i8(g.q1), i8(a1), sum);
    sum = hn::SumOfMulQuadAccumulate(di, i8(g.q2), i8(a2), sum);
    return hn::SumOfMulQuadAccumulate(di, i8(g.q3), i8(a3), sum);
  } else {
    const auto ones = hn::Set(DI16(), int16_t{1});
    if constexpr (kBits == 8) {
      const auto add = [&](VU32 w, VU32 x) HWY_ATTR {
        sum =
            hn::Add(sum, hn::WidenMulPairwiseAdd(di, SignedPairs(w, x), ones));
      };
      add(g.q0, a0), add(g.q1, a1), add(g.q2, a2), add(g.q3, a3);
      return sum;
    } else {
      // 4 pairs of at most 2 * 15 * 127: 15240, fits int16.
      const auto p = hn::Add(hn::Add(Pairs(g.q0, a0), Pairs(g.q1, a1)),
                             hn::Add(Pairs(g.q2, a2), Pairs(g.q3, a3)));
      return hn::Add(sum, hn::WidenMulPairwiseAdd(di, p, ones));
    }
  }
}

// acc [r][n] += sum over blocks of
//   (init[r] + dot(q[n], a[r]) - zp[n] * sum(a[r])) * scale[n] * a_scale[r]
// for kLanes columns n and kRows rows r. Integers stay below 2^24, so all but
// the last two operations (and zp, where it is a float) are exact.
template <int kBits, bool kHasZp, int kRows>
HWY_INLINE void Int8Kernel(const PanelChunk& p, size_t n,
                           const QuantizedRows& a, uint32_t* HWY_RESTRICT acc) {
  constexpr size_t kGroupWords = kBits / 2;  // 4 sub-vectors
  const DI32 di;
  const DF32 df;
  VF32 y[kRows];
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) y[r] = LoadFloats(acc + r * kTile);
  const uint32_t* HWY_RESTRICT panel = p.words + n;
  const uint32_t* HWY_RESTRICT aq = a.words;
  for (size_t block = 0; block < p.blocks; ++block) {
    VI32 sum[kRows];
    HWY_UNROLL(8)
    for (int r = 0; r < kRows; ++r) {
      sum[r] = hn::BitCast(di, BroadcastWord(a.init + block * kRows + r));
    }
    for (size_t g = 0; g < p.groups_per_block; ++g) {
      const Group group = LoadGroup<kBits>(panel);
      panel += kGroupWords * kTile;
      HWY_UNROLL(8)
      for (int r = 0; r < kRows; ++r) {
        sum[r] = DotGroup<kBits>(group, aq + r * 4, sum[r]);
      }
      aq += kRows * 4;
    }
    const VF32 scale = LoadFloats(p.scales + block * kTile + n);
    HWY_UNROLL(8)
    for (int r = 0; r < kRows; ++r) {
      VF32 f = hn::ConvertTo(df, sum[r]);
      if constexpr (kHasZp) {
        const VF32 zp = LoadFloats(p.zero_points + block * kTile + n);
        f = hn::NegMulAdd(zp, BroadcastFloat(a.sums + block * kRows + r), f);
      }
      f = hn::Mul(f, BroadcastFloat(a.scales + block * kRows + r));
      y[r] = hn::MulAdd(f, scale, y[r]);
    }
  }
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) StoreFloats(y[r], acc + r * kTile);
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
  for (int r = 0; r < kRows; ++r) y[r] = LoadFloats(acc + r * kTile);
  const uint32_t* HWY_RESTRICT panel = p.words + n;
  const size_t words_per_block = p.groups_per_block * (kBits / 2);
  for (size_t block = 0; block < p.blocks; ++block) {
    const VF32 zp = LoadFloats(p.zero_points + block * kTile + n);
    VF32 sum[kRows];
    HWY_UNROLL(8)
    for (int r = 0; r < kRows; ++r) sum[r] = hn::Zero(DF32());
    for (size_t w = 0; w < words_per_block; ++w) {
      VU32 word = LoadWords(panel);
      panel += kTile;
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
    const VF32 scale = LoadFloats(p.scales + block * kTile + n);
    HWY_UNROLL(8)
    for (int r = 0; r < kRows; ++r) y[r] = hn::MulAdd(sum[r], scale, y[r]);
  }
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) StoreFloats(y[r], acc + r * kTile);
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
