// SPDX-License-Identifier: MIT
#include "tools/convert/convert.h"

#include <cstdio>
#include <filesystem>
#include <utility>

#include "loader/onnx_writer.h"
#include "runtime/core/clock.h"
#include "runtime/core/file.h"
#include "runtime/core/file_output.h"
#include "runtime/core/terminal.h"
#include "runtime/core/threads.h"
#include "slm/slm.h"
#include "tools/convert/graph.h"
#include "tools/convert/kept.h"
#include "tools/convert/output.h"
#include "tools/convert/report.h"
#include "tools/convert/self_check.h"
#include "tools/convert/source.h"
#include "tools/convert/weights.h"

namespace slm::convert {
namespace {

constexpr double kMega = 1e6;

// One line on a terminal that is written over, ten times a second.
class Progress {
 public:
  Progress(bool shown, uint64_t total) : shown_(shown), total_(total) {}

  void Show(uint64_t done) {
    const double now = MonotonicSeconds();
    if (!shown_ || (now - last_ < 0.1 && done < total_)) return;
    last_ = now;
    const double seconds = now - begin_;
    std::fprintf(
        stderr, "\rslm-convert: %3.0f %%  %.0f of %.0f MB  %.0f MB/s ",
        total_ ? 100.0 * static_cast<double>(done) / static_cast<double>(total_)
               : 100.0,
        static_cast<double>(done) / kMega, static_cast<double>(total_) / kMega,
        seconds > 0 ? static_cast<double>(done) / kMega / seconds : 0);
    std::fflush(stderr);
  }
  // The line is free for something else.
  void End() {
    if (shown_ && last_ > 0) std::fprintf(stderr, "\r%60s\r", "");
  }

 private:
  bool shown_;
  uint64_t total_;
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
                  const std::string& folder, ThreadPool& threads) {
  SLM_RETURN_IF_ERROR(CheckDisk(folder, layout.bytes));
  SLM_ASSIGN_OR_RETURN(FileWriter data,
                       FileWriter::Create(folder + "/model.onnx.data"));
  Progress progress(!options.quiet && IsTerminal(stderr), layout.bytes);
  const WriteProgress report{[&](uint64_t done) {
    progress.Show(done);
    return CheckSignals();
  }};
  const Status written = WriteWeights(
      *source.weights, source.adapters, source.spec, decoder.weights,
      options.graph, layout, threads, report, &data);
  progress.End();
  SLM_RETURN_IF_ERROR(written);
  SLM_RETURN_IF_ERROR(data.Close(layout.bytes));
  OnnxModel model{"onnxruntime-genai", "", "model.onnx.data", decoder.graph};
  model.graph.initializers = layout.Initializers();
  SLM_ASSIGN_OR_RETURN(const std::string bytes, SerializeOnnx(model));
  return WriteFileAtomic(folder + "/model.onnx", bytes);
}

std::string NameOf(const Options& options) {
  if (!options.name.empty()) return options.name;
  std::filesystem::path path(options.output);
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

Status WriteTexts(const Source& source, const Options& options,
                  const std::string& folder) {
  SLM_RETURN_IF_ERROR(WriteTokenizerFiles(source, folder));
  SLM_RETURN_IF_ERROR(
      WriteFileAtomic(folder + "/genai_config.json", GenAiConfigText(source)));
  SLM_ASSIGN_OR_RETURN(const std::string inference,
                       InferenceModelText(source, NameOf(options)));
  return WriteFileAtomic(folder + "/inference_model.json", inference);
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
    const SelfCheckOptions check{options.graph.precision == Precision::kFp32,
                                 summary->weights};
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

Status WriteFolder(const Source& source, const Options& options,
                   const DecoderGraph& decoder, const DataLayout& layout,
                   double begin, Summary* summary) {
  ThreadPool threads(options.threads);
  SLM_ASSIGN_OR_RETURN(FolderWriter folder,
                       FolderWriter::Create(options.output, options.force));
  const std::string& at = folder.temporary();
  // Small files first: their failures cost no time.
  SLM_RETURN_IF_ERROR(WriteTexts(source, options, at));
  SLM_RETURN_IF_ERROR(
      WriteModel(source, options, decoder, layout, at, threads));
  SLM_RETURN_IF_ERROR(
      CheckAndReport(source, options, begin, at, threads, summary));
  SLM_ASSIGN_OR_RETURN(const std::string provenance,
                       ProvenanceText(source, options, at));
  SLM_RETURN_IF_ERROR(WriteFileAtomic(at + "/slm.json", provenance));
  SLM_RETURN_IF_ERROR(CheckSignals());
  return folder.Publish();
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
  SLM_ASSIGN_OR_RETURN(
      const KeptGrids kept,
      ChooseKept(*source.weights, source.adapters, options, &summary.notes));
  SLM_ASSIGN_OR_RETURN(const DecoderGraph decoder,
                       MakeDecoderGraph(source.spec, options.graph, kept));
  SLM_RETURN_IF_ERROR(
      CheckSources(*source.weights, source.spec, decoder.weights));
  const DataLayout layout = LayOut(decoder.weights, options.graph);
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
  if (options.dry_run) {  // tries the template, too
    SLM_RETURN_IF_ERROR(InferenceModelText(source, NameOf(options)).status());
  } else {
    SLM_RETURN_IF_ERROR(
        WriteFolder(source, options, decoder, layout, begin, &summary));
  }
  summary.seconds = MonotonicSeconds() - begin;
  return summary;
}

}  // namespace slm::convert
