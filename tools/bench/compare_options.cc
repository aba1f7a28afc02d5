// SPDX-License-Identifier: MIT
#include "tools/bench/compare_options.h"

namespace slm::bench {
namespace {

constexpr Flag kFlags[] = {
    {"svg", "FILE", "write a picture of the result, too"},
};

constexpr const char* kAfterHelp = R"(
A.json, B.json ... are what speed, chat or soak wrote with -o json; each is
compared with the first. A change is in percent of A's mean, with its 95 %
interval by Welch's t of the samples: of what did not change, one test in
twenty looks as if it did. Load and memory have one sample and no interval.
  slm-bench MODEL -o json > a.json
  slm-bench compare a.json b.json
  slm-bench compare a.json b.json c.json -o md --svg change.svg
Exit: 0 ok, 1 failure, 2 usage or nothing in common, 3 not found, 4 no result
of slm-bench.
)";

}  // namespace

const FlagSet kCompareFlags = {
    .verb = "compare",
    .summary = "what changed between results: is it chance?",
    .words = "A.json B.json",
    .has_model = false,
    .flags = kFlags,
    .after = kAfterHelp,
};

Result<CompareOptions> ReadCompareOptions(Flags* flags) {
  CompareOptions o;
  ReadOutput(flags, &o);
  flags->Get("svg", &o.svg);
  while (!flags->NextWord().empty()) o.files.push_back(flags->TakeWord());
  SLM_RETURN_IF_ERROR(flags->Done());
  if (o.files.size() < 2) {
    return Usage(
        "compare wants two results at least: slm-bench compare A.json B.json");
  }
  if (o.files.size() > kMostItems) {
    return Usage("compare takes %zu results at most, got %zu", kMostItems,
                 o.files.size());
  }
  return o;
}

}  // namespace slm::bench
