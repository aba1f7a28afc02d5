// SPDX-License-Identifier: MIT
#include "tools/run/flags.h"

namespace slm {
namespace {

constexpr RunFlag kFlags[] = {
    {"Prompt", "m,model", "PATH|NAME", "model; else the first word is it"},
    {"Prompt", "models-dir", "DIR", "look for names below DIR first"},
    {"Prompt", "s,system", "TEXT|@FILE", "system message"},
    {"Prompt", "f,file", "FILE", "prompt from a file"},
    {"Prompt", "raw", "", "no chat template"},
    {"Prompt", "template", "@FILE", "chat template instead of the model's"},
    {"Prompt", "show-prompt", "", "print the prompt as the model gets it"},
    {"Chat", "session", "FILE", "go on with this transcript and keep it"},
    {"Chat", "think", "on|off", "reasoning, if the template has a switch"},
    {"Chat", "show-think", "dim|hide|raw",
     "reasoning on the screen (dim; hidden in a pipe)"},
    {"Chat", "no-history", "", "do not keep what is typed"},
    {"Sampling", "n,max-tokens", "N", "stop after N new tokens"},
    {"Sampling", "temp", "X", "temperature, 0 is greedy"},
    {"Sampling", "top-p", "X", "most probable tokens that sum to X"},
    {"Sampling", "top-k", "N", "N most probable tokens, 0 is all"},
    {"Sampling", "min-p", "X", "tokens with X times the best's probability"},
    {"Sampling", "repeat-penalty", "X", "divide what occurred, 1 is off"},
    {"Sampling", "presence-penalty", "X", "subtract from what was answered"},
    {"Sampling", "frequency-penalty", "X", "subtract for each occurrence"},
    {"Sampling", "logit-bias", "ID=X", "add X to a token (repeatable)"},
    {"Sampling", "no-repeat-ngram", "N", "no N tokens in a row twice"},
    {"Sampling", "beams", "N", "beam search"},
    {"Sampling", "stop", "TEXT", "end before TEXT (repeatable)"},
    {"Sampling", "lookup", "N",
     "guess ahead from the last N-1 tokens (same text, faster)"},
    {"Sampling", "think-budget", "N|off",
     "tokens of reasoning, then the answer begins"},
    {"Sampling", "greedy", "", "always the most probable token"},
    {"Sampling", "seed", "N", "repeat a run"},
    {"Machine", "c,ctx", "N|auto", "context length"},
    {"Machine", "t,threads", "N|auto", "threads"},
    {"Machine", "kv", "f32|f16|int8", "type of the KV cache"},
    {"Machine", "no-rope-recompute", "", "long-rope models: keep cached keys"},
    {"Machine", "max-mem", "SIZE", "memory limit: 800M, 2G"},
    {"Machine", "on-overflow", "error|drop-oldest", "when the context is full"},
    {"Output", "json", "", "the answer is one JSON object or array"},
    {"Output", "o,output", "text|json|jsonl", "what the answer is put into"},
    {"Output", "color", "auto|on|off", "colours"},
    {"Output", "stats", "on|off", "speed and memory after each answer"},
    {"Output", "strict", "", "exit code 8 when a limit cut the answer"},
    {"Output", "q,quiet", "", "errors only"},
    {"Output", "v,verbose", "", "memory plan, what was chosen and why"},
    {"Output", "config", "FILE", "flags that are not given here, as JSON"},
    {"Output", "print-config", "", "what is set, where, and what follows"},
    {"Output", "version", "", "version"},
    {"Output", "y,yes", "", "cache rm: do not ask"},
    {"Output", "h,help", "", "a screen of what is used most"},
    {"Output", "help-all", "", "all flags"},
};

constexpr const char* kShortHelp =
    R"(slm-run: run a small language model, on this machine only.

  slm-run MODEL                   chat (at a terminal)
  slm-run MODEL PROMPT...         one answer
  FILE | slm-run MODEL PROMPT...  one answer; standard input after the prompt

  slm-run cache ls | cd DIR | location | rm NAME
  slm-run model list | info NAME | run NAME [PROMPT]
  slm-run list [-o json]          models by name
  slm-run info MODEL              what a model is and the memory it needs
  slm-run doctor [MODEL]          what this machine has; does MODEL open?

MODEL is a folder or a name found in --models-dir, SLM_MODELS, the folder of
`cache cd`, ~/.foundry/cache/models or ./models. ./list is a folder, and after
-- no word is a verb.

Prompt and chat
  -s, --system TEXT|@FILE         system message
  -f, --file FILE                 prompt from a file
      --session FILE              go on with this transcript and keep it
      --think on|off              reasoning, if the template has a switch
      --think-budget N            tokens of reasoning, then the answer begins
      --show-think dim|hide|raw   reasoning on the screen
Sampling (the model's own settings unless given)
  -n, --max-tokens N              stop after N new tokens
      --temp X  --top-p X  --top-k N  --min-p X  --seed N
      --greedy                    always the most probable token
      --repeat-penalty X          divide what occurred, 1 is off
      --stop TEXT                 end before TEXT (repeatable)
Machine
  -c, --ctx N|auto                context length
  -t, --threads N|auto            threads
      --kv f32|f16|int8           type of the KV cache
      --max-mem SIZE              memory limit: 800M, 2G
      --on-overflow error|drop-oldest
Output
      --json                      the answer is one JSON object or array
  -o, --output text|json|jsonl    what the answer is put into
      --stats                     speed and memory after each answer
      --show-prompt               print the prompt as the model gets it
  -q, --quiet   -v, --verbose     less, more on standard error

--help-all lists all flags, SLM_CTX=2048 sets --ctx and so on; chat: /help.
)";

}  // namespace

std::span<const RunFlag> RunFlags() { return kFlags; }

std::string_view LongName(const RunFlag& flag) {
  const std::string_view names = flag.names;
  return names.substr(names.find(',') + 1);  // npos + 1 is 0
}

bool IsList(const RunFlag& flag) {
  const std::string_view names = flag.names;
  return names == "stop" || names == "logit-bias";
}

const RunFlag* FindFlag(std::string_view name) {
  for (const RunFlag& flag : RunFlags()) {
    if (LongName(flag) == name) return &flag;
  }
  return nullptr;
}

const char* ShortRunHelp() { return kShortHelp; }

}  // namespace slm
