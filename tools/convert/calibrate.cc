// SPDX-License-Identifier: MIT
#include "tools/convert/calibrate.h"

#include <map>
#include <set>
#include <span>
#include <string>

#include "runtime/session.h"

namespace slm::convert {
namespace {

struct ColumnSums {
  std::vector<double> squares;  // [K]
};

// sums += columns of x [rows, K], squared.
void AddSquares(const TensorView& x, ThreadPool& threads, ColumnSums* sums) {
  const auto k = static_cast<size_t>(x.shape.back());
  sums->squares.resize(k);
  const size_t rows = k ? x.Count() / k : 0;
  const float* values = x.As<float>();
  // 16 columns are a cache line of x; 2^14 values take some 10 us.
  const size_t grain =
      std::max<size_t>(16, (size_t{1} << 14) / std::max<size_t>(1, rows));
  ParallelFor(threads, k, RoundUp(grain, 16),
              [&](size_t begin, size_t end, size_t) {
                for (size_t r = 0; r < rows; ++r) {
                  for (size_t c = begin; c < end; ++c) {
                    const double v = double{values[r * k + c]};
                    sums->squares[c] += v * v;
                  }
                }
              });
}

std::vector<float> MeansOf(const ColumnSums& sums, size_t count) {
  std::vector<float> means;
  for (const double sum : sums.squares) {
    means.push_back(static_cast<float>(sum / static_cast<double>(count)));
  }
  return means;
}

}  // namespace

std::vector<float> MeanSquares(const TensorView& x, ThreadPool& threads) {
  ColumnSums sums;
  AddSquares(x, threads, &sums);
  return MeansOf(sums, x.Count() / sums.squares.size());
}

Result<Imatrix> MeasureInputs(const Model& model, const Documents& documents,
                              const std::vector<Weight>& weights,
                              ThreadPool& threads,
                              const CalibrationProgress& progress) {
  std::map<std::string, ColumnSums, std::less<>> sums;
  for (const Weight& weight : weights) {
    if (IsCalibrated(weight)) sums[weight.name];
  }
  const size_t total = CountTokens(documents);
  size_t done = 0;
  bool at_head = false;
  const StepHook hook = [&](const Graph& graph, const Node& node,
                            std::span<const TensorView*> inputs) {
    SLM_RETURN_IF_ERROR(progress("measuring activations", done, total));
    if (node.type != "MatMul" || inputs.size() != 2) return OkStatus();
    const auto found = sums.find(graph.values[node.inputs[1]].name);
    if (found == sums.end()) return OkStatus();
    AddSquares(*inputs[0], threads, &found->second);
    at_head = found->first == kHeadWeight;
    // Logits of every token would be the largest tensor of all, for nothing.
    return at_head ? Error(ErrorKind::kRuntime, "no logits are wanted")
                   : OkStatus();
  };
  Session session(model.plan(), model.decoder(), threads, SessionOptions());
  session.executor().SetHook(&hook);
  for (const std::vector<int32_t>& document : documents) {
    const SequenceId sequence = session.NewSequence();
    const Session::Item item{sequence, document, LogitsFor::kAll,
                             document.size()};
    at_head = false;
    const Status status = session.Run({&item, 1});
    if (!status.ok() && !at_head) return status;
    session.Drop(sequence);
    done += document.size();
  }
  Imatrix out;
  out.tokens = total;
  for (const auto& [name, of_weight] : sums) {
    if (of_weight.squares.empty()) continue;  // not the input of a MatMul
    out.means[name] = MeansOf(of_weight, total);
  }
  return out;
}

}  // namespace slm::convert
