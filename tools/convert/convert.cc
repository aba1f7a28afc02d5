// SPDX-License-Identifier: MIT
#include "tools/convert/convert.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "loader/onnx_writer.h"
#include "runtime/core/clock.h"
#include "runtime/core/file.h"
#include "runtime/core/file_output.h"
#include "runtime/core/terminal.h"
#include "runtime/core/threads.h"
#include "runtime/model.h"
#include "slm/slm.h"
#include "tools/convert/calibrate.h"
#include "tools/convert/gptq_pass.h"
#include "tools/convert/graph.h"
#include "tools/convert/imatrix.h"
#include "tools/convert/kept.h"
#include "tools/convert/mixed_bits.h"
#include "tools/convert/onnx_source.h"
#include "tools/convert/onnx_tensors.h"
#include "tools/convert/output.h"
#include "tools/convert/report.h"
#include "tools/convert/self_check.h"
#include "tools/convert/size_plan.h"
#include "tools/convert/source.h"
#include "tools/convert/weights.h"

namespace slm::convert {
namespace {

constexpr double kMega = 1e6;

// One line on a terminal that is written over, ten times a second.
class ProgressLine {
 public:
  explicit ProgressLine(bool shown) : shown_(shown) {}

  // Bytes written.
  void ShowBytes(uint64_t done, uint64_t total) {
    if (!Due(done >= total)) return;
    const double seconds = last_ - begin_;
    std::fprintf(
        stderr, "\rslm-convert: %3.0f %%  %.0f of %.0f MB  %.0f MB/s ",
        total ? 100.0 * static_cast<double>(done) / static_cast<double>(total)
              : 100.0,
        static_cast<double>(done) / kMega, static_cast<double>(total) / kMega,
        seconds > 0 ? static_cast<double>(done) / kMega / seconds : 0);
    std::fflush(stderr);
  }
  void ShowSteps(const char* what, size_t done, size_t total) {
    if (!Due(false)) return;
    std::fprintf(stderr, "\rslm-convert: %s: %zu of %zu ", what, done, total);
    std::fflush(stderr);
  }
  // The line is free for something else.
  void End() {
    if (shown_ && last_ > 0) std::fprintf(stderr, "\r%60s\r", "");
  }

 private:
  bool Due(bool at_the_end) {
    const double now = MonotonicSeconds();
    if (!shown_ || (now - last_ < 0.1 && !at_the_end)) return false;
    last_ = now;
    return true;
  }

  bool shown_;
  double begin_ = MonotonicSeconds();
  double last_ = 0;
};

Status CheckSignals() {
  return HeldSignal() ? Error(ErrorKind::kRuntime, "interrupted") : OkStatus();
}

// A folder cannot become its own source's replacement or part.
Status CheckApart(const Options& options) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path source = fs::weakly_canonical(options.source, error);
  const fs::path output = fs::weakly_canonical(options.output, error);
  const auto inside = [](const fs::path& inner, const fs::path& outer) {
    return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end())
               .first == outer.end();
  };
  if (inside(output, source) || inside(source, output)) {
    return Usage("output \"%s\" and source \"%s\" must be apart",
                 Printable(options.output, 400).c_str(),
                 Printable(options.source, 400).c_str());
  }
  return OkStatus();
}

// Room for the weights and 64 MB of everything else.
Status CheckDisk(const std::string& folder, uint64_t bytes) {
  SLM_ASSIGN_OR_RETURN(const uint64_t free, FreeDiskBytes(folder));
  const uint64_t needed = bytes + (uint64_t{64} << 20);
  if (free >= needed) return OkStatus();
  return Error(
      ErrorKind::kRuntime, "\"%s\" needs %.1f MB, the disk has %.1f MB free",
      Printable(folder, 400).c_str(), static_cast<double>(needed) / kMega,
      static_cast<double>(free) / kMega);
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

// Statistics from their file, or measured in `folder`, which is removed (what
// is mapped of it stays readable).
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

// Tries the folder, and writes down what became of the conversion.
Status CheckAndReport(const Source& source, const Options& options,
                      double begin, const std::string& folder,
                      ThreadPool& threads, Summary* summary) {
  ReportFacts facts{LastName(source.folder),
                    source.spec.hf_class,
                    summary->weights,
                    summary->source_bytes,
                    summary->output_bytes,
                    MonotonicSeconds() - begin,
                    {}};
  if (options.check) {
    // An ONNX source's activations may be those of its accuracy levels.
    const bool exact =
        options.graph.precision == Precision::kFp32 && !source.onnx;
    const SelfCheckOptions check{exact, summary->weights};
    SLM_ASSIGN_OR_RETURN(
        facts.check, CheckOutput(folder, ReferenceOf(source, folder, threads),
                                 check, threads));
    summary->lines.push_back(CheckLine(*facts.check));
    if (!facts.check->text_lost.empty()) {
      summary->notes.push_back(
          Format("the tokenizer gives %zu of %zu texts back as they were, not "
                 "\"%s\"",
                 facts.check->round_trips, facts.check->texts,
                 Printable(facts.check->text_lost, 60).c_str()));
    }
  }
  return WriteFileAtomic(folder + "/conversion_report.json",
                         ReportText(facts, options));
}

// A target that no choice can meet.
Status CheckTarget(const Source& source, const Options& options,
                   const KeptGrids& kept, Summary* summary) {
  if (options.target_bpw == 0) return OkStatus();
  SLM_ASSIGN_OR_RETURN(const MixedBounds bounds,
                       BoundsOf(source, options, kept));
  if (bounds.low == bounds.high) {
    return Usage("--mixed auto: there is no matrix whose bits are open");
  }
  const double low = BitsPerWeight(bounds.low, summary->weights);
  const double high = BitsPerWeight(bounds.high, summary->weights);
  if (options.target_bpw < low) {
    return Usage(
        "--target-bpw %.2f: %.2f bits a weight is the least that these flags "
        "give",
        options.target_bpw, low);
  }
  if (options.target_bpw > high) {
    summary->notes.push_back(Format("--target-bpw %.2f: %.2f is all in 8 bits",
                                    options.target_bpw, high));
  }
  if (options.dry_run) {
    summary->notes.push_back(
        Format("--mixed auto will choose between %.2f and %.2f bits a weight",
               low, std::min(high, options.target_bpw)));
  }
  return OkStatus();
}

// Measures which matrices get 8 bits, and makes the graph anew with them.
Result<MixedChoice> ChooseBits(const Source& source, const KeptGrids& kept,
                               const std::string& folder, ThreadPool& threads,
                               Options* options, DecoderGraph* decoder,
                               DataLayout* layout, Summary* summary) {
  ProgressLine line(!options->quiet && IsTerminal(stderr));
  const CalibrationProgress progress = [&](const char* what, size_t done,
                                           size_t total) {
    line.ShowSteps(what, done, total);
    return CheckSignals();
  };
  const auto budget = static_cast<uint64_t>(
      options->target_bpw * static_cast<double>(summary->weights) / 8);
  Result<MixedChoice> choice =
      ChooseMixedBits(source, *options, kept, summary->weights, budget, folder,
                      threads, progress);
  line.End();
  SLM_RETURN_IF_ERROR(choice.status());
  options->graph.rules.insert(options->graph.rules.end(), choice->rules.begin(),
                              choice->rules.end());
  SLM_ASSIGN_OR_RETURN(*decoder,
                       MakeDecoderGraph(source.spec, options->graph, kept));
  *layout = LayOut(decoder->weights, options->graph);
  summary->output_bytes = layout->bytes;
  summary->lines.push_back(ChoiceLine(*choice));
  return choice;
}

Status WriteFolder(const Source& source, const KeptGrids& kept, Options options,
                   DecoderGraph decoder, DataLayout layout, double begin,
                   Summary* summary) {
  ThreadPool threads(options.threads);
  SLM_ASSIGN_OR_RETURN(FolderWriter folder,
                       FolderWriter::Create(options.output, options.force));
  const std::string& at = folder.temporary();
  // Small files first: their failures cost no time.
  SLM_RETURN_IF_ERROR(WriteTexts(source, options, at));
  MixedChoice choice;
  if (options.target_bpw > 0) {
    SLM_ASSIGN_OR_RETURN(
        choice, ChooseBits(source, kept, at + "/mixed", threads, &options,
                           &decoder, &layout, summary));
  }
  Calibration calibration;
  if (options.calibration.used) {
    SLM_ASSIGN_OR_RETURN(calibration,
                         Calibrate(source, options, decoder.weights,
                                   at + "/calibration", threads));
    summary->notes.insert(summary->notes.end(), calibration.notes.begin(),
                          calibration.notes.end());
  }
  SLM_RETURN_IF_ERROR(
      WriteModel(source, options, decoder, layout, at, threads, &calibration));
  const bool runs = !source.onnx || source.onnx->folder;  // has a tokenizer
  if (runs) {
    SLM_RETURN_IF_ERROR(
        CheckAndReport(source, options, begin, at, threads, summary));
  }
  SLM_ASSIGN_OR_RETURN(
      const std::string provenance,
      ProvenanceText(source, options, decoder.weights, choice.units, at));
  SLM_RETURN_IF_ERROR(WriteFileAtomic(at + "/slm.json", provenance));
  SLM_RETURN_IF_ERROR(CheckSignals());
  return folder.Publish();
}

OnnxRequest RequestOf(const Options& options) {
  const auto& given = options.given;
  const bool grid = given.block_size || given.symmetry || options.requantize;
  OnnxRequest request{options.graph,      options.keeps_weights, grid,
                      options.requantize, given.accuracy,        false};
  request.accuracy_alone = given.accuracy && !given.precision && !grid &&
                           options.graph.rules.empty();
  return request;
}

// The graph and where its weights go.
struct Planned {
  KeptGrids kept;
  DecoderGraph decoder;
  DataLayout layout;
};

Result<Planned> Plan(const Source& source, const Options& options,
                     std::vector<std::string>* notes) {
  Planned planned;
  auto& [kept, decoder, layout] = planned;
  if (source.onnx) {
    if (options.calibration.used || options.target_bpw > 0) {
      return Usage("%s is not supported with ONNX sources",
                   options.target_bpw > 0     ? "--mixed auto"
                   : options.calibration.gptq ? "--algorithm gptq"
                                              : "--imatrix");
    }
    SLM_ASSIGN_OR_RETURN(
        layout, LayOutOnnx(RequestOf(options), source.onnx.get(),
                           static_cast<OnnxTensors*>(source.weights.get())));
    for (const OnnxWeight& made : source.onnx->plan.weights) {
      decoder.weights.push_back(made.weight);
    }
    decoder.notes = source.onnx->plan.notes;
    if (!source.onnx->folder) {
      decoder.notes.push_back(
          "no genai_config.json or config.json: the output is the graph alone");
    }
    return planned;
  }
  SLM_ASSIGN_OR_RETURN(
      kept, ChooseKept(*source.weights, source.adapters, options, notes));
  SLM_ASSIGN_OR_RETURN(decoder,
                       MakeDecoderGraph(source.spec, options.graph, kept));
  SLM_RETURN_IF_ERROR(
      CheckSources(*source.weights, source.spec, decoder.weights));
  SLM_RETURN_IF_ERROR(CheckCalibration(options, decoder.weights));
  layout = LayOut(decoder.weights, options.graph);
  return planned;
}

}  // namespace

Result<Summary> Convert(const Options& requested, const LogSink& log) {
  const double begin = MonotonicSeconds();
  Options options = requested;
  SLM_ASSIGN_OR_RETURN(const Source source,
                       OpenSource(options.source, options.adapters, log));
  SLM_RETURN_IF_ERROR(CheckApart(options));
  FollowSource(*source.weights, &options);
  Summary summary;
  summary.notes = options.notes;
  SLM_ASSIGN_OR_RETURN(const Planned planned,
                       Plan(source, options, &summary.notes));
  const auto& [kept, decoder, layout] = planned;
  summary.notes.insert(summary.notes.end(), source.weights->notes().begin(),
                       source.weights->notes().end());
  summary.notes.insert(summary.notes.end(), source.spec.notes.begin(),
                       source.spec.notes.end());
  summary.notes.insert(summary.notes.end(), decoder.notes.begin(),
                       decoder.notes.end());
  summary.source_bytes = source.weights->total_bytes();
  summary.output_bytes = layout.bytes;
  for (const auto& [name, tensor] : source.weights->tensors()) {
    summary.weights += tensor.shape.Count();
  }
  if (source.onnx) summary.weights = source.onnx->plan.values;
  SLM_RETURN_IF_ERROR(CheckTarget(source, options, kept, &summary));
  if (options.dry_run) {  // tries the template, too
    if (!source.onnx) {
      summary.lines =
          SizeLines(source.spec, decoder.weights, layout, options.graph.io());
    }
    if (!source.onnx || source.onnx->folder) {
      SLM_RETURN_IF_ERROR(InferenceModelText(source, NameOf(options)).status());
    }
  } else {
    SLM_RETURN_IF_ERROR(
        WriteFolder(source, kept, options, decoder, layout, begin, &summary));
  }
  summary.seconds = MonotonicSeconds() - begin;
  return summary;
}

}  // namespace slm::convert
