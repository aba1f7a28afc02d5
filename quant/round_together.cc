// SPDX-License-Identifier: MIT
#include "quant/round_together.h"

#include <algorithm>
#include <cmath>

namespace slm {
namespace {

constexpr int kSweeps = 3;

// Codes of one row, `bits` (4 or 8) each, low bits first.
struct Codes {
  uint8_t* bytes;
  int bits;

  int Get(size_t i) const {
    return bits == 8 ? bytes[i] : bytes[i / 2] >> (i % 2 * 4) & 15;
  }
  void Set(size_t i, int value) const {
    if (bits == 8) {
      bytes[i] = static_cast<uint8_t>(value);
      return;
    }
    const int shift = static_cast<int>(i % 2 * 4);
    bytes[i / 2] =
        static_cast<uint8_t>((bytes[i / 2] & ~(15 << shift)) | value << shift);
  }
};

// One group of at most kMomentColumns columns of a row.
struct Group {
  size_t count;
  const float* moments;  // [count, kMomentColumns]
  float scale[kMomentColumns];
  float error[kMomentColumns];  // e
  int code[kMomentColumns];
  int most;  // largest code
};

// Whether any code changed.
bool Sweep(Group* g, float* pull) {
  bool changed = false;
  for (size_t j = 0; j < g->count; ++j) {
    const float* row = g->moments + j * kMomentColumns;
    const float curve = g->scale[j] * row[j];
    // e^T M e is least at the step pull / curve, where curve is not zero.
    const float wanted = std::nearbyint(pull[j] / curve);
    if (!(std::abs(wanted) <= 1e6f)) continue;
    const int code =
        std::clamp(g->code[j] + static_cast<int>(wanted), 0, g->most);
    if (code == g->code[j]) continue;
    const float change = static_cast<float>(code - g->code[j]) * g->scale[j];
    for (size_t i = 0; i < kMomentColumns; ++i) pull[i] -= change * row[i];
    g->code[j] = code;
    changed = true;
  }
  return changed;
}

void RoundGroup(Group* g) {
  float pull[kMomentColumns] = {};  // M e
  for (size_t j = 0; j < g->count; ++j) {
    const float* row = g->moments + j * kMomentColumns;
    for (size_t i = 0; i < kMomentColumns; ++i) pull[i] += g->error[j] * row[i];
  }
  for (int sweep = 0; sweep < kSweeps && Sweep(g, pull); ++sweep) {
  }
}

}  // namespace

void RoundTogether(const QuantizeOptions& options, const float* w, size_t rows,
                   size_t k, const float* moments, ThreadPool& threads,
                   const QuantizedRows& out) {
  const size_t blocks = options.Blocks(k);
  const auto row_of = [&](size_t r) {
    const Codes codes{out.codes + r * options.CodeRowBytes(k), options.bits};
    const Codes zeros{options.symmetric
                          ? nullptr
                          : out.zero_points + r * options.ZeroPointRowBytes(k),
                      options.bits};
    for (size_t first = 0; first < k; first += kMomentColumns) {
      Group g;
      g.count = std::min(kMomentColumns, k - first);
      g.moments = moments + first * kMomentColumns;
      g.most = (1 << options.bits) - 1;
      for (size_t j = 0; j < g.count; ++j) {
        const size_t block = (first + j) / options.block_size;
        const int zero =
            zeros.bytes ? zeros.Get(block) : 1 << (options.bits - 1);
        g.scale[j] = out.scales[r * blocks + block];
        g.code[j] = codes.Get(first + j);
        g.error[j] = w[r * k + first + j] -
                     static_cast<float>(g.code[j] - zero) * g.scale[j];
      }
      RoundGroup(&g);
      for (size_t j = 0; j < g.count; ++j) codes.Set(first + j, g.code[j]);
    }
  };
  // Some 10 ns a weight: 1024 weights are worth a thread.
  ParallelFor(threads, rows, 1024 / std::max<size_t>(1, k) + 1,
              [&](size_t begin, size_t end, size_t) {
                for (size_t r = begin; r < end; ++r) row_of(r);
              });
}

}  // namespace slm
