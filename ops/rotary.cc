// SPDX-License-Identifier: MIT
// RotaryEmbedding of ONNX (opset 23) and of com.microsoft, which differ in the
// order of inputs and in how the sizes are told.
#include "ops/kernels/rotary.h"

#include <algorithm>

#include "ops/attention_dense.h"
#include "ops/families.h"

namespace slm {
namespace {

struct RotaryParams {
  int64_t heads;   // 0: not told
  int64_t rotary;  // rotary_embedding_dim, 0: the whole head
  bool interleaved;
  // Numbers of the inputs.
  size_t cos, sin, ids;
};

Result<OpParams> ParseRotary(AttributeReader& a) {
  RotaryParams p;
  const bool microsoft = a.node().domain == "com.microsoft";
  a.CheckArity(microsoft ? 4 : 3, 4, 1);
  p.cos = microsoft ? 2 : 1;
  p.sin = microsoft ? 3 : 2;
  p.ids = microsoft ? 1 : 3;
  p.heads = a.Int("num_heads", 0);
  p.rotary = a.Int("rotary_embedding_dim", 0);
  p.interleaved = a.Int("interleaved", 0) != 0;
  a.FailUnless(p.heads >= 0 && p.heads <= (1 << 16), "num_heads out of range");
  a.FailUnless(
      p.rotary >= 0 && p.rotary % 2 == 0,
      Format("rotary_embedding_dim = %lld", static_cast<long long>(p.rotary)));
  if (microsoft) {
    a.OnlyInt("is_packed_batching", 0);
    // onnxruntime's CPU kernel does not read it.
    const float scale = a.Float("scale", 1);
    a.FailUnless(scale == 1, Format("attribute \"scale\" = %g, supported: 1",
                                    static_cast<double>(scale)));
  }
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

// Everything from shapes; infer checks, run takes it again.
struct Sizes {
  DenseRows x;  // [B, heads, T, E]
  size_t rotary = 0;
  int64_t positions = 0;      // rows of the caches
  bool own_caches = false;    // caches [B, T, rotary/2] instead of positions
  bool one_position = false;  // ids are one number: the first position
};

Result<DenseRows> RowsOf(const OpContext& c, const RotaryParams& p) {
  const Shape& x = c.In(0).shape;
  if (x.rank() == 4) return DenseRows::Of(c, 0, 0);
  const Shape& cos = c.In(p.cos).shape;
  int64_t heads = p.heads;
  // com.microsoft: without num_heads the caches span half a head.
  if (heads == 0 && cos.rank() == 2 && cos[1] > 0 && x.rank() == 3) {
    heads = x[2] / (2 * cos[1]);
  }
  return DenseRows::Of(c, 0, heads);
}

Status CheckCaches(const OpContext& c, const RotaryParams& p, Sizes& s) {
  SLM_RETURN_IF_ERROR(CheckFloat(c, p.cos));
  SLM_RETURN_IF_ERROR(CheckFloat(c, p.sin));
  const Shape& cos = c.In(p.cos).shape;
  const Shape& sin = c.In(p.sin).shape;
  const int64_t half = static_cast<int64_t>(s.rotary / 2);
  s.own_caches = !c.HasInput(p.ids);
  const Shape own{static_cast<int64_t>(s.x.batch),
                  static_cast<int64_t>(s.x.rows), half};
  const bool fits =
      s.own_caches ? cos == own : cos.rank() == 2 && cos[1] == half;
  if (!fits || !(cos == sin)) {
    return Invalid("cos and sin caches have shapes %s and %s for %lld pairs",
                   cos.ToString().c_str(), sin.ToString().c_str(),
                   static_cast<long long>(half));
  }
  s.positions = cos[0];
  return OkStatus();
}

Status CheckIds(const OpContext& c, const RotaryParams& p, Sizes& s) {
  if (s.own_caches) return OkStatus();
  const TensorView& ids = c.In(p.ids);
  s.one_position = p.ids == 1 && ids.shape == Shape{1};
  const Shape expected{static_cast<int64_t>(s.x.batch),
                       static_cast<int64_t>(s.x.rows)};
  if (ids.dtype != DType::kI64 ||
      (!s.one_position && !(ids.shape == expected))) {
    return Invalid("position_ids is %s %s, expected int64 %s", Name(ids.dtype),
                   ids.shape.ToString().c_str(), expected.ToString().c_str());
  }
  if (!ids.data) return OkStatus();  // a dry run; run sees checked values
  int64_t low = 0, high = -1;
  for (int64_t id : ids.Span<int64_t>()) {
    low = std::min(low, id);
    high = std::max(high, id);
  }
  const int64_t more = s.one_position ? static_cast<int64_t>(s.x.rows) - 1 : 0;
  if (low >= 0 && high < s.positions - more) return OkStatus();
  return Error(ErrorKind::kOverflow,
               "positions %lld to %lld are outside of the cache of %lld",
               static_cast<long long>(low), static_cast<long long>(high),
               static_cast<long long>(s.positions));
}

Result<Sizes> SizesOf(const OpContext& c, const RotaryParams& p) {
  Sizes s;
  SLM_ASSIGN_OR_RETURN(s.x, RowsOf(c, p));
  s.rotary = p.rotary ? static_cast<size_t>(p.rotary) : s.x.width;
  if (s.rotary > s.x.width || s.rotary % 2 != 0) {
    return Invalid("rotary_embedding_dim = %zu of a head size of %zu", s.rotary,
                   s.x.width);
  }
  SLM_RETURN_IF_ERROR(CheckCaches(c, p, s));
  SLM_RETURN_IF_ERROR(CheckIds(c, p, s));
  return s;
}

Status InferRotary(OpContext& c) {
  SLM_RETURN_IF_ERROR(SizesOf(c, c.Params<RotaryParams>()).status());
  return InferSameAsInput0(c);
}

void RunRotary(OpContext& c) {
  const auto& p = c.Params<RotaryParams>();
  const Sizes s = *SizesOf(c, p);
  const RotaryShape shape{.heads = s.x.heads,
                          .head_size = s.x.width,
                          .rotary = s.rotary,
                          .interleaved = p.interleaved};
  const int64_t* ids = s.own_caches ? nullptr : c.In(p.ids).As<int64_t>();
  const size_t half = s.rotary / 2;
  const auto rows = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const size_t b = i / s.x.rows, t = i % s.x.rows;
      const size_t at = b * s.x.batch_stride + t * s.x.row_stride;
      const size_t first = s.own_caches     ? i
                           : s.one_position ? static_cast<size_t>(ids[0]) + t
                                            : static_cast<size_t>(ids[i]);
      Rotary(shape, c.In(p.cos).As<float>() + first * half,
             c.In(p.sin).As<float>() + first * half, 1, 0, nullptr,
             {s.x.data + at, 0, s.x.head_stride},
             {c.Out(0).Mutable<float>() + at, 0, s.x.head_stride});
    }
  };
  // A token of 16 heads takes about 0.3 us.
  constexpr size_t kGrain = 32;
  if (c.pool) {
    ParallelFor(*c.pool, s.x.batch * s.x.rows, kGrain,
                [&](size_t begin, size_t end, size_t) { rows(begin, end); });
  } else {
    rows(0, s.x.batch * s.x.rows);
  }
}

constexpr OpDef kOps[] = {
    {"", "RotaryEmbedding", 23, kLatestOpset, ParseRotary, InferRotary,
     RunRotary, kRowwise | kInPlace, 0},
    {"com.microsoft", "RotaryEmbedding", 1, kLatestOpset, ParseRotary,
     InferRotary, RunRotary, kRowwise | kInPlace, 0},
};

}  // namespace

std::span<const OpDef> RotaryOps() { return kOps; }

}  // namespace slm
