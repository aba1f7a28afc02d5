// SPDX-License-Identifier: MIT
// An ONNX file to be edited: whatever is not changed is written as it was read,
// known to this program or not (attributes, types, functions, metadata). For
// running a model there is loader/onnx_graph.h.
#ifndef SLM_LOADER_ONNX_DOCUMENT_H_
#define SLM_LOADER_ONNX_DOCUMENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loader/onnx_writer.h"
#include "runtime/core/result.h"
#include "runtime/core/tensor.h"

namespace slm {

// An initializer, or the value of a Constant node.
struct DocumentTensor {
  std::string name;
  int graph = 0;
  int node = -1;  // the Constant node; -1: an initializer
  // Without alignment; nullopt: a type that this program does not hold.
  std::optional<TensorView> view;
  // As the file has them; empty where they are in fields of their own.
  std::string_view bytes;
  bool external = false;  // in another file
};

struct DocumentNode {
  std::string name, type, domain;  // "ai.onnx" is spelled ""
  std::vector<std::string> inputs, outputs;
};

struct DocumentGraph {
  int parent = -1;  // the graph around a subgraph
  std::vector<DocumentNode> nodes;
  std::vector<OnnxValue> inputs, outputs;  // inputs without initializers
};

class OnnxDocument {
 public:
  // Reads the whole structure and maps the weights. Fails where external data
  // is absent, too short, or outside of the model's folder.
  static Result<OnnxDocument> Open(const std::string& path);
  ~OnnxDocument();
  OnnxDocument(OnnxDocument&&) noexcept;
  OnnxDocument& operator=(OnnxDocument&&) noexcept;

  // As the file has them: edits do not show. Graph 0 is the model's, subgraphs
  // follow their parents.
  const std::vector<DocumentGraph>& graphs() const { return graphs_; }
  const std::vector<DocumentTensor>& tensors() const { return tensors_; }
  bool has_functions() const;
  // Names of the model file and its data files, and their bytes.
  const std::vector<std::string>& files() const { return files_; }
  uint64_t total_bytes() const { return total_bytes_; }

  std::optional<int64_t> Int(int graph, int node, const char* attribute) const;
  std::optional<float> Float(int graph, int node, const char* attribute) const;
  std::optional<std::vector<int64_t>> Ints(int graph, int node,
                                           const char* attribute) const;
  std::vector<std::string> AttributeNames(int graph, int node) const;

  // The pages of these bytes of the file are not needed any more.
  void Release(std::string_view bytes) const;

  // Edits. A node that is replaced by nothing is gone.
  void SetInt(int graph, int node, const char* attribute, int64_t value);
  void RemoveAttribute(int graph, int node, const char* attribute);
  void SetInput(int graph, int node, size_t input, const std::string& value);
  void ReplaceNode(int graph, int node, std::vector<OnnxNode> nodes);
  void RemoveInitializer(int tensor);
  void AddInitializer(int graph, OnnxInitializer tensor);
  // The initializer goes to `offset` of the data file.
  void PlaceInitializer(int tensor, uint64_t offset);
  void ImportDomain(const char* domain, int64_t version);

  // The edited ModelProto. Initializers that nobody placed, and values of
  // nodes, are in the file itself. Fails where it would exceed 2 GiB.
  Result<std::string> Serialize(const std::string& data_file);

 private:
  struct Impl;
  explicit OnnxDocument(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
  std::vector<DocumentGraph> graphs_;
  std::vector<DocumentTensor> tensors_;
  std::vector<std::string> files_;
  uint64_t total_bytes_ = 0;
};

}  // namespace slm

#endif  // SLM_LOADER_ONNX_DOCUMENT_H_
