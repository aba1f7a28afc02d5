// SPDX-License-Identifier: MIT
#include "loader/onnx_document.h"

#include <map>
#include <set>
#include <utility>

#include "loader/onnx_fill.h"
#include "loader/onnx_tensor.h"
#include "loader/onnx_wire.h"
#include "onnx/onnx.pb.h"
#include "runtime/core/file.h"

namespace slm {
namespace {

constexpr int kMaxGraphDepth = 16;  // SlimModel refuses more

std::string PlainDomain(const std::string& domain) {
  return domain == "ai.onnx" ? "" : domain;
}

OnnxValue ValueOf(const onnx::ValueInfoProto& info) {
  OnnxValue value;
  value.name = info.name();
  const auto& type = info.type().tensor_type();
  if (const auto dtype = DTypeFromOnnx(type.elem_type())) value.dtype = *dtype;
  for (const auto& d : type.shape().dim()) {
    Dim dim;
    if (d.has_dim_value() && d.dim_value() >= 0) dim.size = d.dim_value();
    if (d.has_dim_param()) dim.symbol = d.dim_param();
    value.dims.push_back(std::move(dim));
  }
  return value;
}

template <typename List, typename Gone>
void EraseIf(List* list, Gone gone) {
  int kept = 0;
  for (int i = 0; i < list->size(); ++i) {
    if (gone(list->Get(i))) continue;
    if (kept != i) list->SwapElements(kept, i);
    ++kept;
  }
  while (list->size() > kept) list->RemoveLast();
}

}  // namespace

struct OnnxDocument::Impl {
  // What becomes of the nodes and initializers of a graph.
  struct Edits {
    std::map<int, std::vector<OnnxNode>> replaced;  // by node
    std::vector<OnnxInitializer> added;
    std::set<std::string> removed;  // initializers
  };

  onnx::ModelProto model;
  GraphStorage storage;
  std::string_view file;  // the model's bytes
  std::vector<onnx::GraphProto*> graphs;
  std::vector<onnx::TensorProto*> tensors;
  std::vector<Edits> edits;  // by graph
  // Offset and length in the new data file, and what lies there already.
  std::map<onnx::TensorProto*, std::pair<uint64_t, uint64_t>> places;
  std::set<const onnx::TensorProto*> placed;
  std::unique_ptr<TensorReader> reader;

  onnx::NodeProto* Node(int graph, int node) {
    return graphs[static_cast<size_t>(graph)]->mutable_node(node);
  }
  const onnx::AttributeProto* Find(int graph, int node, const char* name) {
    for (const auto& attribute : Node(graph, node)->attribute()) {
      if (attribute.name() == name) return &attribute;
    }
    return nullptr;
  }

  Status Inline(onnx::TensorProto* tensor);
  Status InlineAll(onnx::GraphProto* graph, int depth);
  void Apply(size_t graph, const std::string& data_file);
};

// Data that lies elsewhere comes into the proto.
Status OnnxDocument::Impl::Inline(onnx::TensorProto* tensor) {
  if (tensor->data_location() != onnx::TensorProto::EXTERNAL) return OkStatus();
  size_t size = 0;
  if (const auto dtype = DTypeFromOnnx(tensor->data_type())) {
    const auto shape = Shape::Make(
        {tensor->dims().data(), static_cast<size_t>(tensor->dims_size())});
    if (shape) size = BytesFor(*dtype, shape->Count());
  }
  SLM_ASSIGN_OR_RETURN(const std::string_view bytes,
                       reader->ExternalBytes(*tensor, size));
  tensor->set_raw_data(std::string(bytes));
  tensor->clear_external_data();
  tensor->clear_data_location();
  return OkStatus();
}

Status OnnxDocument::Impl::InlineAll(onnx::GraphProto* graph, int depth) {
  if (depth > kMaxGraphDepth) return Invalid("subgraphs are nested too deep");
  for (auto& tensor : *graph->mutable_initializer()) {
    if (!placed.count(&tensor)) SLM_RETURN_IF_ERROR(Inline(&tensor));
  }
  for (auto& node : *graph->mutable_node()) {
    for (auto& attribute : *node.mutable_attribute()) {
      if (attribute.has_t()) SLM_RETURN_IF_ERROR(Inline(attribute.mutable_t()));
      for (auto& tensor : *attribute.mutable_tensors()) {
        SLM_RETURN_IF_ERROR(Inline(&tensor));
      }
      if (attribute.has_g()) {
        SLM_RETURN_IF_ERROR(InlineAll(attribute.mutable_g(), depth + 1));
      }
      for (auto& inner : *attribute.mutable_graphs()) {
        SLM_RETURN_IF_ERROR(InlineAll(&inner, depth + 1));
      }
    }
  }
  return OkStatus();
}

void OnnxDocument::Impl::Apply(size_t graph, const std::string& data_file) {
  onnx::GraphProto* proto = graphs[graph];
  const Edits& changes = edits[graph];
  const auto removed = [&](const auto& item) {
    return changes.removed.count(item.name()) > 0;
  };
  if (!changes.removed.empty()) {
    EraseIf(proto->mutable_initializer(), removed);
    EraseIf(proto->mutable_input(), removed);  // a default of such a weight
    EraseIf(proto->mutable_value_info(), removed);
  }
  for (const OnnxInitializer& tensor : changes.added) {
    auto* to = proto->add_initializer();
    FillInitializer(tensor, data_file, to);
    placed.insert(to);
  }
  if (changes.replaced.empty()) return;
  // The order of the nodes is kept.
  std::vector<onnx::NodeProto*> nodes(static_cast<size_t>(proto->node_size()));
  for (size_t i = nodes.size(); i-- > 0;) {
    nodes[i] = proto->mutable_node()->ReleaseLast();
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    const auto found = changes.replaced.find(static_cast<int>(i));
    if (found == changes.replaced.end()) {
      proto->mutable_node()->AddAllocated(nodes[i]);
      continue;
    }
    for (const OnnxNode& node : found->second) {
      FillNode(node, proto->add_node());
    }
    delete nodes[i];
  }
}

namespace {

// Lists graphs and tensors of a model, parents first.
class Lister {
 public:
  Lister(TensorReader* reader, std::vector<onnx::GraphProto*>* graphs,
         std::vector<onnx::TensorProto*>* tensors,
         std::vector<DocumentGraph>* graph_entries,
         std::vector<DocumentTensor>* tensor_entries)
      : reader_(reader),
        graphs_(graphs),
        tensors_(tensors),
        graph_entries_(graph_entries),
        tensor_entries_(tensor_entries) {}

  Status List(onnx::GraphProto* proto, int parent, int depth) {
    if (depth > kMaxGraphDepth) return Invalid("subgraphs are nested too deep");
    const int graph = static_cast<int>(graphs_->size());
    graphs_->push_back(proto);
    graph_entries_->push_back({parent, {}, {}, {}});
    std::set<std::string> weights;
    for (auto& tensor : *proto->mutable_initializer()) {
      if (!weights.insert(tensor.name()).second) {
        return Invalid("initializer \"%s\" is there twice",
                       Printable(tensor.name()).c_str());
      }
      SLM_RETURN_IF_ERROR(Add(&tensor, tensor.name(), graph, -1));
    }
    for (const auto& input : proto->input()) {
      if (weights.count(input.name())) continue;
      Entry(graph).inputs.push_back(ValueOf(input));
    }
    for (const auto& output : proto->output()) {
      Entry(graph).outputs.push_back(ValueOf(output));
    }
    for (int i = 0; i < proto->node_size(); ++i) {
      SLM_RETURN_IF_ERROR(AddNode(proto->mutable_node(i), graph, i));
    }
    for (auto& node : *proto->mutable_node()) {
      for (auto& attribute : *node.mutable_attribute()) {
        if (attribute.has_g()) {
          SLM_RETURN_IF_ERROR(List(attribute.mutable_g(), graph, depth + 1));
        }
        for (auto& inner : *attribute.mutable_graphs()) {
          SLM_RETURN_IF_ERROR(List(&inner, graph, depth + 1));
        }
      }
    }
    return OkStatus();
  }

 private:
  DocumentGraph& Entry(int graph) {
    return (*graph_entries_)[static_cast<size_t>(graph)];
  }

  Status AddNode(onnx::NodeProto* proto, int graph, int index) {
    DocumentNode node{proto->name(),
                      proto->op_type(),
                      PlainDomain(proto->domain()),
                      {proto->input().begin(), proto->input().end()},
                      {proto->output().begin(), proto->output().end()}};
    const bool constant = node.type == "Constant" && node.domain.empty() &&
                          node.outputs.size() == 1;
    Entry(graph).nodes.push_back(std::move(node));
    if (!constant) return OkStatus();
    for (auto& attribute : *proto->mutable_attribute()) {
      if (attribute.name() == "value" && attribute.has_t()) {
        return Add(attribute.mutable_t(), proto->output(0), graph, index);
      }
    }
    return OkStatus();
  }

  Status Add(onnx::TensorProto* proto, const std::string& name, int graph,
             int node) {
    DocumentTensor tensor{name, graph, node, std::nullopt, {}, false};
    const bool elsewhere =
        proto->data_location() == onnx::TensorProto::EXTERNAL;
    if (DTypeFromOnnx(proto->data_type())) {
      SLM_ASSIGN_OR_RETURN(tensor.view, reader_->Read(*proto));
      tensor.bytes = {static_cast<const char*>(tensor.view->data),
                      tensor.view->Bytes()};
    } else if (elsewhere) {
      SLM_ASSIGN_OR_RETURN(tensor.bytes, reader_->ExternalBytes(*proto, 0));
    }
    for (const auto& entry : proto->external_data()) {
      tensor.external |= elsewhere && entry.key() == "location";
    }
    tensors_->push_back(proto);
    tensor_entries_->push_back(std::move(tensor));
    return OkStatus();
  }

  TensorReader* reader_;
  std::vector<onnx::GraphProto*>* graphs_;
  std::vector<onnx::TensorProto*>* tensors_;
  std::vector<DocumentGraph>* graph_entries_;
  std::vector<DocumentTensor>* tensor_entries_;
};

}  // namespace

OnnxDocument::OnnxDocument(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
OnnxDocument::~OnnxDocument() = default;
OnnxDocument::OnnxDocument(OnnxDocument&&) noexcept = default;
OnnxDocument& OnnxDocument::operator=(OnnxDocument&&) noexcept = default;

Result<OnnxDocument> OnnxDocument::Open(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  const std::string name =
      slash == std::string::npos ? path : path.substr(slash + 1);
  const std::string folder =
      slash == std::string::npos ? "." : path.substr(0, slash);
  SLM_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  OnnxDocument document(std::make_unique<Impl>());
  Impl& impl = *document.impl_;
  impl.file = file.view();
  impl.storage.files.push_back(std::move(file));
  const auto read = [&]() -> Status {
    SLM_ASSIGN_OR_RETURN(const std::string slim, SlimModel(impl.file));
    if (!impl.model.ParseFromString(slim)) {
      return Invalid("not a whole ONNX file: damaged or cut off");
    }
    if (!impl.model.has_graph()) return Invalid("no graph in this file");
    impl.reader = std::make_unique<TensorReader>(
        folder, impl.file, &impl.storage, TensorReader::Data::kAsItIs);
    Lister lister(impl.reader.get(), &impl.graphs, &impl.tensors,
                  &document.graphs_, &document.tensors_);
    return lister.List(impl.model.mutable_graph(), -1, 0);
  };
  const Status status = read();
  if (!status.ok()) return status.In(Printable(name, 400));
  impl.edits.resize(impl.graphs.size());
  document.files_ = {name};
  for (const auto& [location, view] : impl.reader->files()) {
    document.files_.push_back(location);
  }
  for (const MappedFile& mapped : impl.storage.files) {
    document.total_bytes_ += mapped.size();
  }
  return document;
}

bool OnnxDocument::has_functions() const {
  return impl_->model.functions_size() > 0;
}

std::optional<int64_t> OnnxDocument::Int(int graph, int node,
                                         const char* attribute) const {
  const auto* found = impl_->Find(graph, node, attribute);
  if (!found || found->type() != onnx::AttributeProto::INT) {
    return std::nullopt;
  }
  return found->i();
}

std::optional<std::vector<int64_t>> OnnxDocument::Ints(
    int graph, int node, const char* attribute) const {
  const auto* found = impl_->Find(graph, node, attribute);
  if (!found || found->type() != onnx::AttributeProto::INTS) {
    return std::nullopt;
  }
  return std::vector<int64_t>(found->ints().begin(), found->ints().end());
}

std::optional<float> OnnxDocument::Float(int graph, int node,
                                         const char* attribute) const {
  const auto* found = impl_->Find(graph, node, attribute);
  if (!found || found->type() != onnx::AttributeProto::FLOAT) {
    return std::nullopt;
  }
  return found->f();
}

std::vector<std::string> OnnxDocument::AttributeNames(int graph,
                                                      int node) const {
  std::vector<std::string> names;
  for (const auto& attribute : impl_->Node(graph, node)->attribute()) {
    names.push_back(attribute.name());
  }
  return names;
}

void OnnxDocument::Release(std::string_view bytes) const {
  for (const MappedFile& file : impl_->storage.files) {
    file.Release(bytes.data(), bytes.size());
  }
}

void OnnxDocument::SetInt(int graph, int node, const char* attribute,
                          int64_t value) {
  RemoveAttribute(graph, node, attribute);
  auto* added = impl_->Node(graph, node)->add_attribute();
  added->set_name(attribute);
  added->set_type(onnx::AttributeProto::INT);
  added->set_i(value);
}

void OnnxDocument::RemoveAttribute(int graph, int node, const char* attribute) {
  EraseIf(impl_->Node(graph, node)->mutable_attribute(),
          [&](const onnx::AttributeProto& a) { return a.name() == attribute; });
}

void OnnxDocument::SetInput(int graph, int node, size_t input,
                            const std::string& value) {
  impl_->Node(graph, node)->set_input(static_cast<int>(input), value);
}

void OnnxDocument::ReplaceNode(int graph, int node,
                               std::vector<OnnxNode> nodes) {
  impl_->edits[static_cast<size_t>(graph)].replaced[node] = std::move(nodes);
}

void OnnxDocument::RemoveInitializer(int tensor) {
  const DocumentTensor& entry = tensors_[static_cast<size_t>(tensor)];
  impl_->edits[static_cast<size_t>(entry.graph)].removed.insert(entry.name);
}

void OnnxDocument::AddInitializer(int graph, OnnxInitializer tensor) {
  impl_->edits[static_cast<size_t>(graph)].added.push_back(std::move(tensor));
}

void OnnxDocument::PlaceInitializer(int tensor, uint64_t offset) {
  const auto i = static_cast<size_t>(tensor);
  impl_->places[impl_->tensors[i]] = {offset, tensors_[i].bytes.size()};
}

void OnnxDocument::ImportDomain(const char* domain, int64_t version) {
  for (const auto& opset : impl_->model.opset_import()) {
    if (opset.domain() == domain) return;
  }
  auto* opset = impl_->model.add_opset_import();
  opset->set_domain(domain);
  opset->set_version(version);
}

Result<std::string> OnnxDocument::Serialize(const std::string& data_file) {
  for (const auto& [proto, place] : impl_->places) {
    proto->clear_raw_data();
    proto->clear_float_data();
    proto->clear_int32_data();
    proto->clear_int64_data();
    proto->clear_double_data();
    proto->clear_uint64_data();
    FillPlace(data_file, place.first, place.second, proto);
    impl_->placed.insert(proto);
  }
  // Subgraphs first: they lie in nodes that their parents may replace.
  for (size_t graph = impl_->graphs.size(); graph-- > 0;) {
    impl_->Apply(graph, data_file);
  }
  SLM_RETURN_IF_ERROR(impl_->InlineAll(impl_->model.mutable_graph(), 0));
  return SerializeProto(impl_->model);
}

}  // namespace slm
