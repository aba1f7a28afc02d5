// SPDX-License-Identifier: MIT
#include "ops/moe_weights.h"

namespace slm {
namespace {

// Tensor i is [dims...].
Status CheckShape(const OpContext& c, size_t i, const char* name,
                  const Shape& expected) {
  if (c.In(i).shape == expected) return OkStatus();
  return Invalid("input %zu (%s) is %s, expected %s", i, name,
                 c.In(i).shape.ToString().c_str(), expected.ToString().c_str());
}

Status CheckType(const OpContext& c, size_t i, const char* name, DType type) {
  if (c.In(i).dtype == type) return OkStatus();
  return Invalid("input %zu (%s) has type %s, supported: %s", i, name,
                 Name(c.In(i).dtype), Name(type));
}

Shape MakeShape(size_t a, size_t b) {
  return {static_cast<int64_t>(a), static_cast<int64_t>(b)};
}
Shape MakeShape(size_t a, size_t b, size_t c) {
  return {static_cast<int64_t>(a), static_cast<int64_t>(b),
          static_cast<int64_t>(c)};
}

// The largest block of the kernels that divides `columns`, 0 if there is none.
size_t KernelBlock(size_t columns) {
  for (size_t block = 256; block >= 16; block /= 2) {
    if (columns % block == 0) return block;
  }
  return 0;
}

size_t PackedBytes(size_t count, int bits) {
  return (count * static_cast<size_t>(bits) + 7) / 8;
}

}  // namespace

Result<ExpertWeights> ExpertWeights::Make(const OpContext& c,
                                          const Projection& p, size_t experts,
                                          size_t n, size_t k) {
  ExpertWeights w;
  w.n_ = n;
  w.k_ = k;
  w.weights_ = c.In(p.weights);
  if (p.bias && c.HasInput(p.bias)) {
    SLM_RETURN_IF_ERROR(CheckType(c, p.bias, "bias", DType::kF32));
    SLM_RETURN_IF_ERROR(CheckShape(c, p.bias, "bias", MakeShape(experts, n)));
    w.bias_ = c.In(p.bias).As<float>();
  }
  if (p.scales == 0) {
    if (w.weights_.dtype != DType::kF32 && !IsHalf(w.weights_.dtype)) {
      return Invalid(
          "input %zu has type %s, supported: float, float16, "
          "bfloat16",
          p.weights, Name(w.weights_.dtype));
    }
    SLM_RETURN_IF_ERROR(
        CheckShape(c, p.weights, "weights", MakeShape(experts, n, k)));
    return w;
  }
  w.bits_ = p.bits;
  w.scale_block_ = p.block_size ? p.block_size : k;
  if (k % w.scale_block_ != 0) {
    return Invalid(
        "input %zu (weights): %zu columns are no multiple of "
        "block_size %zu",
        p.weights, k, w.scale_block_);
  }
  w.kernel_block_ = KernelBlock(w.scale_block_);
  if (w.kernel_block_ == 0) {
    return Invalid("input %zu (weights): %zu columns are no multiple of 16",
                   p.weights, k);
  }
  SLM_RETURN_IF_ERROR(CheckType(c, p.weights, "weights", DType::kU8));
  SLM_RETURN_IF_ERROR(
      CheckShape(c, p.weights, "weights",
                 MakeShape(experts, n, k * static_cast<size_t>(p.bits) / 8)));
  const size_t blocks = k / w.scale_block_;
  SLM_RETURN_IF_ERROR(CheckType(c, p.scales, "scales", DType::kF32));
  const bool flat = c.In(p.scales).shape.rank() == 2 && blocks == 1;
  SLM_RETURN_IF_ERROR(
      CheckShape(c, p.scales, "scales",
                 flat ? MakeShape(experts, n) : MakeShape(experts, n, blocks)));
  w.scales_ = c.In(p.scales).As<float>();
  if (p.zero_points && c.HasInput(p.zero_points)) {
    const TensorView& zero = c.In(p.zero_points);
    SLM_RETURN_IF_ERROR(CheckType(c, p.zero_points, "zero points", DType::kU8));
    w.row_packed_ = zero.shape.rank() == 2 && blocks == 1;
    SLM_RETURN_IF_ERROR(CheckShape(
        c, p.zero_points, "zero points",
        w.row_packed_ ? MakeShape(experts, PackedBytes(n, p.bits))
                      : MakeShape(experts, n, PackedBytes(blocks, p.bits))));
    w.zero_points_ = zero.Raw();
  }
  return w;
}

size_t ExpertWeights::SpreadBytes() const {
  if (!Spread() && !row_packed_) return 0;
  // Scales and, as floats, zero points.
  return RoundUp(2 * n_ * (k_ / kernel_block_) * sizeof(float), kAlignment);
}

float ExpertWeights::ZeroPoint(size_t row, size_t block) const {
  if (!zero_points_) return static_cast<float>(1 << (bits_ - 1));
  const size_t per_byte = 8 / static_cast<size_t>(bits_);
  const size_t blocks = k_ / scale_block_;
  const size_t expert = row / n_;
  const size_t at = row_packed_ ? row % n_ : block;
  const size_t start = row_packed_ ? expert * PackedBytes(n_, bits_)
                                   : row * PackedBytes(blocks, bits_);
  const int byte = zero_points_[start + at / per_byte];
  const int shift = static_cast<int>(at % per_byte) * bits_;
  return static_cast<float>(byte >> shift & ((1 << bits_) - 1));
}

BlockQuantMatrix ExpertWeights::Matrix(size_t expert, void* spread) const {
  BlockQuantMatrix m;
  m.n = n_;
  m.k = k_;
  m.bits = bits_;
  m.block_size = kernel_block_;
  m.b = weights_.Raw() + expert * n_ * m.row_bytes();
  const size_t blocks = k_ / scale_block_;
  if (!Spread() && !row_packed_) {
    m.scales = scales_ + expert * n_ * blocks;
    if (zero_points_) {
      m.zero_point_kind = ZeroPoints::kPacked;
      m.zero_points = zero_points_ + expert * n_ * PackedBytes(blocks, bits_);
    }
    return m;
  }
  float* scales = static_cast<float*>(spread);
  float* zeros = scales + n_ * m.blocks();
  for (size_t r = 0; r < n_; ++r) {
    const size_t row = expert * n_ + r;
    for (size_t j = 0; j < m.blocks(); ++j) {
      const size_t block = j * kernel_block_ / scale_block_;
      scales[r * m.blocks() + j] = scales_[row * blocks + block];
      zeros[r * m.blocks() + j] = ZeroPoint(row, block);
    }
  }
  m.scales = scales;
  if (zero_points_) {
    m.zero_point_kind = ZeroPoints::kFloat;
    m.zero_points = zeros;
  }
  return m;
}

size_t ExpertWeights::ScratchBytes(size_t m, QGemmMode mode,
                                   size_t threads) const {
  if (bits_ == 0) return 0;
  BlockQuantMatrix shape;
  shape.n = n_;
  shape.k = k_;
  shape.bits = bits_;
  shape.block_size = kernel_block_;
  if (zero_points_) {
    shape.zero_point_kind =
        row_packed_ || Spread() ? ZeroPoints::kFloat : ZeroPoints::kPacked;
  }
  return SpreadBytes() + QGemmScratchBytes(m, shape, mode, threads);
}

void ExpertWeights::Multiply(ThreadPool& pool, size_t expert, const float* x,
                             size_t m, QGemmMode mode, float* y,
                             void* scratch) const {
  const float* bias = bias_ ? bias_ + expert * n_ : nullptr;
  if (bits_ == 0) {
    const size_t bytes = n_ * k_ * BytesFor(weights_.dtype, 1);
    GemmF32(&pool, x, k_, m,
            {.data = weights_.Raw() + expert * bytes,
             .dtype = weights_.dtype,
             .transposed = true,
             .n = n_,
             .k = k_},
            bias, y, n_);
    return;
  }
  const BlockQuantMatrix b = Matrix(expert, scratch);
  QGemm(pool, x, k_, m, b, bias, y, n_, mode,
        static_cast<uint8_t*>(scratch) + SpreadBytes());
}

}  // namespace slm
