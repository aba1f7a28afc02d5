// SPDX-License-Identifier: MIT
#include "tools/convert/gptq_pass.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

#include "quant/gptq.h"
#include "quant/hessian.h"
#include "runtime/core/file_output.h"
#include "runtime/core/shape.h"
#include "runtime/session.h"
#include "tools/convert/input_moments.h"
#include "tools/convert/weight_reader.h"

namespace slm::convert {
namespace {

constexpr double kDamping = 0.01;
constexpr size_t kTokensPerColumn = 2;
// Float32 values of a panel of rows.
constexpr size_t kPanelValues = size_t{4} << 20;

// The factor of the last input: gate and up, or q, k and v, share theirs.
struct InputFactor {
  ValueId input = kNoValue;
  bool usable = false;
  std::vector<float> u;           // [K, K]
  std::vector<float> importance;  // [K]
};

class GptqPass {
 public:
  GptqPass(const Source& source, const std::vector<Weight>& weights,
           ThreadPool& threads, const CalibrationProgress& progress,
           FileWriter* file)
      : spec_(source.spec),
        reader_(*source.weights, source.adapters, threads),
        threads_(threads),
        progress_(progress),
        file_(file) {
    for (const Weight& weight : weights) {
      if (IsCalibrated(weight)) weights_[weight.name] = &weight;
    }
  }

  // Before a step of the executor.
  Status Before(const Graph& graph, const Node& node,
                std::span<const TensorView*> inputs) {
    if (node.type != "MatMul" || inputs.size() != 2) return OkStatus();
    const auto found = weights_.find(graph.values[node.inputs[1]].name);
    if (found == weights_.end()) return OkStatus();
    const Weight& weight = *found->second;
    at_head_ = weight.name == kHeadWeight;
    SLM_RETURN_IF_ERROR(Prepare(node.inputs[0], *inputs[0], weight));
    if (Wanted(weight)) {
      SLM_RETURN_IF_ERROR(Quantize(weight));
      if (!at_head_) inputs[1] = &view_;
    }
    return at_head_ ? Error(ErrorKind::kRuntime, "no logits are wanted")
                    : OkStatus();
  }

  bool at_head() const { return at_head_; }
  size_t total() const { return weights_.size(); }
  Status Report() const {
    return progress_("gptq of matrices", done_, weights_.size());
  }
  size_t left_out() const { return left_out_; }
  uint64_t bytes() const { return bytes_; }
  Imatrix& imatrix() { return imatrix_; }
  const std::map<std::string, FoundCodes::Place>& places() const {
    return places_;
  }

 private:
  // Counts matrices of kSearch that cannot have it.
  bool Wanted(const Weight& weight) {
    if (weight.quantize.algorithm != QuantAlgorithm::kSearch) return false;
    if (at_head_ && spec_.tied) return false;
    if (!factor_.usable) ++left_out_;
    return factor_.usable;
  }

  // Means of the input for the statistics; the factor, if it is another input.
  Status Prepare(ValueId input, const TensorView& x, const Weight& weight) {
    const auto k = static_cast<size_t>(weight.k);
    const size_t rows = x.Count() / k;
    imatrix_.moments[weight.name] = MomentsOf(x, threads_);
    imatrix_.tokens = rows;
    if (factor_.input == input) return OkStatus();
    factor_.input = input;
    factor_.importance = ImportanceOf(imatrix_, weight.name);
    factor_.usable =
        rows >= kTokensPerColumn * k && !factor_.importance.empty();
    if (!factor_.usable) return OkStatus();
    SLM_ASSIGN_OR_RETURN(const size_t count, SquareOf(k));
    factor_.u.assign(count, 0.0f);
    AddOuterProducts(x.As<float>(), rows, k, factor_.u.data(), threads_);
    factor_.usable = InverseFactor(k, kDamping, factor_.u.data(), threads_);
    return OkStatus();
  }

  static Result<size_t> SquareOf(size_t k) {
    if (k > std::numeric_limits<size_t>::max() / sizeof(float) / k) {
      return Invalid("a matrix of %zu columns is too wide for gptq", k);
    }
    return k * k;
  }

  Status Quantize(const Weight& weight) {
    const QuantizeOptions& q = weight.quantize;
    const auto k = static_cast<size_t>(weight.k);
    const auto n = static_cast<size_t>(weight.n);
    FoundCodes::Place place{bytes_, 0, 0};
    place.scales = place.codes + RoundUp(n * q.CodeRowBytes(k), 64);
    place.zeros = place.scales + n * q.Blocks(k) * sizeof(float);
    bytes_ = RoundUp(place.zeros + n * q.ZeroPointRowBytes(k), 64);
    places_[weight.name] = place;
    if (!at_head_) values_.resize(k * n);
    reader_.Begin(weight);
    const auto step =
        static_cast<int64_t>(std::clamp<size_t>(kPanelValues / k, 1, n));
    for (int64_t r = 0; r < weight.n; r += step) {
      SLM_RETURN_IF_ERROR(
          QuantizePanel(weight, r, std::min(step, weight.n - r), place));
      SLM_RETURN_IF_ERROR(Report());
    }
    view_ = TensorView{values_.data(), DType::kF32, Shape{weight.k, weight.n}};
    ++done_;
    return OkStatus();
  }

  Status QuantizePanel(const Weight& weight, int64_t first, int64_t rows,
                       const FoundCodes::Place& place) {
    const QuantizeOptions& q = weight.quantize;
    const auto k = static_cast<size_t>(weight.k);
    const auto n = static_cast<size_t>(weight.n);
    const auto at = static_cast<size_t>(first);
    const auto count = static_cast<size_t>(rows);
    panel_.resize(count * k);
    codes_.resize(count * q.CodeRowBytes(k));
    scales_.resize(count * q.Blocks(k));
    zeros_.resize(q.symmetric ? 0 : count * q.ZeroPointRowBytes(k));
    SLM_RETURN_IF_ERROR(reader_.Read(weight, first, rows, panel_.data()));
    GptqRows(q, factor_.u.data(), factor_.importance.data(), panel_.data(),
             count, k, threads_,
             {codes_.data(), scales_.data(), zeros_.data()});
    SLM_RETURN_IF_ERROR(file_->WriteAt(place.codes + at * q.CodeRowBytes(k),
                                       codes_.data(), codes_.size()));
    SLM_RETURN_IF_ERROR(
        file_->WriteAt(place.scales + at * q.Blocks(k) * sizeof(float),
                       scales_.data(), scales_.size() * sizeof(float)));
    if (!q.symmetric) {
      SLM_RETURN_IF_ERROR(
          file_->WriteAt(place.zeros + at * q.ZeroPointRowBytes(k),
                         zeros_.data(), zeros_.size()));
    }
    if (at_head_) return OkStatus();
    // values_ [K, N]: rows of the source are its columns. 2^14 take 20 us.
    const size_t grain = std::max<size_t>(1, (size_t{1} << 14) / count);
    ParallelFor(threads_, k, grain, [&](size_t begin, size_t end, size_t) {
      for (size_t c = begin; c < end; ++c) {
        for (size_t r = 0; r < count; ++r) {
          values_[c * n + at + r] = panel_[r * k + c];
        }
      }
    });
    return OkStatus();
  }

  const DecoderSpec& spec_;
  WeightReader reader_;
  ThreadPool& threads_;
  const CalibrationProgress& progress_;
  FileWriter* file_;
  std::map<std::string, const Weight*, std::less<>> weights_;
  InputFactor factor_;
  Imatrix imatrix_;
  std::map<std::string, FoundCodes::Place> places_;
  bool at_head_ = false;
  size_t done_ = 0, left_out_ = 0;  // matrices
  uint64_t bytes_ = 0;              // of the file
  std::vector<float> values_;       // what the codes stand for, [K, N]
  TensorView view_;                 // of values_
  std::vector<float> panel_, scales_;
  std::vector<uint8_t> codes_, zeros_;
};

}  // namespace

void FoundCodes::Read(const Weight& weight, int64_t first, int64_t rows,
                      const QuantizedRows& out) const {
  const Place& place = places_.at(weight.name);
  const QuantizeOptions& q = weight.quantize;
  const auto k = static_cast<size_t>(weight.k);
  const auto copy = [&](void* to, uint64_t offset, size_t row) {
    std::memcpy(to, file_.data() + offset + static_cast<size_t>(first) * row,
                static_cast<size_t>(rows) * row);
  };
  copy(out.codes, place.codes, q.CodeRowBytes(k));
  copy(out.scales, place.scales, q.Blocks(k) * sizeof(float));
  if (!q.symmetric) copy(out.zero_points, place.zeros, q.ZeroPointRowBytes(k));
}

Result<Calibration> RunGptq(const Model& model, const Documents& documents,
                            const Source& source,
                            const std::vector<Weight>& weights,
                            const std::string& path, ThreadPool& threads,
                            const CalibrationProgress& progress) {
  SLM_ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(path));
  GptqPass pass(source, weights, threads, progress, &file);
  const StepHook hook = [&](const Graph& graph, const Node& node,
                            std::span<const TensorView*> inputs) {
    SLM_RETURN_IF_ERROR(pass.Report());
    return pass.Before(graph, node, inputs);
  };
  SessionOptions options;
  options.prefill_chunk = CountTokens(documents);  // all in one execution
  Session session(model.plan(), model.decoder(), threads, options);
  session.executor().SetHook(&hook);
  std::vector<Session::Item> items;
  for (const std::vector<int32_t>& document : documents) {
    items.push_back(
        {session.NewSequence(), document, LogitsFor::kAll, document.size()});
  }
  const Status status = session.Run(items);
  if (!status.ok() && !pass.at_head()) return status;
  SLM_RETURN_IF_ERROR(file.Close(std::max<uint64_t>(1, pass.bytes())));
  SLM_ASSIGN_OR_RETURN(MappedFile map, MappedFile::Open(path));
  Calibration out{std::move(pass.imatrix()), FoundCodes(std::move(map)), {}};
  for (const auto& [name, place] : pass.places()) out.codes.Add(name, place);
  if (pass.left_out() > 0) {
    out.notes.push_back(Format(
        "gptq: %zu of %zu matrices have the search instead: fewer than %zu "
        "tokens a column, or inputs that depend on each other; more "
        "--calibration-tokens may help",
        pass.left_out(), pass.total(), kTokensPerColumn));
  }
  return out;
}

}  // namespace slm::convert
