// SPDX-License-Identifier: MIT
#include "tools/convert/model_files.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>

#include "loader/onnx_writer.h"
#include "runtime/core/file.h"
#include "runtime/core/file_output.h"
#include "runtime/core/terminal.h"
#include "tools/convert/onnx_source.h"
#include "tools/convert/onnx_tensors.h"
#include "tools/convert/output.h"
#include "tools/convert/progress.h"

namespace slm::convert {
namespace {

// Room for the weights and 64 MB of everything else.
Status CheckDisk(const std::string& folder, uint64_t bytes) {
  SLM_ASSIGN_OR_RETURN(const uint64_t free, FreeDiskBytes(folder));
  const uint64_t needed = bytes + (uint64_t{64} << 20);
  if (free >= needed) return OkStatus();
  return Error(
      ErrorKind::kRuntime, "\"%s\" needs %.1f MB, the disk has %.1f MB free",
      Printable(folder, 400).c_str(), static_cast<double>(needed) / 1e6,
      static_cast<double>(free) / 1e6);
}

// Those of a source that is ONNX; none where it is a graph alone.
Status WriteOnnxTexts(const Source& source, const Options& options,
                      const std::string& folder) {
  const OnnxSource& onnx = *source.onnx;
  if (!onnx.folder) return OkStatus();
  SLM_RETURN_IF_ERROR(WriteTokenizerFiles(source, folder));
  const bool has_ids = !source.config.eos_token_ids.empty();
  SLM_ASSIGN_OR_RETURN(
      const std::string config,
      OnnxGenAiConfig(onnx, has_ids ? GenAiConfigText(source) : "{}"));
  if (!config.empty()) {
    SLM_RETURN_IF_ERROR(WriteFileAtomic(folder + "/genai_config.json", config));
  }
  if (!onnx.folder->has_genai_config) {  // what slm and Optimum read
    SLM_ASSIGN_OR_RETURN(const std::string text,
                         ReadFile(onnx.folder->config_path));
    SLM_RETURN_IF_ERROR(WriteFileAtomic(folder + "/config.json", text));
  }
  SLM_ASSIGN_OR_RETURN(std::optional<std::string> inference,
                       OnnxInferenceModel(onnx, NameOf(options)));
  if (!inference) {
    SLM_ASSIGN_OR_RETURN(inference,
                         InferenceModelText(source, NameOf(options)));
  }
  return WriteFileAtomic(folder + "/inference_model.json", *inference);
}

}  // namespace

std::string NameOf(const Options& options) {
  if (!options.name.empty()) return options.name;
  std::filesystem::path path(options.output);
  if (!path.has_filename()) path = path.parent_path();
  // models/NAME/onnx, as Olive's tutorials have it: one of many "onnx" has no
  // name.
  if (path.filename() == "onnx" && path.parent_path().has_filename()) {
    path = path.parent_path();
  }
  return path.filename().string();
}

Status WriteModel(const Source& source, const Options& options,
                  const DecoderGraph& decoder, const DataLayout& layout,
                  const std::string& folder, ThreadPool& threads,
                  const Calibration* calibration) {
  SLM_RETURN_IF_ERROR(CheckDisk(folder, layout.bytes));
  SLM_ASSIGN_OR_RETURN(FileWriter data,
                       FileWriter::Create(folder + "/model.onnx.data"));
  ProgressLine progress(!options.quiet && IsTerminal(stderr));
  const WriteProgress report{[&](uint64_t done) {
    progress.ShowBytes(done, layout.bytes);
    return CheckSignals();
  }};
  if (source.onnx) {
    SLM_RETURN_IF_ERROR(CopyPlaced(*source.onnx, report, &data));
  }
  const Status written = WriteWeights(
      *source.weights, source.adapters, source.spec, decoder.weights,
      options.graph, layout, threads, report, &data, calibration);
  progress.End();
  SLM_RETURN_IF_ERROR(written);
  SLM_RETURN_IF_ERROR(data.Close(layout.bytes));
  if (source.onnx) {
    SLM_ASSIGN_OR_RETURN(const std::string graph,
                         SerializeOnnxSource(source.onnx.get(), layout));
    return WriteFileAtomic(folder + "/model.onnx", graph);
  }
  OnnxModel model{"onnxruntime-genai", "", "model.onnx.data", decoder.graph};
  model.graph.initializers = layout.Initializers();
  SLM_ASSIGN_OR_RETURN(const std::string bytes, SerializeOnnx(model));
  return WriteFileAtomic(folder + "/model.onnx", bytes);
}

Status WriteTexts(const Source& source, const Options& options,
                  const std::string& folder) {
  if (source.onnx) return WriteOnnxTexts(source, options, folder);
  SLM_RETURN_IF_ERROR(WriteTokenizerFiles(source, folder));
  SLM_RETURN_IF_ERROR(
      WriteFileAtomic(folder + "/genai_config.json", GenAiConfigText(source)));
  SLM_ASSIGN_OR_RETURN(const std::string inference,
                       InferenceModelText(source, NameOf(options)));
  return WriteFileAtomic(folder + "/inference_model.json", inference);
}

}  // namespace slm::convert
