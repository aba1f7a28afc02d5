// SPDX-License-Identifier: MIT
// From prompt tokens to streamed text: prefill, search, speculation, stop
// strings, beams. One generator goes with one sequence of a session.
#ifndef SLM_RUNTIME_GENERATE_H_
#define SLM_RUNTIME_GENERATE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/draft_length.h"
#include "runtime/logprobs.h"
#include "runtime/search.h"
#include "runtime/session.h"
#include "runtime/stop.h"
#include "runtime/text/tokenizer.h"

namespace slm {

struct GenerateOptions {
  SearchOptions search;
  NgramOptions ngram;             // prompt look-up; greedy, one sequence
  std::vector<std::string> stop;  // not part of the text
  bool skip_special_tokens = true;
  // The answer is one JSON object or array, and ends as that is complete.
  bool json = false;
  int64_t think_budget = -1;  // tokens of a thought; -1: no limit
  uint32_t seed = 0;              // where search.seed is -1
};

enum class FinishReason {
  kNone,    // goes on
  kEos,     // an end token of the model
  kStop,    // a stop string, or the JSON value is complete
  kLength,  // max_length
};

// What one step brought.
struct GenerateStep {
  std::string text;              // complete UTF-8, may be empty
  std::vector<int32_t> tokens;   // chosen in this step, an EOS included
  Logprobs logprobs;             // of the last token, if asked for
  size_t prompt_done = 0;        // prompt tokens that are in
  FinishReason finish = FinishReason::kNone;
};

struct GenerateStats {
  size_t prompt_tokens = 0;
  size_t cached_tokens = 0;  // of them, taken from the sequence as it was
  size_t output_tokens = 0;
  size_t draft_tokens = 0;     // proposed by speculation
  size_t accepted_tokens = 0;  // of them
  size_t thought_tokens = 0;   // of the output, without the marks
  bool json_cut = false;       // JSON was wanted and is not complete so far
};

class Generator {
 public:
  // Both outlive the generator.
  Generator(Session* session, const Tokenizer* tokenizer);

  // Begins an answer. What the sequence holds of the prompt is kept, the rest
  // forgotten. Fails with kOverflow where the prompt leaves no room.
  Status Start(std::span<const int32_t> prompt, const GenerateOptions& options);
  // A piece of the prompt, or a token (several with speculation); with beams
  // the whole answer. Not after a finish.
  Result<GenerateStep> Next();

  const GenerateStats& stats() const { return stats_; }
  // Stays in the session until its caller drops it there.
  SequenceId sequence() const { return sequence_; }
  // Prompt and answer so far, without EOS.
  std::span<const int32_t> tokens() const { return search_->history().tokens(); }

 private:
  Status MakeGuide(std::span<const int32_t> prompt,
                   const GenerateOptions& options);
  Result<GenerateStep> Prefill();
  Result<GenerateStep> Decode();
  Result<GenerateStep> RunBeams();
  Status Speculate(GenerateStep* step);
  void Take(std::span<const int32_t> chosen, GenerateStep* step);
  void Finish(FinishReason reason, GenerateStep* step);

  Session* session_;
  const Tokenizer* tokenizer_;
  SequenceId sequence_;
  GenerateOptions options_;
  std::vector<int32_t> prompt_;
  size_t prompt_done_ = 0;
  std::shared_ptr<const JsonVocabulary> json_;  // made when first wanted
  std::unique_ptr<AnswerGuide> guide_;  // nullptr: nothing to see to
  std::optional<Search> search_;
  std::optional<DraftLength> draft_length_;
  std::optional<TokenStream> stream_;
  StopMatcher stop_;
  GenerateStats stats_;
  std::vector<float> logits_;     // rows that processors may overwrite
  std::vector<int32_t> drafts_;
  int32_t pending_ = -1;  // chosen, not yet run through the model
};

}  // namespace slm

#endif  // SLM_RUNTIME_GENERATE_H_
