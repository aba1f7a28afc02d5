// SPDX-License-Identifier: MIT
// The kernel of QGemm for many rows and pairs of blocks (pairs-inl.h), for one
// SIMD target: 6 rows of 16 columns load two vectors of weights and six word
// pairs for twelve products.
#if defined(SLM_QUANT_QGEMM_PAIRS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_QGEMM_PAIRS_INL_H_
#undef SLM_QUANT_QGEMM_PAIRS_INL_H_
#else
#define SLM_QUANT_QGEMM_PAIRS_INL_H_
#endif

#include "hwy/cache_control.h"
#include "quant/pairs-inl.h"
#include "quant/qgemm-inl.h"
#include "quant/qgemm_args.h"
#include "quant/qgemm_pack-inl.h"

#if SLM_QGEMM_PAIRS

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

// acc [r][n .. n + 16) += the pairs of p for kRows rows.
template <int kRows>
HWY_INLINE void PairKernel(const PanelChunk& p, size_t n, const PackedRows& a,
                           uint32_t* HWY_RESTRICT acc) {
  static_assert(kLanes == kTile);
  VF32 y[kRows];
  HWY_UNROLL(6)
  for (int r = 0; r < kRows; ++r) y[r] = LoadSums(p, acc + r * kQGemmColumns);
  const uint32_t* HWY_RESTRICT panel = p.words + n / kTile * kPairsHalf;
  const uint32_t* HWY_RESTRICT aq = a.words;
  const uint32_t* HWY_RESTRICT init = a.init;
  const uint32_t* HWY_RESTRICT scales = a.scales;
  for (size_t pair = 0; pair < p.blocks / 2; ++pair) {
    // Once for both halves: the next rows, and the weights of the next chunk.
    if (n == 0) {
      HWY_UNROLL(6)
      for (size_t i = 0; i < 16 * kRows; i += 16) {
        hwy::Prefetch(aq + a.next + i);
      }
      hwy::Prefetch(init + a.next / 8);
      hwy::Prefetch(scales + a.next / 8);
      if (p.next) {
        PrefetchNext(p, 2 * pair);
        PrefetchNext(p, 2 * pair + 1);
      }
    }
    VI32 sum[kRows][2];
    StartPair<kRows>(init, sum);
    HWY_UNROLL(2)
    for (int g = 0; g < 2; ++g) {
      HWY_UNROLL(4)
      for (int j = 0; j < 4; ++j) {
        const PairWord w = {LoadWords(panel), LoadWords(panel + kTile)};
        DotPair<kRows>(w, aq + j * 2, sum);
        panel += 2 * kTile;
      }
      aq += kRows * 8;
    }
    AddPair<kRows>(sum, LoadWords(p.scales + pair * kQGemmColumns + n), scales,
                   y);
    init += kRows * 2;
    scales += kRows * 2;
  }
  HWY_UNROLL(6)
  for (int r = 0; r < kRows; ++r) {
    StorePairSum(y[r], p, n, acc + r * kQGemmColumns);
  }
}

// One chunk of a panel times `kRows` packed rows from `row` on.
template <int kRows>
void PairRows(const QGemmArgs& g, const PanelChunk& p, size_t block, size_t row,
              uint32_t* acc) {
  const size_t blocks = g.b->blocks();
  const size_t at = row * blocks + block * kRows;
  const PackedRows a = {.words = g.a_words + at * (g.b->block_size / 4),
                        .scales = g.a_scales + at,
                        .init = g.a_init + at,
                        .sums = nullptr,
                        .next = kRows * blocks * (g.b->block_size / 4)};
  for (size_t n = 0; n < kQGemmColumns; n += kTile) {
    PairKernel<kRows>(p, n, a, acc + n);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif  // SLM_QGEMM_PAIRS

#endif
