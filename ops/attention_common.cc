// SPDX-License-Identifier: MIT
#include "ops/attention_common.h"

#include <cmath>

namespace slm {

void GroupQueryParams::Read(AttributeReader& a) {
  constexpr int64_t kMostHeads = 1 << 16;
  heads = a.RequiredInt("num_heads");
  kv_heads = a.RequiredInt("kv_num_heads");
  a.FailUnless(
      kv_heads >= 1 && heads >= kv_heads && heads <= kMostHeads &&
          heads % std::max<int64_t>(kv_heads, 1) == 0,
      Format("num_heads = %lld is no multiple of kv_num_heads = %lld",
             static_cast<long long>(heads), static_cast<long long>(kv_heads)));
  scale = a.Float("scale", 0);
  a.FailUnless(std::isfinite(scale), "attribute \"scale\" is not finite");
  softcap = a.Float("softcap", 0);
  a.FailUnless(
      softcap >= 0 && std::isfinite(softcap),
      Format("softcap = %g is negative", static_cast<double>(softcap)));
  const int64_t size = a.Int("local_window_size", -1);
  a.FailUnless(size == -1 || size > 0,
               Format("local_window_size = %lld, supported: -1 or positive",
                      static_cast<long long>(size)));
  window = size > 0 ? size : 0;
  rotary = a.Int("do_rotary", 0) != 0;
  interleaved = a.Int("rotary_interleaved", 0) != 0;
  // -1 is the schema's "not set".
  smooth = a.Int("smooth_softmax", 0) > 0;
  norm_epsilon = a.Float("qk_norm_epsilon", 1e-6f);
}

AttentionShape GroupQueryParams::Shape(int64_t head_size) const {
  const size_t e = static_cast<size_t>(head_size);
  return {.heads = static_cast<size_t>(heads),
          .kv_heads = static_cast<size_t>(kv_heads),
          .head_size = e,
          .value_size = e,
          .scale = scale != 0 ? scale
                              : 1.0f / std::sqrt(static_cast<float>(head_size)),
          .softcap = softcap,
          .causal = causal,
          .window = static_cast<size_t>(window),
          .smooth = smooth};
}

Status CheckFloat(const OpContext& c, size_t input) {
  if (c.In(input).dtype == DType::kF32) return OkStatus();
  return Invalid("input %zu has type %s, expected float", input,
                 Name(c.In(input).dtype));
}

Status CheckVector(const OpContext& c, size_t input, int64_t size) {
  if (!c.HasInput(input)) return OkStatus();
  SLM_RETURN_IF_ERROR(CheckFloat(c, input));
  if (c.In(input).shape == Shape{size}) return OkStatus();
  return Invalid("input %zu has shape %s, expected [%lld]", input,
                 c.In(input).shape.ToString().c_str(),
                 static_cast<long long>(size));
}

Result<GroupQuerySizes> GroupQuerySizes::Of(const OpContext& c,
                                            const GroupQueryParams& p) {
  GroupQuerySizes sizes;
  SLM_RETURN_IF_ERROR(CheckFloat(c, 0));
  const Shape& q = c.In(0).shape;
  sizes.packed = !c.HasInput(1);
  if (sizes.packed == c.HasInput(2)) {
    return Invalid("of key and value one is missing");
  }
  const int64_t rows = p.heads + (sizes.packed ? 2 * p.kv_heads : 0);
  if (q.rank() != 3 || q[2] == 0 || q[2] % rows != 0) {
    return Invalid("query has shape %s, expected [B, T, %lld heads * E]",
                   q.ToString().c_str(), static_cast<long long>(rows));
  }
  sizes.batch = q[0];
  sizes.tokens = q[1];
  sizes.head_size = q[2] / rows;
  const Shape expected{q[0], q[1], p.kv_heads * sizes.head_size};
  for (size_t i = 1; i <= 2 && !sizes.packed; ++i) {
    SLM_RETURN_IF_ERROR(CheckFloat(c, i));
    if (c.In(i).shape == expected) continue;
    return Invalid("%s has shape %s, expected %s", i == 1 ? "key" : "value",
                   c.In(i).shape.ToString().c_str(),
                   expected.ToString().c_str());
  }
  return sizes;
}

HeadRows<const float> GroupQueryRows(const OpContext& c,
                                     const GroupQueryParams& p,
                                     const GroupQuerySizes& sizes, size_t which,
                                     size_t b) {
  const size_t e = static_cast<size_t>(sizes.head_size);
  const size_t tokens = static_cast<size_t>(sizes.tokens);
  const size_t h = static_cast<size_t>(p.heads);
  const size_t k = static_cast<size_t>(p.kv_heads);
  const TensorView& from = c.In(sizes.packed ? 0 : which);
  const size_t stride = static_cast<size_t>(from.shape[2]);
  const float* data = from.As<float>();
  if (!data) return {nullptr, stride, e};
  if (sizes.packed) data += (which == 0 ? 0 : which == 1 ? h : h + k) * e;
  return {data + b * tokens * stride, stride, e};
}

Result<RopeCache> RopeCache::Of(const OpContext& c, size_t cos, size_t sin,
                                int64_t head_size) {
  if (!c.HasInput(cos) || !c.HasInput(sin)) {
    return Invalid("do_rotary = 1 without inputs %zu and %zu (cos and sin)",
                   cos, sin);
  }
  SLM_RETURN_IF_ERROR(CheckFloat(c, cos));
  SLM_RETURN_IF_ERROR(CheckFloat(c, sin));
  const Shape& shape = c.In(cos).shape;
  if (shape.rank() != 2 || !(shape == c.In(sin).shape) || shape[1] < 1 ||
      shape[1] > head_size / 2) {
    return Invalid(
        "cos and sin caches have shapes %s and %s; head size is %lld",
        shape.ToString().c_str(), c.In(sin).shape.ToString().c_str(),
        static_cast<long long>(head_size));
  }
  return RopeCache{.cos = c.In(cos).As<float>(),
                   .sin = c.In(sin).As<float>(),
                   .positions = shape[0],
                   .rotary = static_cast<size_t>(2 * shape[1])};
}

Result<MaskStrides> MaskStrides::Of(const OpContext& c, size_t input,
                                    int64_t batch, int64_t heads,
                                    int64_t tokens, int64_t keys) {
  const Shape& given = c.In(input).shape;
  if (given.rank() < 1 || given.rank() > 4) {
    return Invalid("mask has shape %s, expected up to four dimensions",
                   given.ToString().c_str());
  }
  int64_t dims[4] = {1, 1, 1, 1};
  for (size_t i = 0; i < given.rank(); ++i) {
    dims[4 - given.rank() + i] = given[i];
  }
  const auto fits = [](int64_t dim, int64_t size) {
    return dim == 1 || dim == size;
  };
  if (!fits(dims[0], batch) || !fits(dims[1], heads) ||
      !fits(dims[2], tokens) || dims[3] != keys) {
    return Invalid("mask has shape %s, expected to broadcast to %s",
                   given.ToString().c_str(),
                   slm::Shape{batch, heads, tokens, keys}.ToString().c_str());
  }
  const size_t rows = static_cast<size_t>(dims[2] * dims[3]);
  MaskStrides strides;
  if (dims[2] != 1) strides.token = static_cast<size_t>(dims[3]);
  if (dims[1] != 1) strides.head = rows;
  if (dims[0] != 1) strides.batch = rows * static_cast<size_t>(dims[1]);
  return strides;
}

size_t ThreadsOf(const OpContext& c) { return c.pool ? c.pool->size() : 1; }

void CarveAndAttend(const OpContext& c, const AttentionShape& shape,
                    std::span<const AttentionSequence> sequences,
                    Carver& carver, const AttentionRowMaker* maker) {
  const size_t bytes = AttentionScratchBytes(shape, sequences, ThreadsOf(c));
  uint8_t* scratch = carver.Take<uint8_t>(bytes);
  if (!scratch) return;
  if (c.pool) {
    Attention(shape, sequences, *c.pool, scratch, maker);
  } else {
    ThreadPool alone(1);
    Attention(shape, sequences, alone, scratch, maker);
  }
}

}  // namespace slm
