// SPDX-License-Identifier: MIT
// Which lines of the weights a product of few rows asks for (prefetch) while it
// multiplies others, for one SIMD target. Every line is read once, so memory
// alone decides how fast that is, and the order in which it is asked decides
// how much of it one gets:
//
//   in order   line after line, past the second cache. What AMD's processors
//              want: their own prefetchers then help.
//   in turn    a line of each of eight pages, then the next line of each, to
//              the second cache. What Intel's want, which look ahead within a
//              page of 4 KiB and a few lines only: with two threads a Sapphire
//              Rapids reads 20 GB/s in order, 24 of two pages in turn, 28 of
//              four, 29 of eight, 30 of sixteen; of pieces of 2 KiB 24, of
//              1 KiB 19.
#if defined(SLM_QUANT_LINES_AHEAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SLM_QUANT_LINES_AHEAD_INL_H_
#undef SLM_QUANT_LINES_AHEAD_INL_H_
#else
#define SLM_QUANT_LINES_AHEAD_INL_H_
#endif

#include "quant/panel-inl.h"
#include "quant/qgemm_args.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {

inline constexpr size_t kLineBytes = 64;

// Where the next lines lie. Of streams in turn: line i of each, `stride` bytes
// from one stream to the next and as many in a stream, then the streams behind
// those.
struct LinesAhead {
  static constexpr size_t kStreams = 8;

  const uint8_t* at = nullptr;  // null: nothing to ask for
  bool past_second_cache = false;
  ptrdiff_t stride = kLineBytes;
  ptrdiff_t after_streams = 0;  // from the last stream's line back to the first
  size_t left = SIZE_MAX;       // lines of these streams, never reached in order

  // Of streams in turn: a divisor of kStreams, always the same.
  HWY_INLINE void Fetch(size_t count) {
    if (past_second_cache) {
      FetchLines<0>(count);
    } else {
      FetchLines<2>(count);  // to the second cache
    }
    at += static_cast<ptrdiff_t>(count) * stride;
    left -= count;
    if (left % kStreams == 0) at += after_streams;
    if (left == 0) {
      at += (kStreams - 1) * stride;
      left = kStreams * stride / kLineBytes;
    }
  }

 private:
  template <int kLocality>
  HWY_INLINE void FetchLines(size_t count) const {
    HWY_UNROLL(4)
    for (size_t i = 0; i < count; ++i) {
      __builtin_prefetch(at + static_cast<ptrdiff_t>(i) * stride, /*write=*/0,
                         kLocality);
    }
  }
};

// What to ask for while kTile columns are multiplied.
struct DirectAhead {
  LinesAhead b, scales;
};

// Those of `row` and so on.
inline DirectAhead InOrder(const NextWeights& rows, size_t row, bool past) {
  DirectAhead ahead;
  ahead.b.at = rows.b + row * rows.row_bytes;
  ahead.scales.at = rows.scales + row * rows.scale_row_bytes;
  ahead.b.past_second_cache = ahead.scales.past_second_cache = past;
  return ahead;
}

// Rows [row, row + kTile) of a product's b.
struct DirectPlace {
  size_t product, row;
};

// What is multiplied `count` places behind (product, n0 + n): the halves of
// kQGemmColumns columns, product after product.
HWY_INLINE DirectPlace PlaceBehind(const QGemmArgs& g, size_t product,
                                   size_t n0, size_t n, size_t count) {
  constexpr size_t kHalves = kQGemmColumns / kTile;
  const size_t i = product * kHalves + n / kTile + count;
  const size_t row =
      n0 + i / kHalves / g.products() * kQGemmColumns + i % kHalves * kTile;
  return {i / kHalves % g.products(), HWY_MIN(row, g.b->n)};
}

// In order: the lines of what comes kQGemmBytesAhead or more behind (product,
// n0 + n) or, where the worker's share ends before that, of its share of the
// weights after this product.
inline DirectAhead OrderAhead(const QGemmArgs& g, size_t worker, size_t product,
                              size_t n0, size_t n) {
  const size_t row_bytes = g.Matrix(product).row_bytes();
  const size_t far = (kQGemmBytesAhead - 1) / (kTile * row_bytes) + 1;
  const DirectPlace place = PlaceBehind(g, product, n0, n, far);
  const BlockQuantMatrix& b = g.Matrix(place.product);
  const size_t end = g.FirstColumn(b.n, worker + 1);
  if (g.then.b && n0 < end && place.row >= end) {
    const size_t row = g.FirstColumn(g.then.n, worker) +
                       (place.row - end) * b.row_bytes() / g.then.row_bytes;
    return InOrder(g.then, row, /*past=*/true);
  }
  return InOrder(RowsOf(b), place.row, /*past=*/true);
}

// A worker's share of a matrix as streams in turn: pieces of kStreams streams,
// each of a page or more, for all but tiny shares.
struct ShareInTurn {
  static constexpr size_t kPage = 4096;

  const NextWeights& rows;
  size_t begin, end;  // rows
  size_t pieces, stream_lines;

  ShareInTurn(const NextWeights& rows, const QGemmArgs& g, size_t worker)
      : rows(rows),
        begin(g.FirstColumn(rows.n, worker)),
        end(g.FirstColumn(rows.n, worker + 1)) {
    const size_t bytes = (end - begin) * rows.row_bytes;
    const size_t streams = HWY_MAX(bytes / kPage, LinesAhead::kStreams);
    pieces = streams / LinesAhead::kStreams;
    const size_t in_turn = pieces * LinesAhead::kStreams * kLineBytes;
    stream_lines = (bytes + in_turn - 1) / in_turn;
  }

  size_t lines() const {
    return pieces * LinesAhead::kStreams * stream_lines;
  }

  // From line i of that order on; the scales of about the same rows.
  DirectAhead From(size_t i) const {
    const size_t piece = LinesAhead::kStreams * stream_lines, at = i % piece;
    DirectAhead ahead =
        InOrder(rows, begin + i * kLineBytes / rows.row_bytes, /*past=*/false);
    LinesAhead& b = ahead.b;
    b.stride = static_cast<ptrdiff_t>(stream_lines * kLineBytes);
    b.after_streams = static_cast<ptrdiff_t>(kLineBytes) -
                      b.stride * ptrdiff_t{LinesAhead::kStreams};
    b.left = piece - at;
    b.at = rows.b + begin * rows.row_bytes + (i - at) * kLineBytes +
           at % LinesAhead::kStreams * stream_lines * kLineBytes +
           at / LinesAhead::kStreams * kLineBytes;
    return ahead;
  }
};

// A piece of streams in turn, or more.
inline constexpr size_t kAheadInTurn = (64 << 10) / kLineBytes;

// In turn: the lines that are kAheadInTurn behind row n of the worker's share
// or, behind its end, of its share of the weights after this product. Nothing
// for what was another worker's.
inline DirectAhead TurnAhead(const QGemmArgs& g, size_t worker, size_t product,
                             size_t n) {
  const NextWeights rows = RowsOf(g.Matrix(product));
  const ShareInTurn share(rows, g, worker);
  if (n < share.begin || n >= share.end) return {};
  const size_t line = (n - share.begin) * rows.row_bytes / kLineBytes;
  if (product > 0 && line == 0) {
    // The product before has asked for those of product 0.
    LinesAhead first = share.From(0).b;
    for (size_t i = 0; i < HWY_MIN(kAheadInTurn, share.lines());
         i += LinesAhead::kStreams) {
      first.Fetch(LinesAhead::kStreams);
    }
  }
  const size_t i = line + kAheadInTurn;
  if (i < share.lines()) return share.From(i);
  if (!g.then.b || product > 0) return {};
  const ShareInTurn then(g.then, g, worker);
  const size_t behind = i - share.lines();
  return behind < then.lines() ? then.From(behind) : DirectAhead{};
}

// For columns n0 + n and so on of a product.
inline DirectAhead AheadOf(const QGemmArgs& g, size_t worker, size_t product,
                           size_t n0, size_t n) {
  return g.past_second_cache ? OrderAhead(g, worker, product, n0, n)
                             : TurnAhead(g, worker, product, n0 + n);
}

}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#endif
