// SPDX-License-Identifier: MIT
// Keys and values of MultiHeadAttention and Attention: new rows in the layout
// of the input, optionally behind those of a past tensor.
#ifndef SLM_OPS_ATTENTION_DENSE_H_
#define SLM_OPS_ATTENTION_DENSE_H_

#include "ops/attention_common.h"

namespace slm {

// [B, heads, rows, width] by strides: of [B, T, heads * width] or
// [B, heads, T, width]. A view that infer takes may have no data.
struct DenseRows {
  const float* data = nullptr;
  size_t batch = 0, heads = 0, rows = 0, width = 0;
  size_t batch_stride = 0, head_stride = 0, row_stride = 0;

  // Refuses other shapes: rank 3 divided among `heads`, rank 4 as it is.
  static Result<DenseRows> Of(const OpContext& c, size_t input, int64_t heads);
  // The rows of rank 4 [B, heads, rows, width] at `data`.
  static DenseRows Whole(const float* data, size_t batch, size_t heads,
                         size_t rows, size_t width);
  size_t Count() const { return batch * heads * rows * width; }
  KvRows Entry(size_t b) const {
    return PlainRows(data ? data + b * batch_stride : nullptr, row_stride,
                     head_stride);
  }
};

// to[b, h, at + j, :] = from[b, h, j, :] + bias[h, :]; bias may be nullptr.
void CopyRows(const OpContext& c, const DenseRows& from, const float* bias,
              float* to, size_t to_rows, size_t at);

// Keys or values as attention reads them.
struct DenseCache {
  DenseRows fresh;              // the input
  DenseRows past;               // rows = 0: none
  const float* bias = nullptr;  // [heads * width], added to new rows
  float* whole = nullptr;  // [B, heads, past + new, width] where it is made

  size_t rows() const { return past.rows + fresh.rows; }
  bool IsMade(const OpContext& c, size_t output) const {
    return past.rows > 0 || bias || c.Wants(output);
  }
  // Takes memory: the output's, or scratch where only attention needs it.
  void Place(const OpContext& c, size_t output, Carver& carver);
  void Fill(const OpContext& c) const;
  KvRows Entry(size_t b, bool made) const;
};

// Past of `cache` from `input`, checked against its new rows.
Status ReadPast(const OpContext& c, size_t input, DenseCache& cache);

}  // namespace slm

#endif  // SLM_OPS_ATTENTION_DENSE_H_
