// SPDX-License-Identifier: MIT
// What slm-bench chat found out, as data; the formats print the same report.
#ifndef SLM_TOOLS_BENCH_CHAT_REPORT_H_
#define SLM_TOOLS_BENCH_CHAT_REPORT_H_

#include <string>
#include <vector>

#include "tools/bench/answer.h"

namespace slm::bench {

// All answers to one prompt.
struct PromptResult {
  std::string name;
  std::vector<TimedAnswer> answers;
};

struct ChatReport {
  RunInfo info;
  std::string template_file;  // "" if the model has none
  AnswerOptions answer;
  double load_ms = 0;
  size_t peak_rss = 0;     // bytes, after the last answer
  double cpu_percent = 0;  // of `threads` processors, while timed
  std::vector<PromptResult> prompts;
};

std::string Print(const ChatReport& report, OutputFormat format);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_CHAT_REPORT_H_
