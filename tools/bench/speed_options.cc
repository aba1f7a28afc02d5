// SPDX-License-Identifier: MIT
#include "tools/bench/speed_options.h"

namespace slm::bench {
namespace {

// A model of 2^20 tokens of context is the longest that we have seen.
constexpr size_t kMostTokens = size_t{1} << 20;
constexpr size_t kMostSequences = 1024;
constexpr size_t kMostRepetitions = 10000;

constexpr Flag kFlags[] = {
    {"p,prompt", "N,N...", "prefill tests of N tokens, 0: none (128,512)"},
    {"n,max-tokens", "N,N...", "decode tests of N tokens, 0: none (64)"},
    {"d,depth", "N,N...", "tokens that are in the cache already (0)"},
    {"b,batch", "N,N...", "sequences that run together (1)"},
    {"r,repeat", "N", "timed rounds of all tests, after a warm-up (5)"},
    {"profile", "", "time per op, in a repetition of its own"},
    {"svg", "FILE", "write a picture of the result, too"},
};

constexpr const char* kAfterHelp = R"(
Tests are ppN (prefill) and tgN (decode); @dN: N tokens in the cache, xB: B
sequences together. Lists are combined: -p 512 -n 64 -b 1,8 is four tests.
  slm-bench models/qwen3-0.6b-int4
  slm-bench MODEL -p 128,512 -n 64 -d 0,4096 --kv int8 -o md
  slm-bench MODEL -p 512 -n 64 -t 2 --profile
  SLM_TARGET=AVX2 slm-bench MODEL -o json > avx2.json
Exit: 0 ok, 1 failure, 2 usage, 3 not found, 4 model invalid or unsupported,
5 memory, 6 CPU or SLM_TARGET unsupported, 7 a test exceeds the context.
)";

}  // namespace

const FlagSet kSpeedFlags = {
    .verb = "speed",
    .summary = "prefill, decode, beside the machine's limits",
    .words = "MODEL",
    .has_model = true,
    .flags = kFlags,
    .after = kAfterHelp,
};

Result<SpeedOptions> ReadSpeedOptions(Flags* flags) {
  SpeedOptions o;
  SLM_RETURN_IF_ERROR(ReadCommon(flags, &o));
  flags->Get("prompt", 0, kMostTokens, &o.prompts);
  flags->Get("max-tokens", 0, kMostTokens, &o.generated);
  flags->Get("depth", 0, kMostTokens, &o.depths);
  flags->Get("batch", 1, kMostSequences, &o.batches);
  flags->Get("repeat", 1, kMostRepetitions, &o.repetitions);
  o.profile = flags->Has("profile");
  flags->Get("svg", &o.svg);
  SLM_RETURN_IF_ERROR(flags->Done());
  if (TestsOf(o).empty()) {
    return Usage("no test is left: -p and -n are both 0");
  }
  if (o.profile && o.output == OutputFormat::kCsv) {
    return Usage("--profile has no csv form: use text, md or json");
  }
  return o;
}

std::string SpeedTest::Name() const {
  std::string name = Format("%s%zu", decode ? "tg" : "pp", tokens);
  if (depth > 0) name += Format("@d%zu", depth);
  if (batch > 1) name += Format("x%zu", batch);
  return name;
}

std::vector<SpeedTest> TestsOf(const SpeedOptions& options) {
  std::vector<SpeedTest> tests;
  for (const size_t batch : options.batches) {
    for (const size_t depth : options.depths) {
      for (const size_t n : options.prompts) {
        if (n > 0) tests.push_back({false, n, depth, batch});
      }
      for (const size_t n : options.generated) {
        if (n > 0) tests.push_back({true, n, depth, batch});
      }
    }
  }
  return tests;
}

}  // namespace slm::bench
