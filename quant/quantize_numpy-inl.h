// SPDX-License-Identifier: MIT
// Quantizers that ONNX Runtime has in Python, to the bit: numpy's order of
// operations, its rounding (half to even) and its order of summation.
#include <algorithm>
#include <cmath>

#include "quant/quantize.h"
#include "quant/quantize_block.h"
#include "runtime/core/vec-inl.h"

// Per-target include guard.
#if defined(SLM_QUANT_QUANTIZE_NUMPY_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_QUANTIZE_NUMPY_INL_H_
#undef SLM_QUANT_QUANTIZE_NUMPY_INL_H_
#else
#define SLM_QUANT_QUANTIZE_NUMPY_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

HWY_INLINE void Range(const Block& block, float* low, float* high) {
  *low = block.x[0];
  *high = block.x[0];
  for (size_t i = 1; i < block.length; ++i) {
    *low = std::min(*low, block.x[i]);
    *high = std::max(*high, block.x[i]);
  }
}

// In double and half to even, as numpy has it; zeros behind the last column
// count in the range.
HWY_INLINE void FitRtn(const QuantizeOptions& options, Block& block) {
  const int most = (1 << options.bits) - 1;
  float low, high;
  Range(block, &low, &high);
  if (block.length < block.size) {
    low = std::min(low, 0.0f);
    high = std::max(high, 0.0f);
  }
  double scale = 1;
  block.zero_point = 1 << (options.bits - 1);
  if (options.symmetric) {
    const float largest = std::max(std::abs(low), std::abs(high));
    if (largest > 0) scale = double{largest * 2.0f} / most;
  } else {
    if (low != high) scale = double{high - low} / most;
    block.zero_point = static_cast<int>(
        std::clamp(std::nearbyint(-double{low} / scale), 0.0, double(most)));
  }
  block.scale = static_cast<float>(scale);
  for (size_t i = 0; i < block.size; ++i) {
    const double code =
        std::nearbyint(double{block.x[i]} / scale + block.zero_point);
    block.codes[i] = static_cast<uint8_t>(std::clamp(code, 0.0, double(most)));
  }
}

// Of Gather's tables: all in float, the last block is as long as it is.
HWY_INLINE void FitGather(const QuantizeOptions& options, Block& block) {
  const int most = (1 << options.bits) - 1;
  const int middle = 1 << (options.bits - 1);
  float low, high;
  Range(block, &low, &high);
  block.zero_point = middle;
  if (options.symmetric) {
    const float extreme = std::abs(high) > std::abs(low) ? high : low;
    block.scale = extreme / static_cast<float>(-middle);
  } else {
    low = std::min(low, 0.0f);
    high = std::max(high, 0.0f);
    block.scale = (high - low) / static_cast<float>(most);
    if (block.scale != 0) {
      block.zero_point = static_cast<int>(std::clamp(
          std::nearbyint(-low / block.scale), 0.0f, static_cast<float>(most)));
    }
  }
  const auto zero = static_cast<float>(block.zero_point);
  for (size_t i = 0; i < block.size; ++i) {
    float code = zero;
    if (block.scale != 0) {
      const float steps = block.x[i] / block.scale;
      // Signed codes are rounded before they are moved by `middle`.
      code = options.symmetric ? std::nearbyint(steps) + zero
                               : std::nearbyint(steps + zero);
    }
    block.codes[i] =
        static_cast<uint8_t>(std::clamp(code, 0.0f, static_cast<float>(most)));
  }
}

using D8 = hn::CappedTag<float, 8>;
using V8 = hn::Vec<D8>;

// The sum of term(d, i) for i = begin .. begin + n, n a multiple of 8, as numpy
// adds float32: eight sums of every eighth value, then those as a tree; more
// than 128 values in halves.
template <typename Term>
HWY_INLINE float Pairwise128(size_t begin, size_t n, const Term& term) {
  const D8 d;
  const size_t lanes = hn::Lanes(d);
  alignas(64) float r[8];
  for (size_t j = 0; j < 8; j += lanes) {
    V8 sum = term(d, begin + j);
    for (size_t i = 8; i < n; i += 8) {
      sum = hn::Add(sum, term(d, begin + j + i));
    }
    hn::Store(sum, d, r + j);
  }
  return ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
}
template <typename Term>
HWY_INLINE float PairwiseSum(size_t n, const Term& term) {
  if (n <= 128) return Pairwise128(0, n, term);
  return Pairwise128(0, n / 2, term) + Pairwise128(n / 2, n - n / 2, term);
}

// One line through the block: x is about scale * code + low.
struct Line {
  float scale, low;
};

// codes = clamp(round(inverse * (x - low)), 0, most)
HWY_INLINE void LineCodes(const Block& block, float inverse, float low,
                          float most, float* codes) {
  const D8 d;
  for (size_t i = 0; i < block.size; i += hn::Lanes(d)) {
    const V8 x = hn::Sub(hn::Load(d, block.x + i), hn::Set(d, low));
    const V8 code = hn::Round(hn::Mul(hn::Set(d, inverse), x));
    hn::Store(hn::Min(hn::Max(code, hn::Zero(d)), hn::Set(d, most)), d,
              codes + i);
  }
}

// sum weight (scale code + low - x)^2
HWY_INLINE float LineError(const Block& block, const float* weight,
                           const float* codes, const Line& line) {
  return PairwiseSum(block.size, [&](D8 d, size_t i) HWY_ATTR {
    const V8 fitted =
        hn::Add(hn::Mul(hn::Set(d, line.scale), hn::Load(d, codes + i)),
                hn::Set(d, line.low));
    const V8 diff = hn::Sub(fitted, hn::Load(d, block.x + i));
    return hn::Mul(hn::Load(d, weight + i), hn::Mul(diff, diff));
  });
}

// neural_compressor's port of llama.cpp's make_qkx2_quants: weights |x| + rms,
// a line through the extremes, then twenty code steps around it, each with the
// line of least weighted error for its codes. The line's minimum at last
// becomes an integer zero point. False: the block is nothing for this.
HWY_INLINE bool FitKQuant(const QuantizeOptions& options, Block& block) {
  constexpr int kTrials = 20;
  const size_t n = block.size;
  const auto most = static_cast<float>((1 << options.bits) - 1);
  const float* x = block.x;
  alignas(64) float weight[kMostBlock], codes[kMostBlock];
  const float squares = PairwiseSum(n, [&](D8 d, size_t i) HWY_ATTR {
    const V8 v = hn::Load(d, x + i);
    return hn::Mul(v, v);
  });
  const float rms = std::sqrt(squares / static_cast<float>(n));
  for (size_t i = 0; i < n; ++i) weight[i] = rms + std::abs(x[i]);
  const auto sum = [&](const float* a, const float* b) HWY_ATTR {
    return PairwiseSum(n, [&](D8 d, size_t i) HWY_ATTR {
      return hn::Mul(hn::Load(d, a + i), hn::Load(d, b + i));
    });
  };
  const float sum_w = PairwiseSum(
      n, [&](D8 d, size_t i) HWY_ATTR { return hn::Load(d, weight + i); });
  const float sum_x = sum(weight, x);
  Line best{1, 0};
  float high;
  Range(block, &best.low, &high);
  if (block.length < n) {
    best.low = std::min(best.low, 0.0f);
    high = std::max(high, 0.0f);
  }
  const float inverse = best.low != high ? most / (high - best.low) : 1.0f;
  best.scale = 1 / inverse;
  LineCodes(block, inverse, best.low, most, codes);
  float error = LineError(block, weight, codes, best);
  for (int t = 0; t < kTrials; ++t) {
    const auto steps = static_cast<float>(-1 + 0.1 * t + double{most});
    LineCodes(block, best.low != high ? steps / (high - best.low) : 1.0f,
              best.low, most, codes);
    alignas(64) float weighted[kMostBlock];  // weight * code
    for (size_t i = 0; i < n; ++i) weighted[i] = weight[i] * codes[i];
    const float sum_l = PairwiseSum(
        n, [&](D8 d, size_t i) HWY_ATTR { return hn::Load(d, weighted + i); });
    const float sum_l2 = sum(weighted, codes), sum_xl = sum(weighted, x);
    const float determinant = sum_w * sum_l2 - sum_l * sum_l;
    const Line line{(sum_w * sum_xl - sum_x * sum_l) / determinant,
                    (sum_l2 * sum_x - sum_l * sum_xl) / determinant};
    const float trial = LineError(block, weight, codes, line);
    if (trial < error) {
      error = trial;
      best = line;
    }
  }
  // Squares that overflow, ranges that vanish.
  if (!std::isfinite(error) || !std::isfinite(best.scale) || best.scale == 0) {
    return false;
  }
  block.scale = best.scale;
  const double zero =
      std::clamp(std::nearbyint(-best.low / best.scale), 0.0f, most);
  block.zero_point = static_cast<int>(zero);
  for (size_t i = 0; i < n; ++i) {
    const double code =
        std::nearbyint(double{x[i]} / double{best.scale} + zero);
    block.codes[i] = static_cast<uint8_t>(std::clamp(code, 0.0, double{most}));
  }
  return true;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();
#endif  // SLM_QUANT_QUANTIZE_NUMPY_INL_H_
