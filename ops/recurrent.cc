// SPDX-License-Identifier: MIT
// com.microsoft LinearAttention (Gated DeltaNet and its relatives), with the
// state in and out as tensors.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/families.h"
#include "ops/kernels/linear_attention.h"

namespace slm {
namespace {

struct UpdateRule {
  const char* name;
  bool decay;
  bool delta;
};
constexpr UpdateRule kRules[] = {
    {"linear", false, false},
    {"gated", true, false},
    {"delta", false, true},
    {"gated_delta", true, true},
};

struct LinearParams {
  size_t q_heads = 1;
  size_t kv_heads = 1;
  bool decay = false;
  bool delta = false;
  float scale = 0;  // 0: 1/sqrt(dk)
};

size_t ReadHeads(AttributeReader& a, const char* name) {
  const int64_t heads = a.RequiredInt(name);
  const bool fits = heads >= 1 && heads <= 65536;
  a.FailUnless(fits, Format("%s = %lld, supported: 1 to 65536", name,
                            static_cast<long long>(heads)));
  return fits ? static_cast<size_t>(heads) : 1;
}

Result<OpParams> ParseLinear(AttributeReader& a) {
  LinearParams p;
  a.CheckArity(3, 6, 2);
  p.q_heads = ReadHeads(a, "q_num_heads");
  p.kv_heads = ReadHeads(a, "kv_num_heads");
  a.FailUnless(p.q_heads % p.kv_heads == 0 || p.kv_heads % p.q_heads == 0,
               Format("q_num_heads = %zu and kv_num_heads = %zu: neither is a "
                      "multiple of the other",
                      p.q_heads, p.kv_heads));
  const std::string name = a.String("update_rule", "gated_delta");
  bool known = false;
  for (const UpdateRule& rule : kRules) {
    if (name != rule.name) continue;
    known = true;
    p.decay = rule.decay;
    p.delta = rule.delta;
  }
  a.FailUnless(known, Format("update_rule \"%s\" is not supported",
                             Printable(name).c_str()));
  a.FailUnless(!p.decay || a.HasInput(4),
               Format("input 4 (decay) is missing for update_rule %s",
                      Printable(name).c_str()));
  a.FailUnless(!p.delta || a.HasInput(5),
               Format("input 5 (beta) is missing for update_rule %s",
                      Printable(name).c_str()));
  p.scale = a.Float("scale", 0);
  a.Ignore("chunk_size", "a tuning hint that changes no result");
  a.OnlyInt("state_window", 0);
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

struct LinearShape {
  size_t batch = 0, tokens = 0, dk = 0, dv = 0, k_heads = 0;
  bool decay_by_key = false;
  bool beta_by_head = false;
};

// Input i is [B, T, last] for one of two last sizes.
Status CheckInput(const OpContext& c, size_t i, const char* name,
                  const LinearShape& s, size_t last, size_t or_last) {
  const TensorView& t = c.In(i);
  const bool fits = t.dtype == DType::kF32 && t.shape.rank() == 3 &&
                    t.shape[0] == static_cast<int64_t>(s.batch) &&
                    t.shape[1] == static_cast<int64_t>(s.tokens) &&
                    (t.shape[2] == static_cast<int64_t>(last) ||
                     t.shape[2] == static_cast<int64_t>(or_last));
  if (fits) return OkStatus();
  return Invalid("%s is %s %s, expected float [%zu, %zu, %zu or %zu]", name,
                 Name(t.dtype), t.shape.ToString().c_str(), s.batch, s.tokens,
                 last, or_last);
}

Shape StateShape(const LinearParams& p, const LinearShape& s) {
  return {static_cast<int64_t>(s.batch), static_cast<int64_t>(p.kv_heads),
          static_cast<int64_t>(s.dk), static_cast<int64_t>(s.dv)};
}

// Sizes from query, key and value.
Result<LinearShape> MakeLinearShape(const OpContext& c) {
  const auto& p = c.Params<LinearParams>();
  for (size_t i = 0; i < 3; ++i) {
    if (c.In(i).dtype != DType::kF32 || c.In(i).shape.rank() != 3) {
      return Invalid("input %zu is %s %s, expected float [B, T, H * d]", i,
                     Name(c.In(i).dtype), c.In(i).shape.ToString().c_str());
    }
  }
  const Shape& q = c.In(0).shape;
  const Shape& k = c.In(1).shape;
  const Shape& v = c.In(2).shape;
  LinearShape s;
  s.batch = static_cast<size_t>(q[0]);
  s.tokens = static_cast<size_t>(q[1]);
  s.dk = static_cast<size_t>(q[2]) / p.q_heads;
  s.dv = static_cast<size_t>(v[2]) / p.kv_heads;
  s.k_heads = s.dk ? static_cast<size_t>(k[2]) / s.dk : 0;
  const bool fits = s.dk > 0 && s.dv > 0 && s.k_heads > 0 &&
                    s.dk * p.q_heads == static_cast<size_t>(q[2]) &&
                    s.dv * p.kv_heads == static_cast<size_t>(v[2]) &&
                    s.dk * s.k_heads == static_cast<size_t>(k[2]) &&
                    p.kv_heads % s.k_heads == 0 && k[0] == q[0] &&
                    v[0] == q[0] && k[1] == q[1] && v[1] == q[1];
  if (!fits) {
    return Invalid(
        "query %s, key %s and value %s do not fit %zu query and "
        "%zu key-value heads",
        q.ToString().c_str(), k.ToString().c_str(), v.ToString().c_str(),
        p.q_heads, p.kv_heads);
  }
  if (p.decay) {
    SLM_RETURN_IF_ERROR(
        CheckInput(c, 4, "decay", s, p.kv_heads, p.kv_heads * s.dk));
    s.decay_by_key =
        c.In(4).shape[2] == static_cast<int64_t>(p.kv_heads * s.dk);
  }
  if (p.delta) {
    SLM_RETURN_IF_ERROR(CheckInput(c, 5, "beta", s, p.kv_heads, 1));
    s.beta_by_head = c.In(5).shape[2] == static_cast<int64_t>(p.kv_heads);
  }
  return s;
}

size_t OutputHeads(const LinearParams& p) {
  return std::max(p.q_heads, p.kv_heads);
}

Status InferLinear(OpContext& c) {
  const auto& p = c.Params<LinearParams>();
  SLM_ASSIGN_OR_RETURN(const LinearShape s, MakeLinearShape(c));
  const auto state = Shape::Make(StateShape(p, s).dims());
  const auto output = Shape::Make(
      Shape{static_cast<int64_t>(s.batch), static_cast<int64_t>(s.tokens),
            static_cast<int64_t>(OutputHeads(p) * s.dv)}
          .dims());
  if (!state || !output) return Invalid("its output is too large");
  if (c.HasInput(3) &&
      (c.In(3).dtype != DType::kF32 || !(c.In(3).shape == *state))) {
    return Invalid("past_state is %s %s, expected float %s",
                   Name(c.In(3).dtype), c.In(3).shape.ToString().c_str(),
                   state->ToString().c_str());
  }
  c.SetOutput(0, DType::kF32, *output);
  if (c.Wants(1)) c.SetOutput(1, DType::kF32, *state);
  // Rows of a worker, and the states if nobody takes them as output.
  c.scratch_bytes = c.pool->size() * (s.dk + s.dv) * sizeof(float) +
                    (c.Wants(1) ? 0 : state->Count() * sizeof(float));
  return OkStatus();
}

LinearAttentionHead MakeHead(const OpContext& c, const LinearShape& s,
                             size_t batch, size_t head) {
  const auto& p = c.Params<LinearParams>();
  LinearAttentionHead h{.tokens = s.tokens, .dk = s.dk, .dv = s.dv};
  const size_t first = batch * s.tokens;  // row of the sequence's first token
  const size_t shared = p.q_heads / p.kv_heads;  // 0: several states a q head
  h.q_heads = std::max(shared, size_t{1});
  const size_t q_head = shared ? head * shared : head * p.q_heads / p.kv_heads;
  h.scale = p.scale != 0 ? p.scale : 1.0f / std::sqrt(static_cast<float>(s.dk));
  h.q_stride = p.q_heads * s.dk;
  h.q = c.In(0).As<float>() + first * h.q_stride + q_head * s.dk;
  h.k_stride = s.k_heads * s.dk;
  h.k = c.In(1).As<float>() + first * h.k_stride +
        head / (p.kv_heads / s.k_heads) * s.dk;
  h.v_stride = p.kv_heads * s.dv;
  h.v = c.In(2).As<float>() + first * h.v_stride + head * s.dv;
  if (p.decay) {
    const size_t size = s.decay_by_key ? s.dk : 1;
    h.decay_by_key = s.decay_by_key;
    h.decay_stride = p.kv_heads * size;
    h.decay = c.In(4).As<float>() + first * h.decay_stride + head * size;
  }
  if (p.delta) {
    h.beta_stride = s.beta_by_head ? p.kv_heads : 1;
    h.beta = c.In(5).As<float>() + first * h.beta_stride +
             (s.beta_by_head ? head : 0);
  }
  h.out_stride = OutputHeads(p) * s.dv;
  h.out = c.Out(0).Mutable<float>() + first * h.out_stride +
          (shared ? q_head : head) * s.dv;
  return h;
}

void RunLinear(OpContext& c) {
  const auto& p = c.Params<LinearParams>();
  const auto made = MakeLinearShape(c);  // cannot fail: infer has made it
  const LinearShape& s = *made;
  float* rows = static_cast<float*>(c.scratch);
  float* states = c.Wants(1) ? c.Out(1).Mutable<float>()
                             : rows + c.pool->size() * (s.dk + s.dv);
  const size_t state_size = s.dk * s.dv;
  const size_t count = s.batch * p.kv_heads;
  if (c.HasInput(3)) {
    std::memcpy(states, c.In(3).data, count * state_size * sizeof(float));
  } else {
    std::fill_n(states, count * state_size, 0.0f);
  }
  // One state is two passes over dk * dv floats a token: worth a thread.
  ParallelFor(*c.pool, count, 1, [&](size_t begin, size_t end, size_t worker) {
    for (size_t i = begin; i < end; ++i) {
      LinearAttentionHead h = MakeHead(c, s, i / p.kv_heads, i % p.kv_heads);
      h.state = states + i * state_size;
      h.scratch = rows + worker * (s.dk + s.dv);
      RunLinearAttentionHead(h);
    }
  });
}

constexpr OpDef kOps[] = {
    {"com.microsoft", "LinearAttention", 1, kLatestOpset, ParseLinear,
     InferLinear, RunLinear, kNoTraits, 0},
};

}  // namespace

std::span<const OpDef> RecurrentOps() { return kOps; }

}  // namespace slm
