// SPDX-License-Identifier: MIT
#include "ops/kernels/convert.h"

#include "runtime/core/half.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/convert.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "quant/panel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

using D16 = hn::Rebind<uint16_t, DF32>;
using DF16 = hn::Rebind<hwy::float16_t, DF32>;

// Calls body(v) for each vector of `in` and stores what it returns; the last
// vector is part of one.
template <class DFrom, class DTo, class Body>
HWY_INLINE void Map(DFrom from, DTo to, const hn::TFromD<DFrom>* in,
                    size_t count, hn::TFromD<DTo>* out, const Body& body) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(body(hn::LoadU(from, in + i)), to, out + i);
  }
  if (i < count) {
    hn::StoreN(body(hn::LoadN(from, in + i, count - i)), to, out + i,
               count - i);
  }
}

void FromF16(const uint16_t* in, size_t count, float* out) {
  Map(D16(), DF32(), in, count, out,
      [](V16 v) HWY_ATTR { return FloatsFromF16(v); });
}

void FromBF16(const uint16_t* in, size_t count, float* out) {
  Map(D16(), DF32(), in, count, out,
      [](V16 v) HWY_ATTR { return FloatsFromBF16(v); });
}

void ToF16(const float* in, size_t count, uint16_t* out) {
#if HWY_ARCH_X86 && HWY_TARGET > HWY_AVX2
  // No instruction for it before F16C.
  for (size_t i = 0; i < count; ++i) out[i] = F16FromFloat(in[i]);
#else
  Map(DF32(), D16(), in, count, out, [](VF32 v) HWY_ATTR {
    return hn::BitCast(D16(), hn::DemoteTo(DF16(), v));
  });
#endif
}

// In integers, so that NaN is too large.
bool NormalAsF16(const float* in, size_t count) {
  const DI32 di;
  const VI32 magnitude = hn::Set(di, 0x7FFFFFFF);
  const VI32 least = hn::Set(di, 0x38800000);  // 2^-14
  const VI32 most = hn::Set(di, 0x477FE000);   // 65504
  VI32 bad = hn::Zero(di);
  const auto check = [&](VF32 v) HWY_ATTR {
    const VI32 bits = hn::And(hn::BitCast(di, v), magnitude);
    const VI32 small = hn::VecFromMask(di, hn::Lt(bits, least));
    const VI32 zero = hn::VecFromMask(di, hn::Eq(bits, hn::Zero(di)));
    const VI32 large = hn::VecFromMask(di, hn::Gt(bits, most));
    bad = hn::Or(bad, hn::Or(hn::AndNot(zero, small), large));
  };
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) check(hn::LoadU(DF32(), in + i));
  if (i < count) check(hn::LoadN(DF32(), in + i, count - i));
  return hn::AllTrue(di, hn::Eq(bad, hn::Zero(di)));
}

// In integers: the bfloat16 instructions of x86 flush subnormals to zero.
void ToBF16(const float* in, size_t count, uint16_t* out) {
  Map(DF32(), D16(), in, count, out, [](VF32 v) HWY_ATTR {
    const DU32 du;
    const VU32 bits = hn::BitCast(du, v);
    const VU32 odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
    const VU32 rounded = hn::Add(bits, hn::Add(hn::Set(du, 0x7FFF), odd));
    const VU32 quiet = hn::Or(bits, hn::Set(du, 0x400000));
    const auto nan = hn::RebindMask(du, hn::IsNaN(v));
    return hn::TruncateTo(
        D16(), hn::ShiftRight<16>(hn::IfThenElse(nan, quiet, rounded)));
  });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {
namespace {

HWY_EXPORT(FromF16);
HWY_EXPORT(FromBF16);
HWY_EXPORT(ToF16);
HWY_EXPORT(ToBF16);
HWY_EXPORT(NormalAsF16);

}  // namespace

void FloatsFromHalves(DType dtype, const void* in, size_t count, float* out) {
  const auto* halves = static_cast<const uint16_t*>(in);
  if (dtype == DType::kF16) {
    HWY_DYNAMIC_DISPATCH(FromF16)(halves, count, out);
  } else {
    HWY_DYNAMIC_DISPATCH(FromBF16)(halves, count, out);
  }
}

void HalvesFromFloats(DType dtype, const float* in, size_t count, void* out) {
  auto* halves = static_cast<uint16_t*>(out);
  if (dtype == DType::kF16) {
    HWY_DYNAMIC_DISPATCH(ToF16)(in, count, halves);
  } else {
    HWY_DYNAMIC_DISPATCH(ToBF16)(in, count, halves);
  }
}

bool KeepPrecisionAsF16(const float* in, size_t count) {
  return HWY_DYNAMIC_DISPATCH(NormalAsF16)(in, count);
}

}  // namespace slm
#endif  // HWY_ONCE
