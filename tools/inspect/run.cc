// SPDX-License-Identifier: MIT
// logits and generate: token ids through a model, no text involved.
#include <algorithm>
#include <cstdio>

#include "runtime/core/file.h"
#include "runtime/model.h"
#include "tools/inspect/arguments.h"
#include "tools/inspect/npy.h"
#include "tools/inspect/open.h"

namespace slm::inspect {
namespace {

Result<std::vector<int32_t>> ReadIds(const ParsedArguments& arguments) {
  if (arguments.Has("ids") == arguments.Has("ids-file")) {
    return Usage("give either --ids or --ids-file");
  }
  std::string text = arguments.Text("ids");
  if (arguments.Has("ids-file")) {
    SLM_ASSIGN_OR_RETURN(text, ReadFile(arguments.Text("ids-file")));
  }
  SLM_ASSIGN_OR_RETURN(auto ids, ParseIds(text));
  if (ids.empty()) return Usage("no token ids given");
  return ids;
}

std::vector<OptionSpec> WithModelOptions(std::vector<OptionSpec> options) {
  options.insert(options.end(), kModelOptions.begin(), kModelOptions.end());
  return options;
}

}  // namespace

Status Logits(const Arguments& raw) {
  SLM_ASSIGN_OR_RETURN(
      const auto arguments,
      ParsedArguments::Parse(
          raw,
          "logits MODEL --ids 1,2,3 | --ids-file F [--prefill P] [--all] "
          "--out F.npy",
          WithModelOptions({
              {"ids", "LIST", "token ids, comma separated"},
              {"ids-file", "FILE", "a file with them"},
              {"prefill", "P",
               "the first P go in as one prompt, the rest one by one "
               "(default: all)"},
              {"all", "", "every position (of a pruned graph: the last one "
                          "of the prompt, then each step)"},
              {"out", "FILE", "float32 [rows, vocab] for NumPy"},
          }),
          1));
  if (arguments.help()) return OkStatus();
  if (!arguments.Has("out")) return Usage("--out is missing");
  SLM_ASSIGN_OR_RETURN(const auto ids, ReadIds(arguments));
  const int64_t count = static_cast<int64_t>(ids.size());
  SLM_ASSIGN_OR_RETURN(const int64_t prefill,
                       arguments.Int("prefill", count, 1, count));
  SLM_ASSIGN_OR_RETURN(auto opened, OpenSession(arguments));
  const bool all = arguments.Has("all");
  Session& session = *opened.session;
  const SequenceId sequence = session.NewSequence();
  std::vector<float> rows;
  for (size_t at = 0; at < ids.size();) {
    const size_t n = at == 0 ? static_cast<size_t>(prefill) : 1;
    const bool last = at + n == ids.size();
    const Session::Item item{
        sequence, std::span(ids).subspan(at, n),
        all && !opened.model->plan().pruned_logits ? LogitsFor::kAll
        : all || last                              ? LogitsFor::kLast
                                                   : LogitsFor::kNone};
    SLM_RETURN_IF_ERROR(session.Run({&item, 1}));
    for (size_t r = 0; r < session.logit_rows(); ++r) {
      const auto row = session.Logits(r);
      rows.insert(rows.end(), row.begin(), row.end());
    }
    at += n;
  }
  return WriteNpy(arguments.Text("out"), rows, session.spec().vocab_size);
}

Status Generate(const Arguments& raw) {
  SLM_ASSIGN_OR_RETURN(
      const auto arguments,
      ParsedArguments::Parse(raw, "generate MODEL --ids 1,2,3 -n N",
                             WithModelOptions({
                                 {"ids", "LIST", "token ids, comma separated"},
                                 {"ids-file", "FILE", "a file with them"},
                                 {"n,max-tokens", "N",
                                  "how many tokens to choose (default 16)"},
                             }),
                             1));
  if (arguments.help()) return OkStatus();
  SLM_ASSIGN_OR_RETURN(auto ids, ReadIds(arguments));
  SLM_ASSIGN_OR_RETURN(const int64_t n,
                       arguments.Int("max-tokens", 16, 1, 1 << 20));
  SLM_ASSIGN_OR_RETURN(auto opened, OpenSession(arguments));
  Session& session = *opened.session;
  const SequenceId sequence = session.NewSequence();
  std::string line;
  std::vector<int32_t> next = ids;
  for (int64_t i = 0; i < n; ++i) {
    const Session::Item item{sequence, next, LogitsFor::kLast};
    SLM_RETURN_IF_ERROR(session.Run({&item, 1}));
    const auto logits = session.Logits(0);
    const auto best = std::max_element(logits.begin(), logits.end());
    next = {static_cast<int32_t>(best - logits.begin())};
    line += (i ? "," : "") + std::to_string(next[0]);
  }
  std::printf("%s\n", line.c_str());
  return OkStatus();
}

}  // namespace slm::inspect
