// SPDX-License-Identifier: MIT
// Layers of experts and short convolutions.
#include <utility>

#include "tools/convert/graph_maker.h"

namespace slm::convert {

// Adds the names of a part's weights to `inputs`, codes and scales where they
// are quantised; returns the name of its zero points, or "".
//   part "gate_up_proj" [E, 2 F, H], rows of gate and up in turn
//   part "down_proj"    [E, H, F]
std::string GraphMaker::Experts(size_t layer, const char* part, int64_t n,
                                int64_t k, std::vector<std::string>* inputs) {
  const MoeSpec& moe = spec_.moe;
  const std::string name = Hf(layer, "moe.experts.") + part;
  const bool down = part[0] == 'd';
  Weight weight;
  weight.kind = experts_ ? WeightKind::kQuantizedExperts : WeightKind::kExperts;
  weight.name = name;
  weight.experts = moe.experts;
  weight.n = moe.experts * n;
  weight.k = k;
  if (experts_) {
    weight.quantize = *experts_;
    weight.whole_rows = weight.quantize.block_size == 0;
    if (weight.whole_rows) weight.quantize.block_size = static_cast<size_t>(k);
  }
  if (moe.gpt_oss) {
    weight.sources = {
        {Hf(layer, "mlp.experts.") + part, weight.n, 0, weight.n}};
  } else {
    weight.in_turn = !down;
    for (int64_t e = 0; e < moe.experts; ++e) {
      const std::string at = Hf(layer, std::string(moe.block)) + ".experts." +
                             std::to_string(e) + ".";
      const auto add = [&](std::string_view source, int64_t rows) {
        weight.sources.push_back(
            {at + std::string(source) + ".weight", rows, 0, rows});
      };
      if (down) {
        add(moe.down, n);
      } else {
        add(moe.gate, moe.ffn);
        add(moe.up, moe.ffn);
      }
    }
  }
  out_.weights.push_back(std::move(weight));
  if (!experts_) {
    inputs->push_back(name + ".weight");
    return "";
  }
  inputs->push_back(name + ".qweight");
  inputs->push_back(name + ".scales");
  return experts_->symmetric ? "" : name + ".zero_points";
}

// One block size serves both products and divides the columns of both: the
// kernels have no shorter last block.
std::optional<QuantizeOptions> GraphMaker::ExpertsFormat() {
  const MoeSpec& moe = spec_.moe;
  if (!options_.quantized() || moe.experts == 0) return std::nullopt;
  QuantizeOptions q = options_.quantize;
  if (options_.expert_bits != 0) q.bits = options_.expert_bits;
  const size_t wanted = options_.expert_block_size.value_or(q.block_size);
  if (wanted == 0) {
    q.block_size = 0;
    q.symmetric = true;
    return q;
  }
  q.block_size = wanted;
  const auto divides = [&](int64_t columns) {
    return columns % static_cast<int64_t>(q.block_size) == 0;
  };
  while (q.block_size > 16 && !(divides(spec_.hidden) && divides(moe.ffn))) {
    q.block_size /= 2;
  }
  const std::string sizes = Format("experts of %lld and %lld columns",
                                   static_cast<long long>(spec_.hidden),
                                   static_cast<long long>(moe.ffn));
  if (!divides(spec_.hidden) || !divides(moe.ffn)) {
    out_.notes.push_back(sizes + " are no multiples of 16: they stay float");
    return std::nullopt;
  }
  if (q.block_size != wanted) {
    out_.notes.push_back(
        Format("%s: blocks of %zu", sizes.c_str(), q.block_size));
  }
  return q;
}

// sum over the experts e of a token of weight_e * expert_e(x)
std::string GraphMaker::Moe(size_t layer, const std::string& x) {
  const MoeSpec& moe = spec_.moe;
  const std::string base = At(layer, "moe/");
  const std::string at = Hf(layer, "moe.");
  const std::string source =
      Hf(layer, std::string(moe.block)) + (moe.gpt_oss ? ".router." : ".gate.");
  // Rounding changes choices for the few bytes that it saves: 13 % more KL
  // divergence (gptoss-moe). The builder quantises gpt-oss's.
  const bool quantise =
      moe.gpt_oss && options_.quantize.algorithm != QuantAlgorithm::kSearch;
  std::string logits =
      MatMul(base + "router/MatMul", at + "router.MatMul", x,
             {{source + "weight", moe.experts, 0, moe.experts}}, moe.experts,
             spec_.hidden, "", quantise);
  if (moe.gpt_oss) {
    logits =
        Bias(base + "router/Add", at + "router.Add", logits,
             {{source + "bias", moe.experts, 0, moe.experts}}, moe.experts);
  }
  // onnxruntime's kernels cannot be asked for weights that do not sum up to 1:
  // QMoE ignores the attribute, MoE overwrites its input. So their sum is made
  // here, and scales what comes out.
  std::string sum;
  if (!moe.normalized) {
    const std::string all = Node(base + "router/Softmax", "Softmax", {logits},
                                 {{"axis", int64_t{-1}}});
    const std::string top = base + "router/TopK/output_";
    Node(base + "router/TopK", "TopK", "", {all, Ints({moe.chosen})},
         {top + "0", top + "1"}, {{"axis", int64_t{-1}}});
    sum = Node(base + "router/ReduceSum", "ReduceSum", {top + "0", Ints({-1})},
               {{"keepdims", int64_t{1}}});
  }
  logits = Node(base + "router/Reshape", "Reshape",
                {logits, Ints({-1, moe.experts})});
  const bool quantized = experts_.has_value();
  std::vector<std::string> inputs = {x, logits};
  std::vector<std::string> zero_points;
  const auto part = [&](const char* name, int64_t n, int64_t k) {
    zero_points.push_back(Experts(layer, name, n, k, &inputs));
    Weight bias;
    bias.kind = WeightKind::kTable;
    bias.name = at + "experts." + name + ".bias";
    bias.sources = {{Hf(layer, "mlp.experts.") + name + "_bias", moe.experts, 0,
                     moe.experts}};
    bias.experts = bias.n = moe.experts;
    bias.k = n;
    inputs.push_back(moe.gpt_oss ? bias.name : "");
    if (moe.gpt_oss) out_.weights.push_back(std::move(bias));
  };
  part("gate_up_proj", 2 * moe.ffn, spec_.hidden);
  part("down_proj", spec_.hidden, moe.ffn);
  inputs.insert(inputs.end(), quantized ? 3 : 2, "");  // a third product
  if (quantized) {
    inputs.insert(inputs.end(), zero_points.begin(), zero_points.end());
    inputs.push_back("");
  }
  Attributes attributes = {{"activation_alpha", moe.gpt_oss ? 1.702f : 1.0f},
                           {"activation_beta", moe.gpt_oss ? 1.0f : 0.0f},
                           {"activation_type", std::string("swiglu")},
                           {"k", moe.chosen},
                           {"normalize_routing_weights", int64_t{1}},
                           {"swiglu_fusion", int64_t{1}},
                           {"use_sparse_mixer", int64_t{0}}};
  if (moe.gpt_oss) attributes.push_back({"swiglu_limit", 7.0f});
  if (quantized) {
    attributes.push_back({"expert_weight_bits", int64_t{experts_->bits}});
    if (experts_->block_size > 0) {
      attributes.push_back(
          {"block_size", static_cast<int64_t>(experts_->block_size)});
    }
  }
  const char* type = quantized ? "QMoE" : "MoE";
  Node(base + type, type, kMicrosoft, std::move(inputs),
       {base + type + "/output_0"}, std::move(attributes));
  const std::string out = base + type + "/output_0";
  return sum.empty() ? out : Node(base + "Mul", "Mul", {out, sum});
}

// out_proj(c * conv(b * u)) with b, c and u the thirds of in_proj(x); the
// convolution sees the last conv_taps - 1 columns of the tokens before.
std::string GraphMaker::ShortConv(size_t layer, const std::string& x) {
  const int64_t h = spec_.hidden;
  const std::string at = At(layer, "conv/");
  const std::string weight = Hf(layer, "conv.");
  const auto project = [&](const char* name, const std::string& in, int64_t n) {
    const std::string part = std::string(name) + "/";
    std::string out = MatMul(at + part + "MatMul", weight + name + ".MatMul",
                             in, {{weight + name + ".weight", n, 0, n}}, n, h);
    if (!spec_.conv_bias) return out;
    return Bias(at + part + "Add", weight + name + ".Add", out,
                {{weight + name + ".bias", n, 0, n}}, n);
  };
  const OnnxAttribute turn{"perm", std::vector<int64_t>{0, 2, 1}};
  const std::string thirds = Node(at + "Transpose_1", "Transpose",
                                  {project("in_proj", x, 3 * h)}, {turn});
  const std::string split = at + "Split/output_";
  Node(at + "Split", "Split", "", {thirds, Ints({h, h, h})},
       {split + "0", split + "1", split + "2"}, {{"axis", int64_t{1}}});
  const std::string gated =
      Node(at + "Mul_1", "Mul", {split + "0", split + "2"});
  Weight taps;
  taps.kind = WeightKind::kTaps;
  taps.name = weight + "conv.weight";
  taps.sources = {{taps.name, h, 0, h}};
  taps.n = h;
  taps.k = spec_.conv_taps;
  const std::string taps_name = taps.name;
  out_.weights.push_back(std::move(taps));
  const std::string bias =
      spec_.conv_bias
          ? Vector(weight + "conv.bias", {{weight + "conv.bias", h, 0, h}}, h)
          : "";
  const std::string i = std::to_string(layer);
  const std::string conv = at + "CausalConvWithState";
  Node(conv, "CausalConvWithState", kMicrosoft,
       {gated, taps_name, bias, "past." + i + ".conv"},
       {conv + "/output_0", "present." + i + ".conv"},
       {{"ndim", int64_t{1}},
        {"activation", std::string("none")},
        {"state_window", int64_t{0}}});
  const std::string product =
      Node(at + "Mul_2", "Mul", {split + "1", conv + "/output_0"});
  return project("out_proj",
                 Node(at + "Transpose_2", "Transpose", {product}, {turn}), h);
}

}  // namespace slm::convert
