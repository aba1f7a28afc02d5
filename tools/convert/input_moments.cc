// SPDX-License-Identifier: MIT
#include "tools/convert/input_moments.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <string>

#include "quant/round_together.h"
#include "runtime/core/shape.h"
#include "runtime/session.h"

namespace slm::convert {
namespace {

// [K, kMomentColumns], as Imatrix has the means.
using Sums = std::vector<double>;

// sums += x_c x_j for the rows of x [rows, K].
void AddProducts(const TensorView& x, ThreadPool& threads, Sums* sums) {
  const auto k = static_cast<size_t>(x.shape.back());
  sums->resize(k * kMomentColumns);
  const size_t rows = k ? x.Count() / k : 0;
  const float* values = x.As<float>();
  // 16 rows of a group are 16 k multiply-adds, some 10 us.
  const size_t grain = 16 / std::max<size_t>(1, rows) + 1;
  ParallelFor(threads, CeilDiv(k, kMomentColumns), grain,
              [&](size_t begin, size_t end, size_t) {
                for (size_t first = begin * kMomentColumns;
                     first < std::min(k, end * kMomentColumns);
                     first += kMomentColumns) {
                  const size_t count = std::min(kMomentColumns, k - first);
                  for (size_t r = 0; r < rows; ++r) {
                    double v[kMomentColumns] = {};
                    std::copy_n(values + r * k + first, count, v);
                    for (size_t c = 0; c < count; ++c) {
                      double* to = sums->data() + (first + c) * kMomentColumns;
                      for (size_t j = 0; j < kMomentColumns; ++j)
                        to[j] += v[c] * v[j];
                    }
                  }
                }
              });
}

std::vector<float> MeansOf(const Sums& sums, size_t count) {
  std::vector<float> means;
  means.reserve(sums.size());
  for (const double sum : sums) {
    means.push_back(static_cast<float>(sum / static_cast<double>(count)));
  }
  return means;
}

}  // namespace

std::vector<float> MomentsOf(const TensorView& x, ThreadPool& threads) {
  Sums sums;
  AddProducts(x, threads, &sums);
  return MeansOf(sums, x.Count() * kMomentColumns / sums.size());
}

Result<Imatrix> MeasureInputs(const Model& model, const Documents& documents,
                              const std::vector<Weight>& weights,
                              ThreadPool& threads,
                              const CalibrationProgress& progress) {
  std::map<std::string, Sums, std::less<>> sums;
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
    AddProducts(*inputs[0], threads, &found->second);
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
    if (of_weight.empty()) continue;  // not the input of a MatMul
    out.moments[name] = MeansOf(of_weight, total);
  }
  return out;
}

}  // namespace slm::convert
