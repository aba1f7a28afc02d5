// SPDX-License-Identifier: MIT
#include "tools/convert/convert.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>

#include "runtime/core/clock.h"
#include "runtime/core/file.h"
#include "runtime/core/file_output.h"
#include "runtime/core/terminal.h"
#include "runtime/core/threads.h"
#include "tools/convert/calibration.h"
#include "tools/convert/graph.h"
#include "tools/convert/kept.h"
#include "tools/convert/mixed_bits.h"
#include "tools/convert/model_files.h"
#include "tools/convert/onnx_source.h"
#include "tools/convert/onnx_tensors.h"
#include "tools/convert/output.h"
#include "tools/convert/progress.h"
#include "tools/convert/report.h"
#include "tools/convert/self_check.h"
#include "tools/convert/size_plan.h"
#include "tools/convert/source.h"
#include "tools/convert/weights.h"

namespace slm::convert {
namespace {

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
