// SPDX-License-Identifier: MIT
#include "tools/convert/mixed_bits.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "loader/onnx_graph.h"
#include "loader/onnx_writer.h"
#include "runtime/core/file.h"
#include "runtime/core/file_output.h"
#include "runtime/model.h"
#include "runtime/plan/plan.h"
#include "runtime/session.h"
#include "tools/convert/output.h"
#include "tools/convert/weights.h"

namespace slm::convert {
namespace {

// Tokens of the measurement: a fixed number of products, some 0.3 s a matrix on
// two cores, within limits; and 128 MB of logits at most.
constexpr uint64_t kProducts = uint64_t{100'000'000'000};
constexpr uint64_t kFewestTokens = 64, kMostTokens = 256;
constexpr uint64_t kMostLogits = uint64_t{32} << 20;
constexpr size_t kSampled = 1024;  // tokens, of which the first are used

GraphOptions WithBits(const Options& options, int bits) {
  GraphOptions graph = options.graph;
  graph.quantize.bits = bits;
  // Differences of a single matrix are lost in the noise of int8 activations.
  graph.accuracy_level = 1;
  return graph;
}

// Both forms of the matrices in one file, and models that take one in 4 bits.
class Laboratory {
 public:
  Laboratory(const Source& source, const Options& options,
             const KeptGrids& kept, std::string folder, ThreadPool& threads)
      : source_(source),
        high_(WithBits(options, 8)),
        low_(WithBits(options, 4)),
        kept_(kept),
        folder_(std::move(folder)),
        threads_(threads) {}

  Status Make(const CalibrationProgress& progress);
  const std::vector<MixedUnit>& units() const { return units_; }

  // The model with all open matrices in 8 bits but that of `node`.
  Status WriteModel(const std::string& node, const std::string& file) const;

 private:
  Status WriteData(const CalibrationProgress& progress) const;

  const Source& source_;
  const GraphOptions high_, low_;
  const KeptGrids& kept_;
  const std::string folder_;
  ThreadPool& threads_;
  std::vector<Weight> weights_;  // in 8 bits, then what is open in 4
  DataLayout layout_;
  std::map<std::pair<std::string, int>, size_t> index_;  // of name and bits
  std::vector<MixedUnit> units_;
};

uint64_t BytesOf(const std::vector<OnnxInitializer>& parts) {
  uint64_t bytes = 0;
  for (const OnnxInitializer& part : parts) bytes += part.length;
  return bytes;
}

Status Laboratory::Make(const CalibrationProgress& progress) {
  SLM_ASSIGN_OR_RETURN(const DecoderGraph high,
                       MakeDecoderGraph(source_.spec, high_, kept_));
  SLM_ASSIGN_OR_RETURN(const DecoderGraph low,
                       MakeDecoderGraph(source_.spec, low_, kept_));
  weights_ = high.weights;
  for (const Weight& weight : low.weights) {
    if (weight.bits_open) weights_.push_back(weight);
  }
  layout_ = LayOut(weights_, high_);
  for (size_t i = 0; i < weights_.size(); ++i) {
    const Weight& weight = weights_[i];
    const int bits = weight.bits_open ? weight.quantize.bits : 0;
    index_[{weight.name, bits}] = i;
    const bool known = std::any_of(
        units_.begin(), units_.end(),
        [&](const MixedUnit& unit) { return unit.node == weight.node; });
    if (bits == 8 && !known) units_.push_back({weight.node, 0, 0, false});
  }
  for (MixedUnit& unit : units_) {
    for (size_t i = 0; i < weights_.size(); ++i) {
      if (weights_[i].node != unit.node || !weights_[i].bits_open) continue;
      const uint64_t bytes = BytesOf(layout_.parts[i]);
      unit.more_bytes += weights_[i].quantize.bits == 8 ? bytes : -bytes;
    }
  }
  if (units_.empty()) {
    return Usage("--mixed auto: there is no matrix whose bits are open");
  }
  std::error_code error;
  std::filesystem::create_directory(folder_, error);
  SLM_RETURN_IF_ERROR(WriteTokenizerFiles(source_, folder_));
  SLM_RETURN_IF_ERROR(WriteFileAtomic(folder_ + "/genai_config.json",
                                      GenAiConfigText(source_)));
  SLM_RETURN_IF_ERROR(WriteData(progress));
  return WriteModel("", "model.onnx");
}

Status Laboratory::WriteData(const CalibrationProgress& progress) const {
  SLM_ASSIGN_OR_RETURN(const uint64_t free, FreeDiskBytes(folder_));
  if (free < layout_.bytes) {
    return Error(ErrorKind::kRuntime,
                 "--mixed auto needs %.1f MB beside the output, the disk has "
                 "%.1f MB free",
                 static_cast<double>(layout_.bytes) / 1e6,
                 static_cast<double>(free) / 1e6);
  }
  SLM_ASSIGN_OR_RETURN(FileWriter file,
                       FileWriter::Create(folder_ + "/model.onnx.data"));
  const WriteProgress report{[&](uint64_t done) {
    return progress("4 and 8 bits, MB", done / 1'000'000,
                    layout_.bytes / 1'000'000);
  }};
  SLM_RETURN_IF_ERROR(WriteWeights(*source_.weights, source_.adapters,
                                   source_.spec, weights_, high_, layout_,
                                   threads_, report, &file));
  return file.Close(layout_.bytes);
}

Status Laboratory::WriteModel(const std::string& node,
                              const std::string& file) const {
  GraphOptions options = high_;
  if (!node.empty()) {
    options.rules.push_back({NodeGroup::kPattern, node, 4});
  }
  SLM_ASSIGN_OR_RETURN(const DecoderGraph graph,
                       MakeDecoderGraph(source_.spec, options, kept_));
  OnnxModel model{"onnxruntime-genai", "", "model.onnx.data", graph.graph};
  for (const Weight& weight : graph.weights) {
    const bool open = weight.bits_open || weight.node == node;
    const auto found = index_.find(
        {weight.name, open && weight.quantized() ? weight.quantize.bits : 0});
    if (found == index_.end()) continue;  // cannot be
    const auto& parts = layout_.parts[found->second];
    model.graph.initializers.insert(model.graph.initializers.end(),
                                    parts.begin(), parts.end());
  }
  SLM_ASSIGN_OR_RETURN(const std::string bytes, SerializeOnnx(model));
  return WriteFileAtomic(folder_ + "/" + file, bytes);
}

// sum p log(p / q) over rows of logits.
double Divergence(std::span<const float> p, std::span<const float> q) {
  const auto log_sum = [](std::span<const float> logits, double* max) {
    *max = double{*std::max_element(logits.begin(), logits.end())};
    double sum = 0;
    for (const float v : logits) sum += std::exp(double{v} - *max);
    return *max + std::log(sum);
  };
  double max_p, max_q;
  const double log_p = log_sum(p, &max_p), log_q = log_sum(q, &max_q);
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    const double log_ratio = (double{p[i]} - log_p) - (double{q[i]} - log_q);
    sum += std::exp(double{p[i]} - log_p) * log_ratio;
  }
  return sum;
}

// Runs all documents at once: the weights are read once, and the session has
// the logits of every token.
Status RunDocuments(const Documents& documents, Session* session) {
  std::vector<Session::Item> items;
  for (const std::vector<int32_t>& document : documents) {
    items.push_back(
        {session->NewSequence(), document, LogitsFor::kAll, document.size()});
  }
  return session->Run(items);
}

// sum KL(base, session) over the rows, which are shared out to the threads and
// added in their order.
double SumOfRows(std::span<const float> base, const Session& session,
                 ThreadPool& threads) {
  std::vector<double> of_row(session.logit_rows());
  ParallelFor(threads, of_row.size(), 1, [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; ++r) {
      const std::span<const float> row = session.Logits(r);
      of_row[r] = Divergence(base.subspan(r * row.size(), row.size()), row);
    }
  });
  double sum = 0;
  for (const double v : of_row) sum += v;
  return sum;
}

// The first `count` tokens of longer documents than the sampler makes of so
// few: it grows 32 at a time.
Result<Documents> Sample(const Model& model, int32_t first, size_t count,
                         ThreadPool& threads,
                         const CalibrationProgress& progress) {
  SLM_ASSIGN_OR_RETURN(Documents documents,
                       SampleDocuments(model, first, std::max(count, kSampled),
                                       threads, progress));
  size_t left = count, used = 0;
  while (left > 0 && used < documents.size()) {
    std::vector<int32_t>& document = documents[used++];
    document.resize(std::min(document.size(), left));
    left -= document.size();
  }
  documents.resize(used);
  return documents;
}

Result<std::unique_ptr<Plan>> PlanOf(const std::string& file,
                                     const DecoderNames& names) {
  SLM_ASSIGN_OR_RETURN(auto graph, LoadOnnxGraph(file));
  PlanOptions options;
  options.decoder = &names;
  return BuildPlan(std::move(graph), options);
}

size_t TokenCount(uint64_t weights, uint64_t vocab) {
  const uint64_t count = std::clamp(kProducts / std::max<uint64_t>(1, weights),
                                    kFewestTokens, kMostTokens);
  return static_cast<size_t>(std::clamp<uint64_t>(
      kMostLogits / std::max<uint64_t>(1, vocab), 16, count));
}

// KL of each unit in 4 bits.
Status Measure(const Source& source, const Laboratory& laboratory,
               uint64_t weights, const std::string& folder, ThreadPool& threads,
               const CalibrationProgress& progress,
               std::vector<MixedUnit>* units) {
  SLM_ASSIGN_OR_RETURN(const auto model, Model::Open(folder, ModelOptions()));
  const slm::DecoderSpec& decoder = model->decoder();
  const int64_t first =
      source.config.bos_token_id.value_or(source.config.eos_token_ids[0]);
  SLM_ASSIGN_OR_RETURN(
      const Documents documents,
      Sample(*model, static_cast<int32_t>(first),
             TokenCount(weights, decoder.vocab_size), threads, progress));
  std::vector<float> base;
  {
    Session session(model->plan(), decoder, threads, SessionOptions());
    SLM_RETURN_IF_ERROR(RunDocuments(documents, &session));
    for (size_t r = 0; r < session.logit_rows(); ++r) {
      const auto row = session.Logits(r);
      base.insert(base.end(), row.begin(), row.end());
    }
  }
  const double rows = static_cast<double>(base.size() / decoder.vocab_size);
  for (size_t i = 0; i < units->size(); ++i) {
    SLM_RETURN_IF_ERROR(progress("measuring matrices", i, units->size()));
    MixedUnit& unit = (*units)[i];
    SLM_RETURN_IF_ERROR(laboratory.WriteModel(unit.node, "unit.onnx"));
    SLM_ASSIGN_OR_RETURN(const auto plan,
                         PlanOf(folder + "/unit.onnx", decoder.names));
    Session session(*plan, decoder, threads, SessionOptions());
    SLM_RETURN_IF_ERROR(RunDocuments(documents, &session));
    const double sum = SumOfRows(base, session, threads);
    unit.kl = std::isfinite(sum) ? std::max(0.0, sum / rows) : HUGE_VAL;
  }
  return OkStatus();
}

// "/model/layers.3/mlp/down_proj/MatMul": "down_proj", 3.
std::string ShortName(const std::string& node, size_t* layer) {
  constexpr std::string_view kBegin = "/model/layers.", kEnd = "/MatMul";
  if (node.rfind(kBegin, 0) != 0 || node.size() < kEnd.size()) return node;
  const char* from = node.data() + kBegin.size();
  if (std::from_chars(from, node.data() + node.size(), *layer).ec !=
      std::errc()) {
    return node;
  }
  const std::string head = node.substr(0, node.size() - kEnd.size());
  return head.substr(head.rfind('/') + 1);
}

Result<uint64_t> BytesWith(const Source& source, const GraphOptions& options,
                           const KeptGrids& kept) {
  SLM_ASSIGN_OR_RETURN(const DecoderGraph graph,
                       MakeDecoderGraph(source.spec, options, kept));
  return LayOut(graph.weights, options).bytes;
}

// Promotes in the order of damage for each byte whatever still fits.
Status Fill(const Source& source, const Options& options, const KeptGrids& kept,
            uint64_t budget, MixedChoice* choice) {
  GraphOptions graph = options.graph;
  SLM_ASSIGN_OR_RETURN(choice->bytes, BytesWith(source, graph, kept));
  const std::vector<PrecisionRule> given = graph.rules;
  for (MixedUnit& unit : choice->units) {
    if (choice->bytes + unit.more_bytes > budget) continue;
    // Alignment adds to what the codes themselves take.
    graph.rules.push_back({NodeGroup::kPattern, unit.node, 8});
    SLM_ASSIGN_OR_RETURN(const uint64_t bytes, BytesWith(source, graph, kept));
    if (bytes > budget) {
      graph.rules.pop_back();
      continue;
    }
    choice->bytes = bytes;
    unit.promoted = true;
  }
  choice->rules.assign(
      graph.rules.begin() + static_cast<ptrdiff_t>(given.size()),
      graph.rules.end());
  return OkStatus();
}

}  // namespace

std::string ChoiceLine(const MixedChoice& choice) {
  double all = 0, left = 0;
  std::map<std::string, std::vector<size_t>> layers;  // by name of matrix
  std::string others;
  for (const MixedUnit& unit : choice.units) {
    all += unit.kl;
    left += unit.promoted ? 0 : unit.kl;
    if (!unit.promoted) continue;
    size_t layer = 0;
    const std::string name = ShortName(unit.node, &layer);
    if (name == unit.node) {
      others += (others.empty() ? "" : "; ") + name;
    } else {
      layers[name].push_back(layer);
    }
  }
  std::string text = others;
  for (auto& [name, of_name] : layers) {
    std::sort(of_name.begin(), of_name.end());
    text += (text.empty() ? "" : "; ") + name + " of layers";
    for (const size_t layer : of_name) text += " " + std::to_string(layer);
  }
  return Format(
      "8 bits for %zu of %zu matrices, which leaves %.2g of %.2g nats of "
      "damage: %s",
      choice.rules.size(), choice.units.size(), left, all,
      text.empty() ? "none" : text.c_str());
}

Result<MixedBounds> BoundsOf(const Source& source, const Options& options,
                             const KeptGrids& kept) {
  MixedBounds bounds;
  GraphOptions graph = options.graph;
  SLM_ASSIGN_OR_RETURN(bounds.low, BytesWith(source, graph, kept));
  graph.quantize.bits = 8;
  SLM_ASSIGN_OR_RETURN(bounds.high, BytesWith(source, graph, kept));
  return bounds;
}

Result<MixedChoice> ChooseMixedBits(const Source& source,
                                    const Options& options,
                                    const KeptGrids& kept, uint64_t weights,
                                    uint64_t budget, const std::string& folder,
                                    ThreadPool& threads,
                                    const CalibrationProgress& progress) {
  Laboratory laboratory(source, options, kept, folder, threads);
  Status status = laboratory.Make(progress);
  MixedChoice choice;
  if (status.ok()) {
    choice.units = laboratory.units();
    status = Measure(source, laboratory, weights, folder, threads, progress,
                     &choice.units);
  }
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  SLM_RETURN_IF_ERROR(status);
  const auto value = [](const MixedUnit& unit) {
    return unit.kl /
           static_cast<double>(std::max<uint64_t>(1, unit.more_bytes));
  };
  std::stable_sort(choice.units.begin(), choice.units.end(),
                   [&](const MixedUnit& a, const MixedUnit& b) {
                     return value(a) > value(b);
                   });
  SLM_RETURN_IF_ERROR(Fill(source, options, kept, budget, &choice));
  return choice;
}

}  // namespace slm::convert
