// SPDX-License-Identifier: MIT
#include "tools/convert/lean_plan.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "loader/onnx_graph.h"
#include "loader/onnx_writer.h"
#include "ops/axes.h"
#include "ops/kernels/gemm.h"
#include "ops/op.h"
#include "runtime/core/file.h"
#include "runtime/core/file_output.h"
#include "tools/convert/graph.h"
#include "tools/convert/weight_reader.h"
#include "tools/convert/weights.h"

namespace slm::convert {
namespace {

// ---- pages

// Below it the call costs more than the pages are worth.
constexpr size_t kReleasedBytes = size_t{1} << 20;

// A step of another operator, and what it reads.
struct Released {
  OpDef op;  // with that operator's traits
  const OpDef* inner = nullptr;
  OpParams params;
  std::vector<TensorView> weights;
  std::shared_ptr<GraphStorage> storage;
};

Status InferReleased(OpContext& c) {
  const auto& p = c.Params<Released>();
  c.params = p.params.get();
  Status status = p.inner->infer(c);
  c.params = &p;
  return status;
}

void RunReleased(OpContext& c) {
  const auto& p = c.Params<Released>();
  c.params = p.params.get();
  p.inner->run(c);
  c.params = &p;
  for (const TensorView& weight : p.weights) {
    for (const MappedFile& file : p.storage->files) {
      file.Release(weight.data, weight.Bytes());
    }
  }
}

// ---- matrices that stay in the source

// 4 MB of float32: it stays in a large cache until it is multiplied.
constexpr int64_t kPanelValues = int64_t{1} << 20;

// Read as the graph wants them at most: more would be memory of the model's
// size (experts).
constexpr uint64_t kMostWritten = uint64_t{128} << 20;

// Positions that a check can reach; rows beyond are not written.
constexpr int64_t kRopeRows = 4096;

// Rows of any weight, and memory for some of them.
class Panel {
 public:
  Panel(const Source& source, ThreadPool& threads)
      : reader_(*source.weights, source.adapters, threads) {}

  Status Read(const Weight& weight, int64_t first, int64_t rows, float* out) {
    if (begun_ != weight.name) {
      begun_ = weight.name;
      reader_.Begin(weight);
    }
    SLM_RETURN_IF_ERROR(reader_.Read(weight, first, rows, out));
    reader_.Release(weight, first, rows);
    return OkStatus();
  }

  std::vector<float> values;

 private:
  WeightReader reader_;
  std::string begun_;
};

struct Streamed {
  std::shared_ptr<Panel> panel;
  Weight weight;  // [n, k]
};

// a [.., k] gives [.., n].
Status InferStreamedMatMul(OpContext& c) {
  const Weight& w = c.Params<Streamed>().weight;
  std::vector<int64_t> dims(c.In(0).shape.dims().begin(),
                            c.In(0).shape.dims().end());
  if (dims.empty() || dims.back() != w.k) {
    return Invalid("A is %s, B has %lld rows", c.In(0).shape.ToString().c_str(),
                   static_cast<long long>(w.k));
  }
  dims.back() = w.n;
  SLM_ASSIGN_OR_RETURN(const Shape out, MakeShape(dims));
  c.SetOutput(0, DType::kF32, out);
  return OkStatus();
}

// y [m, n] = a [m, k] * W', W' in panels of rows of W.
void RunStreamedMatMul(OpContext& c) {
  const auto& p = c.Params<Streamed>();
  const auto n = static_cast<size_t>(p.weight.n);
  const auto k = static_cast<size_t>(p.weight.k);
  const size_t m = c.In(0).Count() / k;
  float* y = c.Out(0).Mutable<float>();
  const int64_t step =
      std::clamp<int64_t>(kPanelValues / p.weight.k, 1, p.weight.n);
  for (int64_t r = 0; r < p.weight.n; r += step) {
    if (HeldSignal()) return;  // whoever runs this asks, too
    const int64_t rows = std::min(step, p.weight.n - r);
    p.panel->values.resize(static_cast<size_t>(rows) * k);
    float* w = p.panel->values.data();
    // The conversion has read the same rows: they are finite.
    if (!p.panel->Read(p.weight, r, rows, w).ok()) return;
    GemmF32(c.pool, c.In(0).As<float>(), k, m,
            {.data = w,
             .dtype = DType::kF32,
             .transposed = true,
             .n = static_cast<size_t>(rows),
             .k = k},
            nullptr, y + r, n);
  }
}

// ids [..] gives [.., k].
Status InferStreamedGather(OpContext& c) {
  const Weight& w = c.Params<Streamed>().weight;
  std::vector<int64_t> dims(c.In(1).shape.dims().begin(),
                            c.In(1).shape.dims().end());
  dims.push_back(w.k);
  SLM_ASSIGN_OR_RETURN(const Shape out, MakeShape(dims));
  c.SetOutput(0, DType::kF32, out);
  return OkStatus();
}

void RunStreamedGather(OpContext& c) {
  const auto& p = c.Params<Streamed>();
  const int64_t* ids = c.In(1).As<int64_t>();
  float* y = c.Out(0).Mutable<float>();
  for (size_t i = 0; i < c.In(1).Count(); ++i) {
    // Session has checked them against the vocabulary.
    if (ids[i] < 0 || ids[i] >= p.weight.n) continue;
    (void)p.panel->Read(p.weight, ids[i], 1,
                        y + i * static_cast<size_t>(p.weight.k));
  }
}

constexpr OpDef kMatMul = {"slm",
                           "StreamedMatMul",
                           1,
                           kLatestOpset,
                           nullptr,
                           InferStreamedMatMul,
                           RunStreamedMatMul,
                           kRowwise,
                           0};
constexpr OpDef kGather = {"slm",
                           "StreamedGather",
                           1,
                           kLatestOpset,
                           nullptr,
                           InferStreamedGather,
                           RunStreamedGather,
                           kRowwise,
                           0};

bool IsStreamed(const Weight& weight) {
  return weight.kind == WeightKind::kMatrix ||
         (weight.kind == WeightKind::kTable && weight.experts == 0);
}

bool IsWritten(const Weight& weight) {
  return weight.kind == WeightKind::kVector ||
         weight.kind == WeightKind::kTaps || weight.experts > 0;
}

// Matrices share one hole at the start of the file, everything else follows.
DataLayout LayOutHole(const std::vector<Weight>& weights,
                      const GraphOptions& options) {
  DataLayout layout = LayOut(weights, options);
  uint64_t hole = 0, end = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    for (const OnnxInitializer& part : layout.parts[i]) {
      if (IsStreamed(weights[i])) hole = std::max(hole, part.length);
    }
  }
  end = hole;
  for (size_t i = 0; i < weights.size(); ++i) {
    for (OnnxInitializer& part : layout.parts[i]) {
      part.offset = IsStreamed(weights[i]) ? 0 : RoundUp(end, kAlignment);
      if (!IsStreamed(weights[i])) end = part.offset + part.length;
    }
  }
  layout.bytes = end;
  return layout;
}

Status WriteSmall(const Source& source, const std::vector<Weight>& weights,
                  const DataLayout& layout, Panel* panel, FileWriter* file) {
  std::vector<float> values;
  for (size_t i = 0; i < weights.size(); ++i) {
    const Weight& weight = weights[i];
    if (IsStreamed(weight)) continue;
    int64_t rows = weight.n;
    if (IsWritten(weight)) {
      values.resize(static_cast<size_t>(weight.n * weight.k));
      SLM_RETURN_IF_ERROR(panel->Read(weight, 0, rows, values.data()));
    } else if (weight.kind == WeightKind::kRopeCos ||
               weight.kind == WeightKind::kRopeSin) {
      rows = std::min(rows, kRopeRows);
      values = source.spec.ropes[static_cast<size_t>(weight.rope)].table.Rows(
          weight.kind == WeightKind::kRopeCos, 0, rows);
    } else {
      return Invalid("\"%s\" is no plain matrix", weight.name.c_str());
    }
    SLM_RETURN_IF_ERROR(file->WriteAt(layout.parts[i][0].offset, values.data(),
                                      values.size() * sizeof(float)));
  }
  return OkStatus();
}

Status WriteGraph(const Source& source, DecoderGraph decoder,
                  const GraphOptions& options, const std::string& folder,
                  Panel* panel) {
  uint64_t written = 0;
  for (const Weight& weight : decoder.weights) {
    if (!IsWritten(weight)) continue;
    written += static_cast<uint64_t>(weight.n * weight.k) * sizeof(float);
  }
  if (written > kMostWritten) {
    return Invalid("its vectors and experts take %llu MB",
                   static_cast<unsigned long long>(written >> 20));
  }
  const DataLayout layout = LayOutHole(decoder.weights, options);
  SLM_ASSIGN_OR_RETURN(FileWriter data,
                       FileWriter::Create(folder + "/model.onnx.data"));
  SLM_RETURN_IF_ERROR(
      WriteSmall(source, decoder.weights, layout, panel, &data));
  SLM_RETURN_IF_ERROR(data.Close(layout.bytes));
  OnnxModel model{"slm-convert", "", "model.onnx.data",
                  std::move(decoder.graph)};
  model.graph.initializers = layout.Initializers();
  SLM_ASSIGN_OR_RETURN(const std::string bytes, SerializeOnnx(model));
  return WriteFileAtomic(folder + "/model.onnx", bytes);
}

// Every reader of a hole becomes a reader of the source.
Status Stream(const std::vector<Weight>& weights,
              const std::shared_ptr<Panel>& panel, Plan* plan) {
  std::map<std::string, const Weight*> streamed;
  for (const Weight& weight : weights) {
    if (IsStreamed(weight)) streamed[weight.name] = &weight;
  }
  for (Step& step : plan->steps) {
    const Node& node = plan->graph->nodes[static_cast<size_t>(step.node)];
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (!plan->graph->IsConstant(node.inputs[i])) continue;
      const auto found = streamed.find(
          plan->graph->values[static_cast<size_t>(node.inputs[i])].name);
      if (found == streamed.end()) continue;
      const bool multiplies = node.type == "MatMul" && i == 1;
      if (!multiplies && !(node.type == "Gather" && i == 0)) {
        return Invalid("%s reads \"%s\"", node.type.c_str(),
                       found->first.c_str());
      }
      step.op = multiplies ? &kMatMul : &kGather;
      step.params = MakeParams(Streamed{panel, *found->second});
    }
  }
  return OkStatus();
}

}  // namespace

void ReleaseWeightsAfterUse(Plan* plan) {
  const Graph& graph = *plan->graph;
  for (Step& step : plan->steps) {
    if (!step.op->run || step.op->traits & (kAlias | kControlFlow)) continue;
    Released released{*step.op, step.op, step.params, {}, graph.storage};
    for (const ValueId id :
         graph.nodes[static_cast<size_t>(step.node)].inputs) {
      if (!graph.IsConstant(id)) continue;
      const TensorView& weight =
          *graph.values[static_cast<size_t>(id)].constant;
      if (weight.Bytes() >= kReleasedBytes) released.weights.push_back(weight);
    }
    if (released.weights.empty()) continue;
    released.op.infer = InferReleased;
    released.op.run = RunReleased;
    const auto shared = std::make_shared<const Released>(std::move(released));
    step.op = &shared->op;
    step.params = shared;
  }
}

Result<std::unique_ptr<Plan>> PlanSource(const Source& source,
                                         const DecoderNames& names,
                                         const std::string& folder,
                                         ThreadPool& threads) {
  GraphOptions options;
  options.precision = Precision::kFp32;
  options.share_embeddings = false;
  SLM_ASSIGN_OR_RETURN(DecoderGraph decoder,
                       MakeDecoderGraph(source.spec, options, {}));
  const std::vector<Weight> weights = decoder.weights;
  const auto panel = std::make_shared<Panel>(source, threads);
  SLM_RETURN_IF_ERROR(
      WriteGraph(source, std::move(decoder), options, folder, panel.get()));
  SLM_ASSIGN_OR_RETURN(auto graph, LoadOnnxGraph(folder + "/model.onnx"));
  PlanOptions plan_options;
  plan_options.decoder = &names;
  SLM_ASSIGN_OR_RETURN(auto plan, BuildPlan(std::move(graph), plan_options));
  SLM_RETURN_IF_ERROR(Stream(weights, panel, plan.get()));
  return plan;
}

}  // namespace slm::convert
