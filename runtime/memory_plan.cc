// SPDX-License-Identifier: MIT
#include "runtime/memory_plan.h"

#include <algorithm>

#include "runtime/plan/rows.h"

namespace slm {
namespace {

constexpr size_t kMostPromptTokens = SessionOptions().prefill_chunk;

double Mib(size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

size_t KvBytesFor(const Plan& plan, DType dtype, size_t context) {
  size_t page = 0;
  for (const KvSlot& slot : plan.kv_slots) {
    page += KvFormat{dtype, slot.kv_heads, slot.head_size}.PageBytes();
  }
  return page * CeilDiv(context, KvFormat::kPageTokens);
}

Result<size_t> ScratchBytesFor(const Plan& plan, size_t tokens) {
  return ActivationBytesFor(
      plan, plan.graph->inputs,
      static_cast<int64_t>(std::min(tokens, kMostPromptTokens)));
}

Result<std::string> DescribeMemory(const Model& model) {
  const Plan& plan = model.plan();
  std::string text =
      Format("weights   %9.1f MiB (mapped)\n", Mib(model.WeightBytes()));
  if (!plan.ragged) {
    return text + "KV cache  as the graph's own tensors (dense mode: " +
           plan.dense_reason + ")\n";
  }
  const size_t context = model.decoder().context_length;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kI8}) {
    text += Format("KV cache  %9.1f MiB at %zu tokens in %s\n",
                   Mib(KvBytesFor(plan, dtype, context)), context, Name(dtype));
  }
  for (const size_t tokens :
       {size_t{1}, std::min(kMostPromptTokens, context)}) {
    SLM_ASSIGN_OR_RETURN(const size_t bytes, ScratchBytesFor(plan, tokens));
    text +=
        Format("scratch   %9.1f MiB for %zu new tokens\n", Mib(bytes), tokens);
  }
  return text;
}

}  // namespace slm
