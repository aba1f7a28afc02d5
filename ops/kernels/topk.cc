// SPDX-License-Identifier: MIT
#include "ops/kernels/topk.h"

#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/topk.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "runtime/core/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

using DF = hn::ScalableTag<float>;
constexpr float kNone = -std::numeric_limits<float>::infinity();

// A comparison, as Max of a NaN differs between targets.
HWY_INLINE hn::Vec<DF> Larger(hn::Vec<DF> x, hn::Vec<DF> than) {
  return hn::IfThenElse(hn::Gt(x, than), x, than);
}

HWY_INLINE float Maximum(const float* x, size_t n) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  auto a = hn::Set(d, kNone), b = a;
  size_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    a = Larger(hn::LoadU(d, x + i), a);
    b = Larger(hn::LoadU(d, x + i + lanes), b);
  }
  float most = hn::ReduceMax(d, hn::Max(a, b));
  for (; i < n; ++i) most = x[i] > most ? x[i] : most;
  return most;
}

size_t FirstMaximumOf(const float* x, size_t n) {
  // One pass; the place is looked for in 4 KiB of it only.
  constexpr size_t kRun = 1024;
  float most = kNone;
  size_t from = 0;
  for (size_t i = 0; i < n; i += kRun) {
    const float here = Maximum(x + i, HWY_MIN(kRun, n - i));
    if (here <= most) continue;
    most = here;
    from = i;
  }
  for (; from < n; ++from) {
    if (x[from] == most) return from;
  }
  return 0;
}

void MaximaOf(const float* x, size_t n, size_t block, float* maxima) {
  for (size_t i = 0; i < n; i += block) {
    *maxima++ = Maximum(x + i, HWY_MIN(block, n - i));
  }
}

size_t PlacesOf(const float* x, size_t n, float least, float below,
                uint32_t* HWY_RESTRICT places) {
  const DF d;
  const hn::RebindToUnsigned<DF> du;
  const size_t lanes = hn::Lanes(d);
  const auto low = hn::Set(d, least), high = hn::Set(d, below);
  size_t count = 0, i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto v = hn::LoadU(d, x + i);
    const auto kept = hn::AndNot(hn::Ge(v, high), hn::Ge(v, low));
    // May write all lanes: count + lanes <= i + lanes <= n.
    count += hn::CompressStore(hn::Iota(du, static_cast<uint32_t>(i)),
                               hn::RebindMask(du, kept), du, places + count);
  }
  for (; i < n; ++i) {
    if (!(x[i] >= least) || x[i] >= below) continue;
    places[count++] = static_cast<uint32_t>(i);
  }
  return count;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {
namespace {

HWY_EXPORT(FirstMaximumOf);
HWY_EXPORT(MaximaOf);
HWY_EXPORT(PlacesOf);

}  // namespace

size_t FirstMaximum(std::span<const float> scores) {
  return HWY_DYNAMIC_DISPATCH(FirstMaximumOf)(scores.data(), scores.size());
}

void BlockMaxima(std::span<const float> scores, size_t block, float* maxima) {
  HWY_DYNAMIC_DISPATCH(MaximaOf)(scores.data(), scores.size(), block, maxima);
}

size_t PlacesBetween(std::span<const float> scores, float least, float below,
                     uint32_t* places) {
  return HWY_DYNAMIC_DISPATCH(PlacesOf)(scores.data(), scores.size(), least,
                                        below, places);
}

}  // namespace slm
#endif
