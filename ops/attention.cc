// SPDX-License-Identifier: MIT
// ONNX Attention (opset 23 and 24) on plain tensors, and the family's table.
//   s = softcap(scale * q . k) + mask;  out = softmax(s) v
// The specification's errata count: the cap comes before the mask, a causal
// query i sees keys up to i + offset, where offset is the number of past keys,
// or nonpad_kv_seqlen - T with a padded cache; a row that sees no key is 0.
#include <cmath>

#include "ops/attention_dense.h"
#include "ops/attention_tables.h"
#include "ops/families.h"

namespace slm {
namespace {

enum Input : size_t { kQ, kK, kV, kMask, kPastKey, kPastValue, kNonpad };
enum Output : size_t { kY, kPresentKey, kPresentValue, kScores };

// What output 3 shows.
enum class Scores : int64_t { kRaw, kCapped, kMasked, kWeights };

struct AttentionParams {
  int64_t heads, kv_heads;  // 0: inputs are 4D
  float scale;
  bool has_scale;
  float softcap;
  bool causal;
  Scores scores;
};

Result<OpParams> ParseAttention(AttributeReader& a) {
  AttentionParams p;
  const bool v24 = a.node().version >= 24;
  a.CheckArity(3, v24 ? 7 : 6, 4);
  constexpr int64_t kMostHeads = 1 << 16;
  p.heads = a.Int("q_num_heads", 0);
  p.kv_heads = a.Int("kv_num_heads", 0);
  a.FailUnless(p.heads >= 0 && p.heads <= kMostHeads && p.kv_heads >= 0 &&
                   p.kv_heads <= kMostHeads,
               "q_num_heads or kv_num_heads is out of range");
  p.has_scale = a.Has("scale");
  p.scale = a.Float("scale", 0);
  p.softcap = a.Float("softcap", 0);
  a.FailUnless(p.softcap >= 0, Format("softcap = %g is negative",
                                      static_cast<double>(p.softcap)));
  p.causal = a.Int("is_causal", 0) != 0;
  const int64_t mode = a.Int("qk_matmul_output_mode", 0);
  a.FailUnless(mode >= 0 && mode <= 3,
               Format("qk_matmul_output_mode = %lld, supported: 0 to 3",
                      static_cast<long long>(mode)));
  p.scores = static_cast<Scores>(mode);
  const int64_t precision = a.Int("softmax_precision", 1);
  // float16 and bfloat16 ask for less than the float32 that we compute in.
  a.FailUnless(precision == 1 || precision == 10 || precision == 16,
               Format("softmax_precision = %lld, supported: 1, 10, 16",
                      static_cast<long long>(precision)));
  a.FailUnless(a.HasInput(kPastKey) == a.HasInput(kPastValue),
               "of past_key and past_value one is missing");
  a.FailUnless(!a.HasInput(kNonpad) || !a.HasInput(kPastKey),
               "nonpad_kv_seqlen with past_key is not supported");
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

struct Sizes {
  DenseRows q;
  DenseCache k, v;
  size_t keys = 0;       // S
  size_t mask_keys = 0;  // columns of the mask, further keys are masked
  MaskStrides mask;
};

Status CheckSizes(const OpContext& c, const Sizes& s) {
  const DenseRows &q = s.q, &k = s.k.fresh, &v = s.v.fresh;
  const size_t rank = c.In(kQ).shape.rank();
  if (c.In(kK).shape.rank() == rank && c.In(kV).shape.rank() == rank &&
      k.batch == q.batch && v.batch == q.batch && k.width == q.width &&
      k.rows == v.rows && k.heads == v.heads && q.heads % k.heads == 0 &&
      s.k.past.rows == s.v.past.rows) {
    return OkStatus();
  }
  return Invalid(
      "Q, K and V have shapes %s, %s and %s", c.In(kQ).shape.ToString().c_str(),
      c.In(kK).shape.ToString().c_str(), c.In(kV).shape.ToString().c_str());
}

Status ReadMask(const OpContext& c, Sizes& s) {
  s.mask_keys = s.keys;
  if (!c.HasInput(kMask)) return OkStatus();
  const TensorView& mask = c.In(kMask);
  if (mask.dtype != DType::kBool && mask.dtype != DType::kF32) {
    return Invalid("attn_mask has type %s, supported: bool, float",
                   Name(mask.dtype));
  }
  if (mask.shape.rank() == 0 ||
      mask.shape.back() > static_cast<int64_t>(s.keys)) {
    return Invalid("attn_mask has shape %s for %zu keys",
                   mask.shape.ToString().c_str(), s.keys);
  }
  s.mask_keys = static_cast<size_t>(mask.shape.back());
  SLM_ASSIGN_OR_RETURN(
      s.mask,
      MaskStrides::Of(c, kMask, static_cast<int64_t>(s.q.batch),
                      static_cast<int64_t>(s.q.heads),
                      static_cast<int64_t>(s.q.rows), mask.shape.back()));
  return OkStatus();
}

Status CheckNonpad(const OpContext& c, const Sizes& s) {
  if (!c.HasInput(kNonpad)) return OkStatus();
  const TensorView& t = c.In(kNonpad);
  if (t.dtype != DType::kI64 || t.Count() != s.q.batch) {
    return Invalid("nonpad_kv_seqlen is %s %s, expected int64 [%zu]",
                   Name(t.dtype), t.shape.ToString().c_str(), s.q.batch);
  }
  if (!t.data) return OpContext::NeedsValue(kNonpad);
  for (int64_t n : t.Span<int64_t>()) {
    if (n >= 0 && n <= static_cast<int64_t>(s.keys)) continue;
    return Invalid("nonpad_kv_seqlen = %lld of %zu keys",
                   static_cast<long long>(n), s.keys);
  }
  return OkStatus();
}

Result<Sizes> SizesOf(const OpContext& c, const AttentionParams& p) {
  Sizes s;
  const bool flat = c.In(kQ).shape.rank() == 3;
  const int64_t heads = flat ? p.heads : 0, kv_heads = flat ? p.kv_heads : 0;
  SLM_ASSIGN_OR_RETURN(s.q, DenseRows::Of(c, kQ, heads));
  SLM_ASSIGN_OR_RETURN(s.k.fresh, DenseRows::Of(c, kK, kv_heads));
  SLM_ASSIGN_OR_RETURN(s.v.fresh, DenseRows::Of(c, kV, kv_heads));
  SLM_RETURN_IF_ERROR(ReadPast(c, kPastKey, s.k));
  SLM_RETURN_IF_ERROR(ReadPast(c, kPastValue, s.v));
  SLM_RETURN_IF_ERROR(CheckSizes(c, s));
  s.keys = s.k.rows();
  SLM_RETURN_IF_ERROR(ReadMask(c, s));
  SLM_RETURN_IF_ERROR(CheckNonpad(c, s));
  return s;
}

AttentionShape ShapeOf(const AttentionParams& p, const Sizes& s) {
  return {.heads = s.q.heads,
          .kv_heads = s.k.fresh.heads,
          .head_size = s.q.width,
          .value_size = s.v.fresh.width,
          .scale = p.has_scale
                       ? p.scale
                       : 1.0f / std::sqrt(static_cast<float>(s.q.width)),
          .softcap = p.softcap,
          .causal = p.causal};
}

void FillSequences(const OpContext& c, const Sizes& s,
                   std::span<AttentionSequence> list) {
  const size_t e = s.v.fresh.width, heads = s.q.heads, tokens = s.q.rows;
  const bool flat = c.In(kQ).shape.rank() == 3;
  for (size_t b = 0; b < list.size(); ++b) {
    AttentionSequence& a = list[b];
    a = AttentionSequence();
    a.q = s.q.data ? s.q.data + b * s.q.batch_stride : nullptr;
    a.q_token_stride = s.q.row_stride;
    a.q_head_stride = s.q.head_stride;
    float* out = static_cast<float*>(c.Out(kY).data);
    a.out = out ? out + b * tokens * heads * e : nullptr;
    a.out_token_stride = flat ? heads * e : e;
    a.out_head_stride = flat ? e : tokens * e;
    a.count = tokens;
    a.first = static_cast<int64_t>(s.k.past.rows);
    a.keys = s.mask_keys;
    if (c.HasInput(kNonpad)) {
      const int64_t nonpad = c.In(kNonpad).As<int64_t>()[b];
      a.first = nonpad - static_cast<int64_t>(tokens);
      a.keys = std::min(a.keys, static_cast<size_t>(nonpad));
    }
    a.k = s.k.Entry(b, s.k.IsMade(c, kPresentKey));
    a.v = s.v.Entry(b, s.v.IsMade(c, kPresentValue));
    if (!c.HasValue(kMask)) continue;
    a.mask_head_stride = s.mask.head;
    a.mask_token_stride = s.mask.token;
    if (c.In(kMask).dtype == DType::kBool) {
      a.allowed = c.In(kMask).Raw() + b * s.mask.batch;
    } else {
      a.bias = c.In(kMask).As<float>() + b * s.mask.batch;
    }
  }
}

// Output 3, for one row: keys that are not seen have the score -inf.
void ScoreRow(const AttentionShape& shape, Scores what,
              const AttentionSequence& a, size_t h, size_t t, size_t keys,
              float* out) {
  const size_t head = h / (shape.heads / shape.kv_heads);
  const float* q = a.q + t * a.q_token_stride + h * a.q_head_stride;
  const size_t mask_at = h * a.mask_head_stride + t * a.mask_token_stride;
  float most = -INFINITY;
  for (size_t j = 0; j < keys; ++j) {
    const auto* k =
        reinterpret_cast<const float*>(a.k.Block(head, 0) + j * a.k.row_stride);
    double dot = 0;
    for (size_t e = 0; e < shape.head_size; ++e) {
      dot += static_cast<double>(q[e]) * static_cast<double>(k[e]);
    }
    float s = static_cast<float>(dot * static_cast<double>(shape.scale));
    if (what != Scores::kRaw && shape.softcap != 0) {
      s = shape.softcap * std::tanh(s / shape.softcap);
    }
    if (what == Scores::kMasked || what == Scores::kWeights) {
      const bool seen =
          j < a.keys && (!a.allowed || a.allowed[mask_at + j]) &&
          (!shape.causal ||
           static_cast<int64_t>(j) <= a.first + static_cast<int64_t>(t));
      s = seen ? s + (a.bias ? a.bias[mask_at + j] : 0.0f) : -INFINITY;
    }
    out[j] = s;
    most = std::max(most, s);
  }
  if (what != Scores::kWeights) return;
  double sum = 0;
  for (size_t j = 0; j < keys; ++j) {
    out[j] = most == -INFINITY ? 0.0f : std::exp(out[j] - most);
    sum += static_cast<double>(out[j]);
  }
  for (size_t j = 0; j < keys && sum != 0; ++j) {
    out[j] = static_cast<float>(static_cast<double>(out[j]) / sum);
  }
}

struct Work {
  AttentionSequence* list;
};

Work PlanWork(const OpContext& c, Sizes& s, Carver& carver) {
  Work w{.list = carver.Take<AttentionSequence>(s.q.batch)};
  s.k.Place(c, kPresentKey, carver);
  s.v.Place(c, kPresentValue, carver);
  return w;
}

Status InferAttention(OpContext& c) {
  const auto& p = c.Params<AttentionParams>();
  SLM_ASSIGN_OR_RETURN(Sizes s, SizesOf(c, p));
  const auto dim = [](size_t n) { return static_cast<int64_t>(n); };
  const int64_t batch = dim(s.q.batch), keys = dim(s.keys);
  const int64_t width = dim(s.v.fresh.width), kv = dim(s.k.fresh.heads);
  Shape y{batch, dim(s.q.rows), dim(s.q.heads) * width};
  if (c.In(kQ).shape.rank() == 4) {
    y = Shape{batch, dim(s.q.heads), dim(s.q.rows), width};
  }
  const Shape shapes[] = {y,
                          {batch, kv, keys, dim(s.q.width)},
                          {batch, kv, keys, width},
                          {batch, dim(s.q.heads), dim(s.q.rows), keys}};
  for (size_t i = 0; i < c.outputs.size(); ++i) {
    c.SetOutput(i, DType::kF32, shapes[i]);
  }
  Carver carver(nullptr);
  PlanWork(c, s, carver);
  std::vector<AttentionSequence> list(s.q.batch);
  FillSequences(c, s, list);
  CarveAndAttend(c, ShapeOf(p, s), list, carver);
  c.scratch_bytes = carver.used();
  return OkStatus();
}

void RunAttention(OpContext& c) {
  const auto& p = c.Params<AttentionParams>();
  Sizes s = *SizesOf(c, p);
  Carver carver(c.scratch);
  const Work w = PlanWork(c, s, carver);
  s.k.Fill(c);
  s.v.Fill(c);
  const std::span<AttentionSequence> list(w.list, s.q.batch);
  FillSequences(c, s, list);
  const AttentionShape shape = ShapeOf(p, s);
  CarveAndAttend(c, shape, list, carver);
  if (!c.Wants(kScores)) return;
  float* scores = c.Out(kScores).Mutable<float>();
  for (size_t row = 0; row < s.q.batch * s.q.heads * s.q.rows; ++row) {
    const size_t t = row % s.q.rows, bh = row / s.q.rows;
    ScoreRow(shape, p.scores, list[bh / s.q.heads], bh % s.q.heads, t, s.keys,
             scores + row * s.keys);
  }
}

}  // namespace

const OpDef kAttention = {"",           "Attention",    23,
                          kLatestOpset, ParseAttention, InferAttention,
                          RunAttention, kNoTraits,      0};

std::span<const OpDef> AttentionOps() {
  static const OpDef kOps[] = {kAttention, kGroupQueryAttention,
                               kMultiHeadAttention, kBoundGroupQueryAttention};
  return kOps;
}

}  // namespace slm
