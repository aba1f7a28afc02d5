// SPDX-License-Identifier: MIT
#include "ops/kernels/fixed_scales.h"

#include <bit>
#include <cfloat>
#include <cstring>
#include <vector>

#include "ops/kernels/convert.h"
#include "quant/formats.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/fixed_scales.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "quant/panel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

// Calls body(i, lanes, v): v has elements [i, i + lanes), then zeros.
template <class Body>
HWY_INLINE void ForEachVector(const float* in, size_t count, const Body& body) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    body(i, kLanes, hn::LoadU(DF32(), in + i));
  }
  if (i < count) body(i, count - i, hn::LoadN(DF32(), in + i, count - i));
}

HWY_INLINE VI32 MagnitudeBits(VF32 v) {
  const DI32 di;
  return hn::And(hn::BitCast(di, v), hn::Set(di, 0x7FFFFFFF));
}

// Magnitudes are compared as integers: NaN is the largest, and no mode of the
// processor takes a subnormal for zero.
HWY_INLINE float LargestOf(const float* row, size_t blocks) {
  VI32 largest = hn::Zero(DI32());
  ForEachVector(row, blocks, [&](size_t, size_t, VF32 v) HWY_ATTR {
    largest = hn::Max(largest, MagnitudeBits(v));
  });
  return std::bit_cast<float>(hn::ReduceMax(DI32(), largest));
}

// The largest scale becomes 32767 with an error of less than 2^-8: nothing is
// out of range. One multiplication, so no target contracts anything.
HWY_INLINE bool RoundRow(const float* row, size_t blocks, float largest,
                         int16_t* out) {
  const DI32 di;
  const hn::Rebind<int16_t, DI32> d16;
  const VF32 inverse = hn::Set(DF32(), 32767.0f / largest);
  const VI32 least = hn::Set(di, std::bit_cast<int32_t>(largest * 0x1p-7f));
  VI32 small = hn::Zero(di);  // minus how many
  ForEachVector(row, blocks, [&](size_t i, size_t lanes, VF32 v) HWY_ATTR {
    const VI32 bits = MagnitudeBits(v);
    const VI32 below = hn::VecFromMask(di, hn::Lt(bits, least));
    const VI32 zero = hn::VecFromMask(di, hn::Eq(bits, hn::Zero(di)));
    small = hn::Add(small, hn::AndNot(zero, below));
    const auto q = hn::DemoteTo(d16, hn::NearestInt(hn::Mul(v, inverse)));
    if (lanes == kLanes) {
      hn::StoreU(q, d16, out + i);
    } else {
      hn::StoreN(q, d16, out + i, lanes);
    }
  });
  const auto count = static_cast<size_t>(-hn::ReduceSum(di, small));
  return count <= blocks / 2;
}

bool FixRows(const float* in, size_t rows, size_t blocks, int16_t* out) {
  for (size_t r = 0; r < rows; ++r) {
    const float* row = in + r * blocks;
    int16_t* to = out + r * (blocks + kFixedScaleUnit);
    const float largest = LargestOf(row, blocks);
    const float unit = largest / 32767;
    std::memcpy(to + blocks, &unit, sizeof unit);
    if (largest == 0) {
      std::memset(to, 0, blocks * sizeof *to);
      continue;
    }
    // Not finite: NaN fails, too.
    if (!(unit >= FLT_MIN && largest <= FLT_MAX)) return false;
    if (!RoundRow(row, blocks, largest, to)) return false;
  }
  return true;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {
namespace {

HWY_EXPORT(FixRows);

}  // namespace

bool FixScales(DType dtype, const void* scales, size_t rows, size_t blocks,
               int16_t* out) {
  const auto fix = HWY_DYNAMIC_POINTER(FixRows);
  if (dtype == DType::kF32) {
    return fix(static_cast<const float*>(scales), rows, blocks, out);
  }
  const auto* halves = static_cast<const uint16_t*>(scales);
  std::vector<float> row(blocks);
  for (size_t r = 0; r < rows; ++r) {
    FloatsFromHalves(dtype, halves + r * blocks, blocks, row.data());
    if (!fix(row.data(), 1, blocks, out + r * (blocks + kFixedScaleUnit))) {
      return false;
    }
  }
  return true;
}

}  // namespace slm
#endif  // HWY_ONCE
