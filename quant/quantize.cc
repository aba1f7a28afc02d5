// SPDX-License-Identifier: MIT
// Compiled with -ffp-contract=off: a fused multiply-add rounds once where ONNX
// Runtime's quantizer rounds twice, and only some SIMD targets have one.
#include "quant/quantize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/quantize.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "quant/quantize_block.h"
#include "quant/quantize_numpy-inl.h"
#include "runtime/core/vec-inl.h"

// Once, before the targets.
#ifndef SLM_QUANT_QUANTIZE_CC_
#define SLM_QUANT_QUANTIZE_CC_
namespace slm {
namespace {

struct QuantizeJob {
  QuantizeOptions options;
  const float* w;
  size_t k;
  const float* importance;
  QuantizedRows out;
};

// Candidates of the search are lanes of vectors: sums run over the columns in
// their order whatever the width, and the same scale wins on every target.
constexpr size_t kFactors = 16;
constexpr size_t kMostCandidates = 3 * kFactors;

struct Candidates {
  size_t count;
  alignas(64) float inverse[kMostCandidates];
  alignas(64) float low[kMostCandidates];   // -zero point
  alignas(64) float high[kMostCandidates];  // largest code - zero point
  // Sums of weight * u * x and weight * u * u, u = code - zero point.
  alignas(64) float ux[kMostCandidates];
  alignas(64) float uu[kMostCandidates];

  void Add(float inv, int zero_point, int most) {
    inverse[count] = inv;
    low[count] = static_cast<float>(-zero_point);
    high[count] = static_cast<float>(most - zero_point);
    ++count;
  }
};

// 1 / scale; 0 where a scale is so small that every code is the zero point.
inline float Inverse(float scale) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  return std::isfinite(inverse) ? inverse : 0.0f;
}

}  // namespace
}  // namespace slm
#endif  // SLM_QUANT_QUANTIZE_CC_

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

using DF = hn::CappedTag<float, 16>;  // blocks and candidates: multiples of 16
using VF = hn::Vec<DF>;

// Half away from zero, as C's roundf: v - Trunc(v) is exact.
HWY_INLINE VF RoundAway(DF d, VF v) {
  const VF whole = hn::Trunc(v);
  const VF rest = hn::Abs(hn::Sub(v, whole));
  const VF step = hn::CopySign(hn::Set(d, 1.0f), v);
  return hn::IfThenElse(hn::Ge(rest, hn::Set(d, 0.5f)), hn::Add(whole, step),
                        whole);
}

// codes = clamp(round(x * inverse + zero_point), 0, most), or with the zero
// point added to what is rounded.
HWY_INLINE void DefaultCodes(Block& block, int most, bool round_first) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const hn::Rebind<uint8_t, DF> db;
  const VF inverse = hn::Set(d, Inverse(block.scale));
  const VF zero_point = hn::Set(d, static_cast<float>(block.zero_point));
  const VF top = hn::Set(d, static_cast<float>(most));
  for (size_t i = 0; i < block.size; i += hn::Lanes(d)) {
    const VF v = hn::Mul(hn::Load(d, block.x + i), inverse);
    const VF sum = round_first ? hn::Add(RoundAway(d, v), zero_point)
                               : RoundAway(d, hn::Add(v, zero_point));
    const VF code = hn::Min(hn::Max(sum, hn::Zero(d)), top);
    hn::Store(hn::DemoteTo(db, hn::ConvertTo(di, code)), db, block.codes + i);
  }
}

HWY_INLINE void FitDefault(const QuantizeOptions& options, Block& block) {
  const int most = (1 << options.bits) - 1;
  float low, high;
  Range(block, &low, &high);
  if (options.symmetric) {
    const int middle = 1 << (options.bits - 1);
    const float extreme = std::abs(high) > std::abs(low) ? high : low;
    block.scale = extreme / static_cast<float>(-middle);
    block.zero_point = middle;
  } else {
    low = std::min(low, 0.0f);
    high = std::max(high, 0.0f);
    block.scale = (high - low) / static_cast<float>(most);
    const float zero = block.scale != 0 ? 0.0f - low / block.scale : low;
    block.zero_point = static_cast<int>(
        std::clamp(std::round(zero), 0.0f, static_cast<float>(most)));
  }
  DefaultCodes(block, most, options.algorithm == QuantAlgorithm::kDefaultQdq);
}

// Sums of all candidates.
HWY_INLINE void Evaluate(const Block& block, Candidates& c) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  // Two vectors at a time hide the latency of the sums.
  for (size_t i = 0; i < c.count; i += 2 * lanes) {
    const size_t j = i + lanes < c.count ? i + lanes : i;
    const VF inverse0 = hn::Load(d, c.inverse + i);
    const VF inverse1 = hn::Load(d, c.inverse + j);
    const VF low0 = hn::Load(d, c.low + i), low1 = hn::Load(d, c.low + j);
    const VF high0 = hn::Load(d, c.high + i), high1 = hn::Load(d, c.high + j);
    VF ux0 = hn::Zero(d), ux1 = ux0, uu0 = ux0, uu1 = ux0;
    for (size_t k = 0; k < block.length; ++k) {
      const VF x = hn::Set(d, block.x[k]);
      const VF weight = hn::Set(d, block.weight[k]);
      const VF wx = hn::Mul(weight, x);
      const VF u0 =
          hn::Min(hn::Max(hn::Round(hn::Mul(x, inverse0)), low0), high0);
      const VF u1 =
          hn::Min(hn::Max(hn::Round(hn::Mul(x, inverse1)), low1), high1);
      ux0 = hn::Add(ux0, hn::Mul(wx, u0));
      ux1 = hn::Add(ux1, hn::Mul(wx, u1));
      uu0 = hn::Add(uu0, hn::Mul(hn::Mul(weight, u0), u0));
      uu1 = hn::Add(uu1, hn::Mul(hn::Mul(weight, u1), u1));
    }
    hn::Store(ux0, d, c.ux + i);
    hn::Store(uu0, d, c.uu + i);
    hn::Store(ux1, d, c.ux + j);
    hn::Store(uu1, d, c.uu + j);
  }
}

// With codes given, sum weight (scale u - x)^2 is least at scale = ux / uu,
// and smaller than sum weight x^2 by ux^2 / uu.
HWY_INLINE float Gain(const Candidates& c, size_t i) {
  const float gain = c.uu[i] > 0 ? c.ux[i] * c.ux[i] / c.uu[i] : 0.0f;
  return std::isfinite(gain) ? gain : 0.0f;  // squares of huge values overflow
}

HWY_INLINE size_t Best(const Candidates& c) {
  size_t best = 0;
  for (size_t i = 1; i < c.count; ++i) {
    if (Gain(c, i) > Gain(c, best)) best = i;
  }
  return best;
}

// First round. Symmetric: the largest magnitude lies at -middle + shift or, the
// other way round, at middle - shift; shifts below 0 clip it. Asymmetric: the
// range is that of the block widened or narrowed, with the zero points next to
// where 0 then is.
HWY_INLINE void FirstRound(const QuantizeOptions& options, const Block& block,
                           Candidates& c) {
  const int most = (1 << options.bits) - 1;
  const int middle = 1 << (options.bits - 1);
  float low, high;
  Range(block, &low, &high);
  c.count = 0;
  if (options.symmetric) {
    const float extreme = std::abs(high) > std::abs(low) ? high : low;
    for (size_t i = 0; i < kFactors; ++i) {
      // -1.75 ... 2 code steps around ORT's choice, 0 among them.
      const float at =
          static_cast<float>(middle) - 1.75f + 0.25f * static_cast<float>(i);
      const float inverse = Inverse(extreme / at);
      c.Add(-inverse, middle, most);
      c.Add(inverse, middle, most);
    }
    return;
  }
  low = std::min(low, 0.0f);
  high = std::max(high, 0.0f);
  for (size_t i = 0; i < kFactors; ++i) {
    const float steps =
        static_cast<float>(most) - 1.5f + 0.3f * static_cast<float>(i);
    const float inverse = Inverse((high - low) / steps);
    const int zero = static_cast<int>(std::round(-low * inverse));
    for (int z = zero - 1; z <= zero + 1; ++z) {
      c.Add(inverse, std::clamp(z, 0, most), most);
    }
  }
}

// Second round: the codes of each candidate's own best scale.
HWY_INLINE void SecondRound(const Candidates& first, Candidates& second,
                            size_t group) {
  second.count = 0;
  for (size_t i = 0; i < first.count; i += group) {
    size_t best = i;
    for (size_t j = i + 1; j < i + group; ++j) {
      if (Gain(first, j) > Gain(first, best)) best = j;
    }
    const float ux = first.ux[best];
    const float inverse = ux != 0 ? first.uu[best] / ux : 0.0f;
    second.inverse[second.count] = std::isfinite(inverse) ? inverse : 0.0f;
    second.low[second.count] = first.low[best];
    second.high[second.count] = first.high[best];
    ++second.count;
  }
}

HWY_INLINE void TakeCandidate(const Candidates& c, size_t i, Block& block) {
  const DF d;
  const hn::RebindToSigned<DF> di;
  const hn::Rebind<uint8_t, DF> db;
  block.zero_point = static_cast<int>(-c.low[i]);
  block.scale = c.ux[i] / c.uu[i];
  const VF inverse = hn::Set(d, c.inverse[i]);
  const VF low = hn::Set(d, c.low[i]), high = hn::Set(d, c.high[i]);
  for (size_t k = 0; k < block.size; k += hn::Lanes(d)) {
    const VF x = hn::Load(d, block.x + k);
    const VF u = hn::Min(hn::Max(hn::Round(hn::Mul(x, inverse)), low), high);
    hn::Store(hn::DemoteTo(db, hn::ConvertTo(di, hn::Sub(u, low))), db,
              block.codes + k);
  }
}

HWY_INLINE void FitSearch(const QuantizeOptions& options, Block& block) {
  Candidates first;
  Candidates second = {};  // compilers do not see that it gets candidates
  FirstRound(options, block, first);
  Evaluate(block, first);
  SecondRound(first, second, options.symmetric ? 2 : 3);
  Evaluate(block, second);
  const size_t a = Best(first), b = Best(second);
  const bool again = Gain(second, b) > Gain(first, a);
  const Candidates& winner = again ? second : first;
  if (Gain(winner, again ? b : a) > 0) {
    TakeCandidate(winner, again ? b : a, block);
  } else {
    FitDefault(options, block);  // all zero, or too small or large to square
  }
}

HWY_INLINE void Fit(const QuantizeOptions& options, Block& block) {
  switch (options.algorithm) {
    case QuantAlgorithm::kDefault:
    case QuantAlgorithm::kDefaultQdq:
      return FitDefault(options, block);
    case QuantAlgorithm::kDefaultGather:
      return FitGather(options, block);
    case QuantAlgorithm::kRtn:
      return FitRtn(options, block);
    case QuantAlgorithm::kKQuant:
      if (FitKQuant(options, block)) return;
      return FitDefault(options, block);
    case QuantAlgorithm::kSearch:
      return FitSearch(options, block);
  }
}

// Codes behind the last column mean nothing, but the default algorithm's are
// those of ONNX Runtime: 0, except that the high nibble beside an odd last
// column repeats the odd column before it, counted from the last even block.
HWY_INLINE void ClearTail(const QuantizeOptions& options, size_t index,
                          uint8_t before, Block& block) {
  if (block.length == block.size) return;
  uint8_t* tail = block.codes + block.length;
  const size_t count = block.size - block.length;
  if (options.algorithm != QuantAlgorithm::kDefault) {
    std::memset(tail, block.zero_point, count);
    return;
  }
  std::memset(tail, 0, count);
  if (options.bits == 4 && block.length % 2 == 1) {
    tail[0] = block.length > 1 ? block.codes[block.length - 2]
              : index % 2 == 1 ? before
                               : uint8_t{0};
  }
}

HWY_INLINE void LoadBlock(const QuantizeJob& job, const float* row,
                          size_t begin, Block& block) {
  block.length = std::min(block.size, job.k - begin);
  std::memcpy(block.x, row + begin, block.length * sizeof(float));
  if (job.importance) {
    std::memcpy(block.weight, job.importance + begin,
                block.length * sizeof(float));
  }
  std::fill(block.x + block.length, block.x + block.size, 0.0f);
}

void SearchOne(const QuantizeOptions& options, Block* block) {
  FitSearch(options, *block);
}

void QuantizeRange(const QuantizeJob& job, size_t first, size_t last) {
  const QuantizeOptions& options = job.options;
  const size_t blocks = options.Blocks(job.k);
  const size_t code_bytes = options.CodeRowBytes(job.k) / blocks;
  const size_t zero_bytes = options.ZeroPointRowBytes(job.k);
  Block block;
  block.size = options.block_size;
  std::fill(block.weight, block.weight + kMostBlock, 1.0f);
  for (size_t r = first; r < last; ++r) {
    uint8_t* zeros =
        options.symmetric ? nullptr : job.out.zero_points + r * zero_bytes;
    // The nibble behind an odd number of blocks is 8 in ONNX Runtime, too.
    if (zeros && options.bits == 4) std::memset(zeros, 0x88, zero_bytes);
    for (size_t i = 0; i < blocks; ++i) {
      const uint8_t before = block.codes[block.size - 1];
      LoadBlock(job, job.w + r * job.k, i * block.size, block);
      Fit(options, block);
      ClearTail(options, i, before, block);
      job.out.scales[r * blocks + i] = block.scale;
      uint8_t* to = job.out.codes + (r * blocks + i) * code_bytes;
      const auto zero = static_cast<uint8_t>(block.zero_point);
      if (options.bits == 8) {
        std::memcpy(to, block.codes, code_bytes);
        if (zeros) zeros[i] = zero;
        continue;
      }
      for (size_t b = 0; b < code_bytes; ++b) {
        to[b] = static_cast<uint8_t>(block.codes[2 * b] | block.codes[2 * b + 1]
                                                              << 4);
      }
      if (!zeros) continue;
      zeros[i / 2] = static_cast<uint8_t>(
          i % 2 ? (zeros[i / 2] & 0x0F) | zero << 4 : 0x80 | zero);
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {
namespace {
HWY_EXPORT(QuantizeRange);
HWY_EXPORT(SearchOne);
}  // namespace

void SearchBlock(const QuantizeOptions& options, Block* block) {
  HWY_DYNAMIC_DISPATCH(SearchOne)(options, block);
}

void QuantizeRows(const QuantizeOptions& options, const float* w, size_t rows,
                  size_t k, const float* importance, ThreadPool& threads,
                  const QuantizedRows& out) {
  if (k == 0) return;
  const QuantizeJob job{options, w, k, importance, out};
  const auto range = HWY_DYNAMIC_POINTER(QuantizeRange);
  // 2^14 weights take 10 us or more with any algorithm.
  const size_t grain = std::max<size_t>(1, (size_t{1} << 14) / k);
  ParallelFor(threads, rows, grain, [&](size_t begin, size_t end, size_t) {
    range(job, begin, end);
  });
}

}  // namespace slm
#endif  // HWY_ONCE
