// SPDX-License-Identifier: MIT
#include "tools/convert/onnx_plan.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "runtime/core/shape.h"
#include "tools/convert/onnx_matrices.h"

namespace slm::convert {
namespace {

constexpr const char* kMicrosoft = "com.microsoft";
// Smaller initializers stay in the file, as onnx's own tools have it.
constexpr size_t kLeastPlaced = 1024;

using Form = OnnxMatrix::Form;
using Op = OnnxUse::Op;

bool CutSuffix(std::string_view suffix, std::string* text) {
  if (text->size() < suffix.size() ||
      text->compare(text->size() - suffix.size(), suffix.size(), suffix) != 0) {
    return false;
  }
  text->resize(text->size() - suffix.size());
  return true;
}

// Without what quantizers append to names: "_Q4", "_DQ_Q4", "_matmul_Q4",
// "_Q4G32".
std::string WithoutBits(std::string name) {
  const size_t at = name.rfind("_Q");
  if (at == std::string::npos || at + 2 == name.size()) return name;
  const std::string rest = name.substr(at + 2);
  if (rest.find_first_not_of("0123456789G") != std::string::npos) return name;
  name.resize(at);
  if (!CutSuffix("_DQ", &name)) CutSuffix("_matmul", &name);
  return name;
}

std::string WeightBase(std::string name) {
  if (CutSuffix(".qweight", &name)) {
    CutSuffix("NBits", &name);
    return name + ".weight";
  }
  return WithoutBits(std::move(name));
}

enum class Want { kKeep, kQuantize, kFloat };

struct Decision {
  Want want = Want::kKeep;
  QuantizeOptions quantize;  // of kQuantize
  int weight = -1;           // into the plan's
};

class Planner {
 public:
  Planner(const OnnxRequest& request, OnnxDocument* document,
          OnnxTensors* tensors)
      : request_(request),
        options_(request.graph),
        document_(*document),
        tensors_(*tensors) {}

  Result<OnnxPlan> Plan() {
    SLM_ASSIGN_OR_RETURN(found_, FindMatrices(document_));
    applied_.resize(options_.rules.size());
    keeps_ =
        request_.keeps || (request_.accuracy_alone &&
                           std::any_of(found_.uses.begin(), found_.uses.end(),
                                       [](const OnnxUse& use) {
                                         return use.op == Op::kMatMulNBits;
                                       }));
    CollectNames();
    CountLayers();
    for (const OnnxUse& use : found_.uses) {
      SLM_ASSIGN_OR_RETURN(Decision decision, Decide(use));
      decisions_.push_back(decision);
    }
    SLM_RETURN_IF_ERROR(CheckRules());
    SLM_RETURN_IF_ERROR(CheckType());
    for (size_t i = 0; i < decisions_.size(); ++i) MatchTable(i);
    FreeNames();
    for (size_t i = 0; i < decisions_.size(); ++i) MakeWeight(i);
    for (size_t i = 0; i < decisions_.size(); ++i) Rewrite(i);
    SetAccuracy();
    SLM_RETURN_IF_ERROR(CheckSomething());
    Sweep();
    Place();
    AddNotes();
    if (!plan_.weights.empty()) document_.ImportDomain(kMicrosoft, 1);
    return std::move(plan_);
  }

 private:
  const DocumentNode& NodeOf(const OnnxUse& use) const {
    return document_.graphs()[static_cast<size_t>(use.graph)]
        .nodes[static_cast<size_t>(use.node)];
  }
  const DocumentTensor& Tensor(int i) const {
    return document_.tensors()[static_cast<size_t>(i)];
  }
  static bool IsTable(const OnnxUse& use) {
    return use.op == Op::kGather || use.op == Op::kGatherQuantized;
  }
  // As it is called without quantisation; rules speak of that.
  std::string BaseName(const OnnxUse& use) const {
    const DocumentNode& node = NodeOf(use);
    std::string name = node.name.empty() && !node.outputs.empty()
                           ? node.outputs[0]
                           : node.name;
    name = WithoutBits(std::move(name));
    if (use.op == Op::kMatMulNBits && CutSuffix("MatMulNBits", &name)) {
      name += "MatMul";
    }
    return name;
  }

  void CollectNames() {
    for (const DocumentGraph& graph : document_.graphs()) {
      for (const DocumentNode& node : graph.nodes) {
        taken_.insert(node.outputs.begin(), node.outputs.end());
      }
      for (const OnnxValue& value : graph.inputs) taken_.insert(value.name);
    }
    for (const DocumentTensor& tensor : document_.tensors()) {
      taken_.insert(tensor.name);
    }
  }

  // For rules that speak of layers: those of the cache.
  void CountLayers() {
    for (const OnnxValue& input : document_.graphs()[0].inputs) {
      std::string name = input.name;
      layers_ += CutSuffix(".key", &name);
    }
  }

  // Bits that rules give, or `otherwise`.
  int BitsOf(const std::string& name, int otherwise) {
    int bits = -1;
    for (size_t i = 0; i < options_.rules.size(); ++i) {
      if (!Applies(options_.rules[i], name, layers_)) continue;
      applied_[i] = true;
      if (bits < 0) bits = options_.rules[i].bits;
    }
    return bits < 0 ? otherwise : bits;
  }

  Status CheckRules() const {
    for (size_t i = 0; i < applied_.size(); ++i) {
      if (applied_[i] || options_.rules[i].pattern.empty()) continue;
      return Usage("no matrix of this model is named \"%s\"",
                   Printable(options_.rules[i].pattern).c_str());
    }
    return OkStatus();
  }

  // Activations keep their type.
  Status CheckType() const {
    if (keeps_ || options_.quantized()) return OkStatus();
    for (const OnnxUse& use : found_.uses) {
      if (use.matrix.type == options_.io()) continue;
      return Usage(
          "precision %s: activations of node \"%s\" are %s, and are not "
          "converted",
          options_.io() == DType::kF16 ? "fp16" : "fp32",
          Printable(NodeOf(use).name, 200).c_str(), Name(use.matrix.type));
    }
    return OkStatus();
  }

  Result<Decision> Decide(const OnnxUse& use) {
    Decision decision;
    if (keeps_) return decision;
    const OnnxMatrix& m = use.matrix;
    const bool table = use.op == Op::kGather;
    const bool usually = !table || options_.quantize_embedding;
    const int usual =
        options_.quantized() && usually ? options_.quantize.bits : 0;
    const int bits = BitsOf(BaseName(use), usual);
    if (!use.fixed.empty()) {
      const bool same = bits == m.bits && !request_.grid_given;
      if (same || (options_.quantized() && bits == 0)) return decision;
      return Invalid("node \"%s\" cannot be changed: %s",
                     Printable(NodeOf(use).name, 200).c_str(),
                     use.fixed.c_str());
    }
    if (bits == 0) {
      // A rule without bits leaves a matrix as it is.
      const bool back = m.quantized() && !options_.quantized();
      decision.want = back ? Want::kFloat : Want::kKeep;
      return decision;
    }
    QuantizeOptions q = options_.quantize;
    q.bits = bits;
    if (m.quantized() && m.has_grid && m.bits == bits && !request_.requantize) {
      const bool same =
          m.block_size == q.block_size && m.symmetric == q.symmetric;
      if (!request_.grid_given || same) {
        const bool other =
            options_.qdq ? m.form == Form::kPacked : m.form == Form::kLinear;
        if (!other) return decision;
        q.block_size = m.block_size;  // another form of the same
        q.symmetric = m.symmetric;
      }
    }
    decision.want = Want::kQuantize;
    decision.quantize = q;
    return decision;
  }

  // A table that shares its values with a product follows that, as the model
  // builder has tied embeddings.
  void MatchTable(size_t i) {
    const OnnxUse& use = found_.uses[i];
    if (!IsTable(use) || !use.fixed.empty()) return;
    for (size_t j = 0; j < found_.uses.size(); ++j) {
      const OnnxUse& other = found_.uses[j];
      const OnnxMatrix &a = use.matrix, &b = other.matrix;
      const bool same = a.values == b.values && a.scales == b.scales &&
                        a.turned == b.turned && a.n == b.n && a.k == b.k;
      if (IsTable(other) || !same) continue;
      Decision& mine = decisions_[i];
      const Decision& its = decisions_[j];
      if (its.want != Want::kQuantize) {
        if (use.op == Op::kGatherQuantized) mine = its;
        return;
      }
      const bool asked = mine.want == Want::kQuantize;
      if (asked && mine.quantize.bits != its.quantize.bits) return;
      if (!options_.share_embeddings || options_.qdq) return;
      if (a.k % static_cast<int64_t>(its.quantize.block_size) != 0) {
        if (asked) return;
        plan_.notes.push_back(
            Format("rows of %lld values are no multiple of the block size: "
                   "\"%s\" is not shared with the head",
                   static_cast<long long>(a.k),
                   Printable(NodeOf(use).name, 200).c_str()));
        if (use.op == Op::kGatherQuantized) mine.want = Want::kFloat;
        return;
      }
      mine = its;
      shared_[i] = j;
      return;
    }
  }

  // Names of weights that nobody reads any more may be given to others.
  void FreeNames() {
    std::set<std::pair<int, int>> changing;  // nodes
    std::set<int> gone;
    for (size_t i = 0; i < decisions_.size(); ++i) {
      if (decisions_[i].want == Want::kKeep) continue;
      const OnnxUse& use = found_.uses[i];
      changing.insert({use.graph, use.node});
      changing.insert(use.chain.begin(), use.chain.end());
      const OnnxMatrix& m = use.matrix;
      for (const int part : {m.values, m.scales, m.zero_points}) {
        if (part >= 0 && m.quantized()) gone.insert(part);
      }
    }
    std::set<std::string> needed;  // by nodes that stay
    for (size_t g = 0; g < document_.graphs().size(); ++g) {
      const DocumentGraph& graph = document_.graphs()[g];
      for (const OnnxValue& output : graph.outputs) needed.insert(output.name);
      for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const std::pair at(static_cast<int>(g), static_cast<int>(i));
        if (changing.count(at)) continue;
        const auto& inputs = graph.nodes[i].inputs;
        needed.insert(inputs.begin(), inputs.end());
      }
    }
    // What a node in between makes may be read by one that stays.
    for (bool again = true; again;) {
      again = false;
      for (const auto& [g, i] : changing) {
        const DocumentNode& node = document_.graphs()[static_cast<size_t>(g)]
                                       .nodes[static_cast<size_t>(i)];
        const bool stays = std::any_of(
            node.outputs.begin(), node.outputs.end(),
            [&](const auto& name) { return needed.count(name) > 0; });
        if (!stays || IsUse(g, i)) continue;
        for (const std::string& name : node.inputs) {
          again |= needed.insert(name).second;
        }
      }
    }
    for (const int part : gone) {
      if (!needed.count(Tensor(part).name)) taken_.erase(Tensor(part).name);
    }
  }
  bool IsUse(int graph, int node) const {
    return std::any_of(found_.uses.begin(), found_.uses.end(),
                       [&](const OnnxUse& use) {
                         return use.graph == graph && use.node == node;
                       });
  }

  std::string Free(std::string name) {
    if (taken_.insert(name).second) return name;
    for (int i = 2;; ++i) {
      const std::string numbered = name + "_" + std::to_string(i);
      if (taken_.insert(numbered).second) return numbered;
    }
  }

  WeightKind KindOf(const OnnxUse& use, Want want) const {
    if (want == Want::kFloat) {
      return IsTable(use) ? WeightKind::kTable : WeightKind::kMatrix;
    }
    if (IsTable(use)) return WeightKind::kQuantizedTable;
    return options_.qdq ? WeightKind::kQuantizedTurned : WeightKind::kQuantized;
  }

  void MakeWeight(size_t i) {
    Decision& decision = decisions_[i];
    if (decision.want == Want::kKeep || shared_.count(i)) return;
    const OnnxUse& use = found_.uses[i];
    const OnnxMatrix& m = use.matrix;
    OnnxWeight made;
    Weight& w = made.weight;
    const std::string source = tensors_.Add(m);
    w.kind = KindOf(use, decision.want);
    w.name = WeightBase(Tensor(m.values).name);
    w.sources = {{source, m.n, 0, m.n}};
    w.n = m.n;
    w.k = m.k;
    w.floats = m.type;
    w.quantize = decision.quantize;
    const auto& grid = tensors_.Find(source)->grid;
    w.kept = w.quantized() && grid && !request_.requantize &&
             Fits(*grid, w.quantize);
    if (w.quantize.algorithm == QuantAlgorithm::kDefault) {
      if (w.kind == WeightKind::kQuantizedTurned) {
        w.quantize.algorithm = QuantAlgorithm::kDefaultQdq;
      } else if (w.kind == WeightKind::kQuantizedTable) {
        w.quantize.algorithm = QuantAlgorithm::kDefaultGather;
      }
    }
    const QuantizeOptions& q = w.quantize;
    const auto key = std::tuple(source, w.kind, m.type, q.bits, q.block_size);
    const auto known = made_.find(key);
    if (known != made_.end()) {
      decision.weight = known->second;
      return;
    }
    made.graph = Tensor(m.values).graph;
    if (w.quantized()) {
      Weight fresh = w;
      fresh.kept = false;  // one style of names for a graph
      const QuantizedNames names = NamesOf(fresh);
      made.names = {Free(names.codes), Free(names.scales)};
      if (!q.symmetric) made.names.push_back(Free(names.zero_points));
    } else {
      made.names = {Free(w.name)};
    }
    decision.weight = static_cast<int>(plan_.weights.size());
    made_.emplace(key, decision.weight);
    plan_.weights.push_back(std::move(made));
  }

  std::string Input(const DocumentNode& node, size_t i) const {
    return i < node.inputs.size() ? node.inputs[i] : std::string();
  }

  int64_t AccuracyOf(const OnnxUse& use) const {
    if (use.op != Op::kMatMulNBits || request_.accuracy_given) {
      return options_.accuracy_level;
    }
    return document_.Int(use.graph, use.node, "accuracy_level").value_or(0);
  }

  void Rewrite(size_t i) {
    if (decisions_[i].want == Want::kKeep) return;
    const OnnxUse& use = found_.uses[i];
    std::vector<OnnxNode> nodes =
        IsTable(use) ? TableNodes(i) : ProductNodes(i);
    for (OnnxNode& node : nodes) {
      if (NodeOf(use).name.empty()) node.name.clear();
    }
    new_nodes_[{use.graph, use.node}] = nodes;
    document_.ReplaceNode(use.graph, use.node, std::move(nodes));
    for (const auto& at : use.chain) loose_.insert(at);
    for (const int part :
         {use.matrix.values, use.matrix.scales, use.matrix.zero_points}) {
      if (part >= 0) loose_tensors_.insert(part);
    }
  }

  std::vector<OnnxNode> ProductNodes(size_t i) {
    const OnnxUse& use = found_.uses[i];
    const DocumentNode& node = NodeOf(use);
    const OnnxWeight& made =
        plan_.weights[static_cast<size_t>(decisions_[i].weight)];
    const std::string base = BaseName(use);
    std::string bias;
    if (use.op == Op::kGemm) bias = Input(node, 2);
    if (use.op == Op::kMatMulNBits) bias = Input(node, 5);
    const bool packed = made.weight.kind == WeightKind::kQuantized;
    const bool inside = packed && use.op == Op::kMatMulNBits && !bias.empty();
    const bool add = !bias.empty() && !inside;
    const std::string out = add ? Free(base + "/product") : node.outputs[0];
    std::vector<OnnxNode> nodes;
    if (packed) {
      nodes.push_back(NBits(use, made, base, out));
      if (inside) {
        nodes[0].inputs.resize(5);
        nodes[0].inputs.push_back(bias);
      }
    } else if (made.weight.kind == WeightKind::kQuantizedTurned) {
      nodes = LinearNodes(use, made, base, out);
    } else {
      nodes.push_back(
          {base, "MatMul", "", {node.inputs[0], made.names[0]}, {out}, {}});
    }
    if (add) {
      nodes.push_back(
          {base + "/Add", "Add", "", {out, bias}, {node.outputs[0]}, {}});
    }
    return nodes;
  }

  OnnxNode NBits(const OnnxUse& use, const OnnxWeight& made,
                 const std::string& base, const std::string& out) const {
    const QuantizeOptions& q = made.weight.quantize;
    OnnxNode node{base + "_Q" + std::to_string(q.bits),
                  "MatMulNBits",
                  kMicrosoft,
                  {NodeOf(use).inputs[0]},
                  {out},
                  {{"K", made.weight.k}, {"N", made.weight.n}}};
    node.inputs.insert(node.inputs.end(), made.names.begin(), made.names.end());
    const int64_t accuracy = AccuracyOf(use);
    if (accuracy != 0) node.attributes.push_back({"accuracy_level", accuracy});
    node.attributes.push_back({"bits", int64_t{q.bits}});
    node.attributes.push_back(
        {"block_size", static_cast<int64_t>(q.block_size)});
    return node;
  }

  // As ONNX Runtime's quantizer has them.
  std::vector<OnnxNode> LinearNodes(const OnnxUse& use, const OnnxWeight& made,
                                    const std::string& base,
                                    const std::string& out) {
    const QuantizeOptions& q = made.weight.quantize;
    const std::string bits = "_Q" + std::to_string(q.bits);
    const std::string floats = Free(made.names[0] + "_output");
    return {{base + "_DQ" + bits,
             "DequantizeLinear",
             "",
             made.names,
             {floats},
             {{"axis", int64_t{0}},
              {"block_size", static_cast<int64_t>(q.block_size)}}},
            {base + "_matmul" + bits,
             "MatMul",
             "",
             {NodeOf(use).inputs[0], floats},
             {out},
             {}}};
  }

  std::vector<OnnxNode> TableNodes(size_t i) {
    const OnnxUse& use = found_.uses[i];
    const DocumentNode& node = NodeOf(use);
    const auto shared = shared_.find(i);
    const size_t from = shared == shared_.end() ? i : shared->second;
    const OnnxWeight& made =
        plan_.weights[static_cast<size_t>(decisions_[from].weight)];
    std::string base = BaseName(use);
    if (!made.weight.quantized()) {
      return {{base,
               "Gather",
               "",
               {made.names[0], node.inputs[1]},
               {node.outputs[0]},
               {}}};
    }
    const QuantizeOptions& q = made.weight.quantize;
    std::vector<OnnxNode> nodes;
    OnnxNode gather{base + "_Q" + std::to_string(q.bits),
                    "GatherBlockQuantized",
                    kMicrosoft,
                    made.names,
                    {node.outputs[0]},
                    {{"block_size", static_cast<int64_t>(q.block_size)},
                     {"gather_axis", int64_t{0}},
                     {"quantize_axis", int64_t{1}}}};
    gather.inputs.insert(gather.inputs.begin() + 1, node.inputs[1]);
    // Of four bits the type of a table's own codes says so.
    if (from != i || q.bits != 4) {
      gather.attributes.insert(gather.attributes.begin(),
                               {"bits", int64_t{q.bits}});
    }
    if (from != i) {
      if (!CutSuffix("/GatherBlockQuantized", &base))
        CutSuffix("/Gather", &base);
      gather.name = base + "/GatherBlockQuantized";
      const std::string codes = Free(base + "/Reshape/output_0");
      nodes = {
          ShapeConstant({made.weight.n, made.weight.k * q.bits / 8}),
          {base + "/Reshape", "Reshape", "", {made.names[0]}, {codes}, {}}};
      nodes[1].inputs.push_back(nodes[0].outputs[0]);
      gather.inputs[0] = codes;
      gather.outputs[0] = RenameOutput(use, gather.name + "/output_0");
    }
    nodes.push_back(std::move(gather));
    return nodes;
  }

  // The output of a node under the name that the builder has for it; the old
  // one where a graph output or a node that changes, too, has that.
  std::string RenameOutput(const OnnxUse& use, const std::string& name) {
    const std::string old = NodeOf(use).outputs[0];
    struct Reader {
      int graph, node;
      size_t input;
    };
    std::vector<Reader> readers;
    for (size_t g = 0; g < document_.graphs().size(); ++g) {
      const DocumentGraph& graph = document_.graphs()[g];
      for (const OnnxValue& output : graph.outputs) {
        if (output.name == old) return old;
      }
      for (size_t i = 0; i < graph.nodes.size(); ++i) {
        for (size_t in = 0; in < graph.nodes[i].inputs.size(); ++in) {
          if (graph.nodes[i].inputs[in] != old) continue;
          const int at[] = {static_cast<int>(g), static_cast<int>(i)};
          if (IsUse(at[0], at[1])) return old;
          readers.push_back({at[0], at[1], in});
        }
      }
    }
    if (name == old || !taken_.insert(name).second) return old;
    for (const Reader& reader : readers) {
      document_.SetInput(reader.graph, reader.node, reader.input, name);
    }
    return name;
  }

  OnnxNode ShapeConstant(const std::vector<int64_t>& dims) {
    std::string text, bytes;
    for (const int64_t dim : dims) {
      text += (text.empty() ? "" : ", ") + std::to_string(dim);
      const char* raw = reinterpret_cast<const char*>(&dim);
      bytes.append(raw, sizeof dim);
    }
    const OnnxConstant value{
        "", DType::kI64, {static_cast<int64_t>(dims.size())}, bytes};
    return {"/model/constant_nodes/INT64/[" + text + "]",
            "Constant",
            "",
            {},
            {Free("/model/constants/INT64/[" + text + "]")},
            {{"value", value}}};
  }

  // Of products that keep their weights.
  void SetAccuracy() {
    if (!request_.accuracy_given) return;
    for (size_t i = 0; i < decisions_.size(); ++i) {
      const OnnxUse& use = found_.uses[i];
      if (use.op != Op::kMatMulNBits) continue;
      if (decisions_[i].want != Want::kKeep) continue;
      if (options_.accuracy_level == 0) {
        document_.RemoveAttribute(use.graph, use.node, "accuracy_level");
      } else {
        document_.SetInt(use.graph, use.node, "accuracy_level",
                         options_.accuracy_level);
      }
    }
  }

  std::string Unread() const {
    std::string text;
    for (const auto& [type, count] : found_.unread) {
      text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + type;
    }
    return text;
  }

  Status CheckSomething() const {
    if (found_.uses.empty() && !keeps_) {
      const std::string unread = Unread();
      return Invalid("no weight of this graph is one that is converted%s%s",
                     unread.empty() ? "" : ": ", unread.c_str());
    }
    return OkStatus();
  }

  void AddNotes() {
    size_t kept = 0;
    for (size_t i = 0; i < decisions_.size(); ++i) {
      const OnnxUse& use = found_.uses[i];
      const bool quantized = use.matrix.quantized() && !IsTable(use);
      kept += decisions_[i].want == Want::kKeep && quantized;
    }
    if (kept > 0 && options_.quantized() && !keeps_ && !request_.grid_given) {
      plan_.notes.push_back(Format(
          "%zu weights that are quantised already are kept as they are", kept));
    }
    if (!found_.unread.empty()) {
      plan_.notes.push_back("left as they are: " + Unread());
    }
    if (document_.has_functions()) {
      plan_.notes.push_back("weights inside of functions are left");
    }
  }

  // Counts who reads a name after the edits.
  void CountReaders(std::map<std::string, int>* readers) const {
    for (size_t g = 0; g < document_.graphs().size(); ++g) {
      const DocumentGraph& graph = document_.graphs()[g];
      for (const OnnxValue& output : graph.outputs) ++(*readers)[output.name];
      for (size_t i = 0; i < graph.nodes.size(); ++i) {
        const auto changed =
            new_nodes_.find({static_cast<int>(g), static_cast<int>(i)});
        if (changed == new_nodes_.end()) {
          for (const std::string& name : graph.nodes[i].inputs) {
            ++(*readers)[name];
          }
          continue;
        }
        for (const OnnxNode& node : changed->second) {
          for (const std::string& name : node.inputs) ++(*readers)[name];
        }
      }
    }
  }

  // Removes what only the replaced nodes read.
  void Sweep() {
    for (bool again = true; again;) {
      again = false;
      std::map<std::string, int> readers;
      CountReaders(&readers);
      for (const auto& [graph, node] : loose_) {
        if (new_nodes_.count({graph, node})) continue;
        const auto& outputs = document_.graphs()[static_cast<size_t>(graph)]
                                  .nodes[static_cast<size_t>(node)]
                                  .outputs;
        const bool read =
            std::any_of(outputs.begin(), outputs.end(),
                        [&](const auto& name) { return readers[name] > 0; });
        if (read) continue;
        new_nodes_[{graph, node}] = {};
        document_.ReplaceNode(graph, node, {});
        again = true;
      }
      if (again) continue;
      for (const int tensor : loose_tensors_) {
        const DocumentTensor& entry = Tensor(tensor);
        if (entry.node >= 0 || MadeAgain(entry.name)) continue;
        if (readers[entry.name] > 0) continue;
        removed_.insert(tensor);
      }
    }
    for (const int tensor : loose_tensors_) {
      if (Tensor(tensor).node < 0 && MadeAgain(Tensor(tensor).name)) {
        removed_.insert(tensor);
      }
    }
    for (const int tensor : removed_) document_.RemoveInitializer(tensor);
  }

  // A new weight has that name: FreeNames found that the old one goes.
  bool MadeAgain(const std::string& name) const {
    for (const OnnxWeight& made : plan_.weights) {
      for (const std::string& part : made.names) {
        if (part == name) return true;
      }
    }
    return false;
  }

  void Place() {
    const auto& tensors = document_.tensors();
    for (size_t i = 0; i < tensors.size(); ++i) {
      const int index = static_cast<int>(i);
      if (removed_.count(index)) continue;
      if (tensors[i].view && IsFloat(tensors[i].view->dtype)) {
        plan_.values += tensors[i].view->Count();
      }
      const bool large = tensors[i].bytes.size() >= kLeastPlaced;
      if (tensors[i].node >= 0 || tensors[i].bytes.empty()) continue;
      if (large || tensors[i].external) plan_.placed.push_back(index);
    }
    std::set<int> counted;
    for (const OnnxUse& use : found_.uses) {
      const int values = use.matrix.values;
      const bool inside =
          values >= 0 && !removed_.count(values) && !use.matrix.quantized();
      if (values < 0 || inside || !counted.insert(values).second) continue;
      plan_.values += static_cast<uint64_t>(use.matrix.n * use.matrix.k);
    }
  }

  const OnnxRequest& request_;
  const GraphOptions& options_;
  OnnxDocument& document_;
  OnnxTensors& tensors_;
  OnnxUses found_;
  OnnxPlan plan_;
  std::vector<Decision> decisions_;
  std::vector<bool> applied_;        // rules
  std::map<size_t, size_t> shared_;  // tables and the products that they follow
  std::map<std::tuple<std::string, WeightKind, DType, int, size_t>, int> made_;
  std::set<std::string> taken_;
  size_t layers_ = 0;
  bool keeps_ = false;
  std::map<std::pair<int, int>, std::vector<OnnxNode>> new_nodes_;
  std::set<std::pair<int, int>> loose_;
  std::set<int> loose_tensors_, removed_;
};

}  // namespace

Result<OnnxPlan> PlanOnnx(const OnnxRequest& request, OnnxDocument* document,
                          OnnxTensors* tensors) {
  return Planner(request, document, tensors).Plan();
}

}  // namespace slm::convert
