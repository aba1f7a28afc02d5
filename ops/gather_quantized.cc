// SPDX-License-Identifier: MIT
// com.microsoft GatherBlockQuantized: rows of a block-quantised table,
//   y = (q - zero_point) * scale.
// Two storages:
//   uint8         2, 4 or 8 bits packed along the last axis, low bits first;
//                 blocks along the last axis, gather along the first; default
//                 zero point 2^(bits - 1); zero points packed the same way,
//                 each row padded to whole bytes
//   int4, uint4   ONNX's packing of the flattened tensor; any axes; default
//                 zero point 0
// An index out of range gives zeros (so the schema).
#include <algorithm>

#include "ops/axes.h"
#include "ops/families.h"
#include "ops/indexing.h"
#include "ops/nibble.h"
#include "ops/parallel.h"
#include "ops/types.h"
#include "runtime/core/half.h"

namespace slm {
namespace {

struct Params {
  int64_t bits = 4, block_size = 128, gather_axis = 0, quantize_axis = 1;
};

Result<OpParams> Parse(AttributeReader& attributes) {
  attributes.CheckArity(3, 4, 1);
  Params p;
  p.bits = attributes.Int("bits", 4);
  p.block_size = attributes.Int("block_size", 128);
  p.gather_axis = attributes.Int("gather_axis", 0);
  p.quantize_axis = attributes.Int("quantize_axis", 1);
  attributes.FailUnless(p.bits == 2 || p.bits == 4 || p.bits == 8,
                        Format("attribute \"bits\" = %lld, supported: 2, 4, 8",
                               static_cast<long long>(p.bits)));
  attributes.FailUnless(
      p.block_size >= 16 && (p.block_size & (p.block_size - 1)) == 0,
      Format("attribute \"block_size\" = %lld, supported: powers of two from "
             "16",
             static_cast<long long>(p.block_size)));
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(p);
}

// The table as elements, whatever its packing.
struct Table {
  Shape shape;        // logical
  size_t gather = 0;  // axes
  size_t quantize = 0;
  size_t blocks = 0;  // along the quantised axis
  size_t bits = 4;
  Shape scales;       // expected
  Shape zero_points;  // expected
};

Result<Table> Describe(const OpContext& c) {
  const auto& p = c.Params<Params>();
  const TensorView& data = c.In(0);
  Table t;
  t.shape = data.shape;
  const size_t rank = data.shape.rank();
  SLM_ASSIGN_OR_RETURN(t.gather, CheckedAxis(p.gather_axis, rank));
  SLM_ASSIGN_OR_RETURN(t.quantize, CheckedAxis(p.quantize_axis, rank));
  const bool packed = data.dtype == DType::kU8;
  if (packed) {
    t.bits = static_cast<size_t>(p.bits);
    if (t.gather != 0 || t.quantize + 1 != rank || rank < 2) {
      return Invalid(
          "uint8 data %s with gather_axis %zu and quantize_axis "
          "%zu, supported: the first and the last",
          data.shape.ToString().c_str(), t.gather, t.quantize);
    }
    t.shape[rank - 1] *= 8 / p.bits;
    SLM_ASSIGN_OR_RETURN(t.shape, MakeShape(t.shape.dims()));
  }
  t.blocks = CeilDiv(static_cast<size_t>(t.shape[t.quantize]),
                     static_cast<size_t>(p.block_size));
  t.scales = t.shape;
  t.scales[t.quantize] = static_cast<int64_t>(t.blocks);
  t.zero_points = t.scales;
  if (packed) {
    t.zero_points[rank - 1] =
        static_cast<int64_t>(CeilDiv(t.blocks * t.bits, 8));
  }
  return t;
}

// Exporters also write scales and zero points flattened.
bool Matches(const Shape& got, const Shape& want) {
  return got == want || (got.rank() == 1 && got.Count() == want.Count());
}

Status Infer(OpContext& c) {
  const DType dtype = c.In(0).dtype;
  if (dtype != DType::kU8 && dtype != DType::kI4 && dtype != DType::kU4) {
    return Invalid("data has type %s, supported: uint8, int4, uint4",
                   Name(dtype));
  }
  SLM_RETURN_IF_ERROR(CheckIndexType(c, 1));
  SLM_ASSIGN_OR_RETURN(const Table t, Describe(c));
  const DType scale = c.In(2).dtype;
  if ((scale != DType::kF32 && !IsHalf(scale)) ||
      !Matches(c.In(2).shape, t.scales)) {
    return Invalid("scales are %s %s, expected float %s", Name(scale),
                   c.In(2).shape.ToString().c_str(),
                   t.scales.ToString().c_str());
  }
  if (c.HasInput(3) &&
      (c.In(3).dtype != dtype || !Matches(c.In(3).shape, t.zero_points))) {
    return Invalid("zero points are %s %s, expected %s %s", Name(c.In(3).dtype),
                   c.In(3).shape.ToString().c_str(), Name(dtype),
                   t.zero_points.ToString().c_str());
  }
  std::vector<int64_t> dims;
  for (size_t i = 0; i < t.gather; ++i) dims.push_back(t.shape[i]);
  for (int64_t d : c.In(1).shape.dims()) dims.push_back(d);
  for (size_t i = t.gather + 1; i < t.shape.rank(); ++i) {
    dims.push_back(t.shape[i]);
  }
  SLM_ASSIGN_OR_RETURN(const Shape out, MakeShape(dims));
  c.SetOutput(0, DType::kF32, out);
  return OkStatus();
}

class Reader {
 public:
  Reader(const OpContext& c, const Table& table)
      : data_(c.In(0)),
        scales_(c.In(2)),
        zero_points_(c.HasInput(3) ? &c.In(3) : nullptr),
        t_(table),
        block_size_(static_cast<size_t>(c.Params<Params>().block_size)),
        axis_dim_(static_cast<size_t>(t_.shape[t_.quantize])),
        inner_(t_.shape.CountOf(t_.quantize + 1, t_.shape.rank())) {}

  // Elements [begin, begin + n) of the flattened table.
  void Read(size_t begin, size_t n, float* out) const {
    for (size_t i = 0; i < n;) {
      const size_t at = begin + i;
      const size_t position = at / inner_ % axis_dim_;
      const size_t row = at / inner_ / axis_dim_;
      const size_t block = position / block_size_;
      const size_t scale_at = (row * t_.blocks + block) * inner_ + at % inner_;
      const float scale = ScaleAt(scale_at);
      const float zero = static_cast<float>(ZeroAt(scale_at, row, block));
      // One block is contiguous only along the last axis.
      size_t run = 1;
      if (inner_ == 1) {
        run = std::min((block + 1) * block_size_, axis_dim_) - position;
        run = std::min(run, n - i);
      }
      for (size_t k = 0; k < run; ++k) {
        out[i + k] = (static_cast<float>(ValueAt(at + k)) - zero) * scale;
      }
      i += run;
    }
  }

 private:
  int Packed(const TensorView& t, size_t i, size_t bits) const {
    const size_t bit = i * bits;
    return t.Raw()[bit / 8] >> (bit % 8) & ((1 << bits) - 1);
  }
  int ValueAt(size_t i) const {
    return data_.dtype == DType::kU8 ? Packed(data_, i, t_.bits)
                                     : NibbleAt(data_, i);
  }
  int ZeroAt(size_t i, size_t row, size_t block) const {
    if (data_.dtype != DType::kU8) {
      return zero_points_ ? NibbleAt(*zero_points_, i) : 0;
    }
    if (!zero_points_) return 1 << (t_.bits - 1);
    // Each row begins at a whole byte.
    const size_t row_bytes = CeilDiv(t_.blocks * t_.bits, 8);
    return Packed(*zero_points_, row * row_bytes * 8 / t_.bits + block,
                  t_.bits);
  }
  float ScaleAt(size_t i) const {
    if (scales_.dtype == DType::kF32) return scales_.As<float>()[i];
    const uint16_t bits = static_cast<uint16_t>(scales_.Raw()[2 * i] |
                                                scales_.Raw()[2 * i + 1] << 8);
    return scales_.dtype == DType::kF16 ? FloatFromF16(bits)
                                        : FloatFromBF16(bits);
  }

  const TensorView& data_;
  const TensorView& scales_;
  const TensorView* zero_points_;
  const Table& t_;
  size_t block_size_, axis_dim_, inner_;
};

void Run(OpContext& c) {
  const auto table = Describe(c);
  if (!table.ok() || c.Out(0).Count() == 0) return;
  const Reader reader(c, *table);
  const Shape& shape = table->shape;
  const int64_t dim = shape[table->gather];
  const size_t inner = shape.CountOf(table->gather + 1, shape.rank());
  const size_t n = c.In(1).Count();
  const size_t rows = shape.CountOf(0, table->gather) * n;
  float* out = c.Out(0).Mutable<float>();
  const size_t grain = std::max<size_t>(kCheapGrain / inner, 1);
  ForElements(c, rows, grain, [&](size_t row, size_t end) {
    for (; row < end; ++row) {
      const int64_t at = WrapIndex(IntegerAt(c.In(1), row % n), dim);
      if (at < 0) {
        std::fill_n(out + row * inner, inner, 0.0f);
        continue;
      }
      const size_t from =
          row / n * static_cast<size_t>(dim) + static_cast<size_t>(at);
      reader.Read(from * inner, inner, out + row * inner);
    }
  });
}

constexpr OpDef kOps[] = {
    {"com.microsoft", "GatherBlockQuantized", 1, kLatestOpset, Parse, Infer,
     Run, kRowwise, 1u << 2},
};

}  // namespace

std::span<const OpDef> GatherQuantizedOps() { return kOps; }

}  // namespace slm
