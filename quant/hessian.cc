// SPDX-License-Identifier: MIT
// Compiled with -ffp-contract=off, see add_product-inl.h.
#include "quant/hessian.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quant/hessian.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "quant/add_product-inl.h"
#include "runtime/core/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace slm {
namespace HWY_NAMESPACE {
namespace {

void Add(const AddProductArgs& args, size_t rows, size_t columns,
         size_t depth) {
  AddProduct<false>(args, rows, columns, depth);
}

void Subtract(const AddProductArgs& args, size_t rows, size_t columns,
              size_t depth) {
  AddProduct<true>(args, rows, columns, depth);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace slm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace slm {
namespace {

HWY_EXPORT(Add);
HWY_EXPORT(Subtract);

constexpr size_t kPanel = 64;      // columns of a step of the factorisation
constexpr size_t kStripRows = 32;  // rows that a worker takes at once
constexpr size_t kDepth = 128;     // rows of x whose strip fits the cache

// body(first row, rows) for blocks of kStripRows, dealt out in turn: rows of a
// triangle differ in length. A block is 20 us or more where it matters.
template <typename Body>
void ForEachStrip(ThreadPool& threads, size_t rows, const Body& body) {
  const size_t strips = (rows + kStripRows - 1) / kStripRows;
  const size_t workers = std::min(strips, threads.size());
  ParallelFor(threads, workers, 1, [&](size_t begin, size_t end, size_t) {
    for (size_t w = begin; w < end; ++w) {
      for (size_t s = w; s < strips; s += workers) {
        const size_t first = s * kStripRows;
        body(first, std::min(kStripRows, rows - first));
      }
    }
  });
}

// Row i of the panel at column b: x L^T = a for the rows of L from b on; L is
// finished left of column b + count.
void SolveRow(float* a, size_t k, size_t i, size_t b, size_t count) {
  float* row = a + i * k + b;
  for (size_t j = 0; j < count; ++j) {
    const float* l = a + (b + j) * k + b;
    double sum = double{row[j]};
    for (size_t p = 0; p < j; ++p) sum -= double{row[p]} * double{l[p]};
    row[j] = static_cast<float>(sum / double{l[j]});
  }
}

// The square on the diagonal at b into its Cholesky factor.
bool FactorSquare(float* a, size_t k, size_t b, size_t count) {
  for (size_t j = 0; j < count; ++j) {
    float* row = a + (b + j) * k + b;
    SolveRow(a, k, b + j, b, j);
    double sum = double{row[j]};
    for (size_t p = 0; p < j; ++p) sum -= double{row[p]} * double{row[p]};
    if (!(sum > 0) || !std::isfinite(sum)) return false;
    row[j] = static_cast<float>(std::sqrt(sum));
  }
  return true;
}

// a (lower triangle) = L L^T in place, zeros above the diagonal.
bool Cholesky(float* a, size_t k, ThreadPool& threads) {
  std::vector<float> turned;  // the panel's transpose [count, k - end]
  const auto subtract = HWY_DYNAMIC_POINTER(Subtract);
  for (size_t b = 0; b < k; b += kPanel) {
    const size_t count = std::min(kPanel, k - b);
    const size_t end = b + count;
    if (!FactorSquare(a, k, b, count)) return false;
    const size_t rest = k - end;
    turned.resize(count * rest);
    ForEachStrip(threads, rest, [&](size_t first, size_t rows) {
      for (size_t r = first; r < first + rows; ++r) {
        SolveRow(a, k, end + r, b, count);
        for (size_t p = 0; p < count; ++p) {
          turned[p * rest + r] = a[(end + r) * k + b + p];
        }
      }
    });
    ForEachStrip(threads, rest, [&](size_t first, size_t rows) {
      float* row = a + (end + first) * k;
      subtract({row + end, k, row + b, k, 1, turned.data(), rest}, rows,
               first + rows, count);
    });
  }
  for (size_t i = 0; i < k; ++i) std::fill(a + i * k + i + 1, a + i * k + k, 0);
  return true;
}

// Columns [first, first + columns) of rows [b, b + count) of L^-1, whose rows
// above are finished, into out [count, columns]:
// M_B = -L_BB^-1 L_B,<B M_<B.
void InvertStrip(const float* a, size_t k, size_t b, size_t count, size_t first,
                 size_t columns, float* out, size_t out_row) {
  // M has zeros above its diagonal.
  HWY_DYNAMIC_DISPATCH(Subtract)
  ({out, out_row, a + b * k + first, k, 1, a + first * k + first, k}, count,
   columns, b - first);
  for (size_t r = 0; r < count; ++r) {
    const float* l = a + (b + r) * k + b;
    for (size_t p = 0; p < r; ++p) {
      for (size_t c = 0; c < columns; ++c) {
        out[r * out_row + c] -= l[p] * out[p * out_row + c];
      }
    }
    const float inverse = 1.0f / l[r];
    for (size_t c = 0; c < columns; ++c) out[r * out_row + c] *= inverse;
  }
}

// The square of L at b into its inverse.
void InvertSquare(float* a, size_t k, size_t b, size_t count) {
  double m[kPanel];
  for (size_t c = 0; c < count; ++c) {  // column by column, downwards
    for (size_t r = c; r < count; ++r) {
      double sum = r == c ? 1.0 : 0.0;
      for (size_t p = c; p < r; ++p) {
        sum -= double{a[(b + r) * k + b + p]} * m[p];
      }
      m[r] = sum / double{a[(b + r) * k + b + r]};
    }
    // Column c of L is read by no later column.
    for (size_t r = c; r < count; ++r) {
      a[(b + r) * k + b + c] = static_cast<float>(m[r]);
    }
  }
}

// L into L^-1 in place.
void InvertTriangle(float* a, size_t k, ThreadPool& threads) {
  std::vector<float> rows;
  for (size_t b = 0; b < k; b += kPanel) {
    const size_t count = std::min(kPanel, k - b);
    rows.assign(count * b, 0.0f);
    ForEachStrip(threads, b, [&](size_t first, size_t columns) {
      InvertStrip(a, k, b, count, first, columns, rows.data() + first, b);
    });
    InvertSquare(a, k, b, count);
    for (size_t r = 0; r < count; ++r) {
      std::copy_n(rows.data() + r * b, b, a + (b + r) * k);
    }
  }
}

}  // namespace

void AddOuterProducts(const float* x, size_t rows, size_t k, float* h,
                      ThreadPool& threads) {
  const auto add = HWY_DYNAMIC_POINTER(Add);
  for (size_t t = 0; t < rows; t += kDepth) {
    const float* from = x + t * k;
    const size_t depth = std::min(kDepth, rows - t);
    ForEachStrip(threads, k, [&](size_t first, size_t count) {
      add({h + first * k + first, k, from + first, 1, k, from + first, k},
          count, k - first, depth);
    });
  }
}

// With J the reversal of rows, J H J = L L^T gives H = (J L J)(J L J)^T, whose
// factor R is upper triangular: H^-1 = R^-T R^-1, U = R^-1 = J L^-1 J. One
// factorisation instead of an inversion and two.
bool InverseFactor(size_t k, double damping, float* h, ThreadPool& threads) {
  double trace = 0;
  for (size_t i = 0; i < k; ++i) trace += double{h[i * k + i]};
  const double add = damping * trace / static_cast<double>(k);
  for (size_t i = 0; i < k; ++i) {
    h[i * k + i] = static_cast<float>(double{h[i * k + i]} + add);
  }
  std::reverse(h, h + k * k);  // J H J: the upper triangle is the lower one
  if (!Cholesky(h, k, threads)) return false;
  InvertTriangle(h, k, threads);
  std::reverse(h, h + k * k);
  return true;
}

}  // namespace slm
#endif  // HWY_ONCE
