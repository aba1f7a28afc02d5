// SPDX-License-Identifier: MIT
// A model that is ONNX already, as the source of a conversion: a folder of ONNX
// Runtime GenAI or Foundry, of Optimum or transformers.js, the output of Olive,
// or one .onnx file.
#ifndef SLM_TOOLS_CONVERT_ONNX_SOURCE_H_
#define SLM_TOOLS_CONVERT_ONNX_SOURCE_H_

#include <memory>
#include <optional>
#include <string>

#include "loader/folder.h"
#include "loader/onnx_document.h"
#include "runtime/core/file_output.h"
#include "runtime/core/log.h"
#include "runtime/core/result.h"
#include "tools/convert/onnx_plan.h"
#include "tools/convert/onnx_tensors.h"
#include "tools/convert/weights.h"

namespace slm::convert {

struct OnnxSource {
  std::string path;                   // of the graph
  std::optional<ModelFolder> folder;  // nullopt: the graph alone
  std::string outer;                  // around a variant's folder, or empty
  std::unique_ptr<OnnxDocument> document;
  OnnxPlan plan;                      // once it is made
  std::vector<OnnxInitializer> kept;  // places of plan.placed
};

// False of folders that hold a checkpoint of weights.
bool IsOnnxSource(const std::string& path);

Result<std::unique_ptr<OnnxSource>> OpenOnnxSource(const std::string& path,
                                                   const LogSink& log);

// Plans and lays out; the weights that are made are read from `tensors`.
Result<DataLayout> LayOutOnnx(const OnnxRequest& request, OnnxSource* source,
                              OnnxTensors* tensors);
// Copies what stays.
Status CopyPlaced(const OnnxSource& source, const WriteProgress& progress,
                  FileWriter* file);
// The graph with the places of `layout`, once.
Result<std::string> SerializeOnnxSource(OnnxSource* source,
                                        const DataLayout& layout);

// genai_config.json of the output from the source's, or from `made`: keys that
// the packaged runtime knows, and the graph under its new name. Empty where
// that runtime cannot feed the graph.
Result<std::string> OnnxGenAiConfig(const OnnxSource& source,
                                    const std::string& made);
// inference_model.json with another name; nullopt where the source has none.
Result<std::optional<std::string>> OnnxInferenceModel(const OnnxSource& source,
                                                      const std::string& name);

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_ONNX_SOURCE_H_
