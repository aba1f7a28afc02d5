// SPDX-License-Identifier: MIT
// A session runs sequences of tokens through a model: prefill, decode, ragged
// batches of both, fork, rewind. All mutable state of inference lives here.
#ifndef SLM_RUNTIME_SESSION_H_
#define SLM_RUNTIME_SESSION_H_

#include <memory>
#include <span>
#include <vector>

#include "runtime/core/threads.h"
#include "runtime/plan/executor.h"
#include "runtime/sequence_state.h"

namespace slm {

// What a session must know of a decoder besides its plan; made by Model.
struct DecoderSpec {
  DecoderNames names;
  size_t vocab_size = 0;      // last dimension of the logits
  size_t context_length = 0;
  size_t kv_heads = 0;        // for graphs whose inputs leave them symbolic
  size_t head_size = 0;
  size_t hidden_size = 0;     // likewise, of convolution states
  size_t conv_cache_size = 0;
  // Long-rope models of ORT-GenAI: a sequence that grows to this length is
  // computed again from its start, so that all keys have the long factors.
  // 0 = never.
  size_t rope_recompute_at = 0;
};

// The layer of a graph input that carries state ("past_key_values.7.key" ->
// 7), -1 for other inputs.
int64_t StateLayerOf(const std::string& input, const DecoderNames& names);

struct SessionOptions {
  DType kv_dtype = DType::kF32;  // kF32, kF16 or kI8; ragged mode
  size_t prefill_chunk = 512;    // most new tokens in one execution
  size_t kv_cap_bytes = 0;       // 0 = no cap
  // Decide between short and long rope factors as ORT-GenAI does (recompute
  // once at the border); false: take the factors by length, recompute never.
  bool rope_recompute = true;
};

enum class LogitsFor { kNone, kLast, kAll };

// Index of a sequence in its session.
using SequenceId = size_t;

class Session {
 public:
  // All three outlive the session. One thread at a time.
  Session(const Plan& plan, const DecoderSpec& spec, ThreadPool& threads,
          const SessionOptions& options);
  ~Session();

  SequenceId NewSequence();
  // A copy that goes on by itself; K/V pages are shared until written.
  Result<SequenceId> Fork(SequenceId id);
  void Drop(SequenceId id);

  // Tokens of the sequence whose K/V are held.
  std::span<const int32_t> Tokens(SequenceId id) const;
  // Forgets all tokens from position `length` on. Where the state cannot be
  // cut (windows that slid, recurrent state) the kept tokens are computed
  // again on the next Run.
  Status Rewind(SequenceId id, size_t length);

  struct Item {
    SequenceId sequence = 0;
    std::span<const int32_t> tokens;  // appended; at least one
    LogitsFor logits = LogitsFor::kLast;
    // Length that the sequence will have when its whole prompt is in, for a
    // caller that brings a prompt piece by piece; 0: with this item. Long-rope
    // models choose their factors by it.
    size_t prompt_total = 0;
  };
  // Runs all items as one ragged batch (in chunks of prefill_chunk rows); each
  // sequence at most once. On failure the sequences are as before.
  // Fails with kOverflow beyond the context length, naming both numbers.
  Status Run(std::span<const Item> items);

  // Logits of the last Run, [rows, vocab_size] float32: the rows of the items
  // in their order. Valid until the next Run.
  size_t logit_rows() const;
  std::span<const float> Logits(size_t row) const;

  // Bytes of keys and values in use, and of activations.
  size_t KvBytes() const;
  size_t ActivationBytes() const;
  Executor& executor() { return executor_; }
  const DecoderSpec& spec() const { return spec_; }
  const Plan& plan() const { return plan_; }

 private:
  struct Sequence;
  struct Chunk;  // what of an item goes into one execution

  Status CheckItems(std::span<const Item> items) const;
  Status RunItems(std::span<const Item> items);
  Status RunRagged(std::span<const Chunk> chunks);
  Status RunDense(Sequence* sequence, std::span<const int32_t> tokens,
                  LogitsFor logits);
  Status ExecuteDense(Sequence* sequence, std::span<const int32_t> tokens,
                      LogitsFor logits);
  Status FeedTokens(std::span<const Chunk> chunks, size_t rows);
  Status FeedDense(Sequence* sequence, std::span<const int32_t> tokens);
  Status TakeDenseState(Sequence* sequence);
  Result<HeldTensor> InitialState(ValueId input);
  Status AppendLogits(size_t first_row, size_t rows);
  Status Recompute(Sequence* sequence, size_t length);

  const Plan& plan_;
  const DecoderSpec spec_;
  const SessionOptions options_;
  Executor executor_;
  std::vector<KvCache::LayerSpec> layer_specs_;
  KvBudget kv_budget_;
  std::vector<std::unique_ptr<PagePool>> pools_;  // by page size
  std::vector<PagePool*> layer_pools_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::vector<HeldTensor> logits_;  // of executions, [.., vocab_size] each
  // Graph inputs by role, kNoValue where the graph has none.
  ValueId ids_, mask_, positions_;
  size_t logits_output_ = 0;  // index into graph.outputs
  struct StateLink {
    ValueId input;       // past
    size_t output;       // present: index into graph.outputs
  };
  std::vector<StateLink> state_links_;  // dense mode
};

}  // namespace slm

#endif  // SLM_RUNTIME_SESSION_H_
