// SPDX-License-Identifier: MIT
#include "ops/kernels/fixed_scales.h"

#include <bit>
#include <cfloat>

#include "quant/formats.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/fixed_scales.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "quant/panel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

// Calls body(i, lanes, v): v has elements [i, i + lanes) as floats, then zeros.
template <class Body>
HWY_INLINE void ForEachVector(const float* in, size_t count, const Body& body) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    body(i, kLanes, hn::LoadU(DF32(), in + i));
  }
  if (i < count) body(i, count - i, hn::LoadN(DF32(), in + i, count - i));
}

template <class Convert, class Body>
HWY_INLINE void ForEachHalfVector(const uint16_t* in, size_t count,
                                  const Convert& convert, const Body& body) {
  const hn::Rebind<uint16_t, DF32> d16;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    body(i, kLanes, convert(hn::LoadU(d16, in + i)));
  }
  if (i < count) {
    body(i, count - i, convert(hn::LoadN(d16, in + i, count - i)));
  }
}

struct RowF32 {
  const float* in;
  size_t count;
  template <class Body>
  HWY_INLINE void ForEach(const Body& body) const {
    ForEachVector(in, count, body);
  }
};

struct RowF16 {
  const uint16_t* in;
  size_t count;
  template <class Body>
  HWY_INLINE void ForEach(const Body& body) const {
    ForEachHalfVector(
        in, count, [](V16 v) HWY_ATTR { return FloatsFromF16(v); }, body);
  }
};

struct RowBF16 {
  const uint16_t* in;
  size_t count;
  template <class Body>
  HWY_INLINE void ForEach(const Body& body) const {
    ForEachHalfVector(
        in, count, [](V16 v) HWY_ATTR { return FloatsFromBF16(v); }, body);
  }
};

HWY_INLINE VI32 MagnitudeBits(VF32 v) {
  const DI32 di;
  return hn::And(hn::BitCast(di, v), hn::Set(di, 0x7FFFFFFF));
}

// Magnitudes are compared as integers: NaN is the largest, and no mode of the
// processor takes a subnormal for zero.
template <class Row>
HWY_INLINE float LargestOf(const Row& row) {
  VI32 largest = hn::Zero(DI32());
  row.ForEach([&](size_t, size_t, VF32 v)
                  HWY_ATTR { largest = hn::Max(largest, MagnitudeBits(v)); });
  return std::bit_cast<float>(hn::ReduceMax(DI32(), largest));
}

// The largest scale becomes 32767 with an error of less than 2^-8: nothing is
// out of range. One multiplication, so no target contracts anything.
template <class Row>
HWY_INLINE bool RoundRow(const Row& row, float largest, int16_t* out) {
  const DI32 di;
  const hn::Rebind<int16_t, DI32> d16;
  const VF32 inverse = hn::Set(DF32(), 32767.0f / largest);
  const VI32 least = hn::Set(di, std::bit_cast<int32_t>(largest * 0x1p-7f));
  VI32 small = hn::Zero(di);  // minus how many
  row.ForEach([&](size_t i, size_t lanes, VF32 v) HWY_ATTR {
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
  return count <= row.count / 2;
}

template <class Row, typename T>
HWY_INLINE bool FixRows(const T* in, size_t rows, size_t blocks, int16_t* out) {
  for (size_t r = 0; r < rows; ++r) {
    const Row row = {in + r * blocks, blocks};
    int16_t* to = out + r * (blocks + kFixedScaleUnit);
    const float largest = LargestOf(row);
    const float unit = largest / 32767;
    std::memcpy(to + blocks, &unit, sizeof unit);
    if (largest == 0) {
      std::memset(to, 0, blocks * sizeof *to);
      continue;
    }
    // Not finite: NaN fails, too.
    if (!(unit >= FLT_MIN && largest <= FLT_MAX)) return false;
    if (!RoundRow(row, largest, to)) return false;
  }
  return true;
}

bool FixF32(const float* in, size_t rows, size_t blocks, int16_t* out) {
  return FixRows<RowF32>(in, rows, blocks, out);
}

bool FixF16(const uint16_t* in, size_t rows, size_t blocks, int16_t* out) {
  return FixRows<RowF16>(in, rows, blocks, out);
}

bool FixBF16(const uint16_t* in, size_t rows, size_t blocks, int16_t* out) {
  return FixRows<RowBF16>(in, rows, blocks, out);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {
namespace {

HWY_EXPORT(FixF32);
HWY_EXPORT(FixF16);
HWY_EXPORT(FixBF16);

}  // namespace

bool FixScales(DType dtype, const void* scales, size_t rows, size_t blocks,
               int16_t* out) {
  if (dtype == DType::kF32) {
    return HWY_DYNAMIC_DISPATCH(FixF32)(static_cast<const float*>(scales), rows,
                                        blocks, out);
  }
  const auto* halves = static_cast<const uint16_t*>(scales);
  return dtype == DType::kF16
             ? HWY_DYNAMIC_DISPATCH(FixF16)(halves, rows, blocks, out)
             : HWY_DYNAMIC_DISPATCH(FixBF16)(halves, rows, blocks, out);
}

}  // namespace slm
#endif  // HWY_ONCE
