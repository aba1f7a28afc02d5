// SPDX-License-Identifier: MIT
// Tiles of attention in integers of 16 bits, for CPUs with VNNI: VPDPWSSD does
// two products a lane in the time of one float32 multiply-add, and its sums are
// exact. Every vector has a step, its unit: a query (times scale) and a key
// 1 / 32700 of its length; a row of values 1 / 4095 of its largest element; the
// softmax weights of a row, each times the step of its value, such that the
// largest is at most 32767 and all of a split together at most 524000. So no
// sum reaches 2^31:
//   |q . k| <= |q| |k| (Cauchy and Schwarz),  |sum p v| <= 4095 sum p
// Rounding costs a score some 2^-16 |q| |k|, a value and a weight 2^-12.
// A pair is two integers in 32 bits, the even element in the low half: pairs
// run along E for the scores (keys lie as [4][E/2][16] pairs) and along keys
// for the values ([32][E] pairs). What is not seen has weight 0, so whatever
// lies there does not matter.
#if defined(SLM_OPS_KERNELS_ATTENTION_INT16_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef SLM_OPS_KERNELS_ATTENTION_INT16_INL_H_
#undef SLM_OPS_KERNELS_ATTENTION_INT16_INL_H_
#else
#define SLM_OPS_KERNELS_ATTENTION_INT16_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "ops/kernels/attention-inl.h"
#include "ops/kernels/attention_task.h"
#include "runtime/core/shape.h"

#if HWY_TARGET == HWY_AVX3_DL
HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

using DPairs = hn::RebindToUnsigned<DF>;
using DSums = hn::RebindToSigned<DF>;
using DWords = hn::Repartition<int16_t, DF>;
using VPairs = hn::Vec<DPairs>;
static_assert(HWY_MAX_LANES_D(DF) == kKvTile);

inline constexpr float kLongest = 32700;      // query or key
inline constexpr float kLargestValue = 4095;  // element of a row of values
inline constexpr float kLargestWeight = 32767;
inline constexpr float kWeightSum = 524000;  // of a row and split

// Not the intrinsic: g++ 12 copies every sum twice in a loop of them.
HWY_INLINE hn::Vec<DSums> AddProducts(VPairs a, VPairs b, hn::Vec<DSums> sum) {
#if defined(_MSC_VER) && !defined(__clang__)
  return hn::Vec<DSums>{_mm512_dpwssd_epi32(sum.raw, a.raw, b.raw)};
#else
  asm("vpdpwssd %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(b.raw));
  return sum;
#endif
}

// x / step to the nearest integer, in the low 16 bits of each lane: what stays
// there when 1.5 * 2^23 is added.
HWY_INLINE VPairs RoundedLow(hn::Vec<DF> x, hn::Vec<DF> inverse) {
  const auto big = hn::Set(DF(), 0x1.8p23f);
  return hn::BitCast(DPairs(), hn::MulAdd(x, inverse, big));
}

HWY_INLINE VPairs ToPairs(VPairs even, VPairs odd) {
  const DWords d;
  return hn::BitCast(DPairs(),
                     hn::OddEven(hn::BitCast(d, hn::ShiftLeft<16>(odd)),
                                 hn::BitCast(d, even)));
}

// The step of a vector by its length. What would have none gets one that makes
// it 0; not a number stays.
HWY_INLINE hn::Vec<DF> StepOfSquares(hn::Vec<DF> squares) {
  const DF d;
  const auto least = hn::Set(d, 1e-30f);
  const auto some = hn::IfThenElse(hn::Lt(squares, least), least, squares);
  return hn::Mul(hn::Sqrt(some), hn::Set(d, 1 / kLongest));
}

HWY_INLINE hn::Vec<DF> Inverse(hn::Vec<DF> step) {
  return hn::Div(hn::Set(DF(), 1.0f), step);
}

// The steps of a tile of 16 keys. Four sums: each waits four cycles for itself.
template <typename T>
HWY_INLINE hn::Vec<DF> KeySteps(const T* tile, size_t head_size) {
  const DF d;
  hn::Vec<DF> sum[4];
  for (auto& s : sum) s = hn::Zero(d);
  const auto add = [&](size_t e, hn::Vec<DF>& to) HWY_ATTR {
    const auto x = LoadAs(d, tile + e * kKvTile);
    to = hn::MulAdd(x, x, to);
  };
  size_t e = 0;
  for (; e + 4 <= head_size; e += 4) {
    for (size_t i = 0; i < 4; ++i) add(e + i, sum[i]);
  }
  for (; e < head_size; ++e) add(e, sum[0]);
  return StepOfSquares(
      hn::Add(hn::Add(sum[0], sum[1]), hn::Add(sum[2], sum[3])));
}

// Elements 2i and 2i + 1 of a tile of 16 keys.
HWY_INLINE VPairs KeyPairs(const uint32_t* tile, size_t i, hn::Vec<DF>) {
  return hn::LoadU(DPairs(), tile + i * kKvTile);
}
template <typename T>
HWY_INLINE VPairs KeyPairs(const T* tile, size_t i, hn::Vec<DF> inverse) {
  const T* at = tile + 2 * i * kKvTile;
  return ToPairs(RoundedLow(LoadAs(DF(), at), inverse),
                 RoundedLow(LoadAs(DF(), at + kKvTile), inverse));
}

template <typename T>
using Bits = std::conditional_t<sizeof(T) == 2, uint16_t, uint32_t>;

// The largest magnitudes of n elements in each lane, as bits: these are ordered
// like the numbers, and what is not a number is above all. kWhole: n is as many
// vectors; 0: any.
template <size_t kWhole, typename T, class D = hn::Repartition<Bits<T>, DF>>
HWY_INLINE hn::Vec<D> LargestOf(const T* row, size_t n) {
  const D d;
  const auto* bits = reinterpret_cast<const Bits<T>*>(row);
  const auto magnitude = hn::Set(
      d, static_cast<Bits<T>>(hwy::LimitsMax<hwy::MakeSigned<Bits<T>>>()));
  auto most = hn::Zero(d);
  if constexpr (kWhole > 0) {
    for (size_t i = 0; i < kWhole; ++i) {
      const auto x = hn::LoadU(d, bits + i * hn::Lanes(d));
      most = hn::Max(most, hn::And(x, magnitude));
    }
    return most;
  }
  size_t i = 0;
  for (; i + hn::Lanes(d) <= n; i += hn::Lanes(d)) {
    most = hn::Max(most, hn::And(hn::LoadU(d, bits + i), magnitude));
  }
  if (i < n) {
    most = hn::Max(most, hn::And(hn::LoadN(d, bits + i, n - i), magnitude));
  }
  return most;
}

// The larger ones of neighbours among the lanes of a, then of b.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V LargerNeighbours(D d, V a, V b) {
  return hn::Max(hn::ConcatEven(d, b, a), hn::ConcatOdd(d, b, a));
}

// The largest lanes of row(j0) to row(j0 + kCount - 1), kCount times the same
// number of lanes. A tree: a reduction of every row costs thrice as much.
template <class D, size_t kCount, class Row>
HWY_INLINE hn::Vec<D> LargestOfRows(D d, const Row& row, size_t j0) {
  if constexpr (kCount == 1) {
    return row(j0);
  } else {
    return LargerNeighbours(
        d, LargestOfRows<D, kCount / 2>(d, row, j0),
        LargestOfRows<D, kCount / 2>(d, row, j0 + kCount / 2));
  }
}

// Rows 2i and 2i + 1 of the values of a page, elements [e, e + 16); `inverse`
// is of the page's first row.
template <typename T>
HWY_INLINE VPairs ValuePairs(const T* v, size_t stride, size_t i, size_t e,
                             const float* inverse) {
  const DF d;
  const T* at = v + 2 * i * stride + e;
  return ToPairs(
      RoundedLow(LoadAs(d, at), hn::Set(d, inverse[2 * i])),
      RoundedLow(LoadAs(d, at + stride), hn::Set(d, inverse[2 * i + 1])));
}

struct Int16Tiles {
  static constexpr size_t kRows = 8;

  // int8 caches have products of their own.
  static bool Take(const AttentionTask& task) {
    return task.shape->int16 && task.sequence->k.dtype != DType::kI8;
  }
  // Whether float16 is read where it lies.
  static bool InPlace(const AttentionTask& task) {
    return task.sequence->k.dtype == DType::kF16 && task.rows() <= kRows &&
           task.shape->head_size % 2 == 0;
  }
  // What w.scales holds of a split.
  static float* KeySteps(const WorkerScratch& w) { return w.scales; }
  static float* ValueSteps(const WorkerScratch& w) {
    return w.scales + kSplitKeys;
  }
  static float* ValueInverses(const WorkerScratch& w) {
    return w.scales + 2 * kSplitKeys;
  }
  // While queries are loaded only.
  static float* QueryInverses(const WorkerScratch& w) { return w.p_scales; }
  static uint32_t* Weights(const WorkerScratch& w, size_t row) {
    return reinterpret_cast<uint32_t*>(w.weights) + row * kSplitKeys / 2;
  }

  // Elements [e, e + 16) of a row of queries, times scale; 0 behind its end.
  static HWY_INLINE hn::Vec<DF> Scaled(const float* from, size_t head_size,
                                       float scale, size_t e) {
    const DF d;
    const auto factor = hn::Set(d, scale);
    if (e + kKvTile <= head_size) {
      return hn::Mul(factor, hn::LoadU(d, from + e));
    }
    const size_t at = std::min(e, head_size);
    return hn::Mul(factor, hn::LoadN(d, from + at, head_size - at));
  }
  // Queries as pairs in w.q, in three steps: the rows' sums of squares, steps
  // of all rows at once, since roots and quotients are slow; integers.
  static HWY_INLINE void MeasureQuery(const float* from, size_t head_size,
                                      float scale, size_t row,
                                      const WorkerScratch& w) {
    const DF d;
    auto squares = hn::Zero(d);
    for (size_t e = 0; e < head_size; e += kKvTile) {
      const auto x = Scaled(from, head_size, scale, e);
      squares = hn::MulAdd(x, x, squares);
    }
    w.q_scales[row] = hn::ReduceSum(d, squares);
  }
  static void FindQuerySteps(size_t rows, const WorkerScratch& w) {
    const DF d;
    for (size_t row = 0; row < rows; row += kKvTile) {
      const size_t n = std::min(kKvTile, rows - row);
      const auto squares = hn::LoadN(d, w.q_scales + row, n);
      hn::StoreN(StepOfSquares(squares), d, w.q_scales + row, n);
      hn::StoreN(Inverse(StepOfSquares(squares)), d, QueryInverses(w) + row, n);
    }
  }
  static HWY_INLINE void PackQuery(const float* from, size_t head_size,
                                   float scale, size_t width, size_t row,
                                   const WorkerScratch& w) {
    const auto inverse = hn::Set(DF(), QueryInverses(w)[row]);
    auto* pairs = reinterpret_cast<uint32_t*>(w.q) + row * width / 2;
    for (size_t e = 0; e < width; e += 2 * kKvTile) {
      hn::StoreU(InOrder(RoundedLow(Scaled(from, head_size, scale, e), inverse),
                         RoundedLow(Scaled(from, head_size, scale, e + kKvTile),
                                    inverse)),
                 DPairs(), pairs + e / 2);
    }
  }
  // The low halves of `first`, then those of `second`.
  static HWY_INLINE VPairs InOrder(VPairs first, VPairs second) {
    const DWords d;
    return hn::BitCast(DPairs(), hn::ConcatEven(d, hn::BitCast(d, second),
                                                hn::BitCast(d, first)));
  }

  // Keys as pairs [4, E / 2, 16].
  static const uint32_t* Keys(const AttentionTask& task, const WorkerScratch& w,
                              size_t page, const uint8_t* rows, Columns c,
                              ptrdiff_t& ahead) {
    const KvRows& k = task.sequence->k;
    const size_t e = task.shape->head_size;
    auto* pairs = reinterpret_cast<uint32_t*>(w.kt);
    float* steps = KeySteps(w) + page * kKeyBlock;
    if (k.dtype == DType::kF16) {
      PairKeys(reinterpret_cast<const hwy::float16_t*>(rows), e, c, ahead,
               steps, pairs);
    } else if (k.layout == KvLayout::kKeyTiles) {
      PairKeys(reinterpret_cast<const float*>(rows), e, c, ahead, steps, pairs);
    } else {
      // Pairs are written where what they are made of has been read.
      TransposeKeys(rows, k.row_stride, e, c.begin, c.end, w.kt);
      PairKeys(w.kt, e, c, 0, steps, pairs);
    }
    ahead = 0;
    return pairs;
  }
  template <typename T>
  static void PairKeys(const T* from, size_t head_size, Columns c,
                       ptrdiff_t ahead, float* steps, uint32_t* to) {
    const DF d;
    const size_t whole = head_size / 2, pairs = CeilDiv(head_size, size_t{2});
    for (size_t tile = c.begin / kKvTile; tile < CeilDiv(c.end, kKvTile);
         ++tile) {
      const T* at = from + tile * kKvTile * head_size;
      uint32_t* out = to + tile * kKvTile * pairs;
      const auto step = HWY_NAMESPACE::KeySteps(at, head_size);
      hn::StoreU(step, d, steps + tile * kKvTile);
      const auto inverse = Inverse(step);
      for (size_t i = 0; i < whole; ++i) {
        FetchAhead(at + 2 * i * kKvTile, ahead);
        if constexpr (sizeof(T) == 4) {
          FetchAhead(at + (2 * i + 1) * kKvTile, ahead);
        }
        hn::StoreU(KeyPairs(at, i, inverse), DPairs(), out + i * kKvTile);
      }
      if (whole < pairs) {
        const auto last = LoadAs(d, at + 2 * whole * kKvTile);
        hn::StoreU(ToPairs(RoundedLow(last, inverse), hn::Zero(DPairs())),
                   DPairs(), out + whole * kKvTile);
      }
    }
  }

  // p[r, j] = sum_e q[r, e] k[e, j] for kCount rows from `row` on, columns c
  // of a page and up to whole pairs of tiles.
  template <size_t kCount, typename T>
  static void Score(const AttentionTask& task, const WorkerScratch& w,
                    size_t row, size_t page, const T* keys, Columns c,
                    ptrdiff_t ahead) {
    const DF d;
    constexpr bool kPaired = std::is_same_v<T, uint32_t>;
    const size_t head_size = task.shape->head_size;
    const size_t pairs = CeilDiv(head_size, size_t{2});
    const size_t q_stride = RoundUp(head_size, kQueryPadding) / 2;
    const auto* q = reinterpret_cast<const uint32_t*>(w.q) + row * q_stride;
    const size_t tile = kKvTile * (kPaired ? pairs : head_size);
    for (size_t j = c.begin / (2 * kKvTile) * (2 * kKvTile); j < c.end;
         j += 2 * kKvTile) {
      const T* at0 = keys + j / kKvTile * tile;
      const T* at1 = at0 + tile;
      hn::Vec<DF> step0, step1, inverse0, inverse1;
      if constexpr (kPaired) {
        const float* steps = KeySteps(w) + page * kKeyBlock + j;
        step0 = inverse0 = hn::LoadU(d, steps);
        step1 = inverse1 = hn::LoadU(d, steps + kKvTile);
      } else {
        step0 = HWY_NAMESPACE::KeySteps(at0, head_size);
        step1 = HWY_NAMESPACE::KeySteps(at1, head_size);
        inverse0 = Inverse(step0);
        inverse1 = Inverse(step1);
      }
      hn::Vec<DSums> sum[kCount][2];
      HWY_UNROLL(8)
      for (size_t r = 0; r < kCount; ++r) {
        sum[r][0] = sum[r][1] = hn::Zero(DSums());
      }
      for (size_t i = 0; i < pairs; ++i) {
        const VPairs k0 = KeyPairs(at0, i, inverse0);
        const VPairs k1 = KeyPairs(at1, i, inverse1);
        if constexpr (!kPaired) {
          // Here, not where the steps are measured: there memory would have to
          // deliver twice what it can.
          FetchAhead(at0 + 2 * i * kKvTile, ahead);
          FetchAhead(at1 + 2 * i * kKvTile, ahead);
        }
        HWY_UNROLL(8)
        for (size_t r = 0; r < kCount; ++r) {
          const VPairs x = hn::Set(DPairs(), q[r * q_stride + i]);
          sum[r][0] = AddProducts(x, k0, sum[r][0]);
          sum[r][1] = AddProducts(x, k1, sum[r][1]);
        }
      }
      float* p = w.p + row * kSplitKeys + page * kKeyBlock + j;
      HWY_UNROLL(8)
      for (size_t r = 0; r < kCount; ++r) {
        const auto q_step = hn::Set(d, w.q_scales[row + r]);
        const auto s0 = hn::Mul(hn::ConvertTo(d, sum[r][0]), step0);
        const auto s1 = hn::Mul(hn::ConvertTo(d, sum[r][1]), step1);
        hn::StoreU(hn::Mul(s0, q_step), d, p + r * kSplitKeys);
        hn::StoreU(hn::Mul(s1, q_step), d, p + r * kSplitKeys + kKvTile);
      }
    }
  }

  // Bits of the largest magnitude of each of the values of columns c of a page.
  template <size_t kWhole, typename T>
  static void LargestOfColumns(const T* v, size_t stride, size_t value_size,
                               Columns c, Bits<T>* largest) {
    using DBits = hn::Repartition<Bits<T>, DF>;
    constexpr size_t kLanes = 64 / sizeof(T);
    const auto inside = [&](size_t j) HWY_ATTR {
      return LargestOf<kWhole>(v + j * stride, value_size);
    };
    // Memory around these rows may not exist.
    const auto clamped = [&](size_t j) HWY_ATTR {
      return inside(std::clamp(j, c.begin, c.end - 1));
    };
    for (size_t j = c.begin / kLanes * kLanes; j < c.end; j += kLanes) {
      const bool all = j >= c.begin && j + kLanes <= c.end;
      hn::StoreU(all ? LargestOfRows<DBits, kLanes>(DBits(), inside, j)
                     : LargestOfRows<DBits, kLanes>(DBits(), clamped, j),
                 DBits(), largest + j);
    }
  }

  // Steps of the values of columns c of a page and, in whole vectors, what
  // divides by them.
  template <typename T>
  static void MeasureValues(const T* v, size_t stride, size_t value_size,
                            Columns c, ptrdiff_t ahead, float* steps,
                            float* inverses) {
    const DF d;
    constexpr size_t kLanes = 64 / sizeof(T);
    for (size_t j = c.begin; ahead != 0 && j < c.end; ++j) {
      for (size_t e = 0; e < value_size; e += kLanes) {
        FetchAhead(v + j * stride + e, ahead);
      }
    }
    alignas(64) Bits<T> largest[kKeyBlock];
    if (value_size == 2 * kLanes) {
      LargestOfColumns<2>(v, stride, value_size, c, largest);
    } else if (value_size == 4 * kLanes) {
      LargestOfColumns<4>(v, stride, value_size, c, largest);
    } else {
      LargestOfColumns<0>(v, stride, value_size, c, largest);
    }
    const auto least = hn::Set(d, 1e-30f);
    for (size_t j = c.begin / kKvTile * kKvTile; j < c.end; j += kKvTile) {
      const auto most = LoadAs(d, reinterpret_cast<const T*>(largest) + j);
      const auto some = hn::IfThenElse(hn::Lt(most, least), least, most);
      const auto step = hn::Mul(some, hn::Set(d, 1 / kLargestValue));
      hn::StoreU(step, d, steps + j);
      hn::StoreU(Inverse(step), d, inverses + j);
    }
  }

  // Columns c of a page as pairs [32, padded].
  template <typename T>
  static void PairValues(const T* v, size_t stride, size_t value_size,
                         size_t padded, Columns c, const float* inverses,
                         uint32_t* to) {
    const DF d;
    for (size_t i = c.begin / 2; i < CeilDiv(c.end, size_t{2}); ++i) {
      // Memory around these rows may not exist.
      const T* even = v + std::max(2 * i, c.begin) * stride;
      const T* odd = v + std::min(2 * i + 1, c.end - 1) * stride;
      const auto even_inverse = hn::Set(d, inverses[2 * i]);
      const auto odd_inverse = hn::Set(d, inverses[2 * i + 1]);
      uint32_t* out = to + i * padded;
      const auto pair = [&](const auto* x, const auto* y, size_t e) HWY_ATTR {
        hn::StoreU(ToPairs(RoundedLow(LoadAs(d, x), even_inverse),
                           RoundedLow(LoadAs(d, y), odd_inverse)),
                   DPairs(), out + e);
      };
      size_t e = 0;
      for (; e + kKvTile <= value_size; e += kKvTile)
        pair(even + e, odd + e, e);
      for (; e < padded; e += kKvTile) {
        float tail[2][kKvTile] = {};
        for (size_t x = e; x < value_size; ++x) {
          tail[0][x - e] = hwy::ConvertScalarTo<float>(even[x]);
          tail[1][x - e] = hwy::ConvertScalarTo<float>(odd[x]);
        }
        pair(tail[0], tail[1], e);
      }
    }
  }

  // Values of a page, measured and, unless they are read in place, as pairs.
  template <typename T>
  static void PreparePage(const AttentionTask& task, const WorkerScratch& w,
                          size_t page, const uint8_t* block, Columns c,
                          ptrdiff_t ahead) {
    const auto* v = reinterpret_cast<const T*>(block);
    const size_t stride = task.sequence->v.row_stride / sizeof(T);
    const size_t e = task.shape->value_size, padded = task.padded;
    float* inverses = ValueInverses(w) + page * kKeyBlock;
    MeasureValues(v, stride, e, c, ahead, ValueSteps(w) + page * kKeyBlock,
                  inverses);
    if (ValuesInPlace(task)) return;
    PairValues(
        v, stride, e, padded, c, inverses,
        reinterpret_cast<uint32_t*>(w.v) + page * kKeyBlock / 2 * padded);
  }
  static bool ValuesInPlace(const AttentionTask& task) {
    return InPlace(task) && task.shape->value_size == task.padded;
  }

  // Scores to weights; returns their sum.
  static float Exp(float m, Columns c, const WorkerScratch& w, size_t row) {
    const DF d;
    float* p = w.p + row * kSplitKeys;
    const float* steps = ValueSteps(w);
    auto sum = hn::Zero(d), highest = hn::Zero(d), all = hn::Zero(d);
    ForVectors(c.begin, c.end, [&](size_t j, auto n) HWY_ATTR {
      hn::Vec<DF> weight[n()];
      ExpsOf(m, p + j, weight);
      for (size_t i = 0; i < n(); ++i) {
        const size_t at = j + i * kKvTile;
        // Unless the weight is 0: what is not seen may have any step.
        const auto product = hn::Mul(weight[i], hn::LoadU(d, steps + at));
        const auto scaled =
            hn::IfThenElseZero(hn::Ne(weight[i], hn::Zero(d)), product);
        sum = hn::Add(sum, weight[i]);
        highest = hn::Max(highest, scaled);
        all = hn::Add(all, scaled);
        hn::StoreU(scaled, d, p + at);
      }
    });
    const float top = hn::ReduceMax(d, highest), total = hn::ReduceSum(d, all);
    w.p_scales[row] = std::max(top / kLargestWeight, total / kWeightSum);
    // Nothing but 0, or not a number, which is to stay.
    if (!(top > 1e-30f && total < 1e38f)) w.p_scales[row] = total * 0.0f;
    return hn::ReduceSum(d, sum);
  }

  // Weights to integers.
  static void Pack(Columns c, const WorkerScratch& w, size_t row) {
    const DF d;
    const float step = w.p_scales[row];
    const auto inverse = hn::Set(d, step > 0 ? 1 / step : 0.0f);
    const float* p = w.p + row * kSplitKeys;
    for (size_t j = c.begin; j < c.end; j += 2 * kKvTile) {
      hn::StoreU(InOrder(RoundedLow(hn::LoadU(d, p + j), inverse),
                         RoundedLow(hn::LoadU(d, p + j + kKvTile), inverse)),
                 DPairs(), Weights(w, row) + j / 2);
    }
  }

  // o[r, e] = sum_j p[r, j] v[j, e] for kCount rows from `row` on, columns c of
  // the split. each(add, e) calls add(i, v0, v1) for pair i of keys with their
  // values [e, e + 16) and [e + 16, e + 32).
  template <size_t kCount, class Each>
  static void ValueTile(const AttentionTask& task, const WorkerScratch& w,
                        size_t row, const Each& each, float* o) {
    const DF d;
    const size_t padded = task.padded;
    const uint32_t* p = Weights(w, row);
    o += row * padded;
    for (size_t e = 0; e < padded; e += 2 * kKvTile) {
      hn::Vec<DSums> sum[kCount][2];
      HWY_UNROLL(8)
      for (size_t r = 0; r < kCount; ++r) {
        sum[r][0] = sum[r][1] = hn::Zero(DSums());
      }
      each(
          [&](size_t i, VPairs v0, VPairs v1) HWY_ATTR {
            HWY_UNROLL(8)
            for (size_t r = 0; r < kCount; ++r) {
              const VPairs x = hn::Set(DPairs(), p[r * (kSplitKeys / 2) + i]);
              sum[r][0] = AddProducts(x, v0, sum[r][0]);
              sum[r][1] = AddProducts(x, v1, sum[r][1]);
            }
          },
          e);
      HWY_UNROLL(8)
      for (size_t r = 0; r < kCount; ++r) {
        const auto step = hn::Set(d, w.p_scales[row + r]);
        const auto o0 = hn::Mul(hn::ConvertTo(d, sum[r][0]), step);
        const auto o1 = hn::Mul(hn::ConvertTo(d, sum[r][1]), step);
        hn::StoreU(o0, d, o + r * padded + e);
        hn::StoreU(o1, d, o + r * padded + e + kKvTile);
      }
    }
  }

  template <size_t kCount>
  static void Value(const AttentionTask& task, const WorkerScratch& w,
                    size_t row, Columns c, float* o) {
    const auto* v = reinterpret_cast<const uint32_t*>(w.v);
    const size_t begin = c.begin / 2, end = CeilDiv(c.end, size_t{2});
    ValueTile<kCount>(
        task, w, row,
        [&](const auto& add, size_t e) HWY_ATTR {
          for (size_t i = begin; i < end; ++i) {
            const uint32_t* at = v + i * task.padded + e;
            add(i, hn::LoadU(DPairs(), at), hn::LoadU(DPairs(), at + kKvTile));
          }
        },
        o);
  }
  // Values of float16 where they lie.
  template <size_t kCount>
  static void ValueInPlace(const AttentionTask& task, const WorkerScratch& w,
                           size_t row, const SplitBlocks& blocks, Columns c,
                           float* o) {
    const size_t stride = task.sequence->v.row_stride / sizeof(hwy::float16_t);
    ValueTile<kCount>(
        task, w, row,
        [&](const auto& add, size_t e) HWY_ATTR {
          for (size_t page = c.begin / kKeyBlock;
               page < CeilDiv(c.end, kKeyBlock); ++page) {
            const auto* v =
                reinterpret_cast<const hwy::float16_t*>(blocks.at[page]);
            const size_t first = page * kKeyBlock;
            const float* inverses = ValueInverses(w) + first;
            const ptrdiff_t ahead = row == 0 ? blocks.ahead[page] : 0;
            const size_t begin = std::max(c.begin, first) - first;
            const size_t end = std::min(c.end - first, kKeyBlock);
            for (size_t i = begin / 2; i < CeilDiv(end, size_t{2}); ++i) {
              FetchAhead(v + 2 * i * stride + e, ahead);
              FetchAhead(v + (2 * i + 1) * stride + e, ahead);
              add(first / 2 + i, ValuePairs(v, stride, i, e, inverses),
                  ValuePairs(v, stride, i, e + kKvTile, inverses));
            }
          }
        },
        o);
  }
};

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();
#endif  // HWY_TARGET == HWY_AVX3_DL

#endif
