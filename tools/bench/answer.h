// SPDX-License-Identifier: MIT
// One answer to one prompt with the time of each token, as slm-run makes it:
// template, tokenizer, prefill, sampler, text.
#ifndef SLM_TOOLS_BENCH_ANSWER_H_
#define SLM_TOOLS_BENCH_ANSWER_H_

#include <vector>

#include "tools/bench/chat_options.h"
#include "tools/bench/open.h"
#include "tools/bench/prompts.h"

namespace slm::bench {

struct TimedAnswer {
  size_t prompt_tokens = 0;
  size_t output_tokens = 0;     // without the end token
  bool ended = false;           // by an end token, not by the limit
  double first_ms = 0;          // from the messages to the first token
  std::vector<double> gaps_ms;  // from each token to the next, the end's too
  double seconds = 0, cpu_seconds = 0;  // of all of it

  double PrefillRate() const;  // tokens a second, NaN if unknown
  double DecodeRate() const;
};

// Begins with an empty cache. Fails with kOverflow where prompt and answer are
// longer than the context.
Result<TimedAnswer> Answer(const Opened& opened, const Prompt& prompt,
                           const AnswerOptions& options);

// The file's prompts, or the built-in ones that fit with their answers; others
// of those are told on standard error, unless quiet.
Result<std::vector<Prompt>> PromptsFor(const Opened& opened,
                                       const std::optional<std::string>& file,
                                       const AnswerOptions& options,
                                       bool quiet);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_ANSWER_H_
