// SPDX-License-Identifier: MIT
// How far a model is from a reference, over the tokens of a text.
#ifndef SLM_TOOLS_BENCH_DIVERGENCE_H_
#define SLM_TOOLS_BENCH_DIVERGENCE_H_

#include "tools/bench/reference.h"
#include "tools/bench/score.h"

namespace slm::bench {

struct Divergence {
  // KL(reference || model) in nats a token.
  MeanError kl;
  double median = 0;
  double p95 = 0, p99 = 0;  // NaN: too few tokens
  double max = 0;
  MeanError same_top;  // share of tokens at which both have the same best one
  double perplexity = 0, reference_perplexity = 0;
  // exp(mean of log p_reference - log p_model of the token that came), and its
  // standard error to first order.
  MeanError perplexity_ratio;
  MeanError moved;  // |p_model - p_reference| of the token that came
  size_t scored = 0, run_tokens = 0;
  double seconds = 0;
};

// From what a reference file has: KL is a lower bound (saved_row.h). Refuses
// (kInvalid) a model with another vocabulary.
Result<Divergence> MeasureDivergence(const Reference& reference,
                                     const Tokenizer& tokenizer,
                                     Session* session, ThreadPool& threads,
                                     const OnProgress& progress = nullptr);

// From another model, window by window: KL over the whole vocabulary. The text
// is made with a tokenizer that both share (CheckSameVocabulary).
Result<Divergence> MeasureDivergence(Session* reference, Session* session,
                                     ThreadPool& threads,
                                     const WindowedText& text,
                                     const OnProgress& progress = nullptr);

Status CheckSameVocabulary(const std::string& reference_hash,
                           size_t reference_vocab, const Tokenizer& tokenizer,
                           size_t vocab);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_DIVERGENCE_H_
