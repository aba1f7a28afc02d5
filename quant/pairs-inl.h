// SPDX-License-Identifier: MIT
// Blocks two at a time, where the scales of b are fixed (formats.h), for one
// SIMD target. In float32 each block of 32 needs a multiplication and an FMA
// beside eight VPDPBUSD, on the same two ports of a Zen 5; as 16-bit integers
// two blocks together need one VPMULHRSW and one VPMADDWD:
//   s[i]  = sum over block i of (q of b - 8) * (q of a)
//   p[i]  = round(s[i] * m[i] / 2^15)      m[i] 2^(e - 15) = the scale of a
//   y    += (p[0] w[0] + p[1] w[1]) * 2^e  w[i] unit = the scale of b
// and at the end of the row c = y * unit. |s| <= 32 * 8 * 127 = 32512 fits an
// int16, and p w twice an int32. 2^e is the power of two above the larger scale
// of a, so p is half of s or more for one of the two: rounding it moves it by
// 0.3 (root mean square), where rounding a to 8 bits has moved s by 6.5 (the
// root of 32 / 12, times a weight of 4).
#if defined(SLM_QUANT_PAIRS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_PAIRS_INL_H_
#undef SLM_QUANT_PAIRS_INL_H_
#else
#define SLM_QUANT_PAIRS_INL_H_
#endif

#include <cstring>

#include "quant/dot-inl.h"
#include "quant/qgemm_args.h"

#undef SLM_QGEMM_PAIRS
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
#define SLM_QGEMM_PAIRS 1
#else
#define SLM_QGEMM_PAIRS 0
#endif

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

// Whether blocks of b go in pairs in mode int8. Elsewhere fixed scales become
// floats.
HWY_INLINE bool UsePairs(const BlockQuantMatrix& b) {
  return SLM_QGEMM_PAIRS && b.fixed_scales();
}

// Two scales of a pair, as floats, become one, in place: two int16 of m, the
// even block's in the low half, and e as a float, NaN where a scale is. 2^e is
// no less than 2^-99: scales far below (of activations below 1e-28) become
// zero.
HWY_INLINE void MakePairScales(uint32_t* scales, size_t pairs) {
  const DU32 du;
  const DI32 di;
  const DF32 df;
  constexpr int kBias = 126;  // of an exponent, for a fraction in [0.5, 1)
  const auto convert = [&](VU32 bits) HWY_ATTR {
    const VI32 most = hn::BitCast(di, hn::Max(bits, hn::Reverse2(du, bits)));
    const VI32 above = hn::ShiftRight<23>(most);
    const VI32 e = hn::Max(above, hn::Set(di, 27));
    // 2^(15 + kBias - e)
    const VI32 power =
        hn::ShiftLeft<23>(hn::Sub(hn::Set(di, 127 + 15 + kBias), e));
    const VF32 m = hn::Mul(hn::BitCast(df, bits), hn::BitCast(df, power));
    const VU32 words = hn::BitCast(
        du, hn::Min(hn::NearestInt(m), hn::Set(di, int32_t{32767})));
    const VU32 both = hn::Or(words, hn::ShiftLeft<16>(hn::Reverse2(du, words)));
    const auto bad =
        hn::RebindMask(df, hn::Eq(above, hn::Set(di, int32_t{255})));
    const VF32 exponent =
        hn::IfThenElse(bad, hn::BitCast(df, most),
                       hn::ConvertTo(df, hn::Sub(e, hn::Set(di, kBias))));
    return hn::OddEven(hn::BitCast(du, exponent), both);
  };
  size_t i = 0;
  for (; i + kLanes <= 2 * pairs; i += kLanes) {
    hn::StoreU(convert(hn::LoadU(du, scales + i)), du, scales + i);
  }
  if (i < 2 * pairs) {
    const size_t rest = 2 * pairs - i;
    hn::StoreN(convert(hn::LoadN(du, scales + i, rest)), du, scales + i, rest);
  }
}

#if SLM_QGEMM_PAIRS

using VI16 = hn::Vec<DI16>;

// Sums of an even and an odd block, which fit int16, side by side: the low
// halves of the odd ones become the high halves.
HWY_INLINE VI16 SideBySide(VI32 even, VI32 odd) {
  const __m512i up = _mm512_set4_epi32(0x0D0C0000, 0x09080000, 0x05040000,
                                       0x01000000);
  return VI16{_mm512_mask_shuffle_epi8(even.raw, 0xCCCCCCCCCCCCCCCC, odd.raw,
                                       up)};
}

// y + the part of one row. `sums`: of two blocks side by side, column for
// column; `w`: likewise; `scale`: see MakePairScales.
HWY_INLINE VF32 AddSums(VI16 sums, VU32 w, const uint32_t* scale, VF32 y) {
  const DI16 d16;
  const VI16 m = hn::BitCast(d16, BroadcastWord(scale));
  const VI16 p = hn::MulFixedPoint15(sums, m);
  const VI32 both = hn::WidenMulPairwiseAdd(DI32(), p, hn::BitCast(d16, w));
  const VF32 f = hn::ConvertTo(DF32(), both);
  return hn::Add(y,
                 VF32{_mm512_scalef_ps(f.raw, BroadcastFloat(scale + 1).raw)});
}

// Two words from anywhere to all lanes, in turn.
HWY_INLINE VU32 BroadcastTwo(const uint32_t* p) {
  uint64_t two;
  std::memcpy(&two, p, sizeof two);
  return hn::BitCast(DU32(), hn::Set(hn::Repartition<uint64_t, DU32>(), two));
}

// 16 columns of a word of an even and an odd block: columns 0 and 1 of every
// four, even and odd block in turn, then columns 2 and 3. So VPACKSSDW puts the
// two sums of a column side by side.
struct PairWord {
  VU32 lower, upper;
};

// Words 0 and 1, or 2 and 3, of both blocks of 16 rows; `even` and `odd` have
// 16 bytes of rows 0, 4, 8, 12, of rows 1, 5, ...
struct TwoPairWords {
  PairWord first, second;
};
template <bool kUpper>
HWY_INLINE TwoPairWords TransposePairs(const VU32 (&even)[4],
                                       const VU32 (&odd)[4]) {
  const DU32 du;
  const hn::Repartition<uint64_t, DU32> d64;
  hn::Vec<decltype(d64)> both[4];
  HWY_UNROLL(4)
  for (int r = 0; r < 4; ++r) {
    both[r] =
        hn::BitCast(d64, kUpper ? hn::InterleaveUpper(du, even[r], odd[r])
                                : hn::InterleaveLower(du, even[r], odd[r]));
  }
  const auto word = [&](auto lower, auto upper) HWY_ATTR {
    return PairWord{hn::BitCast(du, lower), hn::BitCast(du, upper)};
  };
  return {word(hn::InterleaveLower(d64, both[0], both[1]),
               hn::InterleaveLower(d64, both[2], both[3])),
          word(hn::InterleaveUpper(d64, both[0], both[1]),
               hn::InterleaveUpper(d64, both[2], both[3]))};
}

// 16 bytes of 16 rows at `offset`, as TransposePairs wants them.
HWY_INLINE void LoadPairRows(const LaneRows& rows, size_t offset,
                             VU32 (&to)[4]) {
  HWY_UNROLL(4)
  for (size_t r = 0; r < 4; ++r) {
    to[r] = LoadRowBlocks(rows, r * rows.stride + offset);
  }
}

// sum [r] += eight columns of both blocks of a pair, of which `w` has a
// sub-vector, times those of each row at a [rows][4][2].
template <int kRows>
HWY_INLINE void DotPair(const PairWord& w, const uint32_t* HWY_RESTRICT a,
                        VI32 (&sum)[kRows][2]) {
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) {
    const VU32 ar = BroadcastTwo(a + r * 8);
    sum[r][0] = Dot4<kNativeDot>(w.lower, ar, sum[r][0]);
    sum[r][1] = Dot4<kNativeDot>(w.upper, ar, sum[r][1]);
  }
}

// Where the sums of a pair start.
template <int kRows>
HWY_INLINE void StartPair(const uint32_t* init, VI32 (&sum)[kRows][2]) {
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) {
    sum[r][0] = sum[r][1] = hn::BitCast(DI32(), BroadcastTwo(init + r * 2));
  }
}

// y [r] += the pair's part. `w`: two int16 a column; `scales`: [rows][2].
template <int kRows>
HWY_INLINE void AddPair(const VI32 (&sum)[kRows][2], VU32 w,
                        const uint32_t* scales, VF32 (&y)[kRows]) {
  HWY_UNROLL(8)
  for (int r = 0; r < kRows; ++r) {
    const VI16 sums = hn::ReorderDemote2To(DI16(), sum[r][0], sum[r][1]);
    y[r] = AddSums(sums, w, scales + r * 2, y[r]);
  }
}

// Sums of a chunk on their way to acc: the last chunk of a row has the unit.
HWY_INLINE void StorePairSum(VF32 y, const PanelChunk& p, size_t lane,
                             uint32_t* acc) {
  if (p.units) y = hn::Mul(y, LoadFloats(p.units + lane));
  StoreFloats(y, acc);
}

#endif  // SLM_QGEMM_PAIRS

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
