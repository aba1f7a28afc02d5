// SPDX-License-Identifier: MIT
// What decides the next token. Names and defaults are those of the "search"
// object of genai_config.json; the last group are additions of this runtime.
#ifndef SLM_RUNTIME_SEARCH_OPTIONS_H_
#define SLM_RUNTIME_SEARCH_OPTIONS_H_

#include <cstdint>
#include <vector>

#include "runtime/core/result.h"

namespace slm {

struct LogitBias {
  int32_t token = 0;
  float bias = 0;
};

struct SearchOptions {
  bool do_sample = false;            // false: the most probable token
  int64_t min_length = 0;            // prompt + output, no EOS before
  int64_t max_length = 0;            // prompt + output, 1..context length
  int64_t num_beams = 1;             // above 1: beam search, no sampling
  int64_t num_return_sequences = 1;  // of the beams
  float repetition_penalty = 1;      // over prompt and output
  int64_t top_k = 50;                // 0: all; 1: greedy
  float top_p = 0;                   // filters for 0 < top_p < 1 only
  float temperature = 1;             // 0: greedy
  bool early_stopping = true;        // beams: stop at num_beams hypotheses
  int64_t no_repeat_ngram_size = 0;  // 0: off
  float length_penalty = 1;          // beams: score = log p / length^penalty
  int64_t seed = -1;                 // -1: the caller draws one

  std::vector<int32_t> eos_ids;

  float min_p = 0;              // keep p >= min_p * max p
  float presence_penalty = 0;   // over the output, as OpenAI defines them
  float frequency_penalty = 0;  // "
  std::vector<LogitBias> logit_bias;
  // -1: no log probabilities; 0: of the chosen token; n: and of the n best.
  int64_t top_logprobs = -1;
};

inline constexpr int64_t kMaxBeams = 32;
inline constexpr int64_t kMaxTopLogprobs = 20;  // OpenAI's limit

// kUsage with the option, its value and what it may be.
Status Validate(const SearchOptions& options, int64_t vocab_size,
                int64_t context_length);

// The most probable token is taken: no sampling, top_k 1 or temperature 0.
bool IsGreedy(const SearchOptions& options);

}  // namespace slm

#endif  // SLM_RUNTIME_SEARCH_OPTIONS_H_
