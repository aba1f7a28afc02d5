// SPDX-License-Identifier: MIT
// com.microsoft MoE and QMoE: a token goes through the k experts that the
// router prefers,
//   y = sum over its experts e of weight_e * (fc2_e * gate(fc1_e x, fc3_e x)).
// Routing and activations are those of onnxruntime's CPU kernels; fc3, swiglu
// without interleaving and the sparse mixer, which those lack, are as its CUDA
// kernels have them.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "ops/families.h"
#include "ops/kernels/activation.h"
#include "ops/moe_routing.h"
#include "ops/moe_weights.h"

namespace slm {
namespace {

enum class ExpertActivation { kRelu, kGelu, kSilu, kSwiglu, kIdentity };

struct ActivationName {
  const char* name;
  ExpertActivation activation;
};
constexpr ActivationName kActivations[] = {
    {"relu", ExpertActivation::kRelu},
    {"gelu", ExpertActivation::kGelu},
    {"silu", ExpertActivation::kSilu},
    {"swiglu", ExpertActivation::kSwiglu},
    {"identity", ExpertActivation::kIdentity},
};

// How gate g and linear part l lie in the rows of fc1 (or fc1 and fc3).
enum class Fusion { kNone, kInterleaved, kConcatenated };

struct MoeParams {
  size_t k = 1;
  Routing routing = Routing::kTopOfSoftmax;
  float least_weight = 0;  // routes up to it are dropped
  ExpertActivation activation = ExpertActivation::kRelu;
  Fusion fusion = Fusion::kNone;
  float alpha = 1;
  float beta = 0;
  float limit = std::numeric_limits<float>::infinity();
  QGemmMode mode = QGemmMode::kFloat32Activations;
  Projection fc1, fc2, fc3;  // fc3.weights = 0: there is none
  size_t router_weights = 0;
};

void ReadActivation(AttributeReader& a, MoeParams& p) {
  const std::string name = a.String("activation_type", "relu");
  bool known = false;
  for (const ActivationName& row : kActivations) {
    if (name != row.name) continue;
    p.activation = row.activation;
    known = true;
  }
  a.FailUnless(known, Format("activation_type \"%s\" is not supported",
                             Printable(name).c_str()));
  p.alpha = a.Float("activation_alpha", 1);
  p.beta = a.Float("activation_beta", 0);
  if (a.Has("swiglu_limit")) p.limit = a.Float("swiglu_limit", 0);
  const int64_t fusion = a.Int("swiglu_fusion", 0);
  a.FailUnless(fusion >= 0 && fusion <= 2,
               Format("swiglu_fusion = %lld, supported: 0, 1, 2",
                      static_cast<long long>(fusion)));
  const bool swiglu = p.activation == ExpertActivation::kSwiglu;
  // onnxruntime reads it with swiglu only.
  if (swiglu) p.fusion = static_cast<Fusion>(fusion);
  const bool has_fc3 = p.fc3.weights != 0;
  a.FailUnless(!swiglu || (p.fusion == Fusion::kNone) == has_fc3,
               Format("activation swiglu with swiglu_fusion = %lld and %s fc3 "
                      "is not supported",
                      static_cast<long long>(fusion), has_fc3 ? "an" : "no"));
}

void ReadRouting(AttributeReader& a, MoeParams& p) {
  const int64_t k = a.Int("k", 1);
  const int64_t normalize = a.Int("normalize_routing_weights", 0);
  const int64_t sparse = a.Int("use_sparse_mixer", 0);
  // More experts than any model has; bounds the routing scratch.
  a.FailUnless(k >= 1 && k <= 1024, Format("k = %lld, supported: 1 to 1024",
                                           static_cast<long long>(k)));
  p.k = static_cast<size_t>(std::clamp<int64_t>(k, 1, 1024));
  const bool quantized = p.fc1.scales != 0;
  if (p.router_weights) {
    p.routing = normalize ? Routing::kGivenNormalized : Routing::kGiven;
  } else if (normalize || quantized) {
    // QMoE takes the softmax of the chosen whatever the attribute says.
    p.routing = Routing::kSoftmaxOfTop;
  }
  if (quantized) p.least_weight = 1e-8f;
  if (sparse) {
    a.FailUnless(p.k == 2 && !p.router_weights,
                 "use_sparse_mixer needs k = 2 and no router_weights");
    p.routing = Routing::kSparseMixer;
  }
}

Result<OpParams> ParseMoe(AttributeReader& a) {
  MoeParams p;
  a.CheckArity(2, 8, 1);
  p.fc1 = {.weights = 2, .bias = 3};
  p.fc2 = {.weights = 4, .bias = 5};
  if (a.HasInput(6)) p.fc3 = {.weights = 6, .bias = 7};
  a.FailUnless(a.HasInput(2) && a.HasInput(4), "expert weights are missing");
  ReadActivation(a, p);
  ReadRouting(a, p);
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

int ReadBits(AttributeReader& a, const char* name, int64_t fallback) {
  const int64_t bits = a.Int(name, fallback);
  a.FailUnless(bits == 2 || bits == 4 || bits == 8,
               Format("%s = %lld, supported: 2, 4, 8", name,
                      static_cast<long long>(bits)));
  return static_cast<int>(bits);
}

Result<OpParams> ParseQMoe(AttributeReader& a) {
  MoeParams p;
  a.CheckArity(2, 21, 1);
  for (size_t i : {2, 3, 5, 6}) {
    a.FailUnless(a.HasInput(i), Format("input %zu is missing", i));
  }
  for (size_t i = 15; i <= 20; ++i) {
    a.FailUnless(
        !a.HasInput(i),
        Format("input %zu (scales of FP4 and FP8) is not supported", i));
  }
  const std::string type = a.String("quant_type", "int");
  a.FailUnless(type == "int", Format("quant_type \"%s\" is not supported",
                                     Printable(type).c_str()));
  // -1 (the default) leaves the layout to the processor: raw on a CPU.
  const int64_t prepacked = a.Int("weights_prepacked", -1);
  a.FailUnless(prepacked == -1 || prepacked == 0,
               Format("weights_prepacked = %lld is a layout for GPUs; export "
                      "the model for CPU",
                      static_cast<long long>(prepacked)));
  const int64_t block = a.Int("block_size", 0);
  a.FailUnless(block >= 0 && block <= (1 << 20) && (block & (block - 1)) == 0 &&
                   (block == 0 || block >= 16),
               Format("block_size = %lld, supported: powers of two from 16 on",
                      static_cast<long long>(block)));
  const int64_t level = a.Int("accuracy_level", 0);
  const int bits = ReadBits(a, "expert_weight_bits", 4);
  // onnxruntime multiplies blocked 8-bit experts with int8 activations, at
  // every level.
  if (level == 4 || (bits == 8 && block > 0)) {
    p.mode = QGemmMode::kInt8Activations;
  }
  const size_t size = static_cast<size_t>(std::max<int64_t>(block, 0));
  p.fc1 = {2, 3, 4, 11, ReadBits(a, "fc1_expert_weight_bits", bits), size};
  p.fc2 = {5, 6, 7, 12, ReadBits(a, "fc2_expert_weight_bits", bits), size};
  const int fc3_bits = ReadBits(a, "fc3_expert_weight_bits", bits);
  if (a.HasInput(8)) {
    a.FailUnless(a.HasInput(9), "input 9 (fc3 scales) is missing");
    p.fc3 = {8, 9, 10, 13, fc3_bits, size};
  }
  if (a.HasInput(14)) p.router_weights = 14;
  ReadActivation(a, p);
  ReadRouting(a, p);
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

// ---- shapes

struct Moe {
  size_t tokens = 0;   // T
  size_t model = 0;    // D
  size_t inner = 0;    // F
  size_t experts = 0;  // E
  ExpertWeights fc1, fc2, fc3;

  size_t Fc1Columns() const { return fc1.n(); }
};

Status CheckRouter(const OpContext& c, size_t i, size_t tokens,
                   size_t experts) {
  const TensorView& r = c.In(i);
  if (r.dtype == DType::kF32 && r.shape.rank() >= 2 &&
      r.shape.back() == static_cast<int64_t>(experts) &&
      r.shape.Count() == tokens * experts) {
    return OkStatus();
  }
  return Invalid("input %zu is %s %s, expected float [%zu, %zu]", i,
                 Name(r.dtype), r.shape.ToString().c_str(), tokens, experts);
}

Result<Moe> MakeMoe(const OpContext& c) {
  const auto& p = c.Params<MoeParams>();
  const TensorView& x = c.In(0);
  const Shape& w1 = c.In(p.fc1.weights).shape;
  const Shape& w2 = c.In(p.fc2.weights).shape;
  if (x.dtype != DType::kF32 || x.shape.rank() < 2 || x.shape.back() <= 0) {
    return Invalid("input is %s %s, expected float [..., D]", Name(x.dtype),
                   x.shape.ToString().c_str());
  }
  if (w1.rank() != 3 || w2.rank() != 3 || w1.Count() == 0 || w2.Count() == 0) {
    return Invalid("expert weights %s and %s must have rank 3 and elements",
                   w1.ToString().c_str(), w2.ToString().c_str());
  }
  Moe m;
  m.model = static_cast<size_t>(x.shape.back());
  m.tokens = x.shape.Count() / m.model;
  m.experts = static_cast<size_t>(w1[0]);
  const size_t packing = p.fc2.bits ? 8 / static_cast<size_t>(p.fc2.bits) : 1;
  m.inner = static_cast<size_t>(w2[2]) * packing;
  if (p.k > m.experts) {
    return Invalid("k = %zu, but there are %zu experts", p.k, m.experts);
  }
  SLM_RETURN_IF_ERROR(CheckRouter(c, 1, m.tokens, m.experts));
  if (p.router_weights) {
    SLM_RETURN_IF_ERROR(CheckRouter(c, p.router_weights, m.tokens, m.experts));
  }
  const size_t fused = p.fusion == Fusion::kNone ? 1 : 2;
  SLM_ASSIGN_OR_RETURN(m.fc1, ExpertWeights::Make(c, p.fc1, m.experts,
                                                  fused * m.inner, m.model));
  SLM_ASSIGN_OR_RETURN(
      m.fc2, ExpertWeights::Make(c, p.fc2, m.experts, m.model, m.inner));
  if (p.fc3.weights) {
    SLM_ASSIGN_OR_RETURN(
        m.fc3, ExpertWeights::Make(c, p.fc3, m.experts, m.inner, m.model));
  }
  return m;
}

// Byte offsets of the scratch. A token is at most once among an expert's, so
// buffers of T rows serve every expert.
struct ScratchMap {
  size_t routes, input, hidden, linear, gated, output, gemm, total = 0;

  ScratchMap(const Moe& m, const MoeParams& p, size_t threads) {
    routes = Add(RouteTable::Bytes(m.tokens, m.experts, p.k));
    input = AddRows(m.tokens, m.model);
    hidden = AddRows(m.tokens, m.Fc1Columns());
    linear = AddRows(p.fc3.weights ? m.tokens : 0, m.inner);
    gated = AddRows(m.tokens, m.inner);
    output = AddRows(m.tokens, m.model);
    size_t bytes = std::max(m.fc1.ScratchBytes(m.tokens, p.mode, threads),
                            m.fc2.ScratchBytes(m.tokens, p.mode, threads));
    if (p.fc3.weights) {
      bytes = std::max(bytes, m.fc3.ScratchBytes(m.tokens, p.mode, threads));
    }
    gemm = Add(bytes);
  }

 private:
  size_t Add(size_t bytes) {
    const size_t at = total;
    total += RoundUp(bytes, kAlignment);
    return at;
  }
  size_t AddRows(size_t rows, size_t columns) {
    return Add(rows * columns * sizeof(float));
  }
};

Status InferMoe(OpContext& c) {
  const auto& p = c.Params<MoeParams>();
  SLM_ASSIGN_OR_RETURN(const Moe m, MakeMoe(c));
  // Keeps every product of the scratch far from overflow and route numbers
  // within int32.
  const auto widest =
      CheckedMul(std::max(m.tokens, size_t{1}),
                 std::max({m.model, m.Fc1Columns(), 4 * p.k, m.experts}));
  if (!widest || *widest > (size_t{1} << 40) ||
      m.tokens * p.k >= (size_t{1} << 31)) {
    return Invalid("input %s with %zu experts is too large",
                   c.In(0).shape.ToString().c_str(), m.experts);
  }
  c.SetOutput(0, DType::kF32, c.In(0).shape);
  c.scratch_bytes = ScratchMap(m, p, c.pool->size()).total;
  return OkStatus();
}

// ---- one row between the products

// Takes g and l of a fused row: g to `gate`, l + beta to the front of `row`.
void SplitGate(const MoeParams& p, size_t n, float* row, float* gate) {
  const size_t step = p.fusion == Fusion::kInterleaved ? 2 : 1;
  const size_t linear = p.fusion == Fusion::kInterleaved ? 1 : n;
  for (size_t i = 0; i < n; ++i) {
    // row[i] is read before it is overwritten: i <= i * step.
    gate[i] = std::min(row[i * step], p.limit);
    row[i] = std::clamp(row[i * step + linear], -p.limit, p.limit) + p.beta;
  }
}

void ActivateExpert(const MoeParams& p, size_t n, float* x) {
  switch (p.activation) {
    case ExpertActivation::kRelu:
      for (size_t i = 0; i < n; ++i) x[i] = std::max(x[i], 0.0f);
      return;
    case ExpertActivation::kGelu:
      return Activate(slm::Activation::kGeluTanh, 1, x, x, n);
    case ExpertActivation::kSilu:
      return Activate(slm::Activation::kSwish, 1, x, x, n);
    case ExpertActivation::kSwiglu:
      return Activate(slm::Activation::kSwish, p.alpha, x, x, n);
    case ExpertActivation::kIdentity:
      return;
  }
}

// gated = act(g) * l, with l = row of fc3 or the other half of fc1's row, or
// act(row). Swiglu: g sigmoid(alpha g) (l + beta), g and l clamped to limit.
void GateRow(const MoeParams& p, size_t n, float* row, float* fc3_row,
             float* gated) {
  float* linear = fc3_row;
  if (p.fusion != Fusion::kNone) {
    SplitGate(p, n, row, gated);
    linear = row;
  } else {
    std::copy_n(row, n, gated);
    if (fc3_row && p.activation == ExpertActivation::kSwiglu) {
      for (size_t i = 0; i < n; ++i) {
        gated[i] = std::min(gated[i], p.limit);
        linear[i] = std::clamp(linear[i], -p.limit, p.limit) + p.beta;
      }
    }
  }
  ActivateExpert(p, n, gated);
  if (!linear) return;
  for (size_t i = 0; i < n; ++i) gated[i] *= linear[i];
}

// ---- run

struct MoeBuffers {
  float *input, *hidden, *linear, *gated, *output;
  void* gemm;
};

// Rows of about 10 us of copying and activating for a thread.
size_t RowGrain(size_t columns) { return 4096 / (columns + 1) + 1; }

void RunExpert(OpContext& c, const Moe& m, const RouteTable& routes,
               size_t expert, const MoeBuffers& b) {
  const auto& p = c.Params<MoeParams>();
  const int32_t* order = routes.order + routes.first[expert];
  const size_t count =
      static_cast<size_t>(routes.first[expert + 1] - routes.first[expert]);
  if (count == 0) return;
  const float* x = c.In(0).As<float>();
  float* y = c.Out(0).Mutable<float>();
  const auto token = [&](size_t i) {
    return static_cast<size_t>(order[i]) / p.k;
  };
  for (size_t i = 0; i < count; ++i) {
    std::copy_n(x + token(i) * m.model, m.model, b.input + i * m.model);
  }
  m.fc1.Multiply(*c.pool, expert, b.input, count, p.mode, b.hidden, b.gemm);
  if (p.fc3.weights) {
    m.fc3.Multiply(*c.pool, expert, b.input, count, p.mode, b.linear, b.gemm);
  }
  ParallelFor(*c.pool, count, RowGrain(m.inner),
              [&](size_t begin, size_t end, size_t) {
                for (size_t i = begin; i < end; ++i) {
                  GateRow(p, m.inner, b.hidden + i * m.Fc1Columns(),
                          p.fc3.weights ? b.linear + i * m.inner : nullptr,
                          b.gated + i * m.inner);
                }
              });
  m.fc2.Multiply(*c.pool, expert, b.gated, count, p.mode, b.output, b.gemm);
  // A token occurs once in this loop, so its sum runs in the experts' order.
  for (size_t i = 0; i < count; ++i) {
    const float weight = routes.weights[order[i]];
    const float* from = b.output + i * m.model;
    float* to = y + token(i) * m.model;
    for (size_t j = 0; j < m.model; ++j) to[j] += weight * from[j];
  }
}

void RunMoe(OpContext& c) {
  const auto& p = c.Params<MoeParams>();
  const auto made = MakeMoe(c);  // cannot fail: infer has made it
  const Moe& m = *made;
  if (m.tokens == 0) return;
  const ScratchMap map(m, p, c.pool->size());
  uint8_t* scratch = static_cast<uint8_t*>(c.scratch);
  const auto rows = [&](size_t offset) {
    return reinterpret_cast<float*>(scratch + offset);
  };
  RouteTable routes =
      RouteTable::Over(scratch + map.routes, m.tokens, m.experts, p.k);
  const float* logits = c.In(1).As<float>();
  const float* given =
      p.router_weights ? c.In(p.router_weights).As<float>() : nullptr;
  // About k * experts comparisons a token: 64 tokens are worth a thread.
  ParallelFor(*c.pool, m.tokens, 64, [&](size_t begin, size_t end, size_t) {
    for (size_t t = begin; t < end; ++t) {
      RouteToken(p.routing, logits + t * m.experts,
                 given ? given + t * m.experts : nullptr, m.experts, p.k,
                 routes.chosen + t * p.k, routes.weights + t * p.k);
    }
  });
  routes.Sort(p.least_weight);
  std::fill_n(c.Out(0).Mutable<float>(), m.tokens * m.model, 0.0f);
  const MoeBuffers buffers{rows(map.input),  rows(map.hidden),
                           rows(map.linear), rows(map.gated),
                           rows(map.output), scratch + map.gemm};
  for (size_t e = 0; e < m.experts; ++e) RunExpert(c, m, routes, e, buffers);
}

constexpr uint32_t kHalfWeights = 1u << 2 | 1u << 4 | 1u << 6;

constexpr OpDef kOps[] = {
    {"com.microsoft", "MoE", 1, kLatestOpset, ParseMoe, InferMoe, RunMoe,
     kRowwise, kHalfWeights},
    {"com.microsoft", "QMoE", 1, kLatestOpset, ParseQMoe, InferMoe, RunMoe,
     kRowwise, 0},
};

}  // namespace

std::span<const OpDef> MoeOps() { return kOps; }

}  // namespace slm
