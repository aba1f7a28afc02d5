// SPDX-License-Identifier: MIT
// How graph.cc makes a graph: node by node, in the order of the data. Private
// to graph*.cc; the parts of a layer are in graph_layer.cc.
#ifndef SLM_TOOLS_CONVERT_GRAPH_MAKER_H_
#define SLM_TOOLS_CONVERT_GRAPH_MAKER_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tools/convert/graph.h"

namespace slm::convert {

inline constexpr const char* kMicrosoft = "com.microsoft";

class GraphMaker {
 public:
  GraphMaker(const DecoderSpec& spec, const GraphOptions& options,
             const KeptGrids& kept)
      : spec_(spec), options_(options), kept_(kept) {}

  DecoderGraph Make();

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

  // Constants, each made once, named by type and value.
  std::string Constant(const std::string& kind, const std::string& literal,
                       DType dtype, std::vector<int64_t> dims,
                       std::string bytes);
  std::string Ints(const std::vector<int64_t>& values);
  std::string Int(int64_t value);
  std::string Float(double value);  // of the activations' type

  std::string Vector(const std::string& name, std::vector<SourceRows> sources,
                     int64_t n, float add = 0) {
    out_.weights.push_back(
        {WeightKind::kVector, name, std::move(sources), n, 1, add, 0, {}});
    return name;
  }
  std::string NormWeight(const std::string& name, const std::string& source,
                         int64_t n) {
    return Vector(name, {{source, n, 0, n}}, n,
                  spec_.norm_plus_one ? 1.0f : 0.0f);
  }
  std::vector<std::string> NormInputs(const std::string& base,
                                      const std::string& name,
                                      const std::string& source);

  void AddInputs();
  void AddMask();
  void AddRopes();
  void AddLongRope(const Rope& rope);
  void AddEmbedding();
  void AddLayer(size_t i);
  void AddHead();

  // The format of a node's weight with these sources; quantize.bits is 0 where
  // it is float. Marks the rules that apply.
  struct WeightFormat {
    QuantizeOptions quantize = {};
    bool kept = false;
    bool bits_open = false;
    // Of kept_: the order of the columns that x is to have; null: as it is.
    const std::vector<int32_t>* columns = nullptr;
  };
  std::string InOrder(const std::string& name, const std::string& x,
                      const std::vector<int32_t>& columns);
  bool SameOrder(const std::vector<SourceRows>& sources) const;
  WeightFormat FormatOf(const std::string& node,
                        const std::vector<SourceRows>& sources, bool quantized);
  WeightFormat KeptFormat(const std::vector<SourceRows>& sources) const;
  // The bits that a rule wants; -1: none applies.
  int RuleBits(const std::string& node);
  std::string EmbeddingOf(const Weight& table);
  std::string SharedEmbedding(const WeightFormat& head);
  std::string MatMul(const std::string& name, const std::string& weight,
                     const std::string& x, std::vector<SourceRows> sources,
                     int64_t n, int64_t k, const std::string& output = "",
                     bool quantize = true);
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
  std::string Moe(size_t layer, const std::string& x);
  std::string Experts(size_t layer, const char* part, int64_t n, int64_t k,
                      std::vector<std::string>* inputs);
  std::optional<QuantizeOptions> ExpertsFormat();
  std::string ShortConv(size_t layer, const std::string& x);
  std::string AttentionOrConv(size_t layer, const std::string& x) {
    return spec_.layers[layer].convolution ? ShortConv(layer, x)
                                           : Attention(layer, x);
  }
  std::string MlpOrMoe(size_t layer, const std::string& x) {
    return spec_.layers[layer].experts ? Moe(layer, x) : Mlp(layer, x);
  }
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
  SourceRows EmbeddingRows() const {
    return {"model.embed_tokens.weight", spec_.vocab, 0, spec_.vocab};
  }
  SourceRows HeadRows() const {
    return {spec_.tied ? "model.embed_tokens.weight" : "lm_head.weight",
            spec_.vocab, 0, spec_.vocab};
  }
  WeightFormat HeadFormat() {
    return FormatOf(kHeadNode, {HeadRows()}, options_.quantized());
  }
  // Codes, scales and, where there are any, zero points.
  static std::vector<std::string> InputsOf(const Weight& weight);

  const DecoderSpec& spec_;
  const GraphOptions& options_;
  const KeptGrids& kept_;
  DecoderGraph out_;
  std::set<std::string> constants_;
  struct {  // the last InOrder
    std::string x;
    std::vector<int32_t> columns;
    std::string output;
  } ordered_;
  size_t kept_in_vain_ = 0;  // matrices
  std::vector<bool> applied_ = std::vector<bool>(options_.rules.size());
  std::optional<QuantizeOptions> experts_;  // none: floats
  std::string seqlens_, total_, total_int64_;
  // The sum of embedding and sublayers up to here, and the output of the last
  // sublayer, which the next norm adds to it.
  std::string residual_, pending_;
};

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_GRAPH_MAKER_H_
