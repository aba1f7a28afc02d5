// SPDX-License-Identifier: MIT
#include "ops/kernels/kv_rows.h"

#include <cstring>

#include "runtime/core/shape.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/kernels/kv_rows.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "runtime/core/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

// Elements [i, i + count) of a row, wherever the layout has them; i is a
// multiple of 4, and int8 values lie in one tile.
template <typename T>
HWY_INLINE void Scatter(const KvRows& rows, size_t j, size_t i, size_t count,
                        const T* from, uint8_t* block) {
  uint8_t* to = block + rows.At(j, i);
  if (rows.layout == KvLayout::kRows) {
    std::memcpy(to, from, count * sizeof(T));
    return;
  }
  if (sizeof(T) > 1 || rows.layout != KvLayout::kKeyTiles) {
    const size_t step = rows.At(j, i + 1) - rows.At(j, i);
    for (size_t n = 0; n < count; ++n) {
      std::memcpy(to + n * step, from + n, sizeof(T));
    }
    return;
  }
  // int8 keys: four elements lie side by side.
  const size_t step = rows.At(j, i + 4) - rows.At(j, i);
  size_t n = 0;
  for (; n + 4 <= count; n += 4, to += step) std::memcpy(to, from + n, 4);
  std::memcpy(to, from + n, count - n);
}

using DF = hn::CappedTag<float, 16>;

void StoreF32(const KvRows& rows, size_t j, const float* x, size_t n,
              uint8_t* block) {
  if (rows.layout == KvLayout::kRows) {
    std::memcpy(block + rows.At(j, 0), x, n * sizeof(float));
    return;
  }
  Scatter(rows, j, 0, n, x, block);
}

// Saturating: an infinity in the cache would make 0 * inf of masked keys.
void StoreF16(const KvRows& rows, size_t j, const float* x, size_t n,
              uint8_t* block) {
  const DF d;
  const hn::Rebind<hwy::float16_t, DF> dh;
  const size_t lanes = hn::Lanes(d);
  const auto limit = hn::Set(d, 65504.0f);
  hwy::float16_t halves[16];
  for (size_t i = 0; i < n; i += lanes) {
    const size_t rest = n - i < lanes ? n - i : lanes;
    const auto v = hn::LoadN(d, x + i, rest);
    const auto inside = hn::Clamp(v, hn::Neg(limit), limit);
    // Clamp may lose a NaN, which must stay visible.
    const auto kept = hn::IfThenElse(hn::IsNaN(v), v, inside);
    hn::StoreU(hn::DemoteTo(dh, kept), dh, halves);
    Scatter(rows, j, i, rest, halves, block);
  }
}

// x ~ q * scale, |q| <= 127; returns the scale.
float StoreI8(const KvRows& rows, size_t j, const float* x, size_t n,
              uint8_t* block) {
  const DF d;
  const hn::Rebind<int8_t, DF> d8;
  const size_t lanes = hn::Lanes(d);
  auto top = hn::Zero(d);
  auto nans = hn::Zero(d);
  for (size_t i = 0; i < n; i += lanes) {
    const size_t rest = n - i < lanes ? n - i : lanes;
    const auto v = hn::LoadN(d, x + i, rest);
    top = hn::Max(top, hn::Abs(v));
    nans = hn::Add(nans, hn::Sub(v, v));  // 0, or NaN for NaN and infinities
  }
  const float absmax = hn::ReduceMax(d, top) + hn::ReduceSum(d, nans);
  const float scale = absmax / 127.0f;
  // Not finite, or too small for its inverse: all zeros times the scale.
  const bool usable = absmax > 1e-30f && absmax < 1e38f;
  const auto inverse = hn::Set(d, usable ? 127.0f / absmax : 0.0f);
  // 128 more as bytes is the sign bit flipped.
  const bool biased = rows.layout == KvLayout::kKeyTiles;
  const auto flip = hn::Set(d8, static_cast<int8_t>(biased ? -128 : 0));
  int8_t bytes[16];
  for (size_t i = 0; i < n; i += lanes) {
    const size_t rest = n - i < lanes ? n - i : lanes;
    const auto v = usable ? hn::LoadN(d, x + i, rest) : hn::Zero(d);
    const auto q = hn::NearestInt(hn::Mul(v, inverse));
    hn::StoreU(hn::Xor(hn::DemoteTo(d8, q), flip), d8, bytes);
    Scatter(rows, j, i, rest, bytes, block);
  }
  return scale;
}

void StoreRows(const KvRows& rows, size_t kv_heads, size_t head_size,
               size_t first, size_t count, const float* x,
               size_t token_stride) {
  for (size_t t = 0; t < count; ++t) {
    const size_t block = (first + t) / kKeyBlock;
    const size_t slot = (first + t) % kKeyBlock;
    uint8_t* page = rows.pages[block - rows.first_page];
    for (size_t k = 0; k < kv_heads; ++k) {
      const float* from = x + t * token_stride + k * head_size;
      uint8_t* to = page + rows.offset + k * rows.head_stride;
      if (rows.dtype == DType::kF32) {
        StoreF32(rows, slot, from, head_size, to);
      } else if (rows.dtype == DType::kF16) {
        StoreF16(rows, slot, from, head_size, to);
      } else {
        float* scales =
            reinterpret_cast<float*>(page + rows.scale_offset) + k * kKeyBlock;
        scales[slot] = StoreI8(rows, slot, from, head_size, to);
      }
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {

HWY_EXPORT(StoreRows);

size_t PagedRowBytes(DType dtype, size_t head_size) {
  return dtype == DType::kI8 ? RoundUp(head_size, kKvTile)
                             : BytesFor(dtype, head_size);
}

KvLayout PagedLayout(DType dtype, bool values) {
  if (!values) return KvLayout::kKeyTiles;
  return dtype == DType::kI8 ? KvLayout::kValueTiles : KvLayout::kRows;
}

void FetchKvRow(const KvRows& rows, size_t kv_heads, size_t head_size,
                size_t row) {
  constexpr size_t kLine = 64;
  uint8_t* page = rows.pages[row / kKeyBlock - rows.first_page];
  const size_t j = row % kKeyBlock;
  // First byte of the first and of the last element, and lines between them.
  const size_t begin = rows.At(j, 0), end = rows.At(j, head_size - 1);
  const size_t step = rows.layout == KvLayout::kValueTiles
                          ? rows.At(j, kKvTile) - begin
                          : kLine;
  for (size_t k = 0; k < kv_heads; ++k) {
    const uint8_t* block = page + rows.offset + k * rows.head_stride;
    for (size_t at = begin / kLine * kLine; at <= end; at += step) {
      __builtin_prefetch(block + at, /*write=*/1, /*locality=*/3);
    }
  }
}

void StoreKvRows(const KvRows& rows, size_t kv_heads, size_t head_size,
                 size_t first, size_t count, const float* x,
                 size_t token_stride) {
  HWY_DYNAMIC_DISPATCH(StoreRows)
  (rows, kv_heads, head_size, first, count, x, token_stride);
}

}  // namespace slm
#endif
