// SPDX-License-Identifier: MIT
#include "tools/convert/packed_matrix.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "tools/convert/decode.h"

namespace slm::convert {
namespace {

// Where rows 0..7 lie in a word of AWQ, which has them as 0 2 4 6 1 3 5 7.
constexpr int kAwqShift[8] = {0, 16, 4, 20, 8, 24, 12, 28};

uint32_t Word(const SafeTensor& tensor, int64_t at) {
  uint32_t word;
  std::memcpy(&word, tensor.bytes.data() + 4 * at, sizeof word);
  return word;
}

uint32_t Mask(int bits) { return (uint32_t{1} << bits) - 1; }

// 1 in every field of a word.
uint32_t Ones(int bits) { return 0xFFFFFFFFu / Mask(bits); }

// count values of `bits` bits from the lowest on.
void UnpackBytes(const char* bytes, int bits, int64_t count, uint8_t* out) {
  const int per = 8 / bits;
  const auto mask = static_cast<uint8_t>(Mask(bits));
  for (int64_t i = 0; i < count; ++i) {
    const auto byte = static_cast<uint8_t>(bytes[i / per]);
    out[i] = static_cast<uint8_t>(byte >> (i % per * bits)) & mask;
  }
}

// Value i of a row of codes or zero points, as MatMulNBits packs them.
void PutCode(int bits, size_t i, int value, uint8_t* row) {
  if (bits == 8) {
    row[i] = static_cast<uint8_t>(value);
  } else if (i % 2 == 0) {
    row[i / 2] = static_cast<uint8_t>(value);
  } else {
    row[i / 2] = static_cast<uint8_t>(row[i / 2] | value << 4);
  }
}

}  // namespace

int PackedMatrix::ZeroPoint(int64_t row, int64_t group) const {
  if (!zeros) return 1 << (bits - 1);
  const int64_t per = 32 / bits;
  uint32_t word = 0;
  int shift = 0;
  switch (layout) {
    case PackLayout::kGptq:
      word = Word(*zeros, group * ((n + per - 1) / per) + row / per);
      // As gptqmodel has it: one sum for all fields, so that a zero point of 0,
      // which borrowed from its neighbours, comes back.
      if (zeros_less_one) word += Ones(bits);
      shift = static_cast<int>(row % per) * bits;
      break;
    case PackLayout::kAwq:
      word = Word(*zeros, group * (n / 8) + row / 8);
      shift = kAwqShift[row % 8];
      break;
    case PackLayout::kOlive: {
      const int64_t in_byte = 8 / bits;
      const int64_t stride = (groups + in_byte - 1) / in_byte;
      word = static_cast<uint8_t>(
          zeros->bytes[static_cast<size_t>(row * stride + group / in_byte)]);
      shift = static_cast<int>(group % in_byte) * bits;
      break;
    }
    case PackLayout::kBytes:
      word = static_cast<uint8_t>(
          zeros->bytes[static_cast<size_t>(row * groups + group)] ^ 0x80);
      break;
    case PackLayout::kCompressed:
      word = Word(*zeros, row / per * groups + group);
      shift = static_cast<int>(row % per) * bits;
      break;
  }
  return static_cast<int>(word >> shift & Mask(bits));
}

float PackedMatrix::Scale(int64_t row, int64_t group) const {
  const bool by_row = layout != PackLayout::kGptq && layout != PackLayout::kAwq;
  const int64_t at = by_row ? row * groups + group : group * n + row;
  float scale;
  Decode(scales->type,
         scales->bytes.data() +
             static_cast<size_t>(at) * SafeTypeBytes(scales->type),
         1, &scale);
  return scale;
}

bool PackedMatrix::IsSymmetric() const {
  for (int64_t g = 0; zeros && g < groups; ++g) {
    for (int64_t row = 0; row < n; ++row) {
      if (ZeroPoint(row, g) != 1 << (bits - 1)) return false;
    }
  }
  return true;
}

void PackedMatrix::SortColumns() {
  if (group_of.empty() || BlockSize()) return;
  std::vector<int32_t> sorted(group_of.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  const auto group = [&](int32_t c) {
    return group_of[static_cast<size_t>(c)];
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](int32_t a, int32_t b) { return group(a) < group(b); });
  const auto size = static_cast<size_t>(
      std::count(group_of.begin(), group_of.end(), group(sorted[0])));
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (group(sorted[i]) != i / size) return;
  }
  group_size = static_cast<int64_t>(size);
  order = std::make_shared<const std::vector<int32_t>>(std::move(sorted));
}

std::optional<size_t> PackedMatrix::BlockSize() const {
  const auto fits = [&](int64_t block) {
    if (group_of.empty() || order) {
      // One group: no block ends where a group does; what is padded is least.
      return group_size >= k ? k % block == 0 : group_size % block == 0;
    }
    for (int64_t c = 0; c < k; ++c) {
      if (GroupOf(c) != GroupOf(c - c % block)) return false;
    }
    return true;
  };
  for (int64_t block = 256; block >= 16; block /= 2) {
    if (fits(block)) return static_cast<size_t>(block);
  }
  if ((group_of.empty() || order) && group_size >= k) return 16;
  return std::nullopt;
}

int64_t PackedMatrix::RowsAtOnce() const {
  switch (layout) {
    case PackLayout::kGptq:
      return 16;
    case PackLayout::kAwq:
      return 128;
    default:
      return 1;
  }
}

void PackedMatrix::Unpack(int64_t first, int64_t rows, uint8_t* out) const {
  const int64_t per = 32 / bits;
  const uint32_t mask = Mask(bits);
  switch (layout) {
    case PackLayout::kGptq:
      for (int64_t c = 0; c < k; c += per) {
        const int64_t count = std::min(per, k - c);
        for (int64_t r = 0; r < rows; ++r) {
          uint32_t word = Word(*codes, c / per * n + first + r);
          uint8_t* to = out + r * k + c;
          for (int64_t i = 0; i < count; ++i, word >>= bits) {
            to[i] = static_cast<uint8_t>(word & mask);
          }
        }
      }
      return;
    case PackLayout::kAwq:
      // The rows of a word together; a line of words serves all of them.
      for (int64_t r = 0, next = 0; r < rows; r = next) {
        next = std::min(rows, r + 8 - (first + r) % 8);
        for (int64_t c = 0; c < k; ++c) {
          const uint32_t word = Word(*codes, c * (n / 8) + (first + r) / 8);
          for (int64_t i = r; i < next; ++i) {
            out[i * k + c] =
                static_cast<uint8_t>(word >> kAwqShift[(first + i) % 8] & mask);
          }
        }
      }
      return;
    case PackLayout::kOlive:
    case PackLayout::kCompressed: {
      const auto stride = static_cast<int64_t>(codes->bytes.size()) / n;
      for (int64_t r = 0; r < rows; ++r) {
        UnpackBytes(codes->bytes.data() + (first + r) * stride, bits, k,
                    out + r * k);
      }
      return;
    }
    case PackLayout::kBytes:
      for (int64_t i = 0; i < rows * k; ++i) {
        out[i] = static_cast<uint8_t>(
            codes->bytes[static_cast<size_t>(first * k + i)] ^ 0x80);
      }
  }
}

void PackedMatrix::ReadRows(int64_t first, int64_t rows, float* out) const {
  std::vector<uint8_t> q(static_cast<size_t>(rows * k));
  Unpack(first, rows, q.data());
  std::vector<float> s(static_cast<size_t>(groups)), z(s.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (size_t g = 0; g < s.size(); ++g) {
      s[g] = Scale(first + r, static_cast<int64_t>(g));
      z[g] = static_cast<float>(ZeroPoint(first + r, static_cast<int64_t>(g)));
    }
    for (int64_t c = 0; c < k; ++c) {
      const auto g = static_cast<size_t>(GroupOf(c));
      out[r * k + c] =
          (static_cast<float>(q[static_cast<size_t>(r * k + c)]) - z[g]) * s[g];
    }
  }
}

void PackedMatrix::ReadCodes(int64_t first, int64_t rows,
                             const QuantizeOptions& as,
                             const QuantizedRows& out) const {
  std::vector<uint8_t> q(static_cast<size_t>(rows * k));
  Unpack(first, rows, q.data());
  const auto columns = static_cast<size_t>(k);
  const size_t blocks = as.Blocks(columns);
  const auto column = [&](size_t c) {
    return order ? static_cast<size_t>((*order)[c]) : c;
  };
  // Where there are no zero points, theirs and ours meet at 2^(bits-1).
  const int shift = as.symmetric ? (1 << (as.bits - 1)) - (1 << (bits - 1)) : 0;
  for (int64_t r = 0; r < rows; ++r) {
    const auto at = static_cast<size_t>(r);
    uint8_t* codes_row = out.codes + at * as.CodeRowBytes(columns);
    uint8_t* zeros_row =
        as.symmetric ? nullptr
                     : out.zero_points + at * as.ZeroPointRowBytes(columns);
    for (size_t b = 0; b < blocks; ++b) {
      const size_t begin = b * as.block_size;
      const int64_t group = GroupOf(static_cast<int64_t>(column(begin)));
      const int zero = ZeroPoint(first + r, group);
      out.scales[at * blocks + b] = Scale(first + r, group);
      if (!as.symmetric) PutCode(as.bits, b, zero, zeros_row);
      for (size_t c = begin; c < begin + as.block_size; ++c) {
        const int code = c < columns ? q[at * columns + column(c)] : zero;
        PutCode(as.bits, c, code + shift, codes_row);
      }
    }
  }
}

}  // namespace slm::convert
