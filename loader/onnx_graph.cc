// SPDX-License-Identifier: MIT
#include "loader/onnx_graph.h"

#include <map>
#include <unordered_map>

#include "loader/onnx_tensor.h"
#include "loader/onnx_wire.h"
#include "onnx/onnx.pb.h"
#include "runtime/core/file.h"

namespace slm {
namespace {

// Newest opset of ONNX's own domain whose operators are known.
constexpr int kMaxOpset = 24;

std::string FileName(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

std::string PlainDomain(const std::string& domain) {
  return domain == "ai.onnx" ? "" : domain;
}

// Converts one GraphProto; subgraphs get an importer of their own that looks
// names up in the enclosing one.
class GraphImporter {
 public:
  GraphImporter(const std::map<std::string, int>& opsets, TensorReader* tensors,
                Graph* graph, GraphImporter* outer)
      : opsets_(opsets), tensors_(tensors), graph_(graph), outer_(outer) {}

  Status Import(const onnx::GraphProto& proto) {
    graph_->name = proto.name();
    if (proto.sparse_initializer_size() > 0) {
      return Invalid("sparse initializers are not supported");
    }
    for (const auto& tensor : proto.initializer()) {
      SLM_RETURN_IF_ERROR(AddConstant(tensor.name(), tensor));
    }
    for (const auto& input : proto.input()) {
      if (names_.count(input.name())) continue;  // a default that nobody feeds
      SLM_ASSIGN_OR_RETURN(const ValueId id, Declare(input.name()));
      SLM_RETURN_IF_ERROR(SetType(input, id));
      graph_->inputs.push_back(id);
    }
    // Outputs first: the nodes of a file need not be in order.
    for (const auto& node : proto.node()) {
      if (IsConstantNode(node)) {
        SLM_RETURN_IF_ERROR(AddConstantNode(node));
        continue;
      }
      for (const std::string& name : node.output()) {
        if (name.empty()) continue;
        SLM_ASSIGN_OR_RETURN(const ValueId id, Declare(name));
        (void)id;
      }
    }
    for (const auto& node : proto.node()) {
      if (!IsConstantNode(node)) SLM_RETURN_IF_ERROR(AddNode(node));
    }
    for (const auto& info : proto.value_info()) {
      const auto it = names_.find(info.name());
      if (it == names_.end()) continue;
      // Types only matter where declared shapes help; a wrong one is ignored
      // here because every operator infers its own.
      (void)SetType(info, it->second);
    }
    for (const auto& output : proto.output()) {
      SLM_ASSIGN_OR_RETURN(const ValueId id, Resolve(output.name(), "graph"));
      SLM_RETURN_IF_ERROR(SetType(output, id));
      graph_->outputs.push_back(id);
    }
    return graph_->Normalize();
  }

 private:
  static bool IsConstantNode(const onnx::NodeProto& node) {
    return node.op_type() == "Constant" && PlainDomain(node.domain()).empty();
  }

  Result<ValueId> Declare(const std::string& name) {
    const ValueId id = graph_->AddValue(name);
    if (!names_.emplace(name, id).second) {
      return Invalid("value \"%s\" is defined twice", Printable(name).c_str());
    }
    return id;
  }

  Status AddConstant(const std::string& name, const onnx::TensorProto& tensor) {
    SLM_ASSIGN_OR_RETURN(const TensorView view, tensors_->Read(tensor));
    SLM_ASSIGN_OR_RETURN(const ValueId id, Declare(name));
    graph_->values[id].constant = view;
    graph_->values[id].dtype = view.dtype;
    return OkStatus();
  }

  Status AddConstantNode(const onnx::NodeProto& node) {
    if (node.output_size() != 1 || node.attribute_size() != 1) {
      return Invalid("node \"%s\": Constant needs one output and one attribute",
                     Printable(node.name()).c_str());
    }
    const onnx::AttributeProto& a = node.attribute(0);
    if (a.name() == "value" && a.has_t()) {
      return AddConstant(node.output(0), a.t());
    }
    onnx::TensorProto tensor;  // the value_* forms are small
    tensor.set_name(node.output(0));
    const bool list = a.name() == "value_ints" || a.name() == "value_floats";
    if (a.name() == "value_int" || a.name() == "value_ints") {
      tensor.set_data_type(onnx::TensorProto::INT64);
      if (!list) tensor.add_int64_data(a.i());
      for (int64_t i : a.ints()) tensor.add_int64_data(i);
      if (list) tensor.add_dims(a.ints_size());
    } else if (a.name() == "value_float" || a.name() == "value_floats") {
      tensor.set_data_type(onnx::TensorProto::FLOAT);
      if (!list) tensor.add_float_data(a.f());
      for (float f : a.floats()) tensor.add_float_data(f);
      if (list) tensor.add_dims(a.floats_size());
    } else {
      return Invalid("node \"%s\": Constant with attribute \"%s\" is not "
                     "supported",
                     Printable(node.name()).c_str(),
                     Printable(a.name()).c_str());
    }
    return AddConstant(node.output(0), tensor);
  }

  Status SetType(const onnx::ValueInfoProto& info, ValueId id) {
    if (!info.has_type()) return OkStatus();
    if (!info.type().has_tensor_type()) {
      return Invalid("value \"%s\" is not a tensor",
                     Printable(info.name()).c_str());
    }
    const auto& type = info.type().tensor_type();
    Value& value = graph_->values[id];
    const auto dtype = DTypeFromOnnx(type.elem_type());
    if (!dtype && type.elem_type() != 0) {
      return Invalid("value \"%s\": element type %d is not supported",
                     Printable(info.name()).c_str(), type.elem_type());
    }
    if (!value.constant) value.dtype = dtype;
    if (!type.has_shape()) return OkStatus();
    std::vector<Dim> dims;
    for (const auto& d : type.shape().dim()) {
      Dim dim;
      if (d.has_dim_value() && d.dim_value() >= 0) dim.size = d.dim_value();
      if (d.has_dim_param()) dim.symbol = d.dim_param();
      dims.push_back(std::move(dim));
    }
    value.shape = std::move(dims);
    return OkStatus();
  }

  // The value of that name here or in an enclosing graph, kNoValue if unknown.
  ValueId Lookup(const std::string& name) {
    const auto it = names_.find(name);
    if (it != names_.end()) return it->second;
    if (!outer_) return kNoValue;
    const ValueId captured = outer_->Lookup(name);
    if (captured == kNoValue) return kNoValue;
    const ValueId id = graph_->AddValue(name);
    names_.emplace(name, id);
    const Value& source = outer_->graph_->values[captured];
    graph_->values[id].dtype = source.dtype;
    if (source.constant) {
      graph_->values[id].constant = source.constant;
    } else {
      graph_->values[id].outer = captured;
    }
    return id;
  }

  Result<ValueId> Resolve(const std::string& name, const std::string& reader) {
    const ValueId id = Lookup(name);
    if (id == kNoValue) {
      return Invalid("%s: \"%s\" is not a graph input, initializer or output "
                     "of a node",
                     reader.c_str(), Printable(name).c_str());
    }
    return id;
  }

  Status AddNode(const onnx::NodeProto& proto) {
    Node node;
    node.name = proto.name();
    if (node.name.empty() && proto.output_size() > 0) {
      node.name = proto.output(0);  // exporters may leave names out
    }
    node.domain = PlainDomain(proto.domain());
    node.type = proto.op_type();
    const std::string where = "node \"" + Printable(node.name, 200) + "\"";
    const auto opset = opsets_.find(node.domain);
    node.version = opset == opsets_.end() ? 1 : opset->second;
    for (const std::string& name : proto.input()) {
      if (name.empty()) {
        node.inputs.push_back(kNoValue);
        continue;
      }
      SLM_ASSIGN_OR_RETURN(const ValueId id, Resolve(name, where));
      node.inputs.push_back(id);
    }
    for (const std::string& name : proto.output()) {
      node.outputs.push_back(name.empty() ? kNoValue : names_.at(name));
    }
    for (const auto& attribute : proto.attribute()) {
      Status status = AddAttribute(attribute, &node);
      if (!status.ok()) {
        return status.In(where + ": attribute \"" +
                         Printable(attribute.name()) + "\"");
      }
    }
    graph_->nodes.push_back(std::move(node));
    return OkStatus();
  }

  Status AddAttribute(const onnx::AttributeProto& proto, Node* node) {
    Attribute a;
    a.name = proto.name();
    if (node->Find(a.name)) return Invalid("given twice");
    using Type = Attribute::Type;
    switch (proto.type()) {
      case onnx::AttributeProto::INT: a.type = Type::kInt; a.i = proto.i();
        break;
      case onnx::AttributeProto::FLOAT: a.type = Type::kFloat; a.f = proto.f();
        break;
      case onnx::AttributeProto::STRING:
        a.type = Type::kString;
        a.s = proto.s();
        break;
      case onnx::AttributeProto::INTS:
        a.type = Type::kInts;
        a.ints.assign(proto.ints().begin(), proto.ints().end());
        break;
      case onnx::AttributeProto::FLOATS:
        a.type = Type::kFloats;
        a.floats.assign(proto.floats().begin(), proto.floats().end());
        break;
      case onnx::AttributeProto::STRINGS:
        a.type = Type::kStrings;
        a.strings.assign(proto.strings().begin(), proto.strings().end());
        break;
      case onnx::AttributeProto::TENSOR: {
        a.type = Type::kTensor;
        SLM_ASSIGN_OR_RETURN(a.tensor, tensors_->Read(proto.t()));
        break;
      }
      case onnx::AttributeProto::GRAPH: {
        a.type = Type::kGraph;
        a.graph = std::make_shared<Graph>();
        a.graph->file = graph_->file;
        a.graph->storage = graph_->storage;
        GraphImporter inner(opsets_, tensors_, a.graph.get(), this);
        SLM_RETURN_IF_ERROR(inner.Import(proto.g()));
        break;
      }
      default:
        return Invalid("its type %d is not supported",
                       static_cast<int>(proto.type()));
    }
    node->attributes.push_back(std::move(a));
    return OkStatus();
  }

  const std::map<std::string, int>& opsets_;
  TensorReader* tensors_;
  Graph* graph_;
  GraphImporter* outer_;
  std::unordered_map<std::string, ValueId> names_;
};

Result<std::map<std::string, int>> ReadOpsets(const onnx::ModelProto& model) {
  std::map<std::string, int> opsets;
  for (const auto& opset : model.opset_import()) {
    const std::string domain = PlainDomain(opset.domain());
    if (domain.empty() && (opset.version() < 7 || opset.version() > kMaxOpset)) {
      return Invalid("opset %lld is not supported, supported: 7 to %d",
                     static_cast<long long>(opset.version()), kMaxOpset);
    }
    opsets[domain] = static_cast<int>(
        std::clamp<int64_t>(opset.version(), 1, 1 << 20));
  }
  if (!opsets.count("")) opsets[""] = kMaxOpset;
  return opsets;
}

Status ImportModel(std::string_view bytes, const std::string& folder,
                   Graph* graph) {
  SLM_ASSIGN_OR_RETURN(const std::string slim, SlimModel(bytes));
  onnx::ModelProto model;
  if (!model.ParseFromString(slim)) {
    return Invalid("not a whole ONNX file: damaged or cut off; the download "
                   "is probably incomplete");
  }
  if (!model.has_graph()) return Invalid("no graph in this file");
  SLM_ASSIGN_OR_RETURN(const auto opsets, ReadOpsets(model));
  TensorReader tensors(folder, bytes, graph->storage.get());
  GraphImporter importer(opsets, &tensors, graph, nullptr);
  return importer.Import(model.graph());
}

}  // namespace

Result<std::unique_ptr<Graph>> LoadOnnxGraph(const std::string& path) {
  SLM_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  auto graph = std::make_unique<Graph>();
  graph->file = FileName(path);
  graph->storage = std::make_shared<GraphStorage>();
  const std::string_view bytes = file.view();
  graph->storage->files.push_back(std::move(file));
  const Status status = ImportModel(bytes, FolderOf(path), graph.get());
  if (!status.ok()) {
    // Node messages carry the file's name already.
    const bool named = status.message().rfind(graph->file, 0) == 0;
    return named ? status : status.In(graph->file);
  }
  return graph;
}

Result<TensorView> LoadOnnxTensor(const std::string& path,
                                  GraphStorage* storage) {
  SLM_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  onnx::TensorProto proto;
  if (!proto.ParseFromString(bytes)) {
    return Invalid("%s: not a TensorProto", Printable(path, 400).c_str());
  }
  return TensorReader(FolderOf(path), {}, storage).Read(proto);
}

}  // namespace slm
