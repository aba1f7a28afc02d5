// SPDX-License-Identifier: MIT
// The choice of tokens for one sequence, without a model: logits in, tokens
// out. Session runs the model between the calls; beams are in beam.h.
#ifndef SLM_RUNTIME_SEARCH_H_
#define SLM_RUNTIME_SEARCH_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/answer_guide.h"
#include "runtime/candidates.h"
#include "runtime/core/result.h"
#include "runtime/logprobs.h"
#include "runtime/sampler.h"
#include "runtime/search_options.h"
#include "runtime/token_history.h"

namespace slm {

enum class Finish {
  kNone,
  kEos,     // an EOS token was chosen; Next returned it, but it is no part of
            // the sequence (as in onnxruntime-genai 0.18, measured)
  kLength,  // max_length tokens
  kComplete,  // the guide says that the answer is
};

class Search {
 public:
  // Validates. `seed` is used as options.seed is -1 only.
  static Result<Search> Create(const SearchOptions& options, int64_t vocab_size,
                               int64_t context_length, uint32_t seed);

  // What the answer keeps to, nullptr: nothing. It outlives the search, sees
  // each token that is chosen, and cannot be rewound.
  void set_guide(AnswerGuide* guide) { guide_ = guide; }

  // A prompt or its continuation, which lifts an earlier finish. Refuses what
  // would not fit into max_length.
  Status AppendPrompt(std::span<const int32_t> tokens);

  // Processes logits [V] in place, selects a token and appends it if it is no
  // EOS.
  Result<int32_t> Next(std::span<float> logits);

  // Speculation: rows [drafts + 1, V] are the logits after the sequence,
  // after its first draft, and so on. Appends to *chosen the tokens that Next
  // gives row by row while they agree with the drafts, and the one after that:
  // 1 to drafts + 1 tokens, the same, with the same use of the random
  // generator, as without speculation. The rows after chosen->size() are
  // void, and so is the state that the model has for those positions.
  Status Verify(std::span<const int32_t> drafts, std::span<float> rows,
                std::vector<int32_t>* chosen);

  // Keeps the first `length` tokens; the random generator goes on.
  void Rewind(size_t length);

  Finish finish() const { return finish_; }
  const TokenHistory& history() const { return history_; }
  const SearchOptions& options() const { return options_; }
  // Tokens that may still be appended.
  size_t room() const;
  // Of the last token; empty unless options().top_logprobs >= 0.
  const Logprobs& logprobs() const { return logprobs_; }

 private:
  Search(const SearchOptions& options, size_t vocab, uint32_t seed);
  Result<int32_t> Choose(std::span<float> logits);

  SearchOptions options_;
  size_t vocab_;
  TokenHistory history_;
  Sampler sampler_;
  AnswerGuide* guide_ = nullptr;
  Finish finish_ = Finish::kNone;
  Logprobs logprobs_;
  Candidates logprob_scratch_;
  std::vector<float> raw_;  // [V] logits before processing, for logprobs
};

}  // namespace slm

#endif  // SLM_RUNTIME_SEARCH_H_
