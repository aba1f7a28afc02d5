// SPDX-License-Identifier: MIT
#include "tools/bench/perplexity.h"

#include <cmath>
#include <numbers>

#include "runtime/core/clock.h"
#include "runtime/logprobs.h"

namespace slm::bench {

// -log p(token) = log sum exp logits - logit of the token.
Result<Perplexity> MeasurePerplexity(Session* session, ThreadPool& threads,
                                     const WindowedText& text,
                                     const OnProgress& progress) {
  std::vector<double> surprises(text.positions);
  const auto use = [&](const ScoredToken& t) {
    const double log_sum = LogSumExp(t.logits[0]);
    surprises[t.position] =
        log_sum - double{t.logits[0][static_cast<size_t>(t.token)]};
    return std::isfinite(log_sum);
  };
  const double begin = MonotonicSeconds();
  SLM_RETURN_IF_ERROR(
      ScoreWindows({&session, 1}, text, threads, use, progress));
  Perplexity out;
  out.seconds = MonotonicSeconds() - begin;
  out.surprise = MeanOf(surprises);
  out.perplexity = std::exp(out.surprise.mean);
  out.error = out.perplexity * out.surprise.error;
  out.scored = text.positions;
  out.scored_bytes = text.scored_bytes;
  out.bits_per_byte =
      text.scored_bytes == 0
          ? NAN
          : out.surprise.mean * static_cast<double>(text.positions) /
                std::numbers::ln2 / static_cast<double>(text.scored_bytes);
  out.windows = text.windows.size();
  out.window = text.window;
  out.stride = text.stride;
  out.text_tokens = text.tokens.size();
  for (const Window& w : text.windows) out.run_tokens += w.size - 1;
  out.note = text.note;
  return out;
}

Result<Perplexity> MeasurePerplexity(const Model& model, Session* session,
                                     ThreadPool& threads, std::string_view text,
                                     const WindowOptions& options,
                                     const OnProgress& progress) {
  SLM_ASSIGN_OR_RETURN(
      const WindowedText windows,
      MakeWindows(model.tokenizer(), model.decoder().context_length,
                  model.decoder().vocab_size, text, options));
  return MeasurePerplexity(session, threads, windows, progress);
}

}  // namespace slm::bench
