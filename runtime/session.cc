// SPDX-License-Identifier: MIT
#include "runtime/session.h"

#include <algorithm>
#include <cstring>

namespace slm {

struct Session::Sequence {
  std::vector<int32_t> tokens;
  // How many of `tokens` the state below holds; less after a rewind that the
  // state could not follow.
  size_t computed = 0;
  std::unique_ptr<KvCache> kv;     // ragged
  std::vector<HeldTensor> state;   // dense, by state link; empty: initial
};

struct Session::Chunk {
  Sequence* sequence;
  std::span<const int32_t> tokens;
  size_t first;       // position of tokens[0]
  size_t rope_total;  // length at the end of the whole item
  LogitsFor logits;
};

namespace {

ValueId FindInput(const Graph& graph, const std::string& name) {
  for (ValueId id : graph.inputs) {
    if (graph.values[id].name == name) return id;
  }
  return kNoValue;
}

// "past.%d.x" and "past.12.x" -> "12"; empty if the name does not fit.
std::string MatchNumber(const std::string& name, const std::string& pattern) {
  const size_t at = pattern.find("%d");
  if (at == std::string::npos) return "";
  const std::string head = pattern.substr(0, at);
  const std::string tail = pattern.substr(at + 2);
  if (name.size() <= head.size() + tail.size() ||
      name.compare(0, head.size(), head) != 0 ||
      name.compare(name.size() - tail.size(), tail.size(), tail) != 0) {
    return "";
  }
  const std::string number =
      name.substr(head.size(), name.size() - head.size() - tail.size());
  const bool digits = std::all_of(number.begin(), number.end(), [](char c) {
    return c >= '0' && c <= '9';
  });
  return digits ? number : "";
}

std::string Fill(const std::string& pattern, const std::string& number) {
  const size_t at = pattern.find("%d");
  if (at == std::string::npos) return "";  // an empty name in the config
  return pattern.substr(0, at) + number + pattern.substr(at + 2);
}

struct StatePattern {
  std::string past, present;
};

// Inputs that carry state, and the outputs that carry it on. The config does
// not name Qwen3.5's states.
std::vector<StatePattern> StatePatterns(const DecoderNames& names) {
  return {
      {names.past_key, names.present_key},
      {names.past_value, names.present_value},
      {names.past_conv, names.present_conv},
      {"past_key_values.%d.conv_state", "present.%d.conv_state"},
      {"past_key_values.%d.recurrent_state", "present.%d.recurrent_state"},
  };
}

// The output that carries on what an input brought in, "" if there is none.
std::string PresentName(const std::string& past, const DecoderNames& names) {
  for (const StatePattern& pattern : StatePatterns(names)) {
    const std::string number = MatchNumber(past, pattern.past);
    if (!number.empty()) return Fill(pattern.present, number);
  }
  return "";
}

bool IsKeyOrValue(const std::string& name, const DecoderNames& names) {
  return !MatchNumber(name, names.past_key).empty() ||
         !MatchNumber(name, names.past_value).empty();
}

void WriteInts(const TensorView& tensor, size_t i, int64_t value) {
  if (tensor.dtype == DType::kI32) {
    tensor.Mutable<int32_t>()[i] = static_cast<int32_t>(value);
  } else {
    tensor.Mutable<int64_t>()[i] = value;
  }
}

// int32 where the graph declares that, else int64.
DType IntTypeOf(const Graph& graph, ValueId id) {
  return graph.values[id].dtype == DType::kI32 ? DType::kI32 : DType::kI64;
}

}  // namespace

int64_t StateLayerOf(const std::string& input, const DecoderNames& names) {
  for (const StatePattern& pattern : StatePatterns(names)) {
    const std::string number = MatchNumber(input, pattern.past);
    if (!number.empty() && number.size() < 10) return std::stoll(number);
  }
  return -1;
}

Session::Session(const Plan& plan, const DecoderSpec& spec, ThreadPool& threads,
                 const SessionOptions& options)
    : plan_(plan), spec_(spec), options_(options), executor_(plan, threads) {
  const Graph& graph = *plan.graph;
  ids_ = FindInput(graph, spec.names.input_ids);
  mask_ = FindInput(graph, spec.names.attention_mask);
  positions_ = FindInput(graph, spec.names.position_ids);
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    if (graph.values[graph.outputs[i]].name == spec.names.logits) {
      logits_output_ = i;
    }
  }
  for (const KvSlot& slot : plan.kv_slots) {
    KvCache::LayerSpec layer;
    layer.format = {options.kv_dtype, slot.kv_heads, slot.head_size};
    layer.window = slot.window;
    layer_specs_.push_back(layer);
  }
  kv_budget_.cap_bytes = options.kv_cap_bytes;
  for (const auto& layer : layer_specs_) {
    const size_t bytes = RoundUp(layer.format.PageBytes(), kAlignment);
    PagePool* pool = nullptr;
    for (auto& known : pools_) {
      if (known->page_bytes() == bytes) pool = known.get();
    }
    if (!pool) {
      pools_.push_back(
          std::make_unique<PagePool>(bytes, &kv_budget_));
      pool = pools_.back().get();
    }
    layer_pools_.push_back(pool);
  }
  for (ValueId input : graph.inputs) {
    if (plan.ragged) break;
    const std::string present =
        PresentName(graph.values[input].name, spec.names);
    for (size_t o = 0; !present.empty() && o < graph.outputs.size(); ++o) {
      if (graph.values[graph.outputs[o]].name == present) {
        state_links_.push_back({input, o});
      }
    }
  }
}

Session::~Session() = default;

SequenceId Session::NewSequence() {
  auto sequence = std::make_unique<Sequence>();
  if (plan_.ragged) {
    sequence->kv = std::make_unique<KvCache>(layer_specs_, layer_pools_);
  }
  for (size_t i = 0; i < sequences_.size(); ++i) {
    if (!sequences_[i]) {
      sequences_[i] = std::move(sequence);
      return i;
    }
  }
  sequences_.push_back(std::move(sequence));
  return sequences_.size() - 1;
}

Result<SequenceId> Session::Fork(SequenceId id) {
  const SequenceId fork = NewSequence();
  const Sequence& from = *sequences_[id];
  Sequence& to = *sequences_[fork];
  to.tokens = from.tokens;
  to.computed = from.computed;
  // Dense state is replaced by each run, never written in place: sharing is
  // safe.
  to.state = from.state;
  if (from.kv) to.kv = from.kv->Fork();
  return fork;
}

void Session::Drop(SequenceId id) { sequences_[id].reset(); }

std::span<const int32_t> Session::Tokens(SequenceId id) const {
  return sequences_[id]->tokens;
}

Status Session::Rewind(SequenceId id, size_t length) {
  Sequence& s = *sequences_[id];
  if (length > s.tokens.size()) {
    return Usage("cannot rewind to %zu tokens: the sequence has %zu", length,
                 s.tokens.size());
  }
  s.tokens.resize(length);
  if (s.computed <= length) return OkStatus();
  if (s.kv && s.kv->Truncate(length)) {
    s.computed = length;
    return OkStatus();
  }
  if (s.kv) s.kv->Clear();
  s.state.clear();
  s.computed = 0;
  return OkStatus();
}

size_t Session::logit_rows() const {
  size_t rows = 0;
  for (const HeldTensor& t : logits_) rows += t.view.Count() / spec_.vocab_size;
  return rows;
}

std::span<const float> Session::Logits(size_t row) const {
  const size_t vocab = spec_.vocab_size;
  size_t i = 0;
  for (; row >= logits_[i].view.Count() / vocab; ++i) {
    row -= logits_[i].view.Count() / vocab;
  }
  return {logits_[i].view.As<float>() + row * vocab, vocab};
}

size_t Session::KvBytes() const {
  size_t bytes = 0;
  for (const auto& pool : pools_) bytes += pool->UsedBytes();
  for (const auto& s : sequences_) {
    for (size_t i = 0; s && i < s->state.size(); ++i) {
      bytes += s->state[i].view.Bytes();
    }
  }
  return bytes;
}

size_t Session::ActivationBytes() const { return executor_.BufferBytes(); }

Status Session::CheckItems(std::span<const Item> items) const {
  for (size_t i = 0; i < items.size(); ++i) {
    const Item& item = items[i];
    if (item.sequence >= sequences_.size() || !sequences_[item.sequence]) {
      return Usage("sequence %zu does not exist", item.sequence);
    }
    for (const Item& other : items.first(i)) {
      if (other.sequence == item.sequence) {
        return Usage("sequence %zu is twice in a batch", item.sequence);
      }
    }
    if (item.tokens.empty()) return Usage("no tokens to run");
    for (int32_t token : item.tokens) {
      if (token < 0 || static_cast<size_t>(token) >= spec_.vocab_size) {
        return Usage("token %d is outside of the vocabulary of %zu", token,
                     spec_.vocab_size);
      }
    }
    const size_t total =
        sequences_[item.sequence]->tokens.size() + item.tokens.size();
    if (total > spec_.context_length) {
      return Error(ErrorKind::kOverflow,
                   "prompt has %zu tokens, context is %zu; shorten it or raise "
                   "--ctx",
                   total, spec_.context_length);
    }
  }
  return OkStatus();
}

// Puts the state back to `computed` tokens: after a rewind that could not cut
// the state, or when long rope factors must reach every key.
Status Session::Recompute(Sequence* s, size_t total) {
  const size_t border = spec_.rope_recompute_at;
  if (plan_.rope_switch && options_.rope_recompute && border &&
      s->computed > 0 && s->computed < border && total >= border) {
    if (s->kv) s->kv->Clear();
    s->computed = 0;
  }
  if (s->computed == s->tokens.size()) return OkStatus();
  const std::vector<int32_t> again(s->tokens.begin() +
                                       static_cast<ptrdiff_t>(s->computed),
                                   s->tokens.end());
  if (!plan_.ragged) return RunDense(s, again, LogitsFor::kNone);
  for (size_t at = 0; at < again.size();) {
    const size_t n = std::min(options_.prefill_chunk, again.size() - at);
    const Chunk chunk{s, std::span(again).subspan(at, n), s->computed, total,
                      LogitsFor::kNone};
    SLM_RETURN_IF_ERROR(RunRagged({&chunk, 1}));
    at += n;
  }
  return OkStatus();
}

Status Session::Run(std::span<const Item> items) {
  logits_.clear();
  SLM_RETURN_IF_ERROR(CheckItems(items));
  std::vector<size_t> before;
  for (const Item& item : items) {
    before.push_back(sequences_[item.sequence]->tokens.size());
  }
  const Status status = RunItems(items);
  if (!status.ok()) {
    for (size_t i = 0; i < items.size(); ++i) {
      (void)Rewind(items[i].sequence, before[i]);
      // Pages that were reserved and never filled.
      Sequence& s = *sequences_[items[i].sequence];
      if (s.kv) (void)s.kv->Truncate(s.computed);
    }
    logits_.clear();
  }
  return status;
}

Status Session::RunItems(std::span<const Item> items) {
  for (const Item& item : items) {
    Sequence* s = sequences_[item.sequence].get();
    SLM_RETURN_IF_ERROR(Recompute(
        s, std::max(item.prompt_total, s->tokens.size() + item.tokens.size())));
  }
  if (!plan_.ragged) {
    for (const Item& item : items) {
      Sequence* s = sequences_[item.sequence].get();
      s->tokens.insert(s->tokens.end(), item.tokens.begin(), item.tokens.end());
      SLM_RETURN_IF_ERROR(RunDense(s, item.tokens, item.logits));
    }
    return OkStatus();
  }
  // Fill executions of at most prefill_chunk rows, item by item.
  std::vector<Chunk> chunks;
  size_t rows = 0;
  for (const Item& item : items) {
    Sequence* s = sequences_[item.sequence].get();
    const size_t base = s->tokens.size();
    s->tokens.insert(s->tokens.end(), item.tokens.begin(), item.tokens.end());
    for (size_t at = 0; at < item.tokens.size();) {
      if (rows == options_.prefill_chunk) {
        SLM_RETURN_IF_ERROR(RunRagged(chunks));
        chunks.clear();
        rows = 0;
      }
      const size_t n =
          std::min(options_.prefill_chunk - rows, item.tokens.size() - at);
      const bool end = at + n == item.tokens.size();
      const LogitsFor logits =
          item.logits == LogitsFor::kLast && !end ? LogitsFor::kNone
                                                  : item.logits;
      chunks.push_back(
          {s, item.tokens.subspan(at, n), base + at,
           std::max(item.prompt_total, base + item.tokens.size()), logits});
      rows += n;
      at += n;
    }
  }
  return chunks.empty() ? OkStatus() : RunRagged(chunks);
}

Status Session::FeedTokens(std::span<const Chunk> chunks, size_t rows) {
  const Graph& graph = *plan_.graph;
  const int64_t t = static_cast<int64_t>(rows);
  std::vector<int64_t> wanted;
  SLM_ASSIGN_OR_RETURN(HeldTensor ids, executor_.NewTensor(
                                           IntTypeOf(graph, ids_), {1, t}));
  HeldTensor positions;
  if (positions_ != kNoValue) {
    SLM_ASSIGN_OR_RETURN(
        positions, executor_.NewTensor(IntTypeOf(graph, positions_), {1, t}));
  }
  size_t row = 0;
  for (const Chunk& chunk : chunks) {
    for (size_t i = 0; i < chunk.tokens.size(); ++i, ++row) {
      WriteInts(ids.view, row, chunk.tokens[i]);
      if (positions_ != kNoValue) {
        WriteInts(positions.view, row, static_cast<int64_t>(chunk.first + i));
      }
      const bool last = i + 1 == chunk.tokens.size();
      if (chunk.logits == LogitsFor::kAll ||
          (chunk.logits == LogitsFor::kLast && last)) {
        wanted.push_back(static_cast<int64_t>(row));
      }
    }
  }
  executor_.Feed(ids_, std::move(ids));
  if (positions_ != kNoValue) executor_.Feed(positions_, std::move(positions));
  if (plan_.row_selection != kNoValue) {
    SLM_ASSIGN_OR_RETURN(
        HeldTensor selection,
        executor_.NewTensor(DType::kI64,
                            {static_cast<int64_t>(wanted.size())}));
    std::copy(wanted.begin(), wanted.end(),
              selection.view.Mutable<int64_t>());
    executor_.Feed(plan_.row_selection, std::move(selection));
  }
  return OkStatus();
}

Status Session::RunRagged(std::span<const Chunk> chunks) {
  std::vector<BatchSequence> batch_sequences;
  size_t rows = 0;
  for (const Chunk& chunk : chunks) {
    SLM_RETURN_IF_ERROR(
        chunk.sequence->kv->Reserve(chunk.first, chunk.tokens.size()));
    BatchSequence b;
    b.row = rows;
    b.count = chunk.tokens.size();
    b.first = chunk.first;
    b.rope_total = chunk.rope_total;
    b.kv = chunk.sequence->kv->layers();
    batch_sequences.push_back(b);
    rows += b.count;
  }
  SLM_RETURN_IF_ERROR(FeedTokens(chunks, rows));
  const Batch batch{batch_sequences};
  SLM_RETURN_IF_ERROR(executor_.Run(&batch));
  for (const Chunk& chunk : chunks) {
    chunk.sequence->computed = chunk.first + chunk.tokens.size();
    chunk.sequence->kv->Slide(chunk.sequence->computed);
  }
  // Selected rows are all that there is; else they lie among the others.
  const bool selected = plan_.row_selection != kNoValue;
  size_t row = 0, wanted = 0;
  for (const Chunk& chunk : chunks) {
    const size_t n = chunk.tokens.size();
    const size_t take = chunk.logits == LogitsFor::kAll    ? n
                        : chunk.logits == LogitsFor::kLast ? 1
                                                           : 0;
    row += n;
    wanted += take;
    if (!selected) SLM_RETURN_IF_ERROR(AppendLogits(row - take, take));
  }
  return selected ? AppendLogits(0, wanted) : OkStatus();
}

Status Session::AppendLogits(size_t first_row, size_t rows) {
  if (rows == 0) return OkStatus();
  HeldTensor output = executor_.Output(logits_output_);
  const TensorView& logits = output.view;
  const size_t vocab = spec_.vocab_size;
  if (logits.dtype != DType::kF32 || logits.shape.rank() == 0 ||
      static_cast<size_t>(logits.shape.back()) != vocab ||
      logits.Count() < (first_row + rows) * vocab) {
    return Invalid("logits are %s %s, expected float [..., %zu]",
                   Name(logits.dtype), logits.shape.ToString().c_str(), vocab);
  }
  if (logits.Count() == rows * vocab) {
    logits_.push_back(std::move(output));
    return OkStatus();
  }
  // Not kept for a few of its rows: those of a prompt may be hundreds of MB.
  SLM_ASSIGN_OR_RETURN(
      HeldTensor some,
      executor_.NewTensor(DType::kF32, {static_cast<int64_t>(rows),
                                        static_cast<int64_t>(vocab)}));
  std::memcpy(some.view.data, logits.As<float>() + first_row * vocab,
              rows * vocab * sizeof(float));
  logits_.push_back(std::move(some));
  return OkStatus();
}

// A past tensor of length 0, or a state of zeros: batch 1, declared sizes, and
// the configured K and E where keys and values leave them symbolic.
Result<HeldTensor> Session::InitialState(ValueId input) {
  const Value& value = plan_.graph->values[input];
  if (!value.shape || value.shape->size() > Shape::kMaxRank) {
    return Invalid("graph input \"%s\" has no shape", value.name.c_str());
  }
  const bool kv = IsKeyOrValue(value.name, spec_.names);
  std::vector<int64_t> dims;
  for (size_t i = 0; i < value.shape->size(); ++i) {
    const Dim& dim = (*value.shape)[i];
    int64_t size = dim.size >= 0 ? dim.size : i == 0 ? 1 : 0;
    if (kv && i == 2) size = 0;
    if (kv && i == 1 && dim.size < 0) size = static_cast<int64_t>(spec_.kv_heads);
    if (kv && i == 3 && dim.size < 0) {
      size = static_cast<int64_t>(spec_.head_size);
    }
    // Convolution states are [batch, hidden, conv_cache_size].
    if (!kv && i > 0 && dim.size < 0) {
      size = static_cast<int64_t>(i == 1 ? spec_.hidden_size
                                         : spec_.conv_cache_size);
    }
    dims.push_back(i == 0 ? 1 : size);
  }
  const auto shape = Shape::Make(dims);
  if (!shape) return Invalid("graph input \"%s\" is too large",
                             value.name.c_str());
  SLM_ASSIGN_OR_RETURN(
      HeldTensor tensor,
      executor_.NewTensor(RunType(value.dtype.value_or(DType::kF32)), *shape));
  std::memset(tensor.view.data, 0, tensor.view.Bytes());
  return tensor;
}

Status Session::FeedDense(Sequence* s, std::span<const int32_t> tokens) {
  const Graph& graph = *plan_.graph;
  const int64_t t = static_cast<int64_t>(tokens.size());
  const int64_t total = static_cast<int64_t>(s->computed) + t;
  for (ValueId input : graph.inputs) {
    const Value& value = graph.values[input];
    const bool is_state =
        std::any_of(state_links_.begin(), state_links_.end(),
                    [&](const StateLink& l) { return l.input == input; });
    if (is_state) continue;
    const bool ids = input == ids_, mask = input == mask_;
    if (!ids && !mask && input != positions_) {
      return Invalid("graph input \"%s\" is not known to a text decoder",
                     Printable(value.name).c_str());
    }
    SLM_ASSIGN_OR_RETURN(HeldTensor tensor,
                         executor_.NewTensor(IntTypeOf(graph, input),
                                             {1, mask ? total : t}));
    for (int64_t i = 0; i < (mask ? total : t); ++i) {
      WriteInts(tensor.view, static_cast<size_t>(i),
                mask  ? 1
                : ids ? tokens[static_cast<size_t>(i)]
                      : static_cast<int64_t>(s->computed) + i);
    }
    executor_.Feed(input, std::move(tensor));
  }
  for (size_t i = 0; i < state_links_.size(); ++i) {
    HeldTensor state;
    if (s->state.empty()) {
      SLM_ASSIGN_OR_RETURN(state, InitialState(state_links_[i].input));
    } else {
      state = s->state[i];
    }
    executor_.Feed(state_links_[i].input, std::move(state));
  }
  return OkStatus();
}

Status Session::TakeDenseState(Sequence* s) {
  s->state.resize(state_links_.size());
  for (size_t i = 0; i < state_links_.size(); ++i) {
    s->state[i] = executor_.Output(state_links_[i].output);
  }
  return OkStatus();
}

Status Session::RunDense(Sequence* s, std::span<const int32_t> tokens,
                         LogitsFor logits) {
  // One run for the whole item: a graph may treat a prompt differently when it
  // is cut (dynamic quantisation scales, rope choice).
  const Status whole = ExecuteDense(s, tokens, logits);
  if (whole.ok() || whole.kind() != ErrorKind::kInvalid ||
      tokens.size() == 1 || s->computed == 0) {
    return whole;
  }
  // The mask subgraph of float16 exports stretches a causal mask [T, T] to
  // [T, S]: it takes a prompt from the start, or one token.
  for (size_t i = 0; i < tokens.size(); ++i) {
    const bool skip = logits == LogitsFor::kLast && i + 1 < tokens.size();
    SLM_RETURN_IF_ERROR(ExecuteDense(s, tokens.subspan(i, 1),
                                     skip ? LogitsFor::kNone : logits));
  }
  return OkStatus();
}

Status Session::ExecuteDense(Sequence* s, std::span<const int32_t> tokens,
                             LogitsFor logits) {
  SLM_RETURN_IF_ERROR(FeedDense(s, tokens));
  SLM_RETURN_IF_ERROR(executor_.Run());
  SLM_RETURN_IF_ERROR(TakeDenseState(s));
  s->computed += tokens.size();
  if (logits == LogitsFor::kNone) return OkStatus();
  // A pruned graph gives one row, whatever was asked.
  const TensorView view = executor_.Output(logits_output_).view;
  const size_t have = spec_.vocab_size ? view.Count() / spec_.vocab_size : 0;
  const size_t take = logits == LogitsFor::kAll ? have : 1;
  if (have == 0) return Invalid("the graph gives no logits");
  return AppendLogits(have - take, take);
}

}  // namespace slm
