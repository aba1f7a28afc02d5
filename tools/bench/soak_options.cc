// SPDX-License-Identifier: MIT
#include "tools/bench/soak_options.h"

namespace slm::bench {
namespace {

constexpr double kMostMinutes = 7 * 24 * 60;
// A slope needs three points, quarters four.
constexpr size_t kLeastRounds = 4;
constexpr size_t kMostRounds = 1000000000;

constexpr Flag kFlags[] = {
    {"minutes", "M", "as long as this"},
    {"rounds", "N", "or so many rounds, 4 at least: each answers all prompts"},
    {"f,file", "FILE", "prompts as chat has them (the built-in ones)"},
    {"n,max-tokens", "N", "tokens of an answer at most (64)"},
    {"max-leak", "MIB", "exit 10 where memory grows faster, MiB/h"},
    {"max-drift", "PERCENT", "exit 10 where it gets slower by more"},
    {"svg", "FILE", "write a picture of the result, too"},
};

constexpr const char* kAfterHelp = R"(
Answers the prompts again and again in one session, each with an empty cache,
and looks at the memory (RSS) after each round. One round before is not
counted. The leak is the slope of least squares over time with its standard
error, the drift that of decode between the first and the last quarter. Ctrl-C
ends it with a report of what there is.
  slm-bench soak MODEL --minutes 10
  slm-bench soak MODEL --rounds 200 -f prompts.jsonl --svg soak.svg
  slm-bench soak MODEL --minutes 60 --max-leak 1 --max-drift 10
Exit: 0 ok, 1 failure, 2 usage, 3 not found, 4 model or FILE invalid, 5 memory,
6 CPU or SLM_TARGET, 7 a prompt exceeds the context, 10 a limit, 130 Ctrl-C.
)";

}  // namespace

const FlagSet kSoakFlags = {
    .verb = "soak",
    .summary = "long use: does memory grow, does speed fall?",
    .words = "MODEL",
    .has_model = true,
    .flags = kFlags,
    .after = kAfterHelp,
};

Result<SoakOptions> ReadSoakOptions(Flags* flags) {
  SoakOptions o;
  SLM_RETURN_IF_ERROR(ReadCommon(flags, &o));
  flags->Get("minutes", 0.001, kMostMinutes, &o.minutes);
  flags->Get("rounds", kLeastRounds, kMostRounds, &o.rounds);
  flags->Get("file", &o.file);
  flags->Get("max-tokens", 2, kMostAnswerTokens, &o.answer.max_tokens);
  flags->Get("max-leak", 0.0, 1e12, &o.max_leak);
  flags->Get("max-drift", 0.0, 100.0, &o.max_drift);
  flags->Get("svg", &o.svg);
  SLM_RETURN_IF_ERROR(flags->Done());
  if (o.minutes.has_value() == (o.rounds > 0)) {
    return Usage("soak wants one of --minutes and --rounds");
  }
  return o;
}

}  // namespace slm::bench
