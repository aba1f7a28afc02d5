// SPDX-License-Identifier: MIT
#include "tools/convert/onnx_tensors.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "ops/kernels/convert.h"
#include "runtime/core/half.h"
#include "runtime/core/shape.h"

namespace slm::convert {
namespace {

using Form = OnnxMatrix::Form;

// Rows of a turned matrix that are read together: 256 bytes of each line of the
// file and more.
constexpr int64_t kTurnedRows = 64;

// One element of float32, float16 or bfloat16 without alignment.
float FloatAt(const char* bytes, DType type, size_t i) {
  if (type == DType::kF32) {
    float value;
    std::memcpy(&value, bytes + i * sizeof value, sizeof value);
    return value;
  }
  uint16_t half;
  std::memcpy(&half, bytes + i * sizeof half, sizeof half);
  return type == DType::kF16 ? FloatFromF16(half) : FloatFromBF16(half);
}

// `count` elements at element `first`.
void Floats(const char* bytes, DType type, size_t first, size_t count,
            float* out) {
  const char* at = bytes + first * BytesFor(type, 1);
  if (type == DType::kF32) {
    std::memcpy(out, at, count * sizeof(float));
  } else if (reinterpret_cast<uintptr_t>(at) % 2 == 0) {
    FloatsFromHalves(type, at, count, out);
  } else {
    for (size_t i = 0; i < count; ++i) out[i] = FloatAt(at, type, i);
  }
}

int Field(const char* bytes, int bits, size_t i) {
  if (bits == 8) return static_cast<uint8_t>(bytes[i]);
  const size_t per_byte = 8 / static_cast<size_t>(bits);
  const int shift = static_cast<int>(i % per_byte) * bits;
  return (static_cast<uint8_t>(bytes[i / per_byte]) >> shift) &
         ((1 << bits) - 1);
}

// Codes, scales and zero points of a quantised matrix, as unsigned integers
// around 2^(bits-1): w = (code - zero) * scale.
class Blocks {
 public:
  Blocks(const OnnxMatrix& matrix, const DocumentTensor& values,
         const DocumentTensor& scales, const DocumentTensor* zeros)
      : m_(matrix),
        codes_(values.bytes.data()),
        scales_(scales.bytes.data()),
        zeros_(zeros ? zeros->bytes.data() : nullptr),
        scale_type_(scales.view->dtype),
        n_(static_cast<size_t>(matrix.n)),
        k_(static_cast<size_t>(matrix.k)),
        blocks_(CeilDiv(k_, matrix.block_size)),
        flip_(matrix.is_signed ? 1 << (matrix.bits - 1) : 0) {
    const size_t per_byte = 8 / static_cast<size_t>(m_.bits);
    // A tensor of 4-bit elements is one run; in bytes every row begins one.
    const bool one_run =
        m_.form == Form::kTable && values.view->dtype != DType::kU8;
    switch (m_.form) {
      case Form::kPacked:
        row_ = blocks_ * m_.block_size;
        zero_row_ = RoundUp(blocks_, per_byte);
        break;
      case Form::kTable:
        row_ = k_;
        zero_row_ = one_run ? blocks_ : RoundUp(blocks_, per_byte);
        break;
      default:
        row_ = m_.turned ? 1 : k_;
        break;
    }
    column_ = m_.form == Form::kLinear && m_.turned ? n_ : 1;
    // Without zero points: the middle of the codes, but 0 of unsigned linear
    // ones and of typed tables.
    const bool from_zero =
        !m_.is_signed && (m_.form == Form::kLinear || one_run);
    default_zero_ = from_zero ? 0 : 1 << (m_.bits - 1);
  }

  size_t blocks() const { return blocks_; }
  int Code(size_t r, size_t c) const {
    return Field(codes_, m_.bits, r * row_ + c * column_) ^ flip_;
  }
  float Scale(size_t r, size_t b) const {
    return FloatAt(scales_, scale_type_, ScaleIndex(r, b));
  }
  int Zero(size_t r, size_t b) const {
    if (!zeros_) return default_zero_;
    const size_t i =
        m_.form == Form::kLinear ? ScaleIndex(r, b) : r * zero_row_ + b;
    return Field(zeros_, m_.bits, i) ^ flip_;
  }
  size_t block_size() const { return m_.block_size; }

  void Row(size_t r, float* out) const {
    for (size_t b = 0; b < blocks_; ++b) {
      const float scale = Scale(r, b);
      const int zero = Zero(r, b);
      const size_t end = std::min(k_, (b + 1) * m_.block_size);
      for (size_t c = b * m_.block_size; c < end; ++c) {
        out[c] = static_cast<float>(Code(r, c) - zero) * scale;
      }
    }
  }

 private:
  size_t ScaleIndex(size_t r, size_t b) const {
    return m_.form == Form::kLinear ? r * m_.row_step + b * m_.block_step
                                    : r * blocks_ + b;
  }

  const OnnxMatrix& m_;
  const char *codes_, *scales_, *zeros_;
  DType scale_type_;
  size_t n_, k_, blocks_;
  int flip_;
  size_t row_ = 0, column_ = 1, zero_row_ = 0;
  int default_zero_ = 0;
};

void PutField(uint8_t* bytes, int bits, size_t i, int value) {
  if (bits == 8) {
    bytes[i] = static_cast<uint8_t>(value);
    return;
  }
  uint8_t& byte = bytes[i / 2];
  byte = i % 2 == 0 ? static_cast<uint8_t>((byte & 0xF0) | value)
                    : static_cast<uint8_t>((byte & 0x0F) | value << 4);
}

// One row in the format `as`, which holds it exactly.
void PutRow(const Blocks& from, size_t r, size_t k, int bits,
            const QuantizeOptions& as, uint8_t* codes, float* scales,
            uint8_t* zeros) {
  // Symmetric zero points move with the width.
  const int shift = as.symmetric ? (1 << (as.bits - 1)) - (1 << (bits - 1)) : 0;
  const size_t blocks = as.Blocks(k);
  for (size_t b = 0; b < blocks; ++b) {
    const size_t begin = b * as.block_size;
    const size_t source = begin / from.block_size();
    const int zero = from.Zero(r, source);
    scales[b] = from.Scale(r, source);
    if (!as.symmetric) PutField(zeros, as.bits, b, zero);
    for (size_t i = begin; i < begin + as.block_size; ++i) {
      const int code = i < k ? from.Code(r, i) : zero;
      PutField(codes, as.bits, i, code + shift);
    }
  }
  // The other half of the last byte: as ONNX Runtime pads.
  if (!as.symmetric && as.bits == 4 && blocks % 2)
    PutField(zeros, 4, blocks, 8);
}

}  // namespace

OnnxTensors::OnnxTensors(const OnnxDocument& document) : document_(document) {
  files_ = document.files();
  total_bytes_ = document.total_bytes();
}

std::string OnnxTensors::Add(const OnnxMatrix& matrix) {
  std::string name = Tensor(matrix.values).name;
  // The same tensor may be read in several ways.
  name += matrix.turned ? " turned" : "";
  name += " #" + std::to_string(matrix.values);
  if (matrix.quantized()) name += "," + std::to_string(matrix.scales);
  if (!matrices_.emplace(name, matrix).second) return name;
  TensorInfo& info = tensors_[name];
  info.shape = Shape{matrix.n, matrix.k};
  info.quantized = matrix.quantized();
  info.type = Name(Tensor(matrix.values).view->dtype);
  const bool turned = matrix.turned && (matrix.form == Form::kFloat ||
                                        matrix.form == Form::kLinear);
  if (turned) info.rows_at_once = kTurnedRows;
  if (matrix.quantized() && matrix.has_grid) {
    QuantGrid grid;
    grid.bits = matrix.bits;
    grid.block_size = matrix.block_size;
    grid.symmetric = matrix.symmetric;
    info.grid = grid;
  }
  return name;
}

void OnnxTensors::ReadRows(std::string_view name, int64_t first, int64_t rows,
                           float* out) const {
  const OnnxMatrix& m = Matrix(name);
  const auto n = static_cast<size_t>(m.n), k = static_cast<size_t>(m.k);
  const auto at = static_cast<size_t>(first), count = static_cast<size_t>(rows);
  const DocumentTensor& values = Tensor(m.values);
  if (m.quantized()) {
    const Blocks blocks(m, values, Tensor(m.scales),
                        m.zero_points < 0 ? nullptr : &Tensor(m.zero_points));
    for (size_t r = 0; r < count; ++r) blocks.Row(at + r, out + r * k);
    return;
  }
  const char* bytes = values.bytes.data();
  const DType type = values.view->dtype;
  if (!m.turned) {
    Floats(bytes, type, at * k, count * k, out);
    return;
  }
  // Squares of lines of the file, so that whole cache lines are written.
  constexpr size_t kLines = 16;
  std::vector<float> square(kLines * count);
  for (size_t c = 0; c < k; c += kLines) {
    const size_t lines = std::min(kLines, k - c);
    for (size_t i = 0; i < lines; ++i) {
      Floats(bytes, type, (c + i) * n + at, count, square.data() + i * count);
    }
    for (size_t r = 0; r < count; ++r) {
      for (size_t i = 0; i < lines; ++i) {
        out[r * k + c + i] = square[i * count + r];
      }
    }
  }
}

void OnnxTensors::ReadCodes(std::string_view name, int64_t first, int64_t rows,
                            const QuantizeOptions& as,
                            const QuantizedRows& out) const {
  const OnnxMatrix& m = Matrix(name);
  const auto k = static_cast<size_t>(m.k);
  const Blocks blocks(m, Tensor(m.values), Tensor(m.scales),
                      m.zero_points < 0 ? nullptr : &Tensor(m.zero_points));
  for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
    PutRow(blocks, static_cast<size_t>(first) + r, k, m.bits, as,
           out.codes + r * as.CodeRowBytes(k), out.scales + r * as.Blocks(k),
           out.zero_points + (as.symmetric ? 0 : r * as.ZeroPointRowBytes(k)));
  }
}

void OnnxTensors::Release(std::string_view name, int64_t first,
                          int64_t rows) const {
  const OnnxMatrix& m = Matrix(name);
  const std::string_view bytes = Tensor(m.values).bytes;
  const auto n = static_cast<size_t>(m.n);
  if (m.turned) {  // these rows are a part of every line
    document_.Release(bytes);
    return;
  }
  const size_t row = bytes.size() / n;
  document_.Release(bytes.substr(static_cast<size_t>(first) * row,
                                 static_cast<size_t>(rows) * row));
}

}  // namespace slm::convert
