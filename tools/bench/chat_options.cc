// SPDX-License-Identifier: MIT
#include "tools/bench/chat_options.h"

#include <limits>

namespace slm::bench {
namespace {

constexpr Flag kFlags[] = {
    {"f,file", "FILE", "prompts, instead of four built-in ones"},
    {"n,max-tokens", "N", "tokens of an answer at most (64)"},
    {"r,repeat", "N", "answers to each prompt, after one warm-up (5)"},
    {"temp", "X", "sample at temperature X (0: do not)"},
    {"top-k", "N", "of the N most probable tokens (0: all)"},
    {"top-p", "X", "of the most probable, X in sum"},
    {"min-p", "X", "of those with X times the best's"},
    {"seed", "N", "of each answer's random numbers (1)"},
};

constexpr const char* kAfterHelp = R"(
Times answers as a user meets them: chat template, tokenising, prefill, choice
of tokens and their text are in; the cache is empty before each answer. FILE
has a JSON object a line: {"prompt": "..."} or {"messages": [{"role": "user",
"content": "..."}]}. Percentiles need 20 samples, the 99th 100.
  slm-bench chat MODEL
  slm-bench chat MODEL -f prompts.jsonl -n 128 -r 10 -o md
  slm-bench chat MODEL --temp 0.7 --top-p 0.9 -o json > today.json
Exit: 0 ok, 1 failure, 2 usage, 3 not found, 4 model or FILE invalid,
5 memory, 6 CPU or SLM_TARGET unsupported, 7 a prompt exceeds the context.
)";

}  // namespace

const FlagSet kChatFlags = {
    .verb = "chat",
    .summary = "real prompts: first token, between tokens",
    .words = "MODEL",
    .has_model = true,
    .flags = kFlags,
    .after = kAfterHelp,
};

Result<ChatOptions> ReadChatOptions(Flags* flags) {
  ChatOptions o;
  SLM_RETURN_IF_ERROR(ReadCommon(flags, &o));
  AnswerOptions& a = o.answer;
  flags->Get("file", &o.file);
  flags->Get("max-tokens", 1, kMostAnswerTokens, &a.max_tokens);
  flags->Get("repeat", 1, 10000, &o.repetitions);
  flags->Get("temp", 0.0, 100.0, &a.temperature);
  flags->Get("top-k", 0, std::numeric_limits<int32_t>::max(), &a.top_k);
  flags->Get("top-p", 0.0, 1.0, &a.top_p);
  flags->Get("min-p", 0.0, 1.0, &a.min_p);
  flags->Get("seed", 0, std::numeric_limits<uint32_t>::max(), &a.seed);
  SLM_RETURN_IF_ERROR(flags->Done());
  if (a.temperature.value_or(0) > 0) return o;
  for (const char* name : {"top-k", "top-p", "min-p", "seed"}) {
    if (flags->Has(name)) {
      return Usage("--%s means nothing without --temp above 0", name);
    }
  }
  return o;
}

}  // namespace slm::bench
