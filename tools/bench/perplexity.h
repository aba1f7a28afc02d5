// SPDX-License-Identifier: MIT
// Perplexity of a text under a model.
#ifndef SLM_TOOLS_BENCH_PERPLEXITY_H_
#define SLM_TOOLS_BENCH_PERPLEXITY_H_

#include <string_view>

#include "runtime/core/threads.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "tools/bench/score.h"
#include "tools/bench/windows.h"

namespace slm::bench {

struct Perplexity {
  // exp(mean of -log p(token)) over the scored tokens, and its standard error
  // to first order: perplexity * error of the mean. The error takes tokens as
  // independent, as llama-perplexity does; NaN where one token is scored.
  double perplexity = 0, error = 0;
  MeanError surprise;  // -log p in nats a token
  // Nats of all scored tokens / ln 2 / bytes of text that they spell: can be
  // compared where tokenizers differ. NaN where they spell nothing.
  double bits_per_byte = 0;
  size_t scored = 0;          // tokens
  uint64_t scored_bytes = 0;  // of text
  size_t windows = 0, window = 0, stride = 0;
  size_t text_tokens = 0;  // with what the tokenizer puts around a text
  size_t run_tokens = 0;   // through the model: those of all windows
  double seconds = 0;      // model and log-sum-exp, without the tokenizer
  std::string note;        // what is not as the options would have it, or ""
};

// Of UTF-8 `text`, in the windows of `options` (windows.h says which tokens are
// scored; the defaults are llama-perplexity's). `session` is one of the model
// and keeps nothing of it. Logits are float32 as the model gives them, sums of
// exponentials are in double. Memory: 32 MiB of logits at most, whatever
// the vocabulary, and 8 bytes a token.
// Fails: kUsage (not UTF-8, fewer than 2 tokens), kOverflow (window beyond the
// context), kRuntime (logits are not finite; a held signal).
Result<Perplexity> MeasurePerplexity(const Model& model, Session* session,
                                     ThreadPool& threads, std::string_view text,
                                     const WindowOptions& options,
                                     const OnProgress& progress = nullptr);

// The same of windows that are cut already.
Result<Perplexity> MeasurePerplexity(Session* session, ThreadPool& threads,
                                     const WindowedText& text,
                                     const OnProgress& progress = nullptr);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_PERPLEXITY_H_
