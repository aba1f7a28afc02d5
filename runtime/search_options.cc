// SPDX-License-Identifier: MIT
#include "runtime/search_options.h"

#include <cinttypes>
#include <cmath>
#include <limits>
#include <vector>

namespace slm {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

// An option and the closed range that it may be in.
struct IntRange {
  const char* name;
  int64_t value, low, high;
};
struct FloatRange {
  const char* name;
  double value, low, high;
};

Status CheckInts(const std::vector<IntRange>& ranges) {
  for (const IntRange& r : ranges) {
    if (r.value < r.low || r.value > r.high) {
      return Usage("%s is %" PRId64 ", must be %" PRId64 "..%" PRId64, r.name,
                   r.value, r.low, r.high);
    }
  }
  return OkStatus();
}

Status CheckFloats(const std::vector<FloatRange>& ranges) {
  for (const FloatRange& r : ranges) {
    if (!std::isfinite(r.value) || r.value < r.low || r.value > r.high) {
      if (r.low == -kInf) {
        return Usage("%s is %g, must be finite", r.name, r.value);
      }
      if (r.high == kInf) {
        return Usage("%s is %g, must be finite and at least %g", r.name,
                     r.value, r.low);
      }
      return Usage("%s is %g, must be %g..%g", r.name, r.value, r.low, r.high);
    }
  }
  return OkStatus();
}

Status CheckTokens(const SearchOptions& o, int64_t vocab_size) {
  for (const int32_t id : o.eos_ids) {
    if (id < 0 || id >= vocab_size) {
      return Usage("EOS token is %d, must be 0..%" PRId64
                   " (below the vocabulary size)",
                   id, vocab_size - 1);
    }
  }
  for (const LogitBias& b : o.logit_bias) {
    if (b.token < 0 || b.token >= vocab_size) {
      return Usage("logit_bias names token %d, must be 0..%" PRId64
                   " (below the vocabulary size)",
                   b.token, vocab_size - 1);
    }
    if (!std::isfinite(b.bias)) {
      return Usage("logit_bias of token %d is %g, must be finite", b.token,
                   static_cast<double>(b.bias));
    }
  }
  return OkStatus();
}

Status CheckBeams(const SearchOptions& o, int64_t vocab_size) {
  SLM_RETURN_IF_ERROR(CheckInts({
      {"num_beams", o.num_beams, 1, kMaxBeams},
      {"num_return_sequences", o.num_return_sequences, 1, o.num_beams},
  }));
  if (o.num_beams == 1) return OkStatus();
  if (!IsGreedy(o)) {
    return Usage("num_beams is %" PRId64
                 " and do_sample is true: beam search does not sample; set "
                 "num_beams to 1 or do_sample to false",
                 o.num_beams);
  }
  if (o.top_logprobs >= 0) {
    return Usage("num_beams is %" PRId64
                 " and log probabilities are wanted: beam search gives none",
                 o.num_beams);
  }
  // Each beam must find a token that is not EOS to go on with.
  const int64_t eos_count = static_cast<int64_t>(o.eos_ids.size());
  if (vocab_size < 2 || vocab_size <= eos_count) {
    return Usage("vocabulary has %" PRId64 " tokens and %" PRId64
                 " EOS tokens, too few for beam search",
                 vocab_size, eos_count);
  }
  return OkStatus();
}

}  // namespace

Status Validate(const SearchOptions& o, int64_t vocab_size,
                int64_t context_length) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  if (vocab_size < 1 || vocab_size > std::numeric_limits<int32_t>::max()) {
    return Usage("vocabulary size is %" PRId64 ", must be 1..2147483647",
                 vocab_size);
  }
  if (o.max_length > context_length) {
    return Usage("max_length is %" PRId64
                 ", the model's context_length is %" PRId64,
                 o.max_length, context_length);
  }
  SLM_RETURN_IF_ERROR(CheckInts({
      {"max_length", o.max_length, 1, context_length},
      {"min_length", o.min_length, 0, kMax},
      // The default 50 must not stop a small model that does not sample.
      {"top_k", o.top_k, 0, IsGreedy(o) ? kMax : vocab_size},
      {"no_repeat_ngram_size", o.no_repeat_ngram_size, 0, kMax},
      {"seed", o.seed, -1, std::numeric_limits<uint32_t>::max()},
      {"top_logprobs", o.top_logprobs, -1, kMaxTopLogprobs},
  }));
  SLM_RETURN_IF_ERROR(CheckFloats({
      {"top_p", o.top_p, 0, 1},
      {"min_p", o.min_p, 0, 1},
      {"temperature", o.temperature, 0, kInf},
      {"length_penalty", o.length_penalty, -kInf, kInf},
      {"presence_penalty", o.presence_penalty, -kInf, kInf},
      {"frequency_penalty", o.frequency_penalty, -kInf, kInf},
      {"repetition_penalty", o.repetition_penalty, 0, kInf},
  }));
  // Logits are divided by it.
  if (o.repetition_penalty == 0) {
    return Usage("repetition_penalty is 0, must be above 0 (1 is off)");
  }
  SLM_RETURN_IF_ERROR(CheckTokens(o, vocab_size));
  return CheckBeams(o, vocab_size);
}

bool IsGreedy(const SearchOptions& o) {
  // A temperature whose reciprocal overflows is as good as 0.
  return !o.do_sample || o.top_k == 1 || o.temperature == 0 ||
         !std::isfinite(1.0f / o.temperature);
}

}  // namespace slm
