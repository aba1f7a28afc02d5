// SPDX-License-Identifier: MIT
#include "runtime/search.h"

#include <algorithm>

#include "runtime/logits.h"

namespace slm {

Result<Search> Search::Create(const SearchOptions& options, int64_t vocab_size,
                              int64_t context_length, uint32_t seed) {
  SLM_RETURN_IF_ERROR(Validate(options, vocab_size, context_length));
  if (options.num_beams != 1) {
    return Usage("num_beams is %d, a single sequence has one",
                 static_cast<int>(options.num_beams));
  }
  if (options.seed >= 0) seed = static_cast<uint32_t>(options.seed);
  return Search(options, static_cast<size_t>(vocab_size), seed);
}

Search::Search(const SearchOptions& options, size_t vocab, uint32_t seed)
    : options_(options), vocab_(vocab), sampler_(options, seed) {}

size_t Search::room() const {
  const size_t max = static_cast<size_t>(options_.max_length);
  return max - std::min(max, history_.length());
}

Status Search::AppendPrompt(std::span<const int32_t> tokens) {
  if (tokens.size() > room()) {
    return Error(ErrorKind::kOverflow,
                 "prompt has %zu tokens after %zu, max_length is %zu; shorten "
                 "it or raise the limit",
                 tokens.size(), history_.length(),
                 static_cast<size_t>(options_.max_length));
  }
  history_.AppendPrompt(tokens);
  finish_ = room() == 0 ? Finish::kLength : Finish::kNone;
  return OkStatus();
}

Result<int32_t> Search::Next(std::span<float> logits) {
  SLM_CHECK(logits.size() == vocab_);
  if (finish_ != Finish::kNone) {
    return Usage(
        "the sequence of %zu tokens is finished (%s); append a prompt "
        "or rewind",
        history_.length(),
        finish_ == Finish::kEos        ? "end token"
        : finish_ == Finish::kComplete ? "complete"
                                       : "max_length");
  }
  const bool wants_logprobs = options_.top_logprobs >= 0;
  const bool processes = guide_ || HasProcessors(options_);
  if (wants_logprobs && processes) raw_.assign(logits.begin(), logits.end());
  SLM_ASSIGN_OR_RETURN(const int32_t token, Choose(logits));
  if (wants_logprobs) {
    ComputeLogprobs(processes ? std::span<const float>(raw_) : logits, token,
                    static_cast<size_t>(options_.top_logprobs),
                    &logprob_scratch_, &logprobs_);
  }
  if (std::find(options_.eos_ids.begin(), options_.eos_ids.end(), token) !=
      options_.eos_ids.end()) {
    finish_ = Finish::kEos;
    return token;
  }
  history_.AppendOutput(token);
  if (guide_) guide_->Take(token);
  if (guide_ && guide_->complete()) {
    finish_ = Finish::kComplete;
  } else if (room() == 0) {
    finish_ = Finish::kLength;
  }
  return token;
}

Result<int32_t> Search::Choose(std::span<float> logits) {
  const int32_t forced = guide_ ? guide_->Forced() : -1;
  if (forced >= 0) return forced;
  if (HasProcessors(options_)) ProcessLogits(options_, history_, logits);
  // Last, so that nothing outweighs it.
  if (guide_) SLM_RETURN_IF_ERROR(guide_->Forbid(logits));
  SLM_ASSIGN_OR_RETURN(const int32_t token, sampler_.Choose(logits));
  // Weights that sum to less than 1 by rounding could draw the last candidate,
  // whose weight is 0.
  if (guide_ && !guide_->Allows(token)) return ArgMax(logits);
  return token;
}

Status Search::Verify(std::span<const int32_t> drafts, std::span<float> rows,
                      std::vector<int32_t>* chosen) {
  SLM_CHECK(rows.size() == (drafts.size() + 1) * vocab_);
  for (size_t i = 0; i <= drafts.size(); ++i) {
    SLM_ASSIGN_OR_RETURN(const int32_t token,
                         Next(rows.subspan(i * vocab_, vocab_)));
    chosen->push_back(token);
    if (finish_ != Finish::kNone) break;
    if (i < drafts.size() && token != drafts[i]) break;
  }
  return OkStatus();
}

void Search::Rewind(size_t length) {
  history_.Truncate(length);
  finish_ = room() == 0 ? Finish::kLength : Finish::kNone;
}

}  // namespace slm
