// SPDX-License-Identifier: MIT
#include "tools/bench/divergence.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/clock.h"
#include "runtime/logprobs.h"
#include "tools/bench/statistics.h"

namespace slm::bench {
namespace {

// A value for each scored token, written by whichever thread has it.
struct PerToken {
  explicit PerToken(size_t positions)
      : kl(positions),
        same_top(positions),
        log_p(positions),
        log_q(positions),
        moved(positions) {}

  // log p of the token that came: of the reference, and of the model.
  void Set(size_t i, double divergence, bool same, double p, double q) {
    kl[i] = divergence;
    same_top[i] = same;
    log_p[i] = p;
    log_q[i] = q;
    moved[i] = std::abs(std::exp(q) - std::exp(p));
  }

  std::vector<double> kl, same_top, log_p, log_q, moved;
};

double LogP(std::span<const float> row, double log_sum, int32_t token) {
  return double{row[static_cast<size_t>(token)]} - log_sum;
}

Divergence Summary(const PerToken& t) {
  Divergence d;
  d.scored = t.kl.size();
  d.kl = MeanOf(t.kl);
  d.median = Median(t.kl);
  d.p95 = Percentile(t.kl, 95).value_or(NAN);
  d.p99 = Percentile(t.kl, 99).value_or(NAN);
  d.max = *std::max_element(t.kl.begin(), t.kl.end());
  d.same_top = MeanOf(t.same_top);
  d.moved = MeanOf(t.moved);
  d.perplexity = std::exp(-Mean(t.log_q));
  d.reference_perplexity = std::exp(-Mean(t.log_p));
  std::vector<double> lost(t.kl.size());
  for (size_t i = 0; i < lost.size(); ++i) lost[i] = t.log_p[i] - t.log_q[i];
  const MeanError log_ratio = MeanOf(lost);
  d.perplexity_ratio.mean = std::exp(log_ratio.mean);
  d.perplexity_ratio.error = d.perplexity_ratio.mean * log_ratio.error;
  return d;
}

Result<Divergence> Measure(std::span<Session* const> sessions,
                           const WindowedText& text, ThreadPool& threads,
                           const PerToken& values, const UseToken& use,
                           const OnProgress& progress) {
  const double begin = MonotonicSeconds();
  SLM_RETURN_IF_ERROR(ScoreWindows(sessions, text, threads, use, progress));
  Divergence d = Summary(values);
  d.seconds = MonotonicSeconds() - begin;
  for (const Window& w : text.windows) d.run_tokens += w.size - 1;
  return d;
}

}  // namespace

Status CheckSameVocabulary(const std::string& reference_hash,
                           size_t reference_vocab, const Tokenizer& tokenizer,
                           size_t vocab) {
  if (HashTokenizer(tokenizer) != reference_hash) {
    return Invalid(
        "the reference was made with another tokenizer: its tokens mean other "
        "text to this model");
  }
  if (reference_vocab == vocab) return OkStatus();
  return Invalid("the reference has %zu logits of a token, the model %zu",
                 reference_vocab, vocab);
}

Result<Divergence> MeasureDivergence(const Reference& reference,
                                     const Tokenizer& tokenizer,
                                     Session* session, ThreadPool& threads,
                                     const OnProgress& progress) {
  SLM_RETURN_IF_ERROR(CheckSameVocabulary(reference.info().tokenizer_hash,
                                          reference.vocab_size(), tokenizer,
                                          session->spec().vocab_size));
  for (const Window& w : reference.text().windows) {
    if (w.size <= session->spec().context_length) continue;
    return Error(ErrorKind::kOverflow,
                 "the reference's windows of %zu tokens exceed the model's "
                 "context of %zu",
                 w.size, session->spec().context_length);
  }
  PerToken values(reference.text().positions);
  const auto use = [&](const ScoredToken& t) {
    const std::span<const float> row = t.logits[0];
    const double log_sum = LogSumExp(row);
    if (!std::isfinite(log_sum)) return false;
    const SavedRow saved = reference.Row(t.position);
    values.Set(t.position, KlFromSaved(saved, row, log_sum),
               ArgMax(row) == saved.ids[0],
               double{saved.token_logit} - saved.log_sum,
               LogP(row, log_sum, t.token));
    return true;
  };
  return Measure({&session, 1}, reference.text(), threads, values, use,
                 progress);
}

Result<Divergence> MeasureDivergence(Session* reference, Session* session,
                                     ThreadPool& threads,
                                     const WindowedText& text,
                                     const OnProgress& progress) {
  PerToken values(text.positions);
  const auto use = [&](const ScoredToken& t) {
    const std::span<const float> p = t.logits[0], q = t.logits[1];
    const double p_sum = LogSumExp(p), q_sum = LogSumExp(q);
    if (!std::isfinite(p_sum) || !std::isfinite(q_sum)) return false;
    values.Set(t.position, KlDivergence(p, p_sum, q, q_sum),
               ArgMax(p) == ArgMax(q), LogP(p, p_sum, t.token),
               LogP(q, q_sum, t.token));
    return true;
  };
  Session* const sessions[] = {reference, session};
  return Measure(sessions, text, threads, values, use, progress);
}

}  // namespace slm::bench
