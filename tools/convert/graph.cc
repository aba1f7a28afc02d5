// SPDX-License-Identifier: MIT
#include "tools/convert/graph.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "runtime/core/half.h"
#include "tools/convert/graph_maker.h"

namespace slm::convert {
namespace {

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

// "operator_norm" and "ffn_norm" are LFM2's.
std::string BuilderNormName(std::string_view source) {
  if (source == "operator_norm") return "operator_layernorm";
  if (source == "ffn_norm") return "ffn_layernorm";
  return std::string(source);
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

}  // namespace

std::string GraphMaker::Constant(const std::string& kind,
                                 const std::string& literal, DType dtype,
                                 std::vector<int64_t> dims, std::string bytes) {
  const std::string output = "/model/constants/" + kind + "/" + literal;
  if (constants_.insert(output).second) {
    OnnxConstant value{output, dtype, std::move(dims), std::move(bytes)};
    Node("/model/constant_nodes/" + kind + "/" + literal, "Constant", "", {},
         {output}, {{"value", std::move(value)}});
  }
  return output;
}

std::string GraphMaker::Ints(const std::vector<int64_t>& values) {
  return Constant("INT64", ListText(values), DType::kI64,
                  {static_cast<int64_t>(values.size())},
                  BytesOf(values.data(), values.size()));
}

std::string GraphMaker::Int(int64_t value) {
  return Constant("INT64", std::to_string(value), DType::kI64, {},
                  BytesOf(&value, 1));
}

std::string GraphMaker::Float(double value) {
  const float narrow = static_cast<float>(value);
  const uint16_t half = F16FromFloat(narrow);
  return options_.io() == DType::kF32
             ? Constant("FLOAT", FloatText(value), DType::kF32, {},
                        BytesOf(&narrow, 1))
             : Constant("FLOAT16", FloatText(value), DType::kF16, {},
                        BytesOf(&half, 1));
}

DecoderGraph GraphMaker::Make() {
  out_.graph.name = "main_graph";
  experts_ = ExpertsFormat();
  AddInputs();
  AddMask();
  AddRopes();
  AddEmbedding();
  for (size_t i = 0; i < spec_.layers.size(); ++i) AddLayer(i);
  AddHead();
  if (kept_in_vain_ > 0) {
    out_.notes.push_back(Format(
        "%zu of the matrices are quantised again: rules give them fewer bits, "
        "or their parts do not have one order of columns",
        kept_in_vain_));
  }
  for (size_t i = 0; i < applied_.size(); ++i) {
    if (applied_[i] || options_.rules[i].pattern.empty()) continue;
    out_.unmatched.push_back(options_.rules[i].pattern);
  }
  return std::move(out_);
}

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
      if (spec_.layers[i].convolution) continue;
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
  for (size_t i = 0; i < spec_.layers.size(); ++i) {
    if (!spec_.layers[i].convolution) continue;
    const std::vector<Dim> dims = {
        {-1, "batch_size"}, {spec_.hidden, ""}, {spec_.conv_taps - 1, ""}};
    const std::string end = "." + std::to_string(i) + ".conv";
    g.inputs.push_back({"past" + end, io, dims});
    g.outputs.push_back({"present" + end, io, dims});
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

int GraphMaker::RuleBits(const std::string& node) {
  int bits = -1;
  for (size_t i = 0; i < options_.rules.size(); ++i) {
    if (!Applies(options_.rules[i], node, spec_.layers.size())) continue;
    applied_[i] = true;
    if (bits < 0) bits = options_.rules[i].bits;
  }
  return bits;
}

// A rule may widen the codes of sources that are kept; fewer bits than they
// have are made anew.
GraphMaker::WeightFormat GraphMaker::FormatOf(
    const std::string& node, const std::vector<SourceRows>& sources,
    bool quantized) {
  const int bits = RuleBits(node);
  WeightFormat format{options_.quantize};
  format.quantize.bits = 0;
  if (bits == 0 || (bits < 0 && !quantized)) return format;
  WeightFormat kept = KeptFormat(sources);
  if (kept.kept && bits < 0) return kept;
  if (kept.kept && bits >= kept.quantize.bits) {
    kept.quantize.bits = bits;
    return kept;
  }
  format.bits_open = bits < 0;
  format.quantize.bits = bits < 0 ? options_.quantize.bits : bits;
  return format;
}

std::vector<std::string> GraphMaker::InputsOf(const Weight& weight) {
  QuantizedNames names = NamesOf(weight);
  std::vector<std::string> inputs = {std::move(names.codes),
                                     std::move(names.scales)};
  if (!weight.quantize.symmetric) {
    inputs.push_back(std::move(names.zero_points));
  }
  return inputs;
}

// Tied models have one table for embedding and head where both have the same
// format and GatherBlockQuantized can read what MatMulNBits has: whole blocks.
void GraphMaker::AddEmbedding() {
  const WeightFormat head = HeadFormat();
  const bool may_share = spec_.tied && options_.share_embeddings;
  const bool asked = RuleBits(kEmbeddingNode) >= 0;
  const WeightFormat own = may_share && !asked
                               ? head
                               : FormatOf(kEmbeddingNode, {EmbeddingRows()},
                                          options_.quantize_embedding);
  const QuantizeOptions& q = own.quantize;
  const bool same = q.bits == head.quantize.bits && own.kept == head.kept;
  const bool fits =
      q.bits == 0 ||
      (!options_.qdq && spec_.hidden % static_cast<int64_t>(q.block_size) == 0);
  if (may_share && same && fits) {
    residual_ = SharedEmbedding(head);
  } else {
    if (may_share && !asked) {
      out_.notes.push_back(
          options_.qdq
              ? std::string("the embedding has a table of its own: "
                            "DequantizeLinear's is not shared with the head")
              : Format("the embedding has a table of its own: hidden_size = "
                       "%lld is no multiple of the block size",
                       static_cast<long long>(spec_.hidden)));
    }
    Weight table{WeightKind::kTable,
                 EmbeddingRows().tensor,
                 {EmbeddingRows()},
                 spec_.vocab,
                 spec_.hidden,
                 0,
                 0,
                 q,
                 own.kept,
                 may_share && !asked ? kHeadNode : kEmbeddingNode,
                 own.bits_open};
    if (q.bits != 0) {
      table.kind = WeightKind::kQuantizedTable;
      // What the tool has for tables; it has none of 8 bits.
      if (q.algorithm == QuantAlgorithm::kDefault && q.bits == 4) {
        table.quantize.algorithm = QuantAlgorithm::kDefaultGather;
      }
    }
    residual_ = EmbeddingOf(table);
    out_.weights.push_back(std::move(table));
  }
  residual_ =
      Scaled("/model/embed_tokens/Mul", residual_, spec_.embedding_scale);
}

std::string GraphMaker::EmbeddingOf(const Weight& table) {
  const std::string name = kEmbeddingNode;
  if (!table.quantized()) {
    return Node(name, "Gather", {table.name, "input_ids"});
  }
  std::vector<std::string> inputs = InputsOf(table);
  inputs.insert(inputs.begin() + 1, "input_ids");
  const QuantizeOptions& q = table.quantize;
  Attributes attributes = {{"block_size", static_cast<int64_t>(q.block_size)},
                           {"gather_axis", int64_t{0}},
                           {"quantize_axis", int64_t{1}}};
  // Of four bits the type of the codes says so.
  if (q.bits != 4) attributes.push_back({"bits", int64_t{q.bits}});
  Node(name + "_Q" + std::to_string(q.bits), "GatherBlockQuantized", kMicrosoft,
       std::move(inputs), {name + "/output_0"}, std::move(attributes));
  return name + "/output_0";
}

// The head's table, which AddHead makes.
std::string GraphMaker::SharedEmbedding(const WeightFormat& head) {
  const std::string at = "/model/embed_tokens/";
  const QuantizeOptions& q = head.quantize;
  Weight weight;
  weight.name = "lm_head.MatMul.weight";
  if (q.bits == 0) {
    const std::string table = Node(at + "Transpose", "Transpose", {weight.name},
                                   {{"perm", std::vector<int64_t>{1, 0}}});
    return Node(at + "Gather", "Gather", {table, "input_ids"});
  }
  weight.kind = WeightKind::kQuantized;
  weight.quantize = q;
  weight.kept = head.kept;
  std::vector<std::string> inputs = InputsOf(weight);
  inputs[0] = Node(at + "Reshape", "Reshape",
                   {inputs[0], Ints({spec_.vocab, spec_.hidden * q.bits / 8})});
  inputs.insert(inputs.begin() + 1, "input_ids");
  const std::string out = at + "GatherBlockQuantized/output_0";
  Node(at + "GatherBlockQuantized", "GatherBlockQuantized", kMicrosoft,
       std::move(inputs), {out},
       {{"bits", int64_t{q.bits}},
        {"block_size", static_cast<int64_t>(q.block_size)},
        {"gather_axis", int64_t{0}},
        {"quantize_axis", int64_t{1}}});
  return out;
}

void GraphMaker::AddLayer(size_t i) {
  const std::string base = "/model/layers." + std::to_string(i);
  const auto residual_scale = [&](const char* name, const std::string& x) {
    return Scaled(base + "/residual_mul/" + name, x, spec_.residual_scale);
  };
  if (spec_.norms == Norms::kAfter) {
    std::string out =
        Norm(base, "post_attention_layernorm",
             Hf(i, "post_attention_layernorm"), Attention(i, residual_));
    residual_ = Node(base + "/post_attention_layernorm/Add", "Add",
                     {residual_, residual_scale("Mul_1", out)});
    out = Norm(base, "post_feedforward_layernorm",
               Hf(i, "post_feedforward_layernorm"), Mlp(i, residual_));
    residual_ = Node(base + "/post_feedforward_layernorm/Add", "Add",
                     {residual_, residual_scale("Mul_2", out)});
    return;
  }
  const bool around = spec_.norms == Norms::kAround;
  const TensorNames& names = spec_.names;
  const std::string input = BuilderNormName(names.before_attention);
  const std::string input_source = Hf(i, std::string(names.before_attention));
  std::string x = i == 0 ? Norm(base, input, input_source, residual_)
                         : SkipNorm(base, input, input_source, pending_);
  if (spec_.norms == Norms::kShared) {
    const std::string attended = Attention(i, x);
    pending_ = Node(base + "/residual_add/Add", "Add", {attended, Mlp(i, x)});
    return;
  }
  x = AttentionOrConv(i, x);
  if (around) {
    x = Norm(base, "post_attention_layernorm",
             Hf(i, "post_attention_layernorm"), x);
  }
  x = residual_scale("Mul_1", x);
  const std::string before_mlp(around ? "pre_feedforward_layernorm"
                                      : names.before_mlp);
  x = SkipNorm(base, BuilderNormName(before_mlp), Hf(i, before_mlp), x);
  x = MlpOrMoe(i, x);
  if (around) {
    x = Norm(base, "post_feedforward_layernorm",
             Hf(i, "post_feedforward_layernorm"), x);
  }
  pending_ = residual_scale("Mul_2", x);
}

void GraphMaker::AddHead() {
  const std::string base =
      "/model/layers." + std::to_string(spec_.layers.size());
  const char* norm = "final_norm_layernorm";
  const std::string last(spec_.names.last_norm);
  const std::string x = spec_.norms == Norms::kAfter
                            ? Norm(base, norm, last, residual_)
                            : SkipNorm(base, norm, last, pending_, true);
  const bool scaled = spec_.logits_scale != 1;
  const bool capped = spec_.final_softcap > 0;
  std::string logits =
      MatMul("/lm_head/MatMul", "lm_head.MatMul", x, {HeadRows()}, spec_.vocab,
             spec_.hidden, scaled || capped || spec_.head_bias ? "" : "logits");
  if (spec_.head_bias) {
    const std::string bias =
        Vector("lm_head.Add.bias",
               {{"lm_head.bias", spec_.vocab, 0, spec_.vocab}}, spec_.vocab);
    const std::string out =
        scaled || capped ? "/lm_head/Add/output_0" : "logits";
    Node("/lm_head/Add", "Add", "", {logits, bias}, {out});
    logits = out;
  }
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

QuantizedNames NamesOf(const Weight& weight) {
  const QuantizeOptions& q = weight.quantize;
  const std::string& name = weight.name;
  const std::string bits = std::to_string(q.bits);
  if (weight.kind == WeightKind::kQuantizedTurned) {
    return {name + "_DQ_Q" + bits, name + "_DQ_scales",
            name + "_DQ_zero_points"};
  }
  // As the builder names those of checkpoints that are quantised.
  if (weight.kept) {
    const std::string base = name.substr(0, name.rfind('.')) + "NBits";
    return {base + ".qweight", base + ".scales", base + ".qzeros"};
  }
  const bool compressor = q.algorithm == QuantAlgorithm::kRtn ||
                          q.algorithm == QuantAlgorithm::kKQuant;
  if (compressor && weight.kind == WeightKind::kQuantized) {
    return {name + "_Q" + bits + "G" + std::to_string(q.block_size),
            name + "_scale", name + "_zp"};
  }
  return {name + "_Q" + bits, name + "_scales", name + "_zero_points"};
}

Result<DecoderGraph> MakeDecoderGraph(const DecoderSpec& spec,
                                      const GraphOptions& options,
                                      const KeptGrids& kept) {
  if (options.must_share && !spec.tied) {
    return Usage(
        "shared_embeddings = true: this model's embedding and head are tables "
        "of their own");
  }
  DecoderGraph graph = GraphMaker(spec, options, kept).Make();
  if (!graph.unmatched.empty()) {
    return Usage("no matrix of this model is named \"%s\"",
                 Printable(graph.unmatched[0]).c_str());
  }
  const auto expert = [](const Weight& weight) {
    return weight.kind == WeightKind::kQuantizedExperts;
  };
  if (options.qdq &&
      std::any_of(graph.weights.begin(), graph.weights.end(), expert)) {
    graph.notes.push_back("experts stay in QMoE: --qdq is for plain matrices");
  }
  for (const Weight& weight : graph.weights) {
    if (weight.kind == WeightKind::kQuantizedTurned &&
        weight.quantize.bits != 4) {
      return Usage("\"%s\" has %d bits: --qdq is for int4",
                   Printable(weight.name).c_str(), weight.quantize.bits);
    }
  }
  return graph;
}

}  // namespace slm::convert
