// SPDX-License-Identifier: MIT
// slm::GroupQueryAttention: what com.microsoft::GroupQueryAttention becomes
// when the plan binds it to sequence state. Rows of a ragged batch; keys and
// values go to the pages of their sequence.
//   q, k: RMS norm per head (optional), rotary (optional); k, v: stored;
//   out = attention over positions [0, first + count)
#include <algorithm>

#include "ops/attention_common.h"
#include "ops/attention_tables.h"

namespace slm {
namespace {

static_assert(KvFormat::kPageTokens == kKeyBlock);

enum Input : size_t {
  kQuery,
  kKey,
  kValue,
  kCos,
  kSin,
  kCosLong,
  kSinLong,
  kSink,
  kQNorm,
  kKNorm
};

struct BoundParams : GroupQueryParams {
  size_t layer_slot = 0;
  size_t rope_switch = 0;
  bool int16 = false;
};

Result<OpParams> ParseBound(AttributeReader& a) {
  BoundParams p;
  a.CheckArity(1, 10, 1);
  p.Read(a);
  const int64_t slot = a.RequiredInt("layer_slot");
  const int64_t above = a.Int("rope_switch", 0);
  p.int16 = a.Int("int16", 0) != 0;
  a.FailUnless(slot >= 0 && above >= 0,
               "layer_slot or rope_switch is negative");
  a.FailUnless(a.HasInput(kQNorm) == a.HasInput(kKNorm),
               "of the two norm weights one is missing");
  SLM_RETURN_IF_ERROR(a.Finish());
  p.layer_slot = static_cast<size_t>(slot);
  p.rope_switch = static_cast<size_t>(above);
  return MakeParams(p);
}

bool TakesLong(const BoundParams& p, const BatchSequence& s) {
  return p.rope_switch > 0 && s.rope_total > p.rope_switch;
}

Result<RopeCache> RopeOf(const OpContext& c, const BoundParams& p,
                         const BatchSequence& s, int64_t head_size) {
  const bool longer = TakesLong(p, s);
  return RopeCache::Of(c, longer ? kCosLong : kCos, longer ? kSinLong : kSin,
                       head_size);
}

KvRows PagedRows(const KvLayer& layer, bool values) {
  const KvFormat& f = layer.format;
  const size_t scales = f.kv_heads * kKeyBlock * sizeof(float);
  return {.dtype = f.dtype,
          .layout = PagedLayout(f.dtype, values),
          .pages = layer.pages.data(),
          .first_page = layer.first_page,
          .offset = values ? f.PlaneBytes() : 0,
          .head_stride = kKeyBlock * f.RowBytes(),
          .row_stride = f.RowBytes(),
          .scale_offset = 2 * f.PlaneBytes() + (values ? scales : 0)};
}

// The pages that a sequence needs: from the window of its first row on.
Status CheckPages(const BoundParams& p, const BatchSequence& s,
                  int64_t head_size) {
  if (p.layer_slot >= s.kv.size()) {
    return Invalid("layer slot %zu of %zu", p.layer_slot, s.kv.size());
  }
  const KvLayer& layer = s.kv[p.layer_slot];
  const KvFormat& f = layer.format;
  if (static_cast<int64_t>(f.kv_heads) != p.kv_heads ||
      static_cast<int64_t>(f.head_size) != head_size) {
    return Invalid(
        "key/value memory has %zu heads of %zu, the node %lld of %lld",
        f.kv_heads, f.head_size, static_cast<long long>(p.kv_heads),
        static_cast<long long>(head_size));
  }
  const size_t window = static_cast<size_t>(p.window);
  const size_t lo = window && s.first + 1 > window ? s.first + 1 - window : 0;
  const size_t end = CeilDiv(s.first + s.count, kKeyBlock);
  if (layer.first_page > lo / kKeyBlock ||
      layer.first_page + layer.pages.size() < end) {
    return Invalid("key/value pages %zu to %zu, needed are %zu to %zu",
                   layer.first_page, layer.first_page + layer.pages.size(),
                   lo / kKeyBlock, end);
  }
  return OkStatus();
}

Status CheckSequence(const OpContext& c, const BoundParams& p,
                     const GroupQuerySizes& sizes, const BatchSequence& s) {
  if (s.row + s.count > static_cast<size_t>(sizes.tokens)) {
    return Invalid("batch rows %zu to %zu of %lld", s.row, s.row + s.count,
                   static_cast<long long>(sizes.tokens));
  }
  if (p.rotary) {
    SLM_ASSIGN_OR_RETURN(const RopeCache rope,
                         RopeOf(c, p, s, sizes.head_size));
    if (s.first + s.count > static_cast<size_t>(rope.positions)) {
      return Error(ErrorKind::kOverflow,
                   "position %zu is beyond the rope cache of %lld positions",
                   s.first + s.count - 1,
                   static_cast<long long>(rope.positions));
    }
  }
  // A dry run has sequences without memory.
  if (s.kv.empty() && !c.HasValue(0)) return OkStatus();
  return CheckPages(p, s, sizes.head_size);
}

// Everything that run needs, its memory taken from `carver`.
struct Work {
  GroupQuerySizes sizes;
  AttentionShape shape;
  float* q = nullptr;  // [T, H, E] where queries are changed
  float* k = nullptr;  // [T, K, E]
  std::span<AttentionSequence> sequences;
};

bool Changes(const OpContext& c, const BoundParams& p) {
  return p.rotary || c.HasInput(kQNorm);
}

Work Plan(const OpContext& c, const BoundParams& p,
          const GroupQuerySizes& sizes, std::span<AttentionSequence> list,
          Carver& carver) {
  Work w{.sizes = sizes, .shape = p.Shape(sizes.head_size), .sequences = list};
  const size_t tokens = static_cast<size_t>(sizes.tokens);
  const size_t e = w.shape.head_size;
  w.shape.int16 = p.int16;
  if (c.HasInput(kSink)) w.shape.sink = c.In(kSink).As<float>();
  if (Changes(c, p)) {
    w.q = carver.Take<float>(tokens * w.shape.heads * e);
    w.k = carver.Take<float>(tokens * w.shape.kv_heads * e);
  }
  const HeadRows<const float> q = GroupQueryRows(c, p, sizes, 0, 0);
  for (size_t i = 0; i < list.size(); ++i) {
    const BatchSequence& s = c.batch->sequences[i];
    AttentionSequence& a = list[i];
    a = AttentionSequence();
    a.q_token_stride = w.q ? w.shape.heads * e : q.token_stride;
    a.q_head_stride = e;
    a.q = w.q ? w.q : q.data;
    if (a.q) a.q += s.row * a.q_token_stride;
    a.out_token_stride = w.shape.heads * e;
    a.out_head_stride = e;
    a.out = static_cast<float*>(c.Out(0).data);
    if (a.out) a.out += s.row * a.out_token_stride;
    a.count = s.count;
    a.first = static_cast<int64_t>(s.first);
    a.keys = s.first + s.count;
    if (s.kv.empty()) continue;
    a.k = PagedRows(s.kv[p.layer_slot], /*values=*/false);
    a.v = PagedRows(s.kv[p.layer_slot], /*values=*/true);
  }
  return w;
}

Status InferBound(OpContext& c) {
  const auto& p = c.Params<BoundParams>();
  SLM_ASSIGN_OR_RETURN(const GroupQuerySizes sizes, GroupQuerySizes::Of(c, p));
  if (sizes.batch != 1) {
    return Invalid("query has shape %s, expected one ragged batch [1, T, ...]",
                   c.In(0).shape.ToString().c_str());
  }
  SLM_RETURN_IF_ERROR(CheckVector(c, kSink, p.heads));
  SLM_RETURN_IF_ERROR(CheckVector(c, kQNorm, sizes.head_size));
  SLM_RETURN_IF_ERROR(CheckVector(c, kKNorm, sizes.head_size));
  c.SetOutput(0, DType::kF32, {1, sizes.tokens, p.heads * sizes.head_size});
  if (!c.batch) {
    // Only a dry run may ask for shapes without a batch.
    return c.HasValue(0) ? Invalid("runs in ragged batches only") : OkStatus();
  }
  for (const BatchSequence& s : c.batch->sequences) {
    SLM_RETURN_IF_ERROR(CheckSequence(c, p, sizes, s));
  }
  std::vector<AttentionSequence> list(c.batch->sequences.size());
  Carver carver(nullptr);
  carver.Take<AttentionSequence>(list.size());
  const Work w = Plan(c, p, sizes, list, carver);
  CarveAndAttend(c, w.shape, list, carver);
  c.scratch_bytes = carver.used();
  return OkStatus();
}

// Norm and rotary of rows [begin, end) of a sequence, then storing them.
void AddRows(const OpContext& c, const BoundParams& p, const Work& w,
             const BatchSequence& s, size_t begin, size_t end) {
  const AttentionShape& shape = w.shape;
  const size_t e = shape.head_size, row = s.row + begin, count = end - begin;
  HeadRows<const float> q = GroupQueryRows(c, p, w.sizes, 0, 0);
  HeadRows<const float> k = GroupQueryRows(c, p, w.sizes, 1, 0);
  HeadRows<const float> v = GroupQueryRows(c, p, w.sizes, 2, 0);
  for (HeadRows<const float>* rows : {&q, &k, &v}) {
    rows->data += row * rows->token_stride;
  }
  const size_t position = s.first + begin;
  const KvRows keys = PagedRows(s.kv[p.layer_slot], /*values=*/false);
  const KvRows values = PagedRows(s.kv[p.layer_slot], /*values=*/true);
  if (count == 1) {
    FetchKvRow(keys, shape.kv_heads, e, position);
    FetchKvRow(values, shape.kv_heads, e, position);
  }
  if (w.q) {
    const HeadRows<float> q_to{w.q + row * shape.heads * e, shape.heads * e, e};
    const HeadRows<float> k_to{w.k + row * shape.kv_heads * e,
                               shape.kv_heads * e, e};
    if (c.HasInput(kQNorm)) {
      HeadRmsNorm(shape.heads, e, c.In(kQNorm).As<float>(), p.norm_epsilon,
                  count, q, q_to);
      HeadRmsNorm(shape.kv_heads, e, c.In(kKNorm).As<float>(), p.norm_epsilon,
                  count, k, k_to);
      q = {q_to.data, q_to.token_stride, e};
      k = {k_to.data, k_to.token_stride, e};
    }
    if (p.rotary) {
      const RopeCache rope =
          *RopeOf(c, p, s, static_cast<int64_t>(e));  // infer has checked it
      RotaryShape turn{.heads = shape.heads,
                       .head_size = e,
                       .rotary = rope.rotary,
                       .interleaved = p.interleaved};
      const int64_t first = static_cast<int64_t>(position);
      Rotary(turn, rope.cos, rope.sin, count, first, nullptr, q, q_to);
      turn.heads = shape.kv_heads;
      Rotary(turn, rope.cos, rope.sin, count, first, nullptr, k, k_to);
      k = {k_to.data, k_to.token_stride, e};
    }
  }
  StoreKvRows(keys, shape.kv_heads, e, position, count, k.data, k.token_stride);
  StoreKvRows(values, shape.kv_heads, e, position, count, v.data,
              v.token_stride);
}

void RunBound(OpContext& c) {
  const auto& p = c.Params<BoundParams>();
  const GroupQuerySizes sizes = *GroupQuerySizes::Of(c, p);
  Carver carver(c.scratch);
  const size_t count = c.batch->sequences.size();
  auto* list = carver.Take<AttentionSequence>(count);
  const Work w = Plan(c, p, sizes, {list, count}, carver);
  auto make = [&](size_t i, size_t begin, size_t end) {
    AddRows(c, p, w, c.batch->sequences[i], begin, end);
  };
  // Norm, rotation and storing of a token take about a microsecond.
  const AttentionRowMaker maker = RowMakerOf(make, /*grain=*/16);
  CarveAndAttend(c, w.shape, w.sequences, carver, &maker);
}

}  // namespace

const OpDef kBoundGroupQueryAttention = {
    "slm",    "GroupQueryAttention", 1, kLatestOpset, ParseBound, InferBound,
    RunBound, kSequence | kNotPure,  0};

}  // namespace slm
