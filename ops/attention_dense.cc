// SPDX-License-Identifier: MIT
#include "ops/attention_dense.h"

#include <cstring>

#include "ops/parallel.h"

namespace slm {

DenseRows DenseRows::Whole(const float* data, size_t batch, size_t heads,
                           size_t rows, size_t width) {
  return {.data = data,
          .batch = batch,
          .heads = heads,
          .rows = rows,
          .width = width,
          .batch_stride = heads * rows * width,
          .head_stride = rows * width,
          .row_stride = width};
}

Result<DenseRows> DenseRows::Of(const OpContext& c, size_t input,
                                int64_t heads) {
  SLM_RETURN_IF_ERROR(CheckFloat(c, input));
  const Shape& s = c.In(input).shape;
  const float* data = c.In(input).As<float>();
  const auto size = [&](size_t i) { return static_cast<size_t>(s[i]); };
  if (s.rank() == 4 && (heads == 0 || s[1] == heads) && s[1] > 0 && s[3] > 0) {
    return Whole(data, size(0), size(1), size(2), size(3));
  }
  if (s.rank() != 3 || heads < 1 || s[2] == 0 || s[2] % heads != 0) {
    return Invalid(
        "input %zu has shape %s, expected [B, T, %lld heads * E] or "
        "[B, %lld, T, E]",
        input, s.ToString().c_str(), static_cast<long long>(heads),
        static_cast<long long>(heads));
  }
  const size_t width = size(2) / static_cast<size_t>(heads);
  return DenseRows{.data = data,
                   .batch = size(0),
                   .heads = static_cast<size_t>(heads),
                   .rows = size(1),
                   .width = width,
                   .batch_stride = size(1) * size(2),
                   .head_stride = width,
                   .row_stride = size(2)};
}

void CopyRows(const OpContext& c, const DenseRows& from, const float* bias,
              float* to, size_t to_rows, size_t at) {
  const size_t bytes = from.width * sizeof(float);
  const size_t grain = kCheapGrain / from.width + 1;
  ForElements(c, from.batch * from.heads * from.rows, grain,
              [&](size_t begin, size_t end) {
                for (size_t i = begin; i < end; ++i) {
                  const size_t j = i % from.rows, bh = i / from.rows;
                  const size_t h = bh % from.heads, b = bh / from.heads;
                  const float* x = from.data + b * from.batch_stride +
                                   h * from.head_stride + j * from.row_stride;
                  float* y = to + (bh * to_rows + at + j) * from.width;
                  if (!bias) {
                    std::memcpy(y, x, bytes);
                    continue;
                  }
                  const float* add = bias + h * from.width;
                  for (size_t e = 0; e < from.width; ++e) y[e] = x[e] + add[e];
                }
              });
}

void DenseCache::Place(const OpContext& c, size_t output, Carver& carver) {
  if (!IsMade(c, output)) return;
  whole = c.Wants(output) ? static_cast<float*>(c.Out(output).data)
                          : carver.Take<float>(fresh.batch * fresh.heads *
                                               rows() * fresh.width);
}

void DenseCache::Fill(const OpContext& c) const {
  if (!whole) return;
  if (past.rows > 0) CopyRows(c, past, nullptr, whole, rows(), 0);
  CopyRows(c, fresh, bias, whole, rows(), past.rows);
}

KvRows DenseCache::Entry(size_t b, bool made) const {
  if (!made) return fresh.Entry(b);
  return DenseRows::Whole(whole, fresh.batch, fresh.heads, rows(), fresh.width)
      .Entry(b);
}

Status ReadPast(const OpContext& c, size_t input, DenseCache& cache) {
  if (!c.HasInput(input)) return OkStatus();
  SLM_ASSIGN_OR_RETURN(cache.past, DenseRows::Of(c, input, 0));
  const DenseRows& f = cache.fresh;
  if (cache.past.batch == f.batch && cache.past.heads == f.heads &&
      cache.past.width == f.width) {
    return OkStatus();
  }
  return Invalid("input %zu (past) has shape %s, expected [%zu, %zu, P, %zu]",
                 input, c.In(input).shape.ToString().c_str(), f.batch, f.heads,
                 f.width);
}

}  // namespace slm
