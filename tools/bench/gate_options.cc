// SPDX-License-Identifier: MIT
#include "tools/bench/gate_options.h"

namespace slm::bench {
namespace {

constexpr size_t kMostTokens = size_t{1} << 20;
constexpr double kMost = 1e12;

constexpr Flag kFlags[] = {
    {"min-pp", "X", "prefill, tokens a second"},
    {"min-tg", "X", "decode, tokens a second"},
    {"max-ttft", "MS", "first token of a prompt of 128 tokens"},
    {"max-load", "MS", "folder to ready session"},
    {"max-rss", "SIZE", "peak memory with prefill and decode: 800M, 1.5G"},
    {"max-ppl", "X", "perplexity of the text of -f"},
    {"f,file", "FILE", "text of --max-ppl, as slm-bench ppl has it"},
    {"chunks", "N", "the first N windows of it only"},
    {"p,prompt", "N", "tokens of the prefill test (512)"},
    {"n,max-tokens", "N", "tokens of the decode test (64)"},
    {"r,repeat", "N", "repetitions, whose median counts (5)"},
    {"from", "RESULT", "what slm-bench speed -o json wrote; no MODEL"},
};

constexpr const char* kAfterHelp = R"(
Measures what the limits need and no more; exit 10 if one does not hold.
  slm-bench gate MODEL --min-tg 10 --max-rss 1500M
  slm-bench gate MODEL --max-ttft 500 --max-ppl 12 -f wiki.test.raw
  slm-bench gate --from today.json --min-pp 200 --min-tg 10
Exit: 0 all hold, 10 one does not, 1 failure, 2 usage, 3 not found, 4 model or
RESULT invalid, 5 memory, 6 CPU or SLM_TARGET, 7 a test exceeds the context.
)";

// What only a model can tell has no place beside a result.
Status ReadFrom(Flags* flags, GateOptions* o) {
  for (const char* name : {"model", "models-dir", "threads", "kv", "repeat",
                           "max-ppl", "file", "chunks"}) {
    if (!flags->Has(name)) continue;
    return Usage("--%s does not go with --from, which has results only", name);
  }
  ReadOutput(flags, o);
  return flags->status();
}

Status CheckLimits(const GateOptions& o, const Flags& flags) {
  if (!o.min_pp && !o.min_tg && !o.max_ttft && !o.max_load && !o.max_rss &&
      !o.max_ppl) {
    return Usage(
        "gate without a limit: pass one, as in slm-bench gate MODEL --min-tg "
        "10; see slm-bench gate --help");
  }
  if (o.max_ppl && !o.file) {
    return Usage("--max-ppl needs a text: pass -f FILE");
  }
  for (const char* name : {"file", "chunks"}) {
    if (!o.max_ppl && flags.Has(name)) {
      return Usage("--%s means nothing without --max-ppl", name);
    }
  }
  return OkStatus();
}

}  // namespace

const FlagSet kGateFlags = {
    .verb = "gate",
    .summary = "limits that must hold, or else exit 10",
    .words = "MODEL",
    .has_model = true,
    .flags = kFlags,
    .after = kAfterHelp,
};

Result<GateOptions> ReadGateOptions(Flags* flags) {
  GateOptions o;
  flags->Get("from", &o.from);
  SLM_RETURN_IF_ERROR(o.from ? ReadFrom(flags, &o) : ReadCommon(flags, &o));
  flags->Get("min-pp", 0.0, kMost, &o.min_pp);
  flags->Get("min-tg", 0.0, kMost, &o.min_tg);
  flags->Get("max-ttft", 0.0, kMost, &o.max_ttft);
  flags->Get("max-load", 0.0, kMost, &o.max_load);
  flags->GetSize("max-rss", &o.max_rss);
  flags->Get("max-ppl", 1.0, kMost, &o.max_ppl);
  flags->Get("file", &o.file);
  flags->Get("chunks", 1, kMostTokens, &o.chunks);
  flags->Get("prompt", 1, kMostTokens, &o.prompt);
  flags->Get("max-tokens", 1, kMostTokens, &o.generated);
  flags->Get("repeat", 1, 10000, &o.repetitions);
  SLM_RETURN_IF_ERROR(flags->Done());
  SLM_RETURN_IF_ERROR(CheckLimits(o, *flags));
  return o;
}

}  // namespace slm::bench
