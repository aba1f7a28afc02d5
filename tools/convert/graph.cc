// SPDX-License-Identifier: MIT
#include "tools/convert/graph.h"

#include <charconv>
#include <cstring>
#include <set>
#include <utility>

#include "runtime/core/half.h"

namespace slm::convert {
namespace {

constexpr const char* kMicrosoft = "com.microsoft";

// Python's repr: the shortest text that reads back, with a point in it.
std::string FloatText(double value) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  std::string out(text, end);
  return out.find_first_of(".en") == std::string::npos ? out + ".0" : out;
}

std::string ListText(const std::vector<int64_t>& values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) {
    text += (i ? ", " : "") + std::to_string(values[i]);
  }
  return text + "]";
}

template <typename T>
std::string BytesOf(const T* values, size_t count) {
  return std::string(reinterpret_cast<const char*>(values), count * sizeof(T));
}

// cos or sin of a table inside the model, as branches of If need it.
OnnxConstant RopeConstant(const RopeTable& table, bool cosine, DType dtype) {
  const std::vector<float> values = table.Rows(cosine, 0, table.length);
  OnnxConstant constant;
  constant.dtype = dtype;
  constant.dims = {table.length, static_cast<int64_t>(table.inverse.size())};
  if (dtype == DType::kF32) {
    constant.bytes = BytesOf(values.data(), values.size());
    return constant;
  }
  std::vector<uint16_t> halves;
  for (const float v : values) halves.push_back(F16FromFloat(v));
  constant.bytes = BytesOf(halves.data(), halves.size());
  return constant;
}

// "/model/layers.0" and "input_layernorm":
// model.layers.0.input_layernorm.weight
std::string NormName(const std::string& base, const std::string& name) {
  std::string initializer = base.substr(1) + "." + name + ".weight";
  for (char& c : initializer) {
    if (c == '/') c = '.';
  }
  return initializer;
}

class GraphMaker {
 public:
  GraphMaker(const DecoderSpec& spec, const GraphOptions& options)
      : spec_(spec), options_(options) {}

  DecoderGraph Make() {
    out_.graph.name = "main_graph";
    AddInputs();
    AddMask();
    AddRopes();
    AddEmbedding();
    for (size_t i = 0; i < spec_.layers.size(); ++i) AddLayer(i);
    AddHead();
    return std::move(out_);
  }

 private:
  using Attributes = std::vector<OnnxAttribute>;

  void Node(std::string name, const char* type, const char* domain,
            std::vector<std::string> inputs, std::vector<std::string> outputs,
            Attributes attributes = {}) {
    out_.graph.nodes.push_back({std::move(name), type, domain,
                                std::move(inputs), std::move(outputs),
                                std::move(attributes)});
  }
  // Most nodes have one output named after them.
  std::string Node(const std::string& name, const char* type,
                   std::vector<std::string> inputs,
                   Attributes attributes = {}) {
    Node(name, type, "", std::move(inputs), {name + "/output_0"},
         std::move(attributes));
    return name + "/output_0";
  }

  std::string Constant(const std::string& kind, const std::string& literal,
                       DType dtype, std::vector<int64_t> dims,
                       std::string bytes) {
    const std::string output = "/model/constants/" + kind + "/" + literal;
    if (constants_.insert(output).second) {
      OnnxConstant value{output, dtype, std::move(dims), std::move(bytes)};
      Node("/model/constant_nodes/" + kind + "/" + literal, "Constant", "", {},
           {output}, {{"value", std::move(value)}});
    }
    return output;
  }
  std::string Ints(const std::vector<int64_t>& values) {
    return Constant("INT64", ListText(values), DType::kI64,
                    {static_cast<int64_t>(values.size())},
                    BytesOf(values.data(), values.size()));
  }
  std::string Int(int64_t value) {
    return Constant("INT64", std::to_string(value), DType::kI64, {},
                    BytesOf(&value, 1));
  }
  // Of the activations' type.
  std::string Float(double value) {
    const float narrow = static_cast<float>(value);
    const uint16_t half = F16FromFloat(narrow);
    return options_.io() == DType::kF32
               ? Constant("FLOAT", FloatText(value), DType::kF32, {},
                          BytesOf(&narrow, 1))
               : Constant("FLOAT16", FloatText(value), DType::kF16, {},
                          BytesOf(&half, 1));
  }

  std::string Vector(const std::string& name, std::vector<SourceRows> sources,
                     int64_t n, float add = 0) {
    out_.weights.push_back(
        {WeightKind::kVector, name, std::move(sources), n, 1, add, 0});
    return name;
  }
  std::string NormWeight(const std::string& name, const std::string& source,
                         int64_t n) {
    return Vector(name, {{source, n, 0, n}}, n,
                  spec_.norm_plus_one ? 1.0f : 0.0f);
  }

  void AddInputs();
  void AddMask();
  void AddRopes();
  void AddLongRope(const Rope& rope);
  void AddEmbedding();
  void AddLayer(size_t i);
  void AddHead();

  std::string MatMul(const std::string& name, const std::string& weight,
                     const std::string& x, std::vector<SourceRows> sources,
                     int64_t n, int64_t k, const std::string& output = "");
  std::string Bias(const std::string& name, const std::string& weight,
                   const std::string& x, std::vector<SourceRows> sources,
                   int64_t n);
  std::string Norm(const std::string& base, const std::string& name,
                   const std::string& source, const std::string& x);
  std::string SkipNorm(const std::string& base, const std::string& name,
                       const std::string& source, const std::string& skip,
                       bool last = false);
  std::string HeadNorm(size_t layer, const char* name, const std::string& x,
                       int64_t size);
  std::string Attention(size_t layer, const std::string& x);
  std::string GroupQuery(size_t layer, std::vector<std::string> qkv);
  std::string Mlp(size_t layer, const std::string& x);
  std::string Act(const std::string& base, const std::string& gate);
  std::string Scaled(const std::string& name, const std::string& x,
                     double factor);

  std::vector<SourceRows> Qkv(size_t layer, const char* part);
  std::vector<SourceRows> GateOrUp(size_t layer, bool up, const char* part);
  std::string Hf(size_t layer, const std::string& rest) const {
    return "model.layers." + std::to_string(layer) + "." + rest;
  }
  std::string At(size_t layer, const std::string& rest) const {
    return "/model/layers." + std::to_string(layer) + "/" + rest;
  }
  // Tables share bytes with the head where the embedding is its transpose.
  bool SharesHead() const {
    return spec_.tied && options_.share_embeddings &&
           (!options_.quantized() ||
            spec_.hidden % static_cast<int64_t>(options_.quantize.block_size) ==
                0);
  }

  const DecoderSpec& spec_;
  const GraphOptions& options_;
  DecoderGraph out_;
  std::set<std::string> constants_;
  std::string seqlens_, total_, total_int64_;
  // The sum of embedding and sublayers up to here, and the output of the last
  // sublayer, which the next norm adds to it.
  std::string residual_, pending_;
};

void GraphMaker::AddInputs() {
  OnnxGraph& g = out_.graph;
  const DType io = options_.io();
  g.inputs = {
      {"input_ids", DType::kI64, {{-1, "batch_size"}, {-1, "sequence_length"}}},
      {"attention_mask",
       DType::kI64,
       {{-1, "batch_size"}, {-1, "total_sequence_length"}}}};
  g.outputs = {
      {"logits",
       io,
       {{-1, "batch_size"}, {-1, "sequence_length"}, {spec_.vocab, ""}}}};
  const bool all = spec_.AllLayersSlide();
  for (const char* part : {"key", "value"}) {
    for (size_t i = 0; i < spec_.layers.size(); ++i) {
      // Caches of different lengths need symbols of their own.
      const bool slides = spec_.layers[i].window > 0 && !all;
      const std::string kind = slides ? "_sliding_length" : "_sequence_length";
      const std::string end = "." + std::to_string(i) + "." + part;
      const auto dims = [&](const std::string& symbol) {
        return std::vector<Dim>{{-1, "batch_size"},
                                {spec_.kv_heads, ""},
                                {-1, symbol},
                                {-1, "kv_cache_dim"}};
      };
      g.inputs.push_back({"past_key_values" + end, io, dims("past" + kind)});
      g.outputs.push_back({"present" + end, io, dims("total" + kind)});
    }
  }
}

// seqlens_k [B] = sum of the mask less 1; total_sequence_length, a scalar.
void GraphMaker::AddMask() {
  const std::string at = "/model/attn_mask_reformat/attn_mask_subgraph/";
  const std::string sum =
      Node(at + "ReduceSum", "ReduceSum", {"attention_mask", Ints({1})},
           {{"keepdims", int64_t{0}}});
  const std::string last = Node(at + "Sub", "Sub", {sum, Ints({1})});
  const OnnxAttribute to_int32{"to", int64_t{Info(DType::kI32).onnx}};
  seqlens_ = Node(at + "Sub/Cast", "Cast", {last}, {to_int32});
  const std::string shape = Node(at + "Shape", "Shape", {"attention_mask"});
  total_int64_ =
      Node(at + "Gather", "Gather", {shape, Int(1)}, {{"axis", int64_t{0}}});
  total_ = Node(at + "Gather/Cast", "Cast", {total_int64_}, {to_int32});
}

void GraphMaker::AddRopes() {
  for (size_t i = 0; i < spec_.ropes.size(); ++i) {
    const Rope& rope = spec_.ropes[i];
    if (rope.table.inverse.size() % 8 != 0) {
      out_.notes.push_back(
          Format("the rotary size %zu is no multiple of 16: slm runs this, "
                 "onnxruntime on CPU does not",
                 2 * rope.table.inverse.size()));
    }
    if (rope.long_table) {
      AddLongRope(rope);
      continue;
    }
    Weight weight;
    weight.name = "cos_cache" + spec_.rope_names[i];
    weight.kind = WeightKind::kRopeCos;
    weight.n = rope.table.length;
    weight.k = static_cast<int64_t>(rope.table.inverse.size());
    weight.rope = static_cast<int>(i);
    out_.weights.push_back(weight);
    weight.kind = WeightKind::kRopeSin;
    weight.name = "sin_cache" + spec_.rope_names[i];
    out_.weights.push_back(weight);
  }
}

// If(total > length of the small table) chooses both tables.
void GraphMaker::AddLongRope(const Rope& rope) {
  const std::string at = "/model/rope_caches_subgraph/";
  const std::string more =
      Node(at + "Greater", "Greater", {total_int64_, Int(rope.table.length)});
  const auto branch = [&](const std::string& size, const RopeTable& table) {
    auto graph = std::make_shared<OnnxGraph>();
    graph->name = size + "_rope_caches_graph";
    for (const char* name : {"cos_cache", "sin_cache"}) {
      const std::string output = std::string(name) + "_" + size;
      OnnxConstant value = RopeConstant(table, name[0] == 'c', options_.io());
      graph->outputs.push_back(
          {output, options_.io(), {{value.dims[0], ""}, {value.dims[1], ""}}});
      graph->nodes.push_back({"/" + size + "/" + name + "/Constant",
                              "Constant",
                              "",
                              {},
                              {output},
                              {{"value", std::move(value)}}});
    }
    return graph;
  };
  Node(at + "If", "If", "", {more}, {"cos_cache", "sin_cache"},
       {{"then_branch", branch("large", *rope.long_table)},
        {"else_branch", branch("small", rope.table)}});
}

void GraphMaker::AddEmbedding() {
  const std::string at = "/model/embed_tokens/";
  const SourceRows source{"model.embed_tokens.weight", spec_.vocab, 0,
                          spec_.vocab};
  if (!SharesHead()) {
    if (spec_.tied && options_.share_embeddings) {
      out_.notes.push_back(
          Format("hidden_size = %lld is no multiple of the block size: the "
                 "embedding is not shared with the head",
                 static_cast<long long>(spec_.hidden)));
    }
    out_.weights.push_back({WeightKind::kTable,
                            source.tensor,
                            {source},
                            spec_.vocab,
                            spec_.hidden,
                            0,
                            0});
    residual_ = Node(at + "Gather", "Gather", {source.tensor, "input_ids"});
  } else if (options_.quantized()) {
    const QuantizeOptions& q = options_.quantize;
    const QuantizedNames names = NamesOf("lm_head.MatMul.weight", q);
    const std::string shape = Ints({spec_.vocab, spec_.hidden * q.bits / 8});
    const std::string table =
        Node(at + "Reshape", "Reshape", {names.codes, shape});
    std::vector<std::string> inputs = {table, "input_ids", names.scales};
    if (!q.symmetric) inputs.push_back(names.zero_points);
    residual_ = at + "GatherBlockQuantized/output_0";
    Node(at + "GatherBlockQuantized", "GatherBlockQuantized", kMicrosoft,
         std::move(inputs), {residual_},
         {{"bits", int64_t{q.bits}},
          {"block_size", static_cast<int64_t>(q.block_size)},
          {"gather_axis", int64_t{0}},
          {"quantize_axis", int64_t{1}}});
  } else {
    const std::string table =
        Node(at + "Transpose", "Transpose", {"lm_head.MatMul.weight"},
             {{"perm", std::vector<int64_t>{1, 0}}});
    residual_ = Node(at + "Gather", "Gather", {table, "input_ids"});
  }
  residual_ = Scaled(at + "Mul", residual_, spec_.embedding_scale);
}

std::string GraphMaker::Scaled(const std::string& name, const std::string& x,
                               double factor) {
  return factor == 1 ? x : Node(name, "Mul", {x, Float(factor)});
}

// x [B, T, k] times the source [n, k] transposed.
std::string GraphMaker::MatMul(const std::string& name,
                               const std::string& weight, const std::string& x,
                               std::vector<SourceRows> sources, int64_t n,
                               int64_t k, const std::string& output) {
  const std::string out = output.empty() ? name + "/output_0" : output;
  const std::string tensor = weight + ".weight";
  if (!options_.quantized()) {
    out_.weights.push_back(
        {WeightKind::kMatrix, tensor, std::move(sources), n, k, 0, 0});
    Node(name, "MatMul", "", {x, tensor}, {out});
    return out;
  }
  const QuantizeOptions& q = options_.quantize;
  out_.weights.push_back(
      {WeightKind::kQuantized, tensor, std::move(sources), n, k, 0, 0});
  const QuantizedNames names = NamesOf(tensor, q);
  std::vector<std::string> inputs = {x, names.codes, names.scales};
  if (!q.symmetric) inputs.push_back(names.zero_points);
  Attributes attributes = {{"K", k}, {"N", n}};
  if (options_.accuracy_level != 0) {
    attributes.push_back({"accuracy_level", options_.accuracy_level});
  }
  attributes.push_back({"bits", int64_t{q.bits}});
  attributes.push_back({"block_size", static_cast<int64_t>(q.block_size)});
  Node(name + "_Q" + std::to_string(q.bits), "MatMulNBits", kMicrosoft,
       std::move(inputs), {out}, std::move(attributes));
  return out;
}

std::string GraphMaker::Bias(const std::string& name, const std::string& weight,
                             const std::string& x,
                             std::vector<SourceRows> sources, int64_t n) {
  return Node(name, "Add",
              {x, Vector(weight + ".bias", std::move(sources), n)});
}

// base/name: x / rms(x) * weight
std::string GraphMaker::Norm(const std::string& base, const std::string& name,
                             const std::string& source, const std::string& x) {
  const std::string out = base + "/" + name + "/output_0";
  Node(base + "/" + name + "/LayerNorm", "SimplifiedLayerNormalization", "",
       {x, NormWeight(NormName(base, name), source, spec_.hidden)}, {out},
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
  Node(
      at + "/SkipLayerNorm", "SkipSimplifiedLayerNormalization", kMicrosoft,
      {residual_, skip, NormWeight(NormName(base, name), source, spec_.hidden)},
      outputs, {{"epsilon", spec_.epsilon}});
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
  const std::string at = Hf(layer, "mlp.");
  if (spec_.fused_gate_up) {
    return {{at + "gate_up_proj." + part, 2 * spec_.ffn, up ? spec_.ffn : 0,
             spec_.ffn}};
  }
  return {
      {at + (up ? "up_proj." : "gate_proj.") + part, spec_.ffn, 0, spec_.ffn}};
}

// Norm of q or k [B, T, size]: of each head, or of all of it.
std::string GraphMaker::HeadNorm(size_t layer, const char* name,
                                 const std::string& x, int64_t size) {
  const std::string at = At(layer, "attn/") + name;
  const bool whole = spec_.qk_norm == QkNorm::kWhole;
  const std::string weight =
      NormWeight(Hf(layer, "attn.") + name + ".layernorm.weight",
                 Hf(layer, "self_attn.") + name + ".weight",
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
        rope ? "sin_cache" + suffix : "", std::string(), std::string(),
        std::string()}) {
    inputs.push_back(input);
  }
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
  const SourceRows o{Hf(layer, "self_attn.o_proj.weight"), spec_.hidden, 0,
                     spec_.hidden};
  std::string out =
      MatMul(At(layer, "attn/o_proj/MatMul"), Hf(layer, "attn.o_proj.MatMul"),
             attended, {o}, spec_.hidden, q);
  if (spec_.o_bias) {
    out = Bias(
        At(layer, "attn/o_proj/Add"), Hf(layer, "attn.o_proj.Add"), out,
        {{Hf(layer, "self_attn.o_proj.bias"), spec_.hidden, 0, spec_.hidden}},
        spec_.hidden);
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
  }
  return gate;
}

// down(act(gate(x)) * up(x))
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
  const std::string gate = project(
      "gate_proj", x,
      [&](const char* part) { return GateOrUp(layer, false, part); }, spec_.ffn,
      spec_.hidden);
  const std::string up = project(
      "up_proj", x,
      [&](const char* part) { return GateOrUp(layer, true, part); }, spec_.ffn,
      spec_.hidden);
  const std::string product = Node(base + "/Mul", "Mul", {Act(base, gate), up});
  return project(
      "down_proj", product,
      [&](const char* part) {
        return std::vector<SourceRows>{{Hf(layer, "mlp.down_proj.") + part,
                                        spec_.hidden, 0, spec_.hidden}};
      },
      spec_.hidden, spec_.ffn);
}

void GraphMaker::AddLayer(size_t i) {
  const std::string base = "/model/layers." + std::to_string(i);
  const auto residual_scale = [&](const char* name, const std::string& x) {
    return Scaled(base + "/residual_mul/" + name, x, spec_.residual_scale);
  };
  if (spec_.norms == Norms::kAfter) {
    std::string out =
        Norm(base, "post_attention_layernorm",
             Hf(i, "post_attention_layernorm.weight"), Attention(i, residual_));
    residual_ = Node(base + "/post_attention_layernorm/Add", "Add",
                     {residual_, residual_scale("Mul_1", out)});
    out = Norm(base, "post_feedforward_layernorm",
               Hf(i, "post_feedforward_layernorm.weight"), Mlp(i, residual_));
    residual_ = Node(base + "/post_feedforward_layernorm/Add", "Add",
                     {residual_, residual_scale("Mul_2", out)});
    return;
  }
  const bool around = spec_.norms == Norms::kAround;
  const std::string input = "input_layernorm";
  const std::string input_weight = Hf(i, input + ".weight");
  std::string x = i == 0 ? Norm(base, input, input_weight, residual_)
                         : SkipNorm(base, input, input_weight, pending_);
  x = Attention(i, x);
  if (around) {
    x = Norm(base, "post_attention_layernorm",
             Hf(i, "post_attention_layernorm.weight"), x);
  }
  x = residual_scale("Mul_1", x);
  const std::string before_mlp =
      around ? "pre_feedforward_layernorm" : "post_attention_layernorm";
  x = SkipNorm(base, before_mlp, Hf(i, before_mlp + ".weight"), x);
  x = Mlp(i, x);
  if (around) {
    x = Norm(base, "post_feedforward_layernorm",
             Hf(i, "post_feedforward_layernorm.weight"), x);
  }
  pending_ = residual_scale("Mul_2", x);
}

void GraphMaker::AddHead() {
  const std::string base =
      "/model/layers." + std::to_string(spec_.layers.size());
  const char* norm = "final_norm_layernorm";
  const std::string x =
      spec_.norms == Norms::kAfter
          ? Norm(base, norm, "model.norm.weight", residual_)
          : SkipNorm(base, norm, "model.norm.weight", pending_, true);
  const std::string source =
      spec_.tied ? "model.embed_tokens.weight" : "lm_head.weight";
  const bool scaled = spec_.logits_scale != 1;
  const bool capped = spec_.final_softcap > 0;
  std::string logits =
      MatMul("/lm_head/MatMul", "lm_head.MatMul", x,
             {{source, spec_.vocab, 0, spec_.vocab}}, spec_.vocab, spec_.hidden,
             scaled || capped ? "" : "logits");
  if (scaled) {
    const std::string out = capped ? "/lm_head/Mul/output_0" : "logits";
    Node("/lm_head/Mul", "Mul", "", {logits, Float(spec_.logits_scale)}, {out});
    logits = out;
  }
  if (capped) {
    const std::string cap = Float(spec_.final_softcap);
    const std::string divided =
        Node("/lm_head/softcap/Div", "Div", {logits, cap});
    const std::string bent = Node("/lm_head/softcap/Tanh", "Tanh", {divided});
    Node("/lm_head/softcap/Mul", "Mul", "", {bent, cap}, {"logits"});
  }
}

}  // namespace

QuantizedNames NamesOf(const std::string& weight,
                       const QuantizeOptions& options) {
  const std::string bits = std::to_string(options.bits);
  if (options.algorithm == QuantAlgorithm::kRtn) {
    return {weight + "_Q" + bits + "G" + std::to_string(options.block_size),
            weight + "_scale", weight + "_zp"};
  }
  return {weight + "_Q" + bits, weight + "_scales", weight + "_zero_points"};
}

DecoderGraph MakeDecoderGraph(const DecoderSpec& spec,
                              const GraphOptions& options) {
  return GraphMaker(spec, options).Make();
}

}  // namespace slm::convert
