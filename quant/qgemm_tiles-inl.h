// SPDX-License-Identifier: MIT
// The kernel of QGemm for many rows on AMX: dot products of 16 rows and 16
// columns as one tile, the rest as everywhere (AddBlock, AddSums), so that c
// has the same bits. For one SIMD target.
//
// A block of 32, 16 rows and 16 columns take a core of Sapphire Rapids 80
// cycles from a cache, where the product alone is 16: loading, multiplying and
// storing tiles take 42 to 57, however many of them are under way, and
// conversion and scales of what was stored the rest: see tools/bench/README.md.
#if defined(SLM_QUANT_QGEMM_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_QGEMM_TILES_INL_H_
#undef SLM_QUANT_QGEMM_TILES_INL_H_
#else
#define SLM_QUANT_QGEMM_TILES_INL_H_
#endif

#include "hwy/cache_control.h"
#include "quant/pairs-inl.h"
#include "quant/qgemm-inl.h"
#include "quant/qgemm_args.h"
#include "runtime/core/amx.h"

#undef SLM_QGEMM_TILES
#if SLM_HAVE_AMX && HWY_TARGET <= HWY_AVX3_DL
#define SLM_QGEMM_TILES 1
#else
#define SLM_QGEMM_TILES 0
#endif

#if SLM_QGEMM_TILES

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

static_assert(kQGemmTileRows == kAmxRows && kLanes == kTile);

// Two sets of tiles, so that the products of a block need not wait for those of
// the block before: sums 0 and 1, activations 2 and 3, weights 4 and 5.
inline constexpr int kTileSets = 2;

HWY_INLINE size_t TileDepth(size_t bs) { return HWY_MIN(bs, kAmxRowBytes); }

HWY_INLINE AmxConfig TileConfigFor(size_t bs) {
  AmxConfig config;
  for (int set = 0; set < kTileSets; ++set) {
    config.SetTile(set, kAmxRows, kTile * sizeof(int32_t));
    config.SetTile(kTileSets + set, kAmxRows, TileDepth(bs));
    config.SetTile(2 * kTileSets + set, TileDepth(bs) / 4, kTile * 4);
  }
  return config;
}

// sums [16][16] of a block: rows a [16][bs], columns of the panel.
template <int kSet, bool kSigned>
HWY_INLINE void MultiplyBlock(const uint32_t* a, const uint32_t* panel,
                              size_t bs, int32_t* sums) {
  AmxZero<kSet>();
  for (size_t k = 0; k < bs; k += TileDepth(bs)) {
    AmxLoad<kTileSets + kSet>(a + k / 4, bs);
    AmxLoad<2 * kTileSets + kSet>(panel + k / 4 * kQGemmColumns,
                                  kQGemmColumns * sizeof *panel);
    AmxMultiply<kSet, kTileSets + kSet, 2 * kTileSets + kSet, kSigned>();
  }
  AmxStore<kSet>(sums, kTile * sizeof *sums);
}

// How sums of tiles become sums of a product.
enum class TileSums {
  kFloats,      // AddBlock
  kZeroPoints,  // AddBlock<true>; weights are unsigned
  kPairs,       // AddSums, of two blocks
};

// y [r] += a block; `sums` [16][16].
template <bool kHasZp>
HWY_INLINE void AddTile(const int32_t* sums, const PanelChunk& p, size_t n,
                        size_t block, const PackedRows& a,
                        VF32 (&y)[kAmxRows]) {
  const size_t at = block * kQGemmColumns + n;
  const VF32 scale = LoadFloats(p.scales + at);
  const VF32 zp = kHasZp ? LoadFloats(p.zero_points + at) : scale;
  HWY_UNROLL(16)
  for (size_t r = 0; r < kAmxRows; ++r) {
    const size_t row = block * kAmxRows + r;
    y[r] = AddBlock<kHasZp>(hn::Load(DI32(), sums + r * kTile), zp,
                            a.sums + row, a.scales + row, scale, y[r]);
  }
}

// y [r] += two blocks; `sums` [2][16][16].
HWY_INLINE void AddTilePair(const int32_t* sums, const PanelChunk& p, size_t n,
                            size_t pair, const PackedRows& a,
                            VF32 (&y)[kAmxRows]) {
  const VU32 w = LoadWords(p.scales + pair * kQGemmColumns + n);
  HWY_UNROLL(16)
  for (size_t r = 0; r < kAmxRows; ++r) {
    const VI32 even = hn::Load(DI32(), sums + r * kTile);
    const VI32 odd = hn::Load(DI32(), sums + (kAmxRows + r) * kTile);
    y[r] = AddSums(SideBySide(even, odd), w,
                   a.scales + (pair * kAmxRows + r) * 2, y[r]);
  }
}

// acc [r][n] += as Int8Kernel or PairKernel, for 16 rows and the 16 columns
// from n on. The tile unit is two blocks ahead of the vectors.
template <TileSums kSums>
HWY_INLINE void TileKernel(const PanelChunk& p, size_t n, const PackedRows& a,
                           uint32_t* HWY_RESTRICT acc) {
  constexpr bool kSigned = kSums != TileSums::kZeroPoints;
  const size_t bs = p.groups_per_block * 16;
  alignas(64) int32_t sums[2][kTileSets * kAmxRows * kTile];
  VF32 y[kAmxRows];
  HWY_UNROLL(16)
  for (size_t r = 0; r < kAmxRows; ++r) {
    y[r] = LoadSums(p, acc + r * kQGemmColumns);
  }
  const uint32_t* HWY_RESTRICT panel = p.words + n;
  const size_t panel_words = bs / 4 * kQGemmColumns, words = bs / 4 * kAmxRows;
  const auto multiply = [&](size_t block) HWY_ATTR {
    int32_t* to = sums[block / kTileSets % 2];
    MultiplyBlock<0, kSigned>(a.words + block * words,
                              panel + block * panel_words, bs, to);
    if (block + 1 >= p.blocks) return;
    MultiplyBlock<1, kSigned>(a.words + (block + 1) * words,
                              panel + (block + 1) * panel_words, bs,
                              to + kAmxRows * kTile);
  };
  multiply(0);
  for (size_t block = 0; block < p.blocks; block += kTileSets) {
    // The weights of the next chunk, or the next rows: from further out.
    const size_t count = HWY_MIN(p.blocks - block, size_t{kTileSets});
    for (size_t i = 0; n == 0 && p.next && i < count; ++i) {
      PrefetchNext(p, block + i);
    }
    for (size_t i = 0; n > 0 && i < count * words; i += 16) {
      hwy::Prefetch(a.words + block * words + a.next + i);
    }
    if (block + kTileSets < p.blocks) multiply(block + kTileSets);
    const int32_t* from = sums[block / kTileSets % 2];
    if constexpr (kSums == TileSums::kPairs) {
      AddTilePair(from, p, n, block / 2, a, y);
    } else {
      for (size_t i = 0; i < count; ++i) {
        AddTile<!kSigned>(from + i * kAmxRows * kTile, p, n, block + i, a, y);
      }
    }
  }
  HWY_UNROLL(16)
  for (size_t r = 0; r < kAmxRows; ++r) {
    if constexpr (kSums == TileSums::kPairs) {
      StorePairSum(y[r], p, n, acc + r * kQGemmColumns);
    } else {
      StoreFloats(y[r], acc + r * kQGemmColumns);
    }
  }
}

// One chunk of a panel times a tile of packed rows from `row` on.
template <TileSums kSums>
void TileRows(const QGemmArgs& g, const PanelChunk& p, size_t block, size_t row,
              uint32_t* acc) {
  const size_t blocks = g.b->blocks(), bs = g.b->block_size;
  const size_t at = row * blocks + block * kAmxRows;
  const PackedRows a = {.words = g.a_words + at * (bs / 4),
                        .scales = g.a_scales + at,
                        .init = nullptr,
                        .sums = g.a_sums + at,
                        .next = kAmxRows * blocks * (bs / 4)};
  for (size_t n = 0; n < kQGemmColumns; n += kTile) {
    TileKernel<kSums>(p, n, a, acc + n);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif  // SLM_QGEMM_TILES

#endif
