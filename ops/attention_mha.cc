// SPDX-License-Identifier: MIT
// com.microsoft::MultiHeadAttention on plain tensors:
//   q, k, v += bias;  present = past rows, then new ones;
//   scores += mask_filter_value where key_padding_mask is 0, += attention_bias
#include <cmath>

#include "ops/attention_dense.h"
#include "ops/attention_tables.h"

namespace slm {
namespace {

enum Input : size_t {
  kQuery,
  kKey,
  kValue,
  kProjectionBias,
  kPadding,
  kBias,
  kPastKey,
  kPastValue
};

struct MhaParams {
  int64_t heads;
  float scale;
  float filter;  // mask_filter_value
  bool causal;
};

Result<OpParams> ParseMha(AttributeReader& a) {
  MhaParams p;
  // Inputs 8 and 9 (shared buffer, beam indices) and output 3 (scores) belong
  // to decoders that onnxruntime's own beam search drives.
  a.CheckArity(3, 8, 3);
  p.heads = a.RequiredInt("num_heads");
  a.FailUnless(p.heads >= 1 && p.heads <= (1 << 16),
               Format("num_heads = %lld", static_cast<long long>(p.heads)));
  p.scale = a.Float("scale", 0);
  p.filter = a.Float("mask_filter_value", -10000.0f);
  p.causal = a.Int("unidirectional", 0) != 0;
  a.FailUnless(a.HasInput(kPastKey) == a.HasInput(kPastValue),
               "of past_key and past_value one is missing");
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

struct Sizes {
  DenseRows q;
  DenseCache k, v;
  size_t keys = 0;  // S
};

Status CheckSizes(const OpContext& c, const MhaParams& p, const Sizes& s) {
  const DenseRows &q = s.q, &k = s.k.fresh, &v = s.v.fresh;
  if (c.In(kQuery).shape.rank() != 3 || k.batch != q.batch ||
      v.batch != q.batch || k.width != q.width || k.rows != v.rows ||
      s.k.past.rows != s.v.past.rows) {
    return Invalid("query, key and value have shapes %s, %s and %s",
                   c.In(kQuery).shape.ToString().c_str(),
                   c.In(kKey).shape.ToString().c_str(),
                   c.In(kValue).shape.ToString().c_str());
  }
  if (p.causal && k.rows != q.rows) {
    return Invalid("unidirectional = 1 with %zu queries and %zu keys", q.rows,
                   k.rows);
  }
  if (!c.HasInput(kProjectionBias)) return OkStatus();
  if (c.In(kKey).shape.rank() != 3 || c.In(kValue).shape.rank() != 3) {
    return Invalid("bias with keys in the layout of a cache");
  }
  const size_t size = q.heads * (2 * q.width + v.width);
  return CheckVector(c, kProjectionBias, static_cast<int64_t>(size));
}

Result<Sizes> SizesOf(const OpContext& c, const MhaParams& p) {
  Sizes s;
  SLM_ASSIGN_OR_RETURN(s.q, DenseRows::Of(c, kQuery, p.heads));
  SLM_ASSIGN_OR_RETURN(s.k.fresh, DenseRows::Of(c, kKey, p.heads));
  SLM_ASSIGN_OR_RETURN(s.v.fresh, DenseRows::Of(c, kValue, p.heads));
  SLM_RETURN_IF_ERROR(ReadPast(c, kPastKey, s.k));
  SLM_RETURN_IF_ERROR(ReadPast(c, kPastValue, s.v));
  SLM_RETURN_IF_ERROR(CheckSizes(c, p, s));
  s.keys = s.k.rows();
  if (c.HasInput(kProjectionBias) && c.HasValue(kProjectionBias)) {
    const float* bias = c.In(kProjectionBias).As<float>();
    s.k.bias = bias + s.q.heads * s.q.width;
    s.v.bias = s.k.bias + s.q.heads * s.q.width;
  }
  return s;
}

// key_padding_mask: int32 [B] (numbers of keys), [B, S] or [B, T, S] of 0 / 1.
Status CheckPadding(const OpContext& c, const Sizes& s) {
  const TensorView& mask = c.In(kPadding);
  const int64_t b = static_cast<int64_t>(s.q.batch);
  const int64_t t = static_cast<int64_t>(s.q.rows);
  const int64_t n = static_cast<int64_t>(s.keys);
  if (mask.dtype == DType::kI32 &&
      (mask.shape == Shape{b} || mask.shape == Shape{b, n} ||
       mask.shape == Shape{b, t, n})) {
    return OkStatus();
  }
  return Invalid(
      "key_padding_mask is %s %s, supported: int32 [%lld], [%lld, %lld], "
      "[%lld, %lld, %lld]",
      Name(mask.dtype), mask.shape.ToString().c_str(),
      static_cast<long long>(b), static_cast<long long>(b),
      static_cast<long long>(n), static_cast<long long>(b),
      static_cast<long long>(t), static_cast<long long>(n));
}

// attention_bias and key_padding_mask as one bias with strides.
struct Bias {
  const float* data = nullptr;
  MaskStrides strides;
  float* made = nullptr;  // [B, heads, T, S] where a padding mask is added
  size_t heads = 1;
};

Bias PlanBias(const OpContext& c, const Sizes& s, Carver& carver) {
  Bias bias;
  if (c.HasInput(kBias)) {
    bias.data = c.In(kBias).As<float>();
    bias.strides = *MaskStrides::Of(  // infer has checked it
        c, kBias, static_cast<int64_t>(s.q.batch),
        static_cast<int64_t>(s.q.heads), static_cast<int64_t>(s.q.rows),
        static_cast<int64_t>(s.keys));
  }
  if (!c.HasInput(kPadding)) return bias;
  if (bias.strides.head != 0) bias.heads = s.q.heads;
  bias.made = carver.Take<float>(s.q.batch * bias.heads * s.q.rows * s.keys);
  return bias;
}

void MakeBias(const OpContext& c, const MhaParams& p, const Sizes& s,
              Bias& bias) {
  const TensorView& mask = c.In(kPadding);
  const int32_t* padding = mask.As<int32_t>();
  float* to = bias.made;
  for (size_t b = 0; b < s.q.batch; ++b) {
    for (size_t h = 0; h < bias.heads; ++h) {
      for (size_t t = 0; t < s.q.rows; ++t) {
        const float* add = bias.data ? bias.data + b * bias.strides.batch +
                                           h * bias.strides.head +
                                           t * bias.strides.token
                                     : nullptr;
        for (size_t j = 0; j < s.keys; ++j) {
          const bool seen = mask.shape.rank() == 1
                                ? static_cast<int64_t>(j) < padding[b]
                            : mask.shape.rank() == 2
                                ? padding[b * s.keys + j] != 0
                                : padding[(b * s.q.rows + t) * s.keys + j] != 0;
          *to++ = (seen ? 0.0f : p.filter) + (add ? add[j] : 0.0f);
        }
      }
    }
  }
  bias.data = bias.made;
  bias.strides.token = s.keys;
  bias.strides.head = bias.heads == 1 ? 0 : s.q.rows * s.keys;
  bias.strides.batch = bias.heads * s.q.rows * s.keys;
}

AttentionShape ShapeOf(const MhaParams& p, const Sizes& s) {
  return {.heads = s.q.heads,
          .kv_heads = s.q.heads,
          .head_size = s.q.width,
          .value_size = s.v.fresh.width,
          .scale = p.scale != 0
                       ? p.scale
                       : 1.0f / std::sqrt(static_cast<float>(s.q.width)),
          .causal = p.causal};
}

// Fills the list with sizes in infer (no memory) and with all of it in run.
void FillSequences(const OpContext& c, const Sizes& s, const DenseRows& q,
                   const Bias& bias, std::span<AttentionSequence> list) {
  const size_t width = s.q.heads * s.v.fresh.width;
  for (size_t b = 0; b < list.size(); ++b) {
    AttentionSequence& a = list[b];
    a = AttentionSequence();
    a.q = q.data ? q.data + b * q.batch_stride : nullptr;
    a.q_token_stride = q.row_stride;
    a.q_head_stride = q.head_stride;
    float* out = static_cast<float*>(c.Out(0).data);
    a.out = out ? out + b * q.rows * width : nullptr;
    a.out_token_stride = width;
    a.out_head_stride = s.v.fresh.width;
    a.count = q.rows;
    a.first = static_cast<int64_t>(s.k.past.rows);
    a.keys = s.keys;
    a.k = s.k.Entry(b, s.k.IsMade(c, 1));
    a.v = s.v.Entry(b, s.v.IsMade(c, 2));
    a.bias = bias.data ? bias.data + b * bias.strides.batch : nullptr;
    a.mask_head_stride = bias.strides.head;
    a.mask_token_stride = bias.strides.token;
  }
}

struct Work {
  AttentionSequence* list;
  float* q = nullptr;  // [B, H, T, E] with the bias
  Bias bias;
};

Work PlanWork(const OpContext& c, Sizes& s, Carver& carver) {
  Work w;
  w.list = carver.Take<AttentionSequence>(s.q.batch);
  if (c.HasInput(kProjectionBias)) w.q = carver.Take<float>(s.q.Count());
  s.k.Place(c, 1, carver);
  s.v.Place(c, 2, carver);
  w.bias = PlanBias(c, s, carver);
  return w;
}

Status InferMha(OpContext& c) {
  const auto& p = c.Params<MhaParams>();
  SLM_ASSIGN_OR_RETURN(Sizes s, SizesOf(c, p));
  const int64_t batch = static_cast<int64_t>(s.q.batch);
  const int64_t tokens = static_cast<int64_t>(s.q.rows);
  const int64_t keys = static_cast<int64_t>(s.keys);
  if (c.HasInput(kPadding)) SLM_RETURN_IF_ERROR(CheckPadding(c, s));
  if (c.HasInput(kBias)) {
    SLM_RETURN_IF_ERROR(CheckFloat(c, kBias));
    SLM_RETURN_IF_ERROR(
        MaskStrides::Of(c, kBias, batch, p.heads, tokens, keys).status());
  }
  const int64_t width = static_cast<int64_t>(s.v.fresh.width);
  c.SetOutput(0, DType::kF32, {batch, tokens, p.heads * width});
  if (c.outputs.size() > 1) {
    c.SetOutput(1, DType::kF32,
                {batch, p.heads, keys, static_cast<int64_t>(s.q.width)});
  }
  if (c.outputs.size() > 2) {
    c.SetOutput(2, DType::kF32, {batch, p.heads, keys, width});
  }
  Carver carver(nullptr);
  const Work w = PlanWork(c, s, carver);
  std::vector<AttentionSequence> list(s.q.batch);
  FillSequences(c, s, s.q, w.bias, list);
  CarveAndAttend(c, ShapeOf(p, s), list, carver);
  c.scratch_bytes = carver.used();
  return OkStatus();
}

void RunMha(OpContext& c) {
  const auto& p = c.Params<MhaParams>();
  Sizes s = *SizesOf(c, p);
  Carver carver(c.scratch);
  Work w = PlanWork(c, s, carver);
  DenseRows q = s.q;
  if (w.q) {
    CopyRows(c, q, c.In(kProjectionBias).As<float>(), w.q, q.rows, 0);
    q = DenseRows::Whole(w.q, q.batch, q.heads, q.rows, q.width);
  }
  s.k.Fill(c);
  s.v.Fill(c);
  if (w.bias.made) MakeBias(c, p, s, w.bias);
  const std::span<AttentionSequence> list(w.list, s.q.batch);
  FillSequences(c, s, q, w.bias, list);
  CarveAndAttend(c, ShapeOf(p, s), list, carver);
}

}  // namespace

const OpDef kMultiHeadAttention = {"com.microsoft",
                                   "MultiHeadAttention",
                                   1,
                                   kLatestOpset,
                                   ParseMha,
                                   InferMha,
                                   RunMha,
                                   kNoTraits,
                                   0};

}  // namespace slm
