// SPDX-License-Identifier: MIT
#include "runtime/plan/work.h"

#include <algorithm>

namespace slm {
namespace {

enum class Kind {
  kOther,
  kProduct,
  kGatedProduct,  // two of them
  kGatedMlp,      // and a third behind them
  kConv,
  kGather,
  kRotary,
  kAttention,
  kExperts
};

struct KindRow {
  std::string_view type;
  Kind kind;
};

// By type alone: the domains' spellings of a type mean the same here.
constexpr KindRow kKinds[] = {
    {"Attention", Kind::kAttention},
    {"Conv", Kind::kConv},
    {"DynamicQuantizeMatMul", Kind::kProduct},
    {"FusedMatMul", Kind::kProduct},
    {"GatedMatMulNBits", Kind::kGatedProduct},
    {"GatedMlpNBits", Kind::kGatedMlp},
    {"Gather", Kind::kGather},
    {"GatherBlockQuantized", Kind::kGather},
    {"GatherColumns", Kind::kGather},
    {"Gemm", Kind::kProduct},
    {"GroupQueryAttention", Kind::kAttention},
    {"MatMul", Kind::kProduct},
    {"MatMulInteger", Kind::kProduct},
    {"MatMulIntegerToFloat", Kind::kProduct},
    {"MatMulNBits", Kind::kProduct},
    {"MoE", Kind::kExperts},
    {"MultiHeadAttention", Kind::kAttention},
    {"QLinearMatMul", Kind::kProduct},
    {"QMoE", Kind::kExperts},
    {"RotaryEmbedding", Kind::kRotary},
};

Kind KindOf(const OpDef& op) {
  for (const KindRow& row : kKinds) {
    if (row.type == op.type) return row.kind;
  }
  return Kind::kOther;
}

size_t SizeOf(const Node& node, std::string_view name) {
  return static_cast<size_t>(std::max<int64_t>(0, node.Int(name, 0)));
}

uint64_t InnerSize(const Node& node, const OpContext& c) {
  const Shape& a = c.In(0).shape;
  if (a.rank() == 0) return 1;
  const bool transposed = node.Int("transA", 0) != 0 && a.rank() > 1;
  return static_cast<uint64_t>(a.back(transposed ? 1 : 0));
}

// What share of a constant is read, in units of 1 / whole.
struct Share {
  uint64_t part = 1, whole = 1;

  uint64_t Of(uint64_t bytes) const {
    return part >= whole ? bytes : bytes / whole * part;
  }
};

Share ShareOf(Kind kind, const Node& node, const OpContext& c) {
  switch (kind) {
    case Kind::kGather: {
      const Shape& table = c.In(0).shape;
      const int64_t declared =
          node.type == "GatherColumns"
              ? 1
              : node.Int("axis", node.Int("gather_axis", 0));
      const auto axis = NormalizeAxis(declared, table.rank());
      if (!axis || !c.HasInput(1)) return {};
      return {c.In(1).Count(),
              std::max<uint64_t>(1, static_cast<uint64_t>(table[*axis]))};
    }
    case Kind::kExperts: {
      const Shape& x = c.In(0).shape;
      const Shape& router = c.In(1).shape;
      if (x.rank() == 0 || router.rank() == 0) return {};
      const uint64_t rows = c.In(0).Count() / std::max<int64_t>(1, x.back());
      return {rows * static_cast<uint64_t>(node.Int("k", 1)),
              std::max<uint64_t>(1, static_cast<uint64_t>(router.back()))};
    }
    // Their constants are tables of cosines and sines, of which they read a
    // row a token, and norms of one head: under 1 KiB.
    case Kind::kRotary:
    case Kind::kAttention:
      return {0, 1};
    default:
      return {};
  }
}

void CountBytes(const Graph& graph, const Node& node, Kind kind,
                const OpContext& c, Work* work) {
  const Share share = ShareOf(kind, node, c);
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    if (!c.inputs[i]) continue;
    const uint64_t bytes = c.In(i).Bytes();
    const ValueId id = node.inputs[i];
    if (graph.IsConstant(id)) {
      work->weight_bytes += share.Of(bytes);
    } else if (graph.values[id].producer < 0 && c.In(i).shape.rank() > 2) {
      // Dense mode: an input that is neither ids nor mask carries state.
      work->kv_bytes += bytes;
    } else {
      work->activation_bytes += bytes;
    }
  }
  for (const TensorView& output : c.outputs) {
    work->activation_bytes += output.Bytes();
  }
}

// Rows of a ragged batch over pages: position p sees min(p + 1, window).
void CountBoundAttention(const Node& node, const OpContext& c, Work* work) {
  const uint64_t width = static_cast<uint64_t>(c.Out(0).shape.back());  // H E
  const size_t slot = static_cast<size_t>(node.Int("layer_slot", 0));
  const size_t window = static_cast<size_t>(
      std::max<int64_t>(0, node.Int("local_window_size", 0)));
  for (const BatchSequence& s : c.batch->sequences) {
    uint64_t visible = 0;
    for (size_t p = s.first; p < s.first + s.count; ++p) {
      visible += window ? std::min(p + 1, window) : p + 1;
    }
    work->attention_macs += 2 * visible * width;
    if (slot >= s.kv.size()) continue;
    const KvFormat& f = s.kv[slot].format;
    const size_t low =
        window && s.first + 1 > window ? s.first + 1 - window : 0;
    const size_t scale = f.dtype == DType::kI8 ? sizeof(float) : 0;
    work->kv_bytes +=
        2 * f.kv_heads * (f.RowBytes() + scale) * (s.first + s.count - low);
  }
}

void CountAttention(const Node& node, const OpContext& c, Work* work) {
  if (c.outputs.empty() || c.Out(0).shape.rank() == 0) return;
  if (c.batch && node.Find("layer_slot")) {
    return CountBoundAttention(node, c, work);
  }
  // present key [B, K, S, E], or the key [B, S, D] where there is none.
  const bool present = c.outputs.size() > 1 && c.Out(1).shape.rank() == 4;
  if (!present && (!c.HasInput(1) || c.In(1).shape.rank() < 2)) return;
  const Shape& keys = present ? c.Out(1).shape : c.In(1).shape;
  work->attention_macs +=
      2 * c.Out(0).Count() * static_cast<uint64_t>(keys.back(1));
}

// Weights are [experts, ...]: each row meets k of them. uint8 holds 8 / bits.
void CountExperts(const Node& node, const OpContext& c, Work* work) {
  const Share share = ShareOf(Kind::kExperts, node, c);
  const uint64_t packed =
      node.type == "QMoE" ? 8 / static_cast<uint64_t>(std::clamp<int64_t>(
                                    node.Int("expert_weight_bits", 4), 1, 8))
                          : 1;
  for (size_t i = 2; i < c.inputs.size(); ++i) {
    if (!c.inputs[i] || c.In(i).shape.rank() != 3 ||
        (node.type == "QMoE" && c.In(i).dtype != DType::kU8)) {
      continue;
    }
    work->product_macs += c.In(i).Count() / share.whole * packed * share.part;
  }
}

}  // namespace

Work& Work::operator+=(const Work& other) {
  weight_bytes += other.weight_bytes;
  kv_bytes += other.kv_bytes;
  activation_bytes += other.activation_bytes;
  product_macs += other.product_macs;
  attention_macs += other.attention_macs;
  return *this;
}

Work WorkOf(const Graph& graph, const Step& step, const OpContext& c) {
  Work work;
  if (step.op->traits & (kAlias | kShapeOnly | kControlFlow)) return work;
  const Node& node = graph.nodes[step.node];
  const Kind kind = KindOf(*step.op);
  CountBytes(graph, node, kind, c, &work);
  switch (kind) {
    case Kind::kProduct:
      work.product_macs = c.Out(0).Count() * InnerSize(node, c);
      break;
    case Kind::kGatedProduct:
      work.product_macs = 2 * c.Out(0).Count() * InnerSize(node, c);
      break;
    case Kind::kGatedMlp:
      work.product_macs = c.In(0).Count() * SizeOf(node, "N") * 2 +
                          c.Out(0).Count() * SizeOf(node, "N");
      break;
    case Kind::kConv:  // weights [out channels, ...]: all but the first meet
      if (c.In(1).shape.rank() > 0) {
        work.product_macs =
            c.Out(0).Count() * c.In(1).shape.CountOf(1, c.In(1).shape.rank());
      }
      break;
    case Kind::kAttention:
      CountAttention(node, c, &work);
      break;
    case Kind::kExperts:
      CountExperts(node, c, &work);
      break;
    default:
      break;
  }
  return work;
}

std::string ShapeLabel(const Graph& graph, const Step& step,
                       const OpContext& c) {
  const Node& node = graph.nodes[step.node];
  const Kind kind = KindOf(*step.op);
  if (c.outputs.empty()) return "";
  const Shape& out = c.Out(0).shape;
  const bool mlp = kind == Kind::kGatedMlp;
  const bool gated = kind == Kind::kGatedProduct || mlp;
  if ((kind == Kind::kProduct || gated) && out.rank() > 0) {
    const size_t k = InnerSize(node, c);
    const size_t last = static_cast<size_t>(out.back());
    const size_t n = mlp ? SizeOf(node, "N") : last;
    const size_t rows = out.Count() / std::max<size_t>(1, last);
    std::string label =
        Format("[%zu, %zu] x %s[%zu, %zu] ", rows, k, gated ? "2 " : "", k, n);
    if (node.type != "MatMulNBits" && !gated) {
      return label + (c.HasInput(1) ? Name(c.In(1).dtype) : "");
    }
    label += Format("int%zu/%zu", static_cast<size_t>(node.Int("bits", 4)),
                    SizeOf(node, "block_size"));
    if (!mlp) return label;
    return label + Format(" x [%zu, %zu] int%zu/%zu", n, last,
                          SizeOf(node, "down_bits"),
                          SizeOf(node, "down_block_size"));
  }
  if (kind == Kind::kAttention && c.batch && out.rank() > 1) {
    const int64_t heads = std::max<int64_t>(1, node.Int("num_heads", 1));
    return Format("T=%d of %zu H=%d K=%d E=%d", static_cast<int>(out.back(1)),
                  c.batch->sequences.size(), static_cast<int>(heads),
                  static_cast<int>(node.Int("kv_num_heads", heads)),
                  static_cast<int>(out.back() / heads));
  }
  return out.ToString();
}

}  // namespace slm
