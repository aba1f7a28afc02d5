// SPDX-License-Identifier: MIT
// Runs a plan. Knows nothing of language models.
#ifndef SLM_RUNTIME_PLAN_EXECUTOR_H_
#define SLM_RUNTIME_PLAN_EXECUTOR_H_

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "runtime/core/memory.h"
#include "runtime/core/threads.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/profile.h"

namespace slm {

// A tensor with a share in the memory behind it (none for constants).
struct HeldTensor {
  TensorView view;
  std::shared_ptr<AlignedBuffer> buffer;
};

// Buffers are handed out again when nobody else holds them.
class BufferPool {
 public:
  Result<std::shared_ptr<AlignedBuffer>> Acquire(size_t bytes);
  size_t TotalBytes() const { return total_bytes_; }

 private:
  std::vector<std::shared_ptr<AlignedBuffer>> buffers_;
  size_t total_bytes_ = 0;
};

// Mutable state of running one plan; one thread at a time.
// Called before a step with what it is about to read, in the order of the
// node's inputs (nullptr: left out): it may read them, or put a tensor of the
// same type and shape in the place of one. A failure ends the run.
using StepHook = std::function<Status(const Graph& graph, const Node& node,
                                      std::span<const TensorView*> inputs)>;

class Executor {
 public:
  // Both must outlive the executor. Buffers come from a pool of its own, or
  // for a subgraph from the enclosing executor's.
  Executor(const Plan& plan, ThreadPool& threads,
           std::shared_ptr<BufferPool> buffers = nullptr);

  // Value for a graph input; stays until the next Feed of that input.
  void Feed(ValueId input, HeldTensor tensor);
  // A fresh tensor for an input, to be filled by the caller.
  Result<HeldTensor> NewTensor(DType dtype, const Shape& shape);

  // Runs every step. `batch` is for plans in ragged mode. Fails naming the
  // node; outputs are then undefined.
  Status Run(const Batch* batch = nullptr);

  // Shapes only: operators with small integer inputs are computed, nothing
  // large is allocated. Returns the peak of activation bytes; fails where a
  // shape depends on data that was not computed.
  Result<size_t> Measure(const Batch* batch = nullptr);

  // Output i of the plan's graph after Run; shares memory with the executor
  // until the next Run.
  HeldTensor Output(size_t i) const;
  // Any value after Run or Measure; released ones have no data any more.
  const TensorView& ValueOf(ValueId id) const { return slots_[id].view; }

  // Where runs, of branches too, report their steps; nullptr: nowhere. It
  // outlives its use.
  void SetProfile(Profile* profile);
  // Called before each step of Run, but not inside branches; nullptr: nobody,
  // which costs a comparison a step. It outlives its use.
  void SetHook(const StepHook* hook) { hook_ = hook; }

  const Plan& plan() const { return plan_; }
  size_t BufferBytes() const { return buffers_->TotalBytes(); }

 private:
  Status RunStep(size_t index, const Batch* batch, bool dry);
  Status RunBranches(size_t index, const Batch* batch, bool dry);
  Status Compute(const Step& step, OpContext* context, bool dry);
  Status Place(const Step& step, const OpContext& context, size_t output,
               bool dry);
  bool StaysDry(const Step& step, const OpContext& context) const;
  void Release(const Step& step);
  std::string Where(const Step& step) const;

  const Plan& plan_;
  ThreadPool& threads_;
  std::shared_ptr<BufferPool> buffers_;
  std::vector<HeldTensor> slots_;    // by ValueId
  std::vector<HeldTensor> unnamed_;  // outputs without a value, while run
  std::vector<uint8_t> is_fed_;      // by ValueId: kept over runs
  std::vector<std::vector<std::unique_ptr<Executor>>> branches_;  // by step
  std::shared_ptr<AlignedBuffer> scratch_;
  // Reused by every step.
  std::vector<const TensorView*> inputs_;
  std::vector<TensorView> outputs_;
  std::unique_ptr<bool[]> wanted_;
  size_t dry_bytes_ = 0, dry_peak_ = 0;
  std::vector<size_t> dry_size_;  // by ValueId
  Profile* profile_ = nullptr;
  const StepHook* hook_ = nullptr;
};

}  // namespace slm

#endif  // SLM_RUNTIME_PLAN_EXECUTOR_H_
