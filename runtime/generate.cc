// SPDX-License-Identifier: MIT
#include "runtime/generate.h"

#include <algorithm>

#include "runtime/beam.h"
#include "runtime/core/clock.h"

namespace slm {
namespace {

// Prompt tokens between two returns of Next, so that a host can show progress
// and cancel.
constexpr size_t kPromptPiece = 512;

size_t CommonPrefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t n = std::min(a.size(), b.size());
  size_t i = 0;
  while (i < n && a[i] == b[i]) ++i;
  return i;
}

// The end of the tokens' text, enough to hold a mark and blanks behind it.
std::string EndOfText(const Tokenizer& tokenizer,
                      std::span<const int32_t> tokens) {
  constexpr size_t kTokens = 32;
  std::string text;
  for (const int32_t id : tokens.last(std::min(kTokens, tokens.size()))) {
    text += tokenizer.TokenBytes(id);
  }
  return text;
}

}  // namespace

Generator::Generator(Session* session, const Tokenizer* tokenizer)
    : session_(session),
      tokenizer_(tokenizer),
      sequence_(session->NewSequence()) {}

Status Generator::Start(std::span<const int32_t> prompt,
                        const GenerateOptions& options) {
  const DecoderSpec& spec = session_->spec();
  if (prompt.empty()) return Usage("the prompt is empty");
  if (prompt.size() >= spec.context_length) {
    return Error(ErrorKind::kOverflow,
                 "prompt has %zu tokens, context is %zu; shorten it or raise "
                 "--ctx",
                 prompt.size(), spec.context_length);
  }
  SLM_RETURN_IF_ERROR(Validate(options.ngram));
  // Beams have a search of their own (RunBeams).
  SearchOptions single = options.search;
  single.num_beams = 1;
  SLM_ASSIGN_OR_RETURN(
      Search search,
      Search::Create(single, static_cast<int64_t>(spec.vocab_size),
                     static_cast<int64_t>(spec.context_length), options.seed));
  SLM_ASSIGN_OR_RETURN(StopMatcher stop, StopMatcher::Create(options.stop));
  SLM_RETURN_IF_ERROR(search.AppendPrompt(prompt));
  SLM_RETURN_IF_ERROR(MakeGuide(prompt, options));
  // One token at least must run to give logits.
  const size_t kept = std::min(
      CommonPrefix(session_->Tokens(sequence_), prompt), prompt.size() - 1);
  SLM_RETURN_IF_ERROR(session_->Rewind(sequence_, kept));
  options_ = options;
  prompt_.assign(prompt.begin(), prompt.end());
  prompt_done_ = kept;
  search_.emplace(std::move(search));
  search_->set_guide(guide_.get());
  draft_length_.emplace(options.ngram);
  stop_ = std::move(stop);
  // Without its marks nobody could tell a thought from the answer.
  stream_.emplace(*tokenizer_, options.skip_special_tokens,
                  std::vector<int32_t>{tokenizer_->TokenId(Thought::kOpen),
                                       tokenizer_->TokenId(Thought::kClose)});
  stats_ = {};
  stats_.prompt_tokens = prompt.size();
  stats_.cached_tokens = kept;
  stats_.json_cut = options.json;
  pending_ = -1;
  return OkStatus();
}

// A vocabulary whose tokens have no bytes of their own has no guide: nothing
// is counted, and what needs one is refused.
Status Generator::MakeGuide(std::span<const int32_t> prompt,
                            const GenerateOptions& options) {
  guide_.reset();
  const bool wanted = options.json || options.think_budget >= 0;
  const char* what = options.json ? "json" : "think_budget";
  if (options.search.num_beams > 1) {
    if (!wanted) return OkStatus();
    return Usage("num_beams is %d and %s is wanted: beam search keeps to no "
                 "such rule; set num_beams to 1",
                 static_cast<int>(options.search.num_beams), what);
  }
  if (const Status status = tokenizer_->CheckTokenBytes(); !status.ok()) {
    return wanted ? status.In(what) : OkStatus();
  }
  GuideOptions guide;
  guide.think_budget = options.think_budget;
  guide.eos_ids = options.search.eos_ids;
  guide.bytes = [t = tokenizer_](int32_t id) { return t->TokenBytes(id); };
  if (const int32_t id = tokenizer_->TokenId(Thought::kClose); id >= 0) {
    guide.think_close = {id};
  } else {
    SLM_ASSIGN_OR_RETURN(guide.think_close,
                         tokenizer_->Encode(Thought::kClose, EncodeOptions()));
  }
  const std::string end = EndOfText(*tokenizer_, prompt);
  if (options.json) {
    // After </think> JSON begins with the next token, so it must be one.
    const bool one_token = guide.think_close.size() == 1;
    if (!one_token && Thought(end).thinking()) {
      return Usage("json: the model thinks and its </think> is %zu tokens, so "
                   "that JSON could begin in the middle of one; switch "
                   "thinking off",
                   guide.think_close.size());
    }
    if (one_token) guide.think_open = tokenizer_->TokenId(Thought::kOpen);
    if (!json_) {
      json_ = std::make_shared<const JsonVocabulary>(
          tokenizer_->VocabularyBytes());
    }
    guide.json = json_;
  }
  guide_ = std::make_unique<AnswerGuide>(std::move(guide), end);
  return OkStatus();
}

Result<GenerateStep> Generator::Next() {
  if (options_.search.num_beams > 1) return RunBeams();
  return prompt_done_ < prompt_.size() ? Prefill() : Decode();
}

Result<GenerateStep> Generator::Prefill() {
  // A dense graph may treat a prompt differently when it is cut.
  const size_t left = prompt_.size() - prompt_done_;
  const size_t n =
      session_->plan().ragged ? std::min(left, kPromptPiece) : left;
  const Session::Item item{
      sequence_, std::span(prompt_).subspan(prompt_done_, n),
      n == left ? LogitsFor::kLast : LogitsFor::kNone, prompt_.size()};
  SLM_RETURN_IF_ERROR(session_->Run({&item, 1}));
  prompt_done_ += n;
  GenerateStep step;
  step.prompt_done = prompt_done_;
  if (n < left) return step;
  const auto row = session_->Logits(0);
  logits_.assign(row.begin(), row.end());
  SLM_ASSIGN_OR_RETURN(const int32_t token, search_->Next(logits_));
  Take({&token, 1}, &step);
  return step;
}

Result<GenerateStep> Generator::Decode() {
  GenerateStep step;
  step.prompt_done = prompt_done_;
  if (options_.ngram.ngram_size > 0 && options_.search.top_logprobs < 0 &&
      session_->plan().ragged && !session_->plan().pruned_logits) {
    SLM_RETURN_IF_ERROR(Speculate(&step));
    return step;
  }
  const Session::Item item{sequence_, {&pending_, 1}, LogitsFor::kLast};
  SLM_RETURN_IF_ERROR(session_->Run({&item, 1}));
  const auto row = session_->Logits(0);
  logits_.assign(row.begin(), row.end());
  SLM_ASSIGN_OR_RETURN(const int32_t token, search_->Next(logits_));
  Take({&token, 1}, &step);
  return step;
}

// Runs the pending token and drafts after it at once; what the search would
// not have chosen itself is rewound.
Status Generator::Speculate(GenerateStep* step) {
  const size_t base = session_->Tokens(sequence_).size();
  const double start = MonotonicSeconds();
  const size_t room = search_->room();
  ProposeDrafts(options_.ngram, search_->history().tokens(),
                std::min(draft_length_->Next(), room > 0 ? room - 1 : 0),
                &drafts_);
  std::vector<int32_t> run = {pending_};
  run.insert(run.end(), drafts_.begin(), drafts_.end());
  const Session::Item item{sequence_, run, LogitsFor::kAll};
  SLM_RETURN_IF_ERROR(session_->Run({&item, 1}));
  logits_.clear();
  for (size_t r = 0; r < run.size(); ++r) {
    const auto row = session_->Logits(r);
    logits_.insert(logits_.end(), row.begin(), row.end());
  }
  std::vector<int32_t> chosen;
  SLM_RETURN_IF_ERROR(search_->Verify(drafts_, logits_, &chosen));
  SLM_RETURN_IF_ERROR(session_->Rewind(sequence_, base + chosen.size()));
  stats_.draft_tokens += drafts_.size();
  stats_.accepted_tokens += chosen.size() - 1;
  draft_length_->Record({.proposed = drafts_.size(),
                         .accepted = chosen.size() - 1,
                         .seconds = MonotonicSeconds() - start});
  Take(chosen, step);
  return OkStatus();
}

// Tokens into text; the last of them decides whether the answer ends.
void Generator::Take(std::span<const int32_t> chosen, GenerateStep* step) {
  step->tokens.assign(chosen.begin(), chosen.end());
  pending_ = chosen.back();
  if (options_.search.top_logprobs >= 0) step->logprobs = search_->logprobs();
  if (guide_) stats_.thought_tokens = guide_->thought().tokens();
  for (size_t i = 0; i < chosen.size(); ++i) {
    const bool eos =
        search_->finish() == slm::Finish::kEos && i + 1 == chosen.size();
    ++stats_.output_tokens;
    if (eos) break;
    if (stop_.Feed(stream_->Push(chosen[i]), &step->text)) {
      step->finish = FinishReason::kStop;
      return;
    }
  }
  if (search_->finish() == slm::Finish::kEos) {
    Finish(FinishReason::kEos, step);
  } else if (search_->finish() == slm::Finish::kLength) {
    Finish(FinishReason::kLength, step);
  } else if (search_->finish() == slm::Finish::kComplete) {
    Finish(FinishReason::kStop, step);
    stats_.json_cut = stop_.found().has_value();
  }
}

void Generator::Finish(FinishReason reason, GenerateStep* step) {
  step->finish = reason;
  if (stop_.Feed(stream_->Flush(), &step->text)) {
    step->finish = FinishReason::kStop;
    return;
  }
  stop_.Flush(&step->text);
}

namespace {

// The sequences of beams: dropped when the search ends, however it ends.
class BeamSequences {
 public:
  explicit BeamSequences(Session* session) : session_(session) {}
  ~BeamSequences() {
    Drop(&ids_);
    Drop(&next_);
  }

  SequenceId operator[](size_t beam) const { return ids_[beam]; }
  // A fork of `parent` in the next generation.
  Result<SequenceId> Fork(SequenceId parent) {
    SLM_ASSIGN_OR_RETURN(const SequenceId fork, session_->Fork(parent));
    next_.push_back(fork);
    return fork;
  }
  void Advance() {
    Drop(&ids_);
    ids_.swap(next_);
  }

 private:
  void Drop(std::vector<SequenceId>* ids) {
    for (SequenceId id : *ids) session_->Drop(id);
    ids->clear();
  }
  Session* session_;
  std::vector<SequenceId> ids_, next_;
};

}  // namespace

Result<GenerateStep> Generator::RunBeams() {
  const size_t beams = static_cast<size_t>(options_.search.num_beams);
  const size_t vocab = session_->spec().vocab_size;
  SLM_ASSIGN_OR_RETURN(
      BeamSearch search,
      BeamSearch::Create(options_.search, static_cast<int64_t>(vocab),
                         static_cast<int64_t>(session_->spec().context_length),
                         prompt_));
  const Session::Item item{sequence_, std::span(prompt_).subspan(prompt_done_),
                           LogitsFor::kLast};
  SLM_RETURN_IF_ERROR(session_->Run({&item, 1}));
  prompt_done_ = prompt_.size();
  logits_.clear();
  BeamSequences sequences(session_);
  for (size_t b = 0; b < beams; ++b) {
    const auto row = session_->Logits(0);
    logits_.insert(logits_.end(), row.begin(), row.end());
    SLM_RETURN_IF_ERROR(sequences.Fork(sequence_).status());
  }
  sequences.Advance();
  SLM_RETURN_IF_ERROR(search.Step(logits_));
  while (!search.done()) {
    std::vector<Session::Item> items;
    for (const BeamNext& next : search.next()) {
      SLM_ASSIGN_OR_RETURN(const SequenceId fork,
                           sequences.Fork(sequences[next.parent]));
      items.push_back({fork, {&next.token, 1}, LogitsFor::kLast});
    }
    sequences.Advance();
    SLM_RETURN_IF_ERROR(session_->Run(items));
    for (size_t b = 0; b < beams; ++b) {
      const auto row = session_->Logits(b);
      std::copy(row.begin(), row.end(),
                logits_.begin() + static_cast<ptrdiff_t>(b * vocab));
    }
    SLM_RETURN_IF_ERROR(search.Step(logits_));
  }
  const std::vector<Hypothesis> best = search.Finish();
  const auto answer = std::span(best[0].tokens).subspan(prompt_.size());
  GenerateStep step;
  step.prompt_done = prompt_done_;
  step.tokens.assign(answer.begin(), answer.end());
  stats_.output_tokens = answer.size();
  if (tokenizer_->CheckTokenBytes().ok()) {
    Thought thought(EndOfText(*tokenizer_, prompt_));
    for (const int32_t id : answer) {
      thought.Take(tokenizer_->TokenBytes(id), /*own=*/true);
    }
    stats_.thought_tokens = thought.tokens();
  }
  step.finish = prompt_.size() + answer.size() >=
                        static_cast<size_t>(options_.search.max_length)
                    ? FinishReason::kLength
                    : FinishReason::kEos;
  for (int32_t token : answer) {
    if (stop_.Feed(stream_->Push(token), &step.text)) {
      step.finish = FinishReason::kStop;
      return step;
    }
  }
  Finish(step.finish, &step);
  return step;
}

}  // namespace slm
