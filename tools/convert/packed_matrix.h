// SPDX-License-Identifier: MIT
// One matrix of a checkpoint that is quantised already, in any of the layouts
// of GPTQ, AWQ, Olive and compressed-tensors:
//   w[n, k] = (q[n, k] - z[n, g]) * s[n, g],  g = group of column k
#ifndef SLM_TOOLS_CONVERT_PACKED_MATRIX_H_
#define SLM_TOOLS_CONVERT_PACKED_MATRIX_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "loader/safetensors.h"
#include "quant/quantize.h"
#include "tools/convert/tensors.h"

namespace slm::convert {

enum class PackLayout {
  // Words of 32 bits hold neighbouring columns of a row, the lowest bits first:
  // codes [K/p, N], zero points [G, N/p] with neighbouring rows, scales [G, N].
  kGptq,
  // Words hold rows 0 2 4 6 1 3 5 7 of eight: codes [K, N/8], zero points
  // [G, N/8], scales [G, N].
  kAwq,
  // Bytes along the row: codes [N, K/p], zero points [N, G/p], scales [N, G].
  kOlive,
  // The same bytes in words; zero points [N/p, G] in words of p rows.
  kCompressed,
  // Signed bytes [N, K], scales and signed zero points [N, G]; bits is 8.
  kBytes,
};

// Checked: every size below fits the tensors. The tensors outlive it.
struct PackedMatrix {
  PackLayout layout = PackLayout::kGptq;
  int bits = 4;  // 2, 4 or 8
  int64_t n = 0, k = 0, groups = 0;
  int64_t group_size = 0;  // columns of each but the last
  // [k], each below `groups`: the groups of columns where they are in no such
  // order; else empty.
  std::vector<uint32_t> group_of;
  // [k]: the columns group by group, where that puts each group into
  // group_size neighbours (desc_act); else null.
  std::shared_ptr<const std::vector<int32_t>> order;
  const SafeTensor* codes = nullptr;
  const SafeTensor* scales = nullptr;
  const SafeTensor* zeros = nullptr;  // null: 2^(bits-1)
  bool zeros_less_one = false;  // words of zeros are less 1 in every field

  int64_t GroupOf(int64_t column) const {
    return group_of.empty() ? column / group_size
                            : group_of[static_cast<size_t>(column)];
  }
  int ZeroPoint(int64_t row, int64_t group) const;
  float Scale(int64_t row, int64_t group) const;
  // All zero points are 2^(bits-1). Reads them all.
  bool IsSymmetric() const;
  // Fills `order` where group_of needs and allows it.
  void SortColumns();
  // The largest blocks that lie within groups, of columns in their order;
  // nothing where 16 columns do not.
  std::optional<size_t> BlockSize() const;
  // Rows that lie in one line of the cache.
  int64_t RowsAtOnce() const;

  // out [rows, k] in float32.
  void ReadRows(int64_t first, int64_t rows, float* out) const;
  // See TensorSource::ReadCodes; as.block_size divides BlockSize().
  void ReadCodes(int64_t first, int64_t rows, const QuantizeOptions& as,
                 const QuantizedRows& out) const;

 private:
  // out [rows, k], a code each.
  void Unpack(int64_t first, int64_t rows, uint8_t* out) const;
};

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_PACKED_MATRIX_H_
