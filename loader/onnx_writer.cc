// SPDX-License-Identifier: MIT
#include "loader/onnx_writer.h"

#include <limits>

#include "loader/onnx_fill.h"
#include "onnx/onnx.pb.h"

namespace slm {
namespace {

// Those of the model builder, which all runtimes read.
constexpr int64_t kIrVersion = 10;
constexpr int64_t kOpset = 21;

void Fill(const OnnxGraph& graph, const std::string& data_file,
          onnx::GraphProto* proto);

void Fill(const OnnxConstant& constant, onnx::TensorProto* proto) {
  if (!constant.name.empty()) proto->set_name(constant.name);
  proto->set_data_type(Info(constant.dtype).onnx);
  for (const int64_t dim : constant.dims) proto->add_dims(dim);
  proto->set_raw_data(constant.bytes);
}

// Subgraphs hold constants alone: their depth is this program's, not a file's.
struct AttributeFiller {
  onnx::AttributeProto* proto;

  void operator()(int64_t value) const {
    proto->set_type(onnx::AttributeProto::INT);
    proto->set_i(value);
  }
  void operator()(float value) const {
    proto->set_type(onnx::AttributeProto::FLOAT);
    proto->set_f(value);
  }
  void operator()(const std::string& value) const {
    proto->set_type(onnx::AttributeProto::STRING);
    proto->set_s(value);
  }
  void operator()(const std::vector<int64_t>& value) const {
    proto->set_type(onnx::AttributeProto::INTS);
    for (const int64_t i : value) proto->add_ints(i);
  }
  void operator()(const OnnxConstant& value) const {
    proto->set_type(onnx::AttributeProto::TENSOR);
    Fill(value, proto->mutable_t());
  }
  void operator()(const std::shared_ptr<OnnxGraph>& value) const {
    proto->set_type(onnx::AttributeProto::GRAPH);
    Fill(*value, "", proto->mutable_g());
  }
};

void Fill(const OnnxValue& value, onnx::ValueInfoProto* proto) {
  proto->set_name(value.name);
  auto* type = proto->mutable_type()->mutable_tensor_type();
  type->set_elem_type(Info(value.dtype).onnx);
  auto* shape = type->mutable_shape();
  for (const Dim& dim : value.dims) {
    auto* to = shape->add_dim();
    if (dim.size >= 0) {
      to->set_dim_value(dim.size);
    } else if (!dim.symbol.empty()) {
      to->set_dim_param(dim.symbol);
    }
  }
}

void Fill(const OnnxGraph& graph, const std::string& data_file,
          onnx::GraphProto* proto) {
  proto->set_name(graph.name);
  for (const OnnxNode& node : graph.nodes) {
    FillNode(node, proto->add_node());
  }
  for (const OnnxValue& value : graph.inputs) Fill(value, proto->add_input());
  for (const OnnxValue& value : graph.outputs) Fill(value, proto->add_output());
  for (const OnnxInitializer& tensor : graph.initializers) {
    FillInitializer(tensor, data_file, proto->add_initializer());
  }
}

}  // namespace

void FillNode(const OnnxNode& node, onnx::NodeProto* proto) {
  proto->set_name(node.name);
  proto->set_op_type(node.type);
  proto->set_domain(node.domain);
  for (const std::string& name : node.inputs) proto->add_input(name);
  for (const std::string& name : node.outputs) proto->add_output(name);
  for (const OnnxAttribute& attribute : node.attributes) {
    auto* a = proto->add_attribute();
    a->set_name(attribute.name);
    std::visit(AttributeFiller{a}, attribute.value);
  }
}

void FillPlace(const std::string& data_file, uint64_t offset, uint64_t length,
               onnx::TensorProto* proto) {
  proto->set_data_location(onnx::TensorProto::EXTERNAL);
  proto->clear_external_data();
  const auto add = [proto](const char* key, const std::string& value) {
    auto* entry = proto->add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  };
  add("location", data_file);
  add("offset", std::to_string(offset));
  add("length", std::to_string(length));
}

void FillInitializer(const OnnxInitializer& tensor,
                     const std::string& data_file, onnx::TensorProto* proto) {
  proto->set_name(tensor.name);
  proto->set_data_type(Info(tensor.dtype).onnx);
  for (const int64_t dim : tensor.dims) proto->add_dims(dim);
  FillPlace(data_file, tensor.offset, tensor.length, proto);
}

Result<std::string> SerializeProto(const onnx::ModelProto& proto) {
  const size_t bytes = proto.ByteSizeLong();
  if (bytes > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return Invalid(
        "the graph has %zu bytes without its weights, ONNX files "
        "hold up to 2147483647",
        bytes);
  }
  std::string out;
  if (!proto.SerializeToString(&out)) {
    return Error(ErrorKind::kRuntime, "cannot serialise the ONNX graph");
  }
  return out;
}

Result<std::string> SerializeOnnx(const OnnxModel& model) {
  onnx::ModelProto proto;
  proto.set_ir_version(kIrVersion);
  proto.set_producer_name(model.producer);
  proto.set_producer_version(model.producer_version);
  auto* opset = proto.add_opset_import();
  opset->set_domain("");
  opset->set_version(kOpset);
  opset = proto.add_opset_import();
  opset->set_domain("com.microsoft");
  opset->set_version(1);
  Fill(model.graph, model.data_file, proto.mutable_graph());
  return SerializeProto(proto);
}

}  // namespace slm
