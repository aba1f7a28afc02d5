// SPDX-License-Identifier: MIT
#include "tools/convert/weight_reader.h"

#include <algorithm>
#include <atomic>

namespace slm::convert {
namespace {

bool AllFinite(const float* values, size_t count) {
  // x - x is 0, or NaN for infinities and NaN: one test at the end.
  float sum = 0;
  for (size_t i = 0; i < count; ++i) sum += values[i] - values[i];
  return sum == 0;
}

}  // namespace

void WeightReader::Begin(const Weight& weight) {
  mergers_.clear();
  for (const SourceRows& rows : weight.sources) {
    if (const auto* deltas = adapters_.Find(rows.tensor)) {
      mergers_.try_emplace(rows.tensor, *deltas);
    }
  }
}

void WeightReader::ForEachPiece(const Weight& weight, int64_t first,
                                int64_t rows, const Piece& body) {
  int64_t done = 0, begin = 0;
  if (weight.in_turn) {
    const int64_t pair = 2 * weight.sources[0].count;
    for (; done < rows; ++done) {
      const int64_t row = first + done;
      const SourceRows& source =
          weight.sources[static_cast<size_t>(row / pair * 2 + row % 2)];
      body(source, source.first + row % pair / 2, 1, done);
    }
    return;
  }
  for (const SourceRows& source : weight.sources) {
    const int64_t at = first + done - begin;  // in the rows of this source
    if (at < source.count && done < rows) {
      const int64_t count = std::min(rows - done, source.count - at);
      body(source, source.first + at, count, done);
      done += count;
    }
    begin += source.count;
  }
}

void WeightReader::ForEachPieceParallel(const Weight& weight, int64_t first,
                                        int64_t rows, const Piece& body) {
  // 2^14 values take some 5 us and stay in the first cache.
  int64_t step = std::max<int64_t>(1, (int64_t{1} << 14) / weight.k);
  for (const SourceRows& source : weight.sources) {
    step = std::max(step, source_.Find(source.tensor)->rows_at_once);
  }
  ParallelFor(threads_, static_cast<size_t>(rows), static_cast<size_t>(step),
              [&](size_t begin, size_t end, size_t) {
                const auto last = static_cast<int64_t>(end);
                for (auto r = static_cast<int64_t>(begin); r < last;
                     r += step) {
                  ForEachPiece(
                      weight, first + r, std::min(step, last - r),
                      [&](const SourceRows& source, int64_t at, int64_t count,
                          int64_t done) { body(source, at, count, r + done); });
                }
              });
}

Status WeightReader::NotFinite(const Weight& weight, int64_t row) const {
  Status status;
  ForEachPiece(
      weight, row, 1, [&](const SourceRows& source, int64_t, int64_t, int64_t) {
        status = Invalid("tensor \"%s\" holds values that are not finite",
                         Printable(source.tensor).c_str());
      });
  return status;
}

Status WeightReader::Read(const Weight& weight, int64_t first, int64_t rows,
                          float* out) {
  std::atomic<int64_t> bad{-1};
  const auto k = static_cast<size_t>(weight.k);
  if (weight.sources.empty()) {
    std::fill_n(out, static_cast<size_t>(rows) * k, weight.add);
    return OkStatus();
  }
  ForEachPieceParallel(
      weight, first, rows,
      [&](const SourceRows& source, int64_t at, int64_t count, int64_t done) {
        float* values = out + static_cast<size_t>(done) * k;
        const size_t all = static_cast<size_t>(count) * k;
        source_.ReadRows(source.tensor, at, count, values);
        const auto merger = mergers_.find(source.tensor);
        for (int64_t r = 0; merger != mergers_.end() && r < count; ++r) {
          merger->second.Merge(static_cast<size_t>(at + r),
                               values + static_cast<size_t>(r) * k, k);
        }
        for (size_t i = 0; weight.add != 0 && i < all; ++i) {
          values[i] += weight.add;
        }
        if (!AllFinite(values, all)) bad = first + done;
      });
  return bad < 0 ? OkStatus() : NotFinite(weight, bad);
}

Status WeightReader::ReadKept(const Weight& weight, int64_t first, int64_t rows,
                              const QuantizedRows& out) {
  std::atomic<int64_t> bad{-1};
  const QuantizeOptions& q = weight.quantize;
  const auto k = static_cast<size_t>(weight.k);
  const size_t blocks = q.Blocks(k);
  const size_t code_row = q.CodeRowBytes(k);
  const size_t zero_row = q.symmetric ? 0 : q.ZeroPointRowBytes(k);
  ForEachPieceParallel(
      weight, first, rows,
      [&](const SourceRows& source, int64_t at, int64_t count, int64_t done) {
        const auto r = static_cast<size_t>(done);
        float* scales = out.scales + r * blocks;
        source_.ReadCodes(
            source.tensor, at, count, q,
            {out.codes + r * code_row, scales, out.zero_points + r * zero_row});
        if (!AllFinite(scales, static_cast<size_t>(count) * blocks)) {
          bad = first + done;
        }
      });
  return bad < 0 ? OkStatus() : NotFinite(weight, bad);
}

void WeightReader::Release(const Weight& weight, int64_t first,
                           int64_t rows) const {
  if (weight.in_turn) {  // by ranges, not row by row
    const int64_t pair = 2 * weight.sources[0].count;
    for (int64_t done = 0; done < rows;) {
      const int64_t at = (first + done) % pair;
      const int64_t count = std::min(rows - done, pair - at);
      for (int64_t s : {0, 1}) {
        const SourceRows& source =
            weight.sources[static_cast<size_t>((first + done) / pair * 2 + s)];
        source_.Release(source.tensor, source.first + at / 2, count / 2);
      }
      done += count;
    }
    return;
  }
  ForEachPiece(weight, first, rows,
               [&](const SourceRows& source, int64_t at, int64_t count,
                   int64_t) { source_.Release(source.tensor, at, count); });
}

}  // namespace slm::convert
