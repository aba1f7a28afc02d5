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

// The file whose template makes the prompts, "" where none does.
std::string TemplateFile(const Model& model) {
  if (model.chat_template() == nullptr) {
    return model.folder().inference_model.prompt_template
               ? "inference_model.json"
               : "";
  }
  std::string file = model.folder().chat_template.file;
  return file.erase(0, file.rfind('/') + 1);
}

Result<ChatReport> Measure(const ChatOptions& options) {
  SLM_ASSIGN_OR_RETURN(const Opened opened, Open(options));
  ChatReport report;
  report.info = InfoOf(options, opened);
  report.template_file = TemplateFile(*opened.model);
  report.answer = options.answer;
  report.load_ms = opened.load_seconds * 1e3;
  SLM_ASSIGN_OR_RETURN(
      const std::vector<Prompt> prompts,
      PromptsFor(opened, options.file, options.answer, options.quiet));
  const bool progress = ShowsProgress(options);
  for (const Prompt& prompt : prompts) {
    if (progress) std::fprintf(stderr, "slm-bench: %s\n", prompt.name.c_str());
    PromptResult result{prompt.name, {}};
    // Warm-up: weights and scratch are touched for the first time.
    SLM_RETURN_IF_ERROR(Answer(opened, prompt, options.answer).status());
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
