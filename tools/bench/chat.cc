// SPDX-License-Identifier: MIT
#include "tools/bench/chat.h"

#include <cstdio>

#include "runtime/core/memory.h"
#include "tools/bench/chat_report.h"

namespace slm::bench {
namespace {

double CpuPercent(const ChatReport& report) {
  double cpu = 0, wall = 0;
  for (const PromptResult& prompt : report.prompts) {
    for (const TimedAnswer& answer : prompt.answers) {
      cpu += answer.cpu_seconds;
      wall += answer.seconds;
    }
  }
  return wall > 0 ? 100 * cpu / wall / static_cast<double>(report.info.threads)
                  : 0;
}

Result<ChatReport> Measure(const ChatOptions& options) {
  SLM_ASSIGN_OR_RETURN(const Opened opened, Open(options));
  ChatReport report;
  report.info = InfoOf(options, opened);
  report.template_file = opened.model->folder().chat_template.file;
  report.template_file.erase(0, report.template_file.rfind('/') + 1);
  report.answer = options.answer;
  report.load_ms = opened.load_seconds * 1e3;
  SLM_ASSIGN_OR_RETURN(
      const std::vector<Prompt> prompts,
      PromptsFor(opened, options.file, options.answer, options.quiet));
  // Warm-up: weights are touched for the first time.
  SLM_RETURN_IF_ERROR(Answer(opened, prompts[0], options.answer).status());
  const bool progress = ShowsProgress(options);
  for (const Prompt& prompt : prompts) {
    if (progress) std::fprintf(stderr, "slm-bench: %s\n", prompt.name.c_str());
    PromptResult result{prompt.name, {}};
    for (size_t i = 0; i < options.repetitions; ++i) {
      SLM_ASSIGN_OR_RETURN(TimedAnswer answer,
                           Answer(opened, prompt, options.answer));
      result.answers.push_back(std::move(answer));
    }
    report.prompts.push_back(std::move(result));
  }
  report.peak_rss = GetProcessMemory().peak;
  report.cpu_percent = CpuPercent(report);
  return report;
}

}  // namespace

Result<int> RunChat(Flags* flags) {
  SLM_ASSIGN_OR_RETURN(const ChatOptions options, ReadChatOptions(flags));
  SLM_ASSIGN_OR_RETURN(const ChatReport report, Measure(options));
  const std::string text = Print(report, options.output);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

}  // namespace slm::bench
