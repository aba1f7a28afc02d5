// SPDX-License-Identifier: MIT
#include "runtime/plan/executor.h"

#include <algorithm>

#include "runtime/core/clock.h"

namespace slm {
namespace {

// A dry run computes tensors up to this size: shape arithmetic and masks of
// short prompts, not activations.
constexpr size_t kDryElements = 4096;

}  // namespace

Result<std::shared_ptr<AlignedBuffer>> BufferPool::Acquire(size_t bytes) {
  std::shared_ptr<AlignedBuffer>* best = nullptr;
  for (auto& buffer : buffers_) {
    if (buffer.use_count() != 1 || buffer->size() < bytes) continue;
    if (!best || buffer->size() < (*best)->size()) best = &buffer;
  }
  // A much larger buffer is kept for those who need it.
  if (best && (*best)->size() / 4 <= bytes + 4096) return *best;
  // In steps of an eighth, so that growing sizes meet again.
  const size_t rounded = RoundUp(bytes + bytes / 8, 4096);
  SLM_ASSIGN_OR_RETURN(AlignedBuffer fresh,
                       AlignedBuffer::Allocate(rounded, "activations"));
  buffers_.push_back(std::make_shared<AlignedBuffer>(std::move(fresh)));
  total_bytes_ += rounded;
  return buffers_.back();
}

Executor::Executor(const Plan& plan, ThreadPool& threads,
                   std::shared_ptr<BufferPool> buffers)
    : plan_(plan),
      threads_(threads),
      buffers_(buffers ? std::move(buffers) : std::make_shared<BufferPool>()),
      slots_(plan.graph->values.size()),
      is_fed_(plan.graph->values.size()),
      branches_(plan.steps.size()),
      dry_size_(plan.graph->values.size()) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (plan.graph->values[i].constant) {
      slots_[i].view = *plan.graph->values[i].constant;
    }
  }
  size_t most = 1;
  for (size_t s = 0; s < plan.steps.size(); ++s) {
    most = std::max(most, plan.steps[s].wanted.size());
    for (const auto& branch : plan.steps[s].branches) {
      branches_[s].push_back(
          std::make_unique<Executor>(*branch, threads, buffers_));
    }
  }
  wanted_ = std::make_unique<bool[]>(most);
}

void Executor::Feed(ValueId input, HeldTensor tensor) {
  slots_[input] = std::move(tensor);
  is_fed_[input] = 1;
}

Result<HeldTensor> Executor::NewTensor(DType dtype, const Shape& shape) {
  SLM_ASSIGN_OR_RETURN(auto buffer,
                       buffers_->Acquire(BytesFor(dtype, shape.Count())));
  HeldTensor tensor;
  tensor.view = TensorView{buffer->data(), dtype, shape};
  tensor.buffer = std::move(buffer);
  return tensor;
}

void Executor::SetProfile(Profile* profile) {
  profile_ = profile;
  for (auto& step : branches_) {
    for (auto& branch : step) branch->SetProfile(profile);
  }
}

HeldTensor Executor::Output(size_t i) const {
  return slots_[plan_.graph->outputs[i]];
}

std::string Executor::Where(const Step& step) const {
  const Node& node = plan_.graph->nodes[step.node];
  return plan_.graph->Where(node) + ": " + Printable(node.type);
}

Status Executor::Run(const Batch* batch) {
  // Those of the run before would keep their buffers from this one.
  for (ValueId id : plan_.graph->outputs) {
    if (!is_fed_[id] && !plan_.graph->values[id].constant) slots_[id] = {};
  }
  for (size_t s = 0; s < plan_.steps.size(); ++s) {
    SLM_RETURN_IF_ERROR(RunStep(s, batch, /*dry=*/false));
  }
  return OkStatus();
}

Result<size_t> Executor::Measure(const Batch* batch) {
  dry_bytes_ = dry_peak_ = 0;
  std::fill(dry_size_.begin(), dry_size_.end(), 0);
  for (size_t s = 0; s < plan_.steps.size(); ++s) {
    SLM_RETURN_IF_ERROR(RunStep(s, batch, /*dry=*/true));
  }
  return dry_peak_;
}

Status Executor::RunStep(size_t index, const Batch* batch, bool dry) {
  const Step& step = plan_.steps[index];
  const Node& node = plan_.graph->nodes[step.node];
  Status status;
  if (step.op->traits & kControlFlow) {
    status = RunBranches(index, batch, dry);
  } else {
    inputs_.clear();
    for (ValueId id : node.inputs) {
      inputs_.push_back(id == kNoValue ? nullptr : &slots_[id].view);
    }
    if (hook_ && !dry) {
      SLM_RETURN_IF_ERROR((*hook_)(*plan_.graph, node, inputs_));
    }
    outputs_.assign(node.outputs.size(), TensorView());
    std::copy(step.wanted.begin(), step.wanted.end(), wanted_.get());
    OpContext context;
    context.params = step.params.get();
    context.node_name = node.name;
    context.inputs = inputs_;
    context.outputs = outputs_;
    context.wanted = {wanted_.get(), step.wanted.size()};
    context.pool = &threads_;
    context.batch = batch;
    if (step.next_weights != kNoValue) {
      context.next_weights = &slots_[step.next_weights].view;
      context.next_scales = &slots_[step.next_scales].view;
    }
    Profile* const profile = dry ? nullptr : profile_;
    const double begin = profile ? MonotonicSeconds() : 0;
    status = Compute(step, &context, dry);
    if (profile && status.ok()) {
      profile->Add(*plan_.graph, step, context, begin);
    }
  }
  if (!status.ok()) return status.In(Where(step));
  Release(step);
  return OkStatus();
}

bool Executor::StaysDry(const Step& step, const OpContext& context) const {
  for (const TensorView* input : context.inputs) {
    if (step.op->traits & kShapeOnly) break;
    if (input && !input->data && input->Count() > 0) return true;
  }
  for (const TensorView& output : context.outputs) {
    if (output.Count() > kDryElements) return true;
  }
  return false;
}

Status Executor::Compute(const Step& step, OpContext* context, bool dry) {
  SLM_RETURN_IF_ERROR(step.op->infer(*context));
  const bool no_data =
      dry && ((step.op->traits & kSequence) || StaysDry(step, *context));
  for (size_t i = 0; i < outputs_.size(); ++i) {
    SLM_RETURN_IF_ERROR(Place(step, *context, i, no_data));
  }
  if (dry) {
    dry_peak_ = std::max(dry_peak_, dry_bytes_ + context->scratch_bytes);
  }
  if (no_data || (step.op->traits & kAlias)) return OkStatus();
  if (context->scratch_bytes > 0) {
    if (!scratch_ || scratch_->size() < context->scratch_bytes) {
      scratch_.reset();
      SLM_ASSIGN_OR_RETURN(scratch_, buffers_->Acquire(context->scratch_bytes));
    }
    context->scratch = scratch_->data();
  }
  step.op->run(*context);
  return OkStatus();
}

// Gives output its memory: input 0's where the operator allows, else a buffer.
Status Executor::Place(const Step& step, const OpContext& context,
                       size_t output, bool dry) {
  const Node& node = plan_.graph->nodes[step.node];
  const ValueId id = node.outputs[output];
  TensorView& view = outputs_[output];
  const size_t bytes = view.Bytes();
  const ValueId first = node.Input(0);
  HeldTensor held;
  if (output == 0 && (step.op->traits & kAlias)) {
    held = slots_[first];
    view.data = held.view.data;
  } else if (dry) {
    dry_size_[id == kNoValue ? 0 : id] = id == kNoValue ? 0 : bytes;
    dry_bytes_ += id == kNoValue ? 0 : bytes;
  } else if (output == 0 && (step.op->traits & kInPlace) && first != kNoValue &&
             !is_fed_[first] && slots_[first].buffer &&
             slots_[first].buffer.use_count() == 2 &&  // the pool and this slot
             std::count(step.release.begin(), step.release.end(), first) &&
             context.In(0).Bytes() == bytes) {
    held.buffer = slots_[first].buffer;
    view.data = slots_[first].view.data;
  } else {
    SLM_ASSIGN_OR_RETURN(held.buffer, buffers_->Acquire(bytes));
    view.data = held.buffer->data();
  }
  if (id != kNoValue) {
    held.view = view;
    slots_[id] = std::move(held);
  } else {
    // An output that nobody named still needs memory while run writes it.
    unnamed_.push_back(std::move(held));
  }
  return OkStatus();
}

void Executor::Release(const Step& step) {
  for (ValueId id : step.release) {
    if (is_fed_[id]) continue;
    dry_bytes_ -= std::min(dry_bytes_, dry_size_[id]);
    dry_size_[id] = 0;
    slots_[id].buffer.reset();
    slots_[id].view.data = nullptr;
  }
  unnamed_.clear();
}

Status Executor::RunBranches(size_t index, const Batch* batch, bool dry) {
  const Step& step = plan_.steps[index];
  const Node& node = plan_.graph->nodes[step.node];
  const TensorView& condition = slots_[node.inputs[0]].view;
  if (condition.dtype != DType::kBool || condition.Count() != 1) {
    return Invalid("condition is %s %s, expected one bool",
                   Name(condition.dtype), condition.shape.ToString().c_str());
  }
  if (!condition.data) return OpContext::NeedsValue(0);
  Executor& branch = *branches_[index][*condition.As<bool>() ? 0 : 1];
  const Graph& inner = *branch.plan().graph;
  for (size_t v = 0; v < inner.values.size(); ++v) {
    const ValueId outer = inner.values[v].outer;
    if (outer != kNoValue) branch.Feed(static_cast<ValueId>(v), slots_[outer]);
  }
  if (dry) {
    SLM_ASSIGN_OR_RETURN(const size_t peak, branch.Measure(batch));
    dry_peak_ = std::max(dry_peak_, dry_bytes_ + peak);
  } else {
    SLM_RETURN_IF_ERROR(branch.Run(batch));
  }
  if (inner.outputs.size() != node.outputs.size()) {
    return Invalid("has %zu outputs, its branch gives %zu", node.outputs.size(),
                   inner.outputs.size());
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] != kNoValue) slots_[node.outputs[i]] = branch.Output(i);
  }
  return OkStatus();
}

}  // namespace slm
