// SPDX-License-Identifier: MIT
// The parts of a layer: products, norms, attention, MLP.
#include <algorithm>
#include <utility>

#include "tools/convert/graph_maker.h"

namespace slm::convert {
namespace {

// "/model/layers.0" and "input_layernorm": model.layers.0.input_layernorm
std::string NormName(const std::string& base, const std::string& name) {
  std::string initializer = base.substr(1) + "." + name;
  for (char& c : initializer) {
    if (c == '/') c = '.';
  }
  return initializer;
}

}  // namespace

std::string GraphMaker::Scaled(const std::string& name, const std::string& x,
                               double factor) {
  return factor == 1 ? x : Node(name, "Mul", {x, Float(factor)});
}

// x [B, T, k] times the source [n, k] transposed.
std::string GraphMaker::MatMul(const std::string& name,
                               const std::string& weight, const std::string& x,
                               std::vector<SourceRows> sources, int64_t n,
                               int64_t k, const std::string& output,
                               bool quantize) {
  const std::string out = output.empty() ? name + "/output_0" : output;
  const auto [q, kept, open, columns] =
      FormatOf(name, sources, quantize && options_.quantized());
  const auto is_kept = [&](const SourceRows& rows) {
    return kept_.count(rows.tensor) > 0;
  };
  if (!kept && q.bits != 0 &&
      std::all_of(sources.begin(), sources.end(), is_kept)) {
    ++kept_in_vain_;
  }
  Weight made{WeightKind::kMatrix,
              weight + ".weight",
              std::move(sources),
              n,
              k,
              0,
              0,
              q,
              kept,
              name,
              open};
  if (q.bits == 0) {
    Node(name, "MatMul", "", {x, made.name}, {out});
    out_.weights.push_back(std::move(made));
    return out;
  }
  made.kind = WeightKind::kQuantized;
  if (options_.qdq) {
    made.kind = WeightKind::kQuantizedTurned;
    if (q.algorithm == QuantAlgorithm::kDefault) {
      made.quantize.algorithm = QuantAlgorithm::kDefaultQdq;
    }
  }
  std::vector<std::string> inputs = InputsOf(made);
  out_.weights.push_back(std::move(made));
  if (options_.qdq) {
    const std::string dequantized = inputs[0] + "_output";
    const std::string suffix = "_Q" + std::to_string(q.bits);
    Node(name + "_DQ" + suffix, "DequantizeLinear", "", std::move(inputs),
         {dequantized},
         {{"axis", int64_t{0}},
          {"block_size", static_cast<int64_t>(q.block_size)}});
    Node(name + "_matmul" + suffix, "MatMul", "", {x, dequantized}, {out});
    return out;
  }
  inputs.insert(inputs.begin(), columns ? InOrder(name, x, *columns) : x);
  Attributes attributes = {{"K", k}, {"N", n}};
  if (options_.accuracy_level != 0) {
    attributes.push_back({"accuracy_level", options_.accuracy_level});
  }
  attributes.push_back({"bits", int64_t{q.bits}});
  attributes.push_back({"block_size", static_cast<int64_t>(q.block_size)});
  const std::string end = kept ? "NBits" : "_Q" + std::to_string(q.bits);
  Node(name + end, "MatMulNBits", kMicrosoft, std::move(inputs), {out},
       std::move(attributes));
  return out;
}

// x [B, T, k] with its columns in that order. Products of the same x share it.
std::string GraphMaker::InOrder(const std::string& name, const std::string& x,
                                const std::vector<int32_t>& columns) {
  if (ordered_.x == x && ordered_.columns == columns) return ordered_.output;
  const std::string indices =
      Constant("INT32", name.substr(1) + "/g_idx", DType::kI32,
               {static_cast<int64_t>(columns.size())},
               std::string(reinterpret_cast<const char*>(columns.data()),
                           columns.size() * sizeof(int32_t)));
  ordered_ = {x, columns,
              Node(name + "NBits/Gather", "Gather", {x, indices},
                   {{"axis", int64_t{-1}}})};
  return ordered_.output;
}

// All of the sources have their columns in one order, and none is a table that
// is looked up, too.
bool GraphMaker::SameOrder(const std::vector<SourceRows>& sources) const {
  const auto columns = [&](const SourceRows& rows) {
    const auto found = kept_.find(rows.tensor);
    return found == kept_.end() ? nullptr : found->second.columns.get();
  };
  const std::vector<int32_t>* first = columns(sources[0]);
  return std::all_of(sources.begin(), sources.end(),
                     [&](const SourceRows& rows) {
                       const std::vector<int32_t>* own = columns(rows);
                       return own && first && *own == *first &&
                              rows.tensor != EmbeddingRows().tensor;
                     });
}

// Sources that are kept keep what is common to them: the widest codes, the
// smallest blocks.
GraphMaker::WeightFormat GraphMaker::KeptFormat(
    const std::vector<SourceRows>& sources) const {
  WeightFormat format{options_.quantize, true};
  for (size_t i = 0; i < sources.size(); ++i) {
    const auto found = kept_.find(sources[i].tensor);
    if (found == kept_.end()) return {options_.quantize};
    const QuantGrid& grid = found->second;
    const std::vector<int32_t>* columns = grid.columns.get();
    if (columns && (options_.qdq || !SameOrder(sources))) {
      return {options_.quantize};
    }
    format.columns = columns;
    QuantizeOptions& q = format.quantize;
    q.bits = i == 0 ? grid.bits : std::max(q.bits, grid.bits);
    q.block_size =
        i == 0 ? grid.block_size : std::min(q.block_size, grid.block_size);
    q.symmetric = i == 0 ? grid.symmetric : q.symmetric && grid.symmetric;
  }
  return format;
}

std::string GraphMaker::Bias(const std::string& name, const std::string& weight,
                             const std::string& x,
                             std::vector<SourceRows> sources, int64_t n) {
  return Node(name, "Add",
              {x, Vector(weight + ".bias", std::move(sources), n)});
}

// Names of a norm's weight and, for layer norms, its bias.
std::vector<std::string> GraphMaker::NormInputs(const std::string& base,
                                                const std::string& name,
                                                const std::string& source) {
  const std::string at = NormName(base, name);
  const int64_t n = spec_.hidden;
  if (spec_.norm_op == NormOp::kPlain) {
    return {Vector(at + ".weight", {}, n, 1), Vector(at + ".bias", {}, n, 0)};
  }
  std::vector<std::string> inputs = {
      NormWeight(at + ".weight", source + ".weight", n)};
  if (spec_.norm_op == NormOp::kLayer) {
    inputs.push_back(Vector(at + ".bias", {{source + ".bias", n, 0, n}}, n));
  }
  return inputs;
}

// base/name: x / rms(x) * weight, or a layer norm
std::string GraphMaker::Norm(const std::string& base, const std::string& name,
                             const std::string& source, const std::string& x) {
  const std::string out = base + "/" + name + "/output_0";
  const bool rms = spec_.norm_op == NormOp::kRms;
  std::vector<std::string> inputs = NormInputs(base, name, source);
  inputs.insert(inputs.begin(), x);
  Node(base + "/" + name + "/LayerNorm",
       rms ? "SimplifiedLayerNormalization" : "LayerNormalization", "",
       std::move(inputs), {out},
       {{"epsilon", spec_.epsilon},
        {"axis", int64_t{-1}},
        {"stash_type", int64_t{1}}});
  return out;
}

// The same of residual_ + skip, which becomes residual_.
std::string GraphMaker::SkipNorm(const std::string& base,
                                 const std::string& name,
                                 const std::string& source,
                                 const std::string& skip, bool last) {
  const std::string at = base + "/" + name;
  std::vector<std::string> outputs = {at + "/output_0"};
  if (!last) outputs.insert(outputs.end(), {"", "", at + "/output_3"});
  const bool rms = spec_.norm_op == NormOp::kRms;
  std::vector<std::string> inputs = NormInputs(base, name, source);
  inputs.insert(inputs.begin(), {residual_, skip});
  Node(at + "/SkipLayerNorm",
       rms ? "SkipSimplifiedLayerNormalization" : "SkipLayerNormalization",
       kMicrosoft, std::move(inputs), outputs, {{"epsilon", spec_.epsilon}});
  residual_ = outputs.back();
  return outputs[0];
}

std::vector<SourceRows> GraphMaker::Qkv(size_t layer, const char* part) {
  const int64_t q = spec_.q_size(), kv = spec_.kv_size();
  const std::string at = Hf(layer, "self_attn.");
  if (spec_.fused_qkv) {
    return {{at + "qkv_proj." + part, q + 2 * kv, 0, q + 2 * kv}};
  }
  return {{at + "q_proj." + part, q, 0, q},
          {at + "k_proj." + part, kv, 0, kv},
          {at + "v_proj." + part, kv, 0, kv}};
}

std::vector<SourceRows> GraphMaker::GateOrUp(size_t layer, bool up,
                                             const char* part) {
  const TensorNames& names = spec_.names;
  const std::string at = Hf(layer, std::string(names.mlp) + ".");
  if (spec_.fused_gate_up) {
    return {{at + "gate_up_proj." + part, 2 * spec_.ffn, up ? spec_.ffn : 0,
             spec_.ffn}};
  }
  return {{at + std::string(up ? names.up : names.gate) + "." + part, spec_.ffn,
           0, spec_.ffn}};
}

// Norm of q or k [B, T, size]: of each head, or of all of it.
std::string GraphMaker::HeadNorm(size_t layer, const char* name,
                                 const std::string& x, int64_t size) {
  const std::string at = At(layer, "attn/") + name;
  const bool whole = spec_.qk_norm == QkNorm::kWhole;
  const std::string weight =
      NormWeight(Hf(layer, "attn.") + name + ".layernorm.weight",
                 Hf(layer, "self_attn.") +
                     std::string(name[0] == 'q' ? spec_.names.q_norm
                                                : spec_.names.k_norm) +
                     ".weight",
                 whole ? size : spec_.head_size);
  const Attributes attributes = {{"epsilon", spec_.epsilon},
                                 {"axis", int64_t{-1}},
                                 {"stash_type", int64_t{1}}};
  const std::string norm = at + "/SimplifiedLayerNormalization";
  if (whole) {
    return Node(norm, "SimplifiedLayerNormalization", {x, weight}, attributes);
  }
  const std::string heads =
      Node(at + "/Reshape_1", "Reshape", {x, Ints({0, -1, spec_.head_size})});
  const std::string normed =
      Node(norm, "SimplifiedLayerNormalization", {heads, weight}, attributes);
  return Node(at + "/Reshape_2", "Reshape", {normed, Ints({0, -1, size})});
}

std::string GraphMaker::GroupQuery(size_t layer, std::vector<std::string> qkv) {
  const LayerSpec& l = spec_.layers[layer];
  const std::string i = std::to_string(layer);
  const std::string name = At(layer, "attn/GroupQueryAttention");
  const bool rope = l.rope >= 0;
  const std::string suffix = rope ? spec_.rope_names[l.rope] : "";
  std::vector<std::string> inputs = std::move(qkv);
  for (const std::string& input :
       {"past_key_values." + i + ".key", "past_key_values." + i + ".value",
        seqlens_, total_, rope ? "cos_cache" + suffix : "",
        rope ? "sin_cache" + suffix : "", std::string(), std::string()}) {
    inputs.push_back(input);
  }
  const SourceRows sinks{Hf(layer, "self_attn.sinks"), spec_.heads, 0,
                         spec_.heads};
  inputs.push_back(
      spec_.sinks ? Vector(Hf(layer, "attn.sinks"), {sinks}, spec_.heads) : "");
  Attributes attributes = {
      {"num_heads", spec_.heads},
      {"kv_num_heads", spec_.kv_heads},
      {"scale", static_cast<float>(spec_.attention_scale)}};
  if (spec_.window_attribute) {
    attributes.push_back(
        {"local_window_size", l.window > 0 ? l.window : int64_t{-1}});
  }
  attributes.push_back(
      {"softcap", static_cast<float>(spec_.attention_softcap)});
  attributes.push_back({"do_rotary", int64_t{rope}});
  attributes.push_back({"rotary_interleaved", int64_t{spec_.rope_interleaved}});
  if (l.window > 0) attributes.push_back({"sliding_window_cache", int64_t{1}});
  const std::string out = name + "/output_0";
  Node(name, "GroupQueryAttention", kMicrosoft, std::move(inputs),
       {out, "present." + i + ".key", "present." + i + ".value"},
       std::move(attributes));
  return out;
}

std::string GraphMaker::Attention(size_t layer, const std::string& x) {
  const int64_t q = spec_.q_size(), kv = spec_.kv_size(), all = q + 2 * kv;
  const std::string at = At(layer, "attn/qkv_proj/");
  const std::string weight = Hf(layer, "attn.qkv_proj.");
  std::string packed = MatMul(at + "MatMul", weight + "MatMul", x,
                              Qkv(layer, "weight"), all, spec_.hidden);
  if (spec_.qkv_bias) {
    packed = Bias(at + "Add", weight + "Add", packed, Qkv(layer, "bias"), all);
  }
  if (spec_.clip_qkv > 0) {
    packed = Node(at + "Clip", "Clip",
                  {packed, Float(-spec_.clip_qkv), Float(spec_.clip_qkv)});
  }
  std::string attended;
  if (spec_.qk_norm == QkNorm::kNone) {
    attended = GroupQuery(layer, {packed, "", ""});
  } else {
    const std::string split = at + "Split/output_";
    Node(at + "Split", "Split", "", {packed, Ints({q, kv, kv})},
         {split + "0", split + "1", split + "2"}, {{"axis", int64_t{-1}}});
    std::string q_out = HeadNorm(layer, "q_norm", split + "0", q);
    std::string k_out = HeadNorm(layer, "k_norm", split + "1", kv);
    attended =
        GroupQuery(layer, {std::move(q_out), std::move(k_out), split + "2"});
  }
  const std::string o_name =
      Hf(layer, "self_attn.") + std::string(spec_.names.o);
  const SourceRows o{o_name + ".weight", spec_.hidden, 0, spec_.hidden};
  std::string out =
      MatMul(At(layer, "attn/o_proj/MatMul"), Hf(layer, "attn.o_proj.MatMul"),
             attended, {o}, spec_.hidden, q);
  if (spec_.o_bias) {
    out =
        Bias(At(layer, "attn/o_proj/Add"), Hf(layer, "attn.o_proj.Add"), out,
             {{o_name + ".bias", spec_.hidden, 0, spec_.hidden}}, spec_.hidden);
  }
  return out;
}

std::string GraphMaker::Act(const std::string& base, const std::string& gate) {
  switch (spec_.activation) {
    case Activation::kSilu: {
      const std::string sigmoid =
          Node(base + "/act_fn/Sigmoid", "Sigmoid", {gate});
      return Node(base + "/act_fn/Mul", "Mul", {gate, sigmoid});
    }
    case Activation::kGelu:
      return Node(base + "/act_fn/Gelu", "Gelu", {gate},
                  {{"approximate", std::string("none")}});
    case Activation::kGeluTanh:
      return Node(base + "/act_fn/FastGelu", "Gelu", {gate},
                  {{"approximate", std::string("tanh")}});
    case Activation::kRelu:
      return Node(base + "/act_fn/Relu", "Relu", {gate});
    case Activation::kRelu2: {
      const std::string relu = Node(base + "/act_fn/Relu", "Relu", {gate});
      const int32_t two = 2;
      return Node(
          base + "/square/Relu2/pow", "Pow",
          {relu, Constant("INT32", "[2]", DType::kI32, {1},
                          std::string(reinterpret_cast<const char*>(&two),
                                      sizeof two))});
    }
  }
  return gate;
}

// down(act(gate(x)) * up(x)), or down(act(up(x)))
std::string GraphMaker::Mlp(size_t layer, const std::string& x) {
  const std::string base = At(layer, "mlp");
  const auto project = [&](const std::string& name, const std::string& in,
                           const auto& sources, int64_t n, int64_t k) {
    const std::string weight = Hf(layer, "mlp.") + name;
    std::string out = MatMul(base + "/" + name + "/MatMul", weight + ".MatMul",
                             in, sources("weight"), n, k);
    if (spec_.mlp_bias) {
      out = Bias(base + "/" + name + "/Add", weight + ".Add", out,
                 sources("bias"), n);
    }
    return out;
  };
  // The builder's names are those of Llama, but for Phi's.
  const TensorNames& names = spec_.names;
  const bool fc = names.up == "fc1";
  std::string product;
  if (spec_.gated) {
    product = project(
        "gate_proj", x,
        [&](const char* part) { return GateOrUp(layer, false, part); },
        spec_.ffn, spec_.hidden);
  }
  const std::string up = project(
      fc ? "fc1" : "up_proj", x,
      [&](const char* part) { return GateOrUp(layer, true, part); }, spec_.ffn,
      spec_.hidden);
  product = spec_.gated ? Node(base + "/Mul", "Mul", {Act(base, product), up})
                        : Act(base, up);
  return project(
      fc ? "fc2" : "down_proj", product,
      [&](const char* part) {
        return std::vector<SourceRows>{
            {Hf(layer, std::string(names.mlp) + "." + std::string(names.down) +
                           "." + part),
             spec_.hidden, 0, spec_.hidden}};
      },
      spec_.hidden, spec_.ffn);
}

}  // namespace slm::convert
