// SPDX-License-Identifier: MIT
// com.microsoft::GroupQueryAttention on plain tensors, as onnxruntime's CPU
// kernel has it. Keys and values of entry b:
//   present = past rows [0, past_b), then the T new ones, then zeros
//   past_b = 0 for a prompt (T == total_sequence_length),
//            else seqlens_k[b] + 1 - T
// A quantised cache (int8, or int4 + 8 in nibbles, low one first) is read back
// before use: attention sees the rounded values of new tokens, too.
#include <cmath>
#include <cstring>

#include "ops/attention_common.h"
#include "ops/attention_tables.h"

namespace slm {
namespace {

enum Input : size_t {
  kQuery,
  kKey,
  kValue,
  kPastKey,
  kPastValue,
  kSeqlens,
  kTotal,
  kCos,
  kSin,
  kPositions,
  kBias,
  kSink,
  kKeyScale,
  kValueScale,
  kQNorm,
  kKNorm
};

enum class QuantType { kNone, kTensor, kChannel };

struct GqaParams : GroupQueryParams {
  QuantType quant[2];  // of keys and of values
  int64_t cache_bits = 0;
};

QuantType ReadQuantType(AttributeReader& a, const char* name) {
  const std::string text = a.String(name, "NONE");
  if (text == "PER_TENSOR") return QuantType::kTensor;
  if (text == "PER_CHANNEL") return QuantType::kChannel;
  a.FailUnless(text == "NONE",
               Format("%s = \"%s\", supported: NONE, PER_TENSOR, PER_CHANNEL",
                      name, Printable(text).c_str()));
  return QuantType::kNone;
}

Result<OpParams> ParseGqa(AttributeReader& a) {
  GqaParams p;
  a.CheckArity(1, 16, 3);
  // Keys and values are left out of packed queries.
  for (size_t i : {kSeqlens, kTotal}) {
    a.FailUnless(a.HasInput(i), Format("input %zu is missing", i));
  }
  p.Read(a);
  const int64_t causal = a.Int("causal", 1);
  p.causal = causal != 0;
  a.FailUnless(p.causal || p.window == 0,
               "local_window_size with causal = 0 is not supported");
  a.OnlyInt("qk_output", 0);
  a.Ignore("sliding_window_cache",
           "no past row is evicted here: those beyond the window are masked");
  p.quant[0] = ReadQuantType(a, "k_quant_type");
  p.quant[1] = ReadQuantType(a, "v_quant_type");
  p.cache_bits = a.Int("kv_cache_bit_width", 0);
  const bool quantised = p.quant[0] != QuantType::kNone;
  a.FailUnless(quantised == (p.quant[1] != QuantType::kNone),
               "of k_quant_type and v_quant_type one is NONE");
  a.FailUnless(!quantised || p.cache_bits == 4 || p.cache_bits == 8,
               Format("kv_cache_bit_width = %lld, supported: 4, 8",
                      static_cast<long long>(p.cache_bits)));
  a.FailUnless(a.HasInput(kPastKey) == a.HasInput(kPastValue),
               "of past_key and past_value one is missing");
  a.FailUnless(a.HasInput(kQNorm) == a.HasInput(kKNorm),
               "of q_norm_weight and k_norm_weight one is missing");
  SLM_RETURN_IF_ERROR(a.Finish());
  if (!quantised) p.cache_bits = 32;
  return MakeParams(p);
}

int64_t IntAt(const TensorView& t, size_t i) {
  return t.dtype == DType::kI64 ? t.As<int64_t>()[i] : t.As<int32_t>()[i];
}

struct CacheSizes {
  int64_t past = 0;   // rows of the past tensors
  int64_t total = 0;  // total_sequence_length
  int64_t rows = 0;   // of the present tensors
  DType dtype = DType::kF32;
  int64_t width = 0;  // elements of dtype in a row
};

// Sizes as the inputs have them; infer has checked them before run.
CacheSizes CacheSizesOf(const OpContext& c, const GqaParams& p,
                        const GroupQuerySizes& sizes) {
  CacheSizes s;
  s.dtype = p.cache_bits == 32  ? DType::kF32
            : p.cache_bits == 8 ? DType::kI8
                                : DType::kU8;
  s.width = p.cache_bits == 4 ? (sizes.head_size + 1) / 2 : sizes.head_size;
  s.past = c.HasInput(kPastKey) ? c.In(kPastKey).shape[2] : 0;
  s.total = IntAt(c.In(kTotal), 0);
  s.rows = std::max(s.past, s.total);
  return s;
}

Status CheckInts(const OpContext& c, size_t input, const char* name,
                 int64_t count) {
  const TensorView& t = c.In(input);
  if ((t.dtype != DType::kI32 && t.dtype != DType::kI64) ||
      t.Count() != static_cast<size_t>(count)) {
    return Invalid("%s is %s %s, expected %lld integers", name, Name(t.dtype),
                   t.shape.ToString().c_str(), static_cast<long long>(count));
  }
  return t.data || count == 0 ? OkStatus() : OpContext::NeedsValue(input);
}

Status CheckCache(const OpContext& c, const GqaParams& p,
                  const GroupQuerySizes& sizes) {
  SLM_RETURN_IF_ERROR(CheckInts(c, kTotal, "total_sequence_length", 1));
  for (size_t i : {kPastKey, kPastValue}) {
    if (c.HasInput(i) && c.In(i).shape.rank() != 4) {
      return Invalid("input %zu has shape %s, expected [B, K, S, E]", i,
                     c.In(i).shape.ToString().c_str());
    }
  }
  const CacheSizes s = CacheSizesOf(c, p, sizes);
  const Shape expected{sizes.batch, p.kv_heads, s.past, s.width};
  for (size_t i : {kPastKey, kPastValue}) {
    if (!c.HasInput(i)) continue;
    const TensorView& past = c.In(i);
    if (past.shape == expected && past.dtype == s.dtype) continue;
    return Invalid("input %zu is %s %s, expected %s %s", i, Name(past.dtype),
                   past.shape.ToString().c_str(), Name(s.dtype),
                   expected.ToString().c_str());
  }
  if (s.total < sizes.tokens || s.total > s.past + sizes.tokens) {
    return Invalid(
        "total_sequence_length = %lld, but %lld past and %lld new rows",
        static_cast<long long>(s.total), static_cast<long long>(s.past),
        static_cast<long long>(sizes.tokens));
  }
  return OkStatus();
}

// Rows of the past that entry b keeps.
int64_t PastOf(const OpContext& c, const GroupQuerySizes& sizes,
               const CacheSizes& cache, size_t b) {
  if (sizes.tokens == cache.total) return 0;
  return IntAt(c.In(kSeqlens), b) + 1 - sizes.tokens;
}

Status CheckSeqlens(const OpContext& c, const GroupQuerySizes& sizes,
                    const CacheSizes& cache) {
  SLM_RETURN_IF_ERROR(CheckInts(c, kSeqlens, "seqlens_k", sizes.batch));
  const int64_t least = sizes.tokens == cache.total ? 0 : sizes.tokens - 1;
  for (size_t b = 0; b < static_cast<size_t>(sizes.batch); ++b) {
    const int64_t length = IntAt(c.In(kSeqlens), b);
    if (length < least || length >= cache.total) {
      return Invalid("seqlens_k = %lld is outside of %lld to %lld",
                     static_cast<long long>(length),
                     static_cast<long long>(least),
                     static_cast<long long>(cache.total - 1));
    }
  }
  return OkStatus();
}

// First position of entry b, and the list of all where the ids are taken as
// they are. onnxruntime takes the first id of a prompt and counts on.
struct Positions {
  int64_t first = 0;
  const int64_t* ids = nullptr;
};
Positions PositionsOf(const OpContext& c, const GroupQuerySizes& sizes,
                      const CacheSizes& cache, size_t b) {
  if (!c.HasInput(kPositions)) return {PastOf(c, sizes, cache, b), nullptr};
  const int64_t* ids = c.In(kPositions).As<int64_t>();
  if (sizes.tokens == cache.total) return {ids[0], nullptr};
  return {0, ids + b * static_cast<size_t>(sizes.tokens)};
}

Status CheckRope(const OpContext& c, const GqaParams& p,
                 const GroupQuerySizes& sizes, const CacheSizes& cache) {
  if (!p.rotary) return OkStatus();
  SLM_ASSIGN_OR_RETURN(const RopeCache rope,
                       RopeCache::Of(c, kCos, kSin, sizes.head_size));
  if (c.HasInput(kPositions)) {
    const TensorView& ids = c.In(kPositions);
    if (ids.dtype != DType::kI64 ||
        !(ids.shape == Shape{sizes.batch, sizes.tokens})) {
      return Invalid("position_ids is %s %s, expected int64 [%lld, %lld]",
                     Name(ids.dtype), ids.shape.ToString().c_str(),
                     static_cast<long long>(sizes.batch),
                     static_cast<long long>(sizes.tokens));
    }
    if (!ids.data) return OpContext::NeedsValue(kPositions);
  }
  for (int64_t b = 0; b < sizes.batch && sizes.tokens > 0; ++b) {
    const Positions at = PositionsOf(c, sizes, cache, static_cast<size_t>(b));
    for (int64_t t = 0; t < sizes.tokens; ++t) {
      const int64_t position = at.ids ? at.ids[t] : at.first + t;
      if (position >= 0 && position < rope.positions) continue;
      return Error(ErrorKind::kOverflow,
                   "position %lld is beyond the rope cache of %lld positions",
                   static_cast<long long>(position),
                   static_cast<long long>(rope.positions));
    }
  }
  return OkStatus();
}

Status CheckScales(const OpContext& c, const GqaParams& p, int64_t head_size) {
  for (size_t side = 0; side < 2; ++side) {
    if (p.quant[side] == QuantType::kNone) continue;
    const size_t input = kKeyScale + side;
    const size_t size = p.quant[side] == QuantType::kTensor
                            ? 1
                            : static_cast<size_t>(p.kv_heads * head_size);
    if (!c.HasInput(input))
      return Invalid("input %zu (scales) is missing", input);
    SLM_RETURN_IF_ERROR(CheckFloat(c, input));
    if (c.In(input).Count() == size) continue;
    return Invalid("input %zu (scales) has shape %s, expected %zu values",
                   input, c.In(input).shape.ToString().c_str(), size);
  }
  return OkStatus();
}

// Memory of run; the same function counts it for infer.
struct Work {
  GroupQuerySizes sizes;
  CacheSizes cache;
  AttentionShape shape;
  size_t tokens, rows, row_bytes;
  float* q = nullptr;        // [B, T, H, E] where queries are changed
  float* k = nullptr;        // [B, T, K, E]
  uint8_t* present[2] = {};  // [B, K, rows, width]
  float* read[2] = {};       // [B, K, rows, E]: floats of the above
  std::span<AttentionSequence> sequences;
};

Work PlanWork(const OpContext& c, const GqaParams& p,
              const GroupQuerySizes& sizes, const CacheSizes& cache,
              std::span<AttentionSequence> list, Carver& carver) {
  Work w{.sizes = sizes,
         .cache = cache,
         .shape = p.Shape(sizes.head_size),
         .tokens = static_cast<size_t>(sizes.tokens),
         .rows = static_cast<size_t>(cache.rows),
         .row_bytes = BytesFor(cache.dtype, static_cast<size_t>(cache.width)),
         .sequences = list};
  const size_t batch = static_cast<size_t>(sizes.batch);
  const size_t e = w.shape.head_size, kv = w.shape.kv_heads;
  if (p.rotary || c.HasInput(kQNorm)) {
    w.q = carver.Take<float>(batch * w.tokens * w.shape.heads * e);
    w.k = carver.Take<float>(batch * w.tokens * kv * e);
  }
  for (size_t side = 0; side < 2; ++side) {
    const size_t heads_rows = batch * kv * w.rows;
    w.present[side] = c.Wants(1 + side)
                          ? static_cast<uint8_t*>(c.Out(1 + side).data)
                          : carver.Take<uint8_t>(heads_rows * w.row_bytes);
    w.read[side] = cache.dtype == DType::kF32
                       ? reinterpret_cast<float*>(w.present[side])
                       : carver.Take<float>(heads_rows * e);
  }
  if (c.HasInput(kSink)) w.shape.sink = c.In(kSink).As<float>();
  if (w.shape.sink) w.shape.smooth = false;  // a sink takes its place
  return w;
}

void FillSequences(const OpContext& c, const GqaParams& p, Work& w) {
  const size_t e = w.shape.head_size, heads = w.shape.heads;
  for (size_t b = 0; b < w.sequences.size(); ++b) {
    AttentionSequence& s = w.sequences[b];
    s = AttentionSequence();
    const auto q = GroupQueryRows(c, p, w.sizes, 0, b);
    s.q = w.q ? w.q + b * w.tokens * heads * e : q.data;
    s.q_token_stride = w.q ? heads * e : q.token_stride;
    s.q_head_stride = e;
    s.out_token_stride = heads * e;
    s.out_head_stride = e;
    if (c.Out(0).data) {
      s.out = c.Out(0).Mutable<float>() + b * w.tokens * heads * e;
    }
    s.count = w.tokens;
    s.first = PastOf(c, w.sizes, w.cache, b);
    s.keys = p.causal ? static_cast<size_t>(s.first) + w.tokens
                      : static_cast<size_t>(IntAt(c.In(kSeqlens), b) + 1);
    const size_t entry = b * w.shape.kv_heads * w.rows * e;
    if (w.read[0]) {
      s.k = PlainRows(w.read[0] + entry, e, w.rows * e);
      s.v = PlainRows(w.read[1] + entry, e, w.rows * e);
    }
    if (!c.HasInput(kBias)) continue;
    // infer has checked that the mask fits.
    const MaskStrides strides = *MaskStrides::Of(
        c, kBias, w.sizes.batch, p.heads, w.sizes.tokens, w.cache.total);
    s.bias = c.In(kBias).As<float>();
    if (s.bias) s.bias += b * strides.batch;
    s.mask_head_stride = strides.head;
    s.mask_token_stride = strides.token;
  }
}

Status InferGqa(OpContext& c) {
  const auto& p = c.Params<GqaParams>();
  SLM_ASSIGN_OR_RETURN(const GroupQuerySizes sizes, GroupQuerySizes::Of(c, p));
  SLM_RETURN_IF_ERROR(CheckCache(c, p, sizes));
  const CacheSizes cache = CacheSizesOf(c, p, sizes);
  SLM_RETURN_IF_ERROR(CheckSeqlens(c, sizes, cache));
  SLM_RETURN_IF_ERROR(CheckRope(c, p, sizes, cache));
  SLM_RETURN_IF_ERROR(CheckScales(c, p, sizes.head_size));
  SLM_RETURN_IF_ERROR(CheckVector(c, kSink, p.heads));
  SLM_RETURN_IF_ERROR(CheckVector(c, kQNorm, sizes.head_size));
  SLM_RETURN_IF_ERROR(CheckVector(c, kKNorm, sizes.head_size));
  if (c.HasInput(kBias)) {
    SLM_RETURN_IF_ERROR(CheckFloat(c, kBias));
    SLM_RETURN_IF_ERROR(MaskStrides::Of(c, kBias, sizes.batch, p.heads,
                                        sizes.tokens, cache.total)
                            .status());
  }
  c.SetOutput(0, DType::kF32,
              {sizes.batch, sizes.tokens, p.heads * sizes.head_size});
  for (size_t i = 1; i < c.outputs.size(); ++i) {
    c.SetOutput(i, cache.dtype,
                {sizes.batch, p.kv_heads, cache.rows, cache.width});
  }
  std::vector<AttentionSequence> list(static_cast<size_t>(sizes.batch));
  Carver carver(nullptr);
  carver.Take<AttentionSequence>(list.size());
  Work w = PlanWork(c, p, sizes, cache, list, carver);
  FillSequences(c, p, w);
  CarveAndAttend(c, w.shape, list, carver);
  c.scratch_bytes = carver.used();
  return OkStatus();
}

// Norm and rotary of entry b into w.q and w.k.
void TurnHeads(const OpContext& c, const GqaParams& p, const Work& w,
               size_t b) {
  const size_t e = w.shape.head_size;
  for (size_t which : {0, 1}) {
    const size_t heads = which == 0 ? w.shape.heads : w.shape.kv_heads;
    HeadRows<const float> from = GroupQueryRows(c, p, w.sizes, which, b);
    const HeadRows<float> to{
        (which == 0 ? w.q : w.k) + b * w.tokens * heads * e, heads * e, e};
    if (c.HasInput(kQNorm)) {
      HeadRmsNorm(heads, e, c.In(kQNorm + which).As<float>(), p.norm_epsilon,
                  w.tokens, from, to);
      from = {to.data, to.token_stride, e};
    }
    if (!p.rotary) continue;
    const RopeCache rope =
        *RopeCache::Of(c, kCos, kSin, static_cast<int64_t>(e));
    const Positions at = PositionsOf(c, w.sizes, w.cache, b);
    const RotaryShape turn{.heads = heads,
                           .head_size = e,
                           .rotary = rope.rotary,
                           .interleaved = p.interleaved};
    Rotary(turn, rope.cos, rope.sin, w.tokens, at.first, at.ids, from, to);
  }
}

// A row of floats to int8, or to nibbles of int4 + 8.
void Quantise(const float* x, size_t n, const float* scales, bool per_channel,
              int64_t bits, uint8_t* to) {
  const float most = bits == 8 ? 127.0f : 7.0f;
  for (size_t i = 0; i < n; ++i) {
    const float scale = scales[per_channel ? i : 0];
    float scaled = std::nearbyint(x[i] / scale);
    if (std::isnan(scaled)) scaled = 0;  // 0 / 0 too
    const int q = static_cast<int>(std::clamp(scaled, -most - 1, most));
    if (bits == 8) {
      to[i] = static_cast<uint8_t>(q);
    } else if (i % 2 == 0) {
      to[i / 2] = static_cast<uint8_t>(q + 8);
    } else {
      to[i / 2] = static_cast<uint8_t>(to[i / 2] | (q + 8) << 4);
    }
  }
}

void Dequantise(const uint8_t* from, size_t n, const float* scales,
                bool per_channel, int64_t bits, float* to) {
  for (size_t i = 0; i < n; ++i) {
    const int q = bits == 8 ? static_cast<int8_t>(from[i])
                            : (from[i / 2] >> i % 2 * 4 & 15) - 8;
    to[i] = static_cast<float>(q) * scales[per_channel ? i : 0];
  }
}

// present of kv head `head` of entry b: past, new, zeros.
void FillPresent(const OpContext& c, const GqaParams& p, const Work& w,
                 size_t side, size_t b, size_t head) {
  const size_t kv = w.shape.kv_heads, e = w.shape.head_size;
  const size_t past = static_cast<size_t>(PastOf(c, w.sizes, w.cache, b));
  HeadRows<const float> fresh = GroupQueryRows(c, p, w.sizes, 1 + side, b);
  if (side == 0 && w.k) fresh = {w.k + b * w.tokens * kv * e, kv * e, e};
  const size_t at = (b * kv + head) * w.rows;
  uint8_t* to = w.present[side] + at * w.row_bytes;
  if (past > 0) {
    const size_t past_rows = static_cast<size_t>(w.cache.past);
    std::memcpy(
        to,
        c.In(kPastKey + side).Raw() + (b * kv + head) * past_rows * w.row_bytes,
        past * w.row_bytes);
  }
  const bool per_channel = p.quant[side] == QuantType::kChannel;
  const float* scales = nullptr;
  if (p.cache_bits != 32) {
    scales = c.In(kKeyScale + side).As<float>() + (per_channel ? head * e : 0);
  }
  for (size_t t = 0; t < w.tokens; ++t) {
    uint8_t* row = to + (past + t) * w.row_bytes;
    if (p.cache_bits == 32) {
      std::memcpy(row, fresh.At(t, head), w.row_bytes);
    } else {
      Quantise(fresh.At(t, head), e, scales, per_channel, p.cache_bits, row);
    }
  }
  const size_t filled = past + w.tokens;
  std::memset(to + filled * w.row_bytes, 0, (w.rows - filled) * w.row_bytes);
  for (size_t j = 0; j < filled && scales; ++j) {
    Dequantise(to + j * w.row_bytes, e, scales, per_channel, p.cache_bits,
               w.read[side] + (at + j) * e);
  }
}

void RunGqa(OpContext& c) {
  const auto& p = c.Params<GqaParams>();
  const GroupQuerySizes sizes = *GroupQuerySizes::Of(c, p);
  const CacheSizes cache = CacheSizesOf(c, p, sizes);
  Carver carver(c.scratch);
  const size_t batch = static_cast<size_t>(sizes.batch);
  auto* list = carver.Take<AttentionSequence>(batch);
  Work w = PlanWork(c, p, sizes, cache, {list, batch}, carver);
  for (size_t b = 0; b < batch && w.q; ++b) TurnHeads(c, p, w, b);
  for (size_t b = 0; b < batch; ++b) {
    for (size_t head = 0; head < w.shape.kv_heads; ++head) {
      FillPresent(c, p, w, 0, b, head);
      FillPresent(c, p, w, 1, b, head);
    }
  }
  FillSequences(c, p, w);
  CarveAndAttend(c, w.shape, w.sequences, carver);
}

}  // namespace

const OpDef kGroupQueryAttention = {"com.microsoft",
                                    "GroupQueryAttention",
                                    1,
                                    kLatestOpset,
                                    ParseGqa,
                                    InferGqa,
                                    RunGqa,
                                    kNoTraits,
                                    0};

}  // namespace slm
