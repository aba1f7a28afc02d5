// SPDX-License-Identifier: MIT
// Products of bytes for one SIMD target. A word is 32 bits of a row of
// quantised weights and holds 32/bits columns; sub-vector s of a word vector is
// its bits [s*bits, (s+1)*bits) of each byte: 4 columns a lane, 8/bits apart.
#if defined(SLM_QUANT_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_DOT_INL_H_
#undef SLM_QUANT_DOT_INL_H_
#else
#define SLM_QUANT_DOT_INL_H_
#endif

#include "quant/panel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

// How the machine multiplies bytes:
//   kU8I8     VNNI: u8 x i8, four a lane, exact
//   kVexU8I8  the same on AVX2 with AVX-VNNI, which Highway has no target for
//   kI8I8     ARM dot product: i8 x i8, four a lane, exact
//   kPairs    older x86: u8 x i8 pairs, saturated to int16, exact up to 32767
//   kTiles    AMX, qgemm_tiles-inl.h: weights less their default zero point,
//             which are signed, so that a dot product starts at zero; with zero
//             points of their own they are as for kU8I8
enum class Dot { kU8I8, kVexU8I8, kI8I8, kPairs, kTiles };
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
inline constexpr Dot kNativeDot = Dot::kU8I8;
#elif HWY_ARCH_X86
inline constexpr Dot kNativeDot = Dot::kPairs;
#else
inline constexpr Dot kNativeDot = Dot::kI8I8;
#endif

// 8-bit weights become signed (q - 128) where u8 x i8 is not exact.
template <Dot kDot, int kBits>
inline constexpr bool kSignedWeights = kBits == 8 && (kDot == Dot::kPairs ||
                                                      kDot == Dot::kI8I8 ||
                                                      kDot == Dot::kTiles);

using DU8 = hn::Repartition<uint8_t, DU32>;
using DI8 = hn::Repartition<int8_t, DU32>;
using DI16 = hn::Repartition<int16_t, DU32>;

template <Dot kDot, int kBits>
HWY_INLINE VU32 SubVector(VU32 word, int s) {
  if constexpr (kSignedWeights<kDot, kBits>) {
    return hn::Xor(word, hn::Set(DU32(), 0x80808080u));
  } else if constexpr (kBits == 8) {
    return word;
  } else if (kBits == 4 && kDot != Dot::kTiles && s == 1) {
    // One instruction with GFNI.
    return hn::BitCast(DU32(), hn::ShiftRight<4>(hn::BitCast(DU8(), word)));
  } else {
    const VU32 mask = hn::Set(DU32(), kBits == 4 ? 0x0F0F0F0Fu : 0x03030303u);
    const VU32 q =
        hn::And(s ? hn::ShiftRightSame(word, s * kBits) : word, mask);
    if constexpr (kDot != Dot::kTiles) return q;
    const DU8 d8;
    return hn::BitCast(DU32(), hn::Sub(hn::BitCast(d8, q),
                                       hn::Set(d8, uint8_t{1} << (kBits - 1))));
  }
}

// sum + the four products of each lane; not for kPairs and kTiles.
template <Dot kDot>
HWY_INLINE VI32 Dot4(VU32 w, VU32 a, VI32 sum) {
  const DI32 di;
  if constexpr (kDot == Dot::kVexU8I8) {
#if HWY_TARGET == HWY_AVX2 && defined(_MSC_VER) && !defined(__clang__)
    return VI32{_mm256_dpbusd_avx_epi32(sum.raw, w.raw, a.raw)};
#elif HWY_TARGET == HWY_AVX2
    // Not the intrinsic: it wants the function, and all that it is inlined
    // into, to be compiled for a target that Highway does not have.
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.raw) : "x"(w.raw), "x"(a.raw));
    return sum;
#else
    return sum;
#endif
  } else if constexpr (kDot == Dot::kU8I8) {
    return hn::SumOfMulQuadAccumulate(di, hn::BitCast(DU8(), w),
                                      hn::BitCast(DI8(), a), sum);
  } else {
    return hn::SumOfMulQuadAccumulate(di, hn::BitCast(DI8(), w),
                                      hn::BitCast(DI8(), a), sum);
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

// sum + the int16 pairs, two a lane.
HWY_INLINE VI32 AddPairs(hn::Vec<DI16> pairs, VI32 sum) {
  const DI32 di;
  return hn::Add(
      sum, hn::WidenMulPairwiseAdd(di, pairs, hn::Set(DI16(), int16_t{1})));
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
