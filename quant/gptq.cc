// SPDX-License-Identifier: MIT
// Compiled with -ffp-contract=off, see add_product-inl.h.
#include "quant/gptq.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/gptq.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "quant/add_product-inl.h"
#include "quant/quantize_block.h"
#include "runtime/core/vec-inl.h"

// Once, before the targets.
#ifndef SLM_QUANT_GPTQ_CC_
#define SLM_QUANT_GPTQ_CC_
namespace slm {
namespace {

// Columns whose errors reach the ones behind them in one product.
constexpr size_t kLazy = 128;
// Rows that share a pass over U: 64 of 4864 columns are 1.2 MB.
constexpr size_t kTileRows = 64;

struct GptqJob {
  QuantizeOptions options;
  const float* u;
  const float* importance;
  float* w;
  size_t k;
  QuantizedRows out;
};

// A row's block, while its columns have their turn.
struct Grid {
  float scale, inverse;
  float low, high;  // of code - zero point
};

// Scratch of a tile.
struct Tile {
  std::vector<float> errors;   // [rows, kLazy]
  std::vector<Grid> grids;     // [rows]
  std::vector<uint8_t> codes;  // [rows, blocks * block_size]
};

}  // namespace
}  // namespace slm
#endif  // SLM_QUANT_GPTQ_CC_

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

// y[i] -= a * x[i]
HWY_INLINE void SubtractScaled(float a, const float* x, float* y,
                               size_t count) {
  const hn::CappedTag<float, 16> d;
  const size_t lanes = hn::Lanes(d);
  const auto factor = hn::Set(d, a);
  for (size_t i = 0; i < count; i += lanes) {
    const size_t n = std::min(lanes, count - i);
    const auto v = hn::Mul(factor, hn::LoadN(d, x + i, n));
    hn::StoreN(hn::Sub(hn::LoadN(d, y + i, n), v), d, y + i, n);
  }
}

// The grid of the block that begins at this column, as its values are now.
Grid FindGrid(const GptqJob& job, const float* row, size_t column,
              Block& block) {
  block.size = job.options.block_size;
  block.length = std::min(block.size, job.k - column);
  std::memcpy(block.x, row + column, block.length * sizeof(float));
  std::fill(block.x + block.length, block.x + block.size, 0.0f);
  if (job.importance) {
    std::memcpy(block.weight, job.importance + column,
                block.length * sizeof(float));
  }
  SearchBlock(job.options, &block);
  Grid grid;
  grid.scale = block.scale;
  const float inverse = block.scale != 0 ? 1.0f / block.scale : 0.0f;
  grid.inverse = std::isfinite(inverse) ? inverse : 0.0f;
  const int most = (1 << job.options.bits) - 1;
  grid.low = static_cast<float>(-block.zero_point);
  grid.high = static_cast<float>(most - block.zero_point);
  return grid;
}

void StoreGrid(const GptqJob& job, size_t r, size_t index, const Grid& grid) {
  const QuantizeOptions& o = job.options;
  job.out.scales[r * o.Blocks(job.k) + index] = grid.scale;
  if (o.symmetric) return;
  uint8_t* zeros = job.out.zero_points + r * o.ZeroPointRowBytes(job.k);
  const auto zero = static_cast<uint8_t>(-grid.low);
  if (o.bits == 8) {
    zeros[index] = zero;
  } else {
    uint8_t& byte = zeros[index / 2];
    byte = static_cast<uint8_t>(index % 2 ? (byte & 0x0F) | zero << 4
                                          : 0x80 | zero);
  }
}

// Columns [first, last) of one row: w_j becomes q_j, e_j = (w_j - q_j) / U_jj,
// and the columns behind it in the range w -= e_j U_j.
void QuantizeColumns(const GptqJob& job, size_t r, size_t first, size_t last,
                     Grid& grid, float* errors, uint8_t* codes, Block& block) {
  float* row = job.w + r * job.k;
  const size_t size = job.options.block_size;
  for (size_t j = first; j < last; ++j) {
    if (j % size == 0) {
      grid = FindGrid(job, row, j, block);
      StoreGrid(job, r, j / size, grid);
    }
    const float u =
        std::clamp(std::nearbyint(row[j] * grid.inverse), grid.low, grid.high);
    const float q = u * grid.scale;
    const float* behind = job.u + j * job.k;
    const float error = (row[j] - q) / behind[j];
    codes[j] = static_cast<uint8_t>(u - grid.low);
    row[j] = q;
    errors[j - first] = error;
    SubtractScaled(error, behind + j + 1, row + j + 1, last - j - 1);
  }
}

void PackRow(const GptqJob& job, size_t r, const uint8_t* codes) {
  const size_t bytes = job.options.CodeRowBytes(job.k);
  uint8_t* to = job.out.codes + r * bytes;
  if (job.options.bits == 8) {
    std::memcpy(to, codes, bytes);
    return;
  }
  for (size_t b = 0; b < bytes; ++b) {
    to[b] = static_cast<uint8_t>(codes[2 * b] | codes[2 * b + 1] << 4);
  }
}

void QuantizeTile(const GptqJob& job, size_t first, size_t rows, Tile& tile) {
  const QuantizeOptions& o = job.options;
  const size_t k = job.k, width = o.Blocks(k) * o.block_size;
  const size_t zero_bytes = o.ZeroPointRowBytes(k);
  tile.errors.resize(rows * kLazy);
  tile.grids.resize(rows);
  tile.codes.resize(rows * width);
  Block block;
  std::fill(block.weight, block.weight + kMostBlock, 1.0f);
  if (!o.symmetric) {  // the nibble behind an odd number of blocks is 8
    std::memset(job.out.zero_points + first * zero_bytes, 0x88,
                rows * zero_bytes);
  }
  for (size_t c = 0; c < k; c += kLazy) {
    const size_t end = std::min(k, c + kLazy);
    for (size_t r = 0; r < rows; ++r) {
      QuantizeColumns(job, first + r, c, end, tile.grids[r],
                      tile.errors.data() + r * kLazy,
                      tile.codes.data() + r * width, block);
    }
    AddProduct<true>({job.w + first * k + end, k, tile.errors.data(), kLazy, 1,
                      job.u + c * k + end, k},
                     rows, k - end, end - c);
  }
  for (size_t r = 0; r < rows; ++r) {
    uint8_t* codes = tile.codes.data() + r * width;
    // Codes behind the last column are zero points.
    std::memset(codes + k, static_cast<int>(-tile.grids[r].low), width - k);
    PackRow(job, first + r, codes);
  }
}

void GptqRange(const GptqJob& job, size_t begin, size_t end) {
  Tile tile;
  for (size_t r = begin; r < end; r += kTileRows) {
    QuantizeTile(job, r, std::min(kTileRows, end - r), tile);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {
namespace {
HWY_EXPORT(GptqRange);
}  // namespace

void GptqRows(const QuantizeOptions& options, const float* u,
              const float* importance, float* w, size_t rows, size_t k,
              ThreadPool& threads, const QuantizedRows& out) {
  if (k == 0) return;
  const GptqJob job{options, u, importance, w, k, out};
  const auto range = HWY_DYNAMIC_POINTER(GptqRange);
  // A row of 16 columns takes a microsecond, and U is read once for all rows
  // of a tile.
  ParallelFor(threads, rows, 16, [&](size_t begin, size_t end, size_t) {
    range(job, begin, end);
  });
}

}  // namespace slm
#endif  // HWY_ONCE
