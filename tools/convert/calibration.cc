// SPDX-License-Identifier: MIT
#include "tools/convert/calibration.h"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "runtime/core/file.h"
#include "runtime/core/terminal.h"
#include "runtime/model.h"
#include "tools/convert/input_moments.h"
#include "tools/convert/gptq_pass.h"
#include "tools/convert/imatrix.h"
#include "tools/convert/kept.h"
#include "tools/convert/model_files.h"
#include "tools/convert/progress.h"

namespace slm::convert {
namespace {

// The model that activations are measured on.
Options FloatOptions(const Source& source, const Options& options) {
  Options out = options;
  out.graph = GraphOptions();
  out.graph.share_embeddings = options.graph.share_embeddings;
  out.graph.precision = Precision::kFp16;
  for (const auto& [name, tensor] : source.weights->tensors()) {
    if (std::string_view(tensor.type) == "F32" && tensor.shape.rank() > 1) {
      out.graph.precision = Precision::kFp32;
    }
  }
  return out;
}

Status WriteFloatModel(const Source& source, const Options& options,
                       const std::string& folder, ThreadPool& threads) {
  std::error_code error;
  std::filesystem::create_directory(folder, error);
  SLM_RETURN_IF_ERROR(WriteTexts(source, options, folder));
  SLM_ASSIGN_OR_RETURN(
      const DecoderGraph decoder,
      MakeDecoderGraph(source.spec, options.graph, KeptGrids()));
  return WriteModel(source, options, decoder,
                    LayOut(decoder.weights, options.graph), folder, threads,
                    nullptr);
}

// Enough for GPTQ of all matrices, within what a pass can hold.
size_t TokensOf(const CalibrationOptions& calibration,
                const std::vector<Weight>& weights) {
  constexpr size_t kUsual = 8192, kMost = 32768;
  if (calibration.tokens > 0) return calibration.tokens;
  size_t tokens = kUsual;
  for (const Weight& weight : weights) {
    if (!calibration.gptq || !IsCalibrated(weight)) continue;
    tokens = std::max(tokens, 2 * static_cast<size_t>(weight.k));
  }
  return std::min(tokens, kMost);
}

Result<Calibration> Measure(const Source& source, const Options& options,
                            const std::vector<Weight>& weights,
                            const std::string& folder, ThreadPool& threads) {
  SLM_RETURN_IF_ERROR(
      WriteFloatModel(source, FloatOptions(source, options), folder, threads));
  ProgressLine line(!options.quiet && IsTerminal(stderr));
  const CalibrationProgress progress = [&](const char* what, size_t done,
                                           size_t total) {
    line.ShowSteps(what, done, total);
    return CheckSignals();
  };
  SLM_ASSIGN_OR_RETURN(const auto model, Model::Open(folder, ModelOptions()));
  const CalibrationOptions& c = options.calibration;
  const size_t tokens = TokensOf(c, weights);
  // Not the folder's: there a model without BOS has the builder's 1.
  const int64_t first =
      source.config.bos_token_id.value_or(source.config.eos_token_ids[0]);
  SLM_ASSIGN_OR_RETURN(
      const Documents documents,
      c.file.empty() ? SampleDocuments(*model, static_cast<int32_t>(first),
                                       tokens, threads, progress)
                     : TokensOfFile(*model, c.file, tokens));
  Calibration out;
  if (c.gptq && model->plan().ragged) {
    SLM_ASSIGN_OR_RETURN(out, RunGptq(*model, documents, source, weights,
                                      folder + "/codes", threads, progress));
  } else {
    SLM_ASSIGN_OR_RETURN(out.imatrix, MeasureInputs(*model, documents, weights,
                                                    threads, progress));
    if (c.gptq) {
      out.notes.push_back("gptq: this architecture runs one text at a time (" +
                          model->plan().dense_reason +
                          "): the search with --imatrix instead");
    }
  }
  line.End();
  return out;
}

}  // namespace

Status CheckCalibration(const Options& options,
                        const std::vector<Weight>& weights) {
  if (!options.calibration.used) return OkStatus();
  for (const Weight& weight : weights) {
    if (IsCalibrated(weight)) return OkStatus();
  }
  return Usage(
      "%s means nothing: the codes of the source are kept; --requantize "
      "quantises them again",
      options.calibration.gptq ? "--algorithm gptq" : "--imatrix");
}

Result<Calibration> Calibrate(const Source& source, const Options& options,
                              const std::vector<Weight>& weights,
                              const std::string& folder, ThreadPool& threads) {
  const CalibrationOptions& c = options.calibration;
  SLM_ASSIGN_OR_RETURN(const std::string model, Fingerprint(source));
  if (!c.file.empty() && IsImatrixFile(c.file)) {
    const std::string shown = Printable(c.file, 400);
    if (c.gptq) {
      return Usage("--algorithm gptq needs a text, \"%s\" holds statistics",
                   shown.c_str());
    }
    Calibration out;
    SLM_ASSIGN_OR_RETURN(out.imatrix, LoadImatrix(c.file));
    SLM_RETURN_IF_ERROR(CheckImatrix(out.imatrix, weights, c.file));
    if (out.imatrix.model != model) {
      out.notes.push_back("\"" + shown + "\" was measured on other weights");
    }
    return out;
  }
  if (!c.file.empty() && !IsFile(c.file)) {
    return Error(ErrorKind::kNotFound, "--imatrix: no such file \"%s\"",
                 Printable(c.file, 400).c_str());
  }
  Result<Calibration> out = Measure(source, options, weights, folder, threads);
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  SLM_RETURN_IF_ERROR(out.status());
  SLM_RETURN_IF_ERROR(CheckImatrix(out->imatrix, weights, "--imatrix"));
  for (const Weight& weight : weights) {
    if (weight.kind != WeightKind::kQuantizedExperts) continue;
    out->notes.push_back("experts are quantised without statistics");
    break;
  }
  out->imatrix.model = model;
  out->imatrix.text = c.file.empty()
                          ? "sampled"
                          : std::filesystem::path(c.file).filename().string();
  if (!c.save.empty()) {
    SLM_RETURN_IF_ERROR(SaveImatrix(out->imatrix, c.save));
  }
  return out;
}

}  // namespace slm::convert
