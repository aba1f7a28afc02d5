// SPDX-License-Identifier: MIT
// slm-bench: speed and memory of a model folder.
#include <algorithm>
#include <cstdio>

#include "slm/slm.h"
#include "tools/bench/chat.h"
#include "tools/bench/chat_options.h"
#include "tools/bench/compare.h"
#include "tools/bench/compare_options.h"
#include "tools/bench/gate.h"
#include "tools/bench/gate_options.h"
#include "tools/bench/quality.h"
#include "tools/bench/quality_options.h"
#include "tools/bench/soak.h"
#include "tools/bench/soak_options.h"
#include "tools/bench/speed.h"
#include "tools/bench/speed_options.h"

namespace slm::bench {
namespace {

struct Verb {
  const FlagSet& flags;              // with its name and summary
  Result<int> (*run)(Flags* flags);  // the exit code
};

// A row for each verb. The first is what slm-bench does without one.
constexpr Verb kVerbs[] = {
    // clang-format off: a row a line
    {kSpeedFlags, RunSpeed},
    {kChatFlags, RunChat},
    {kPerplexityFlags, RunPerplexity},
    {kReferenceFlags, RunReference},
    {kDivergenceFlags, RunDivergence},
    {kSoakFlags, RunSoak},
    {kGateFlags, RunGate},
    {kCompareFlags, RunCompare},
    // clang-format on
};

constexpr const char* kExamples = R"(
  slm-bench models/qwen3-0.6b-int4                speed, as most want it
  slm-bench speed MODEL -p 128,512 -n 64 -d 0,4096 -o md
  slm-bench chat MODEL -f prompts.jsonl -n 128
  slm-bench ppl MODEL -f wiki.test.raw
  slm-bench kld INT4_MODEL FP32_MODEL -f wiki.test.raw --chunks 50
  slm-bench soak MODEL --minutes 10 --max-leak 1
  slm-bench gate MODEL --min-tg 10 --max-rss 1500M
  slm-bench compare before.json after.json

slm-bench VERB --help has the flags of a verb, examples and exit codes. Without
a verb it is speed. MODEL is a folder or a name as slm-run has it; ./speed is a
folder, and after -- no word is a verb.
)";

const Verb* FindVerb(std::string_view word) {
  for (const Verb& verb : kVerbs) {
    if (word == verb.flags.verb) return &verb;
  }
  return nullptr;
}

void PrintHelp() {
  std::printf("slm-bench: speed, memory and quality of a model folder.\n\n");
  for (const Verb& verb : kVerbs) {
    const std::string usage =
        Format("%s %s", verb.flags.verb, verb.flags.words);
    std::printf("  slm-bench %-22s %s\n", usage.c_str(), verb.flags.summary);
  }
  std::printf("%s", kExamples);
}

// Behind a flag a verb would be taken for the model's name.
Status CheckNoVerb(const Flags& flags, std::span<const std::string> args) {
  if (std::find(args.begin(), args.end(), "--") != args.end()) {
    return OkStatus();
  }
  const Verb* verb = FindVerb(flags.NextWord());
  if (verb == nullptr) return OkStatus();
  const char* name = verb->flags.verb;
  return Usage(
      "%s is a verb and goes first: slm-bench %s; a folder of the name is ./%s",
      name, name, name);
}

Result<int> Run(std::span<const std::string> args) {
  if (!args.empty() && (args[0] == "--help" || args[0] == "-h")) {
    PrintHelp();
    return 0;
  }
  const Verb* named = args.empty() ? nullptr : FindVerb(args[0]);
  const Verb* verb = named != nullptr ? named : &kVerbs[0];
  if (named != nullptr) args = args.subspan(1);
  SLM_ASSIGN_OR_RETURN(Flags flags, Flags::Parse(verb->flags, args));
  if (named == nullptr) SLM_RETURN_IF_ERROR(CheckNoVerb(flags, args));
  switch (flags.action()) {
    case Action::kHelp:
      std::printf("%s", Help(verb->flags).c_str());
      return 0;
    case Action::kVersion:
      std::printf("slm-bench %s\n", slm_version());
      return 0;
    case Action::kRun:
      break;
  }
  return verb->run(&flags);
}

int Main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const Result<int> code = Run(args);
  if (code.ok()) return *code;
  const Status status = code.status();
  std::fprintf(stderr, "slm-bench: error: %s\n", status.message().c_str());
  return static_cast<int>(status.kind());
}

}  // namespace
}  // namespace slm::bench

int main(int argc, char** argv) { return slm::bench::Main(argc, argv); }
