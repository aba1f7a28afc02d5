// SPDX-License-Identifier: MIT
// One answer of the model to stdout, in the format that was asked for.
#ifndef SLM_TOOLS_RUN_ANSWER_H_
#define SLM_TOOLS_RUN_ANSWER_H_

#include <cstdio>
#include <string>

#include "runtime/core/result.h"
#include "slm/slm.hpp"
#include "tools/run/options.h"

namespace slm {

constexpr int kExitCancelled = 130;
// Two Ctrl-C within this time end the program.
constexpr double kTwiceSeconds = 1;

// The failure of a call of slm.h as a Status.
Status StatusOf(const api::Failure& failure);

// The model's defaults with the flags over them. Strings of `options` must
// outlive the result.
class Sampling {
 public:
  Sampling(const slm_model* model, const RunOptions& options);
  const slm_sampling& get() const { return sampling_; }

 private:
  slm_sampling sampling_;
  std::vector<const char*> stop_;
  std::vector<slm_logit_bias> bias_;
};

// Lines for a reader, "sampling" or "greedy" first.
std::string Describe(const slm_sampling& sampling);

struct Answered {
  slm_finish finish = SLM_FINISH_NONE;
  bool cancelled = false;
  double interrupt_seconds = 0;  // when Ctrl-C was pressed
  std::string text;              // all that the model wrote
};

// Streams the answer to the turns so far. Ctrl-C ends it; a second one within
// a second ends the program.
Result<Answered> Answer(slm_chat* chat, const Sampling& sampling,
                        const std::string& model, const RunOptions& options);

// What of the context is in use, and what there is.
slm_stats StatsOf(const slm_chat* chat);

bool UseColor(const RunOptions& options, std::FILE* stream);

// "[ttft 0.42 s | prompt 118 tok ...]", without a newline.
std::string StatsLine(const slm_chat* chat);

}  // namespace slm

#endif  // SLM_TOOLS_RUN_ANSWER_H_
