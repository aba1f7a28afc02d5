// SPDX-License-Identifier: MIT
#include "tools/bench/answer.h"

#include <cmath>
#include <cstdio>

#include "runtime/chat.h"
#include "runtime/core/clock.h"
#include "runtime/generate.h"
#include "tools/bench/statistics.h"

namespace slm::bench {
namespace {

GenerateOptions OptionsOf(const Opened& opened, const AnswerOptions& options,
                          size_t prompt_tokens) {
  GenerateOptions o;
  SearchOptions& search = o.search;
  search.temperature = static_cast<float>(options.temperature.value_or(0));
  search.do_sample = search.temperature > 0;
  search.top_k = static_cast<int64_t>(options.top_k);
  search.top_p = static_cast<float>(options.top_p.value_or(0));
  search.min_p = static_cast<float>(options.min_p.value_or(0));
  search.seed = static_cast<int64_t>(options.seed);
  search.max_length = static_cast<int64_t>(prompt_tokens + options.max_tokens);
  for (const int64_t id : opened.model->config().eos_token_ids) {
    search.eos_ids.push_back(static_cast<int32_t>(id));
  }
  return o;
}

Result<std::vector<int32_t>> TokensOf(const Opened& opened,
                                      const Prompt& prompt,
                                      const AnswerOptions& options) {
  Conversation conversation(opened.model.get(), /*raw=*/false);
  for (const auto& [role, content] : prompt.messages) {
    SLM_RETURN_IF_ERROR(conversation.Add(role, content));
  }
  SLM_ASSIGN_OR_RETURN(ChatPrompt rendered, conversation.Prompt());
  const size_t context = opened.session->spec().context_length;
  if (rendered.tokens.size() + options.max_tokens > context) {
    return Error(ErrorKind::kOverflow,
                 "prompt has %zu tokens, with an answer of %zu more than the "
                 "context, %zu; shorten it or make -n smaller",
                 rendered.tokens.size(), options.max_tokens, context);
  }
  return std::move(rendered.tokens);
}

Status Generate(Generator* generator, double begin, TimedAnswer* answer) {
  double last = 0;
  for (FinishReason finish = FinishReason::kNone;
       finish == FinishReason::kNone;) {
    SLM_ASSIGN_OR_RETURN(const GenerateStep step, generator->Next());
    finish = step.finish;
    answer->ended = finish == FinishReason::kEos;
    if (step.tokens.empty()) continue;  // a piece of the prompt
    const double now = MonotonicSeconds();
    if (last > 0) {
      answer->gaps_ms.push_back((now - last) * 1e3);
    } else {
      answer->first_ms = (now - begin) * 1e3;
    }
    last = now;
  }
  return OkStatus();
}

}  // namespace

double TimedAnswer::PrefillRate() const {
  return first_ms > 0 ? static_cast<double>(prompt_tokens) * 1e3 / first_ms
                      : NAN;
}

double TimedAnswer::DecodeRate() const {
  return gaps_ms.empty() ? NAN : 1e3 / Mean(gaps_ms);
}

Result<TimedAnswer> Answer(const Opened& opened, const Prompt& prompt,
                           const AnswerOptions& options) {
  Session* session = opened.session.get();
  Generator generator(session, &opened.model->tokenizer());
  const double begin = MonotonicSeconds(), cpu_begin = ProcessCpuSeconds();
  TimedAnswer answer;
  const Status status = [&]() -> Status {
    SLM_ASSIGN_OR_RETURN(const std::vector<int32_t> tokens,
                         TokensOf(opened, prompt, options));
    SLM_RETURN_IF_ERROR(
        generator.Start(tokens, OptionsOf(opened, options, tokens.size())));
    return Generate(&generator, begin, &answer);
  }();
  session->Drop(generator.sequence());
  SLM_RETURN_IF_ERROR(status.In(prompt.name));
  answer.seconds = MonotonicSeconds() - begin;
  answer.cpu_seconds = ProcessCpuSeconds() - cpu_begin;
  answer.prompt_tokens = generator.stats().prompt_tokens;
  answer.output_tokens = generator.stats().output_tokens;
  return answer;
}

Result<std::vector<Prompt>> PromptsFor(const Opened& opened,
                                       const std::optional<std::string>& file,
                                       const AnswerOptions& options,
                                       bool quiet) {
  if (file) {
    SLM_ASSIGN_OR_RETURN(std::vector<Prompt> prompts, LoadPrompts(*file));
    // All of them before minutes of the first.
    for (const Prompt& prompt : prompts) {
      SLM_RETURN_IF_ERROR(TokensOf(opened, prompt, options)
                              .status()
                              .In(Printable(*file, 400) + ", " + prompt.name));
    }
    return prompts;
  }
  std::vector<Prompt> fitting;
  for (Prompt& prompt : BuiltInPrompts()) {
    const Status status = TokensOf(opened, prompt, options).status();
    if (status.ok()) {
      fitting.push_back(std::move(prompt));
    } else if (status.kind() == ErrorKind::kOverflow) {
      if (quiet) continue;
      std::fprintf(stderr, "slm-bench: note: without \"%s\": %s\n",
                   prompt.name.c_str(), status.message().c_str());
    } else {
      return status.In(prompt.name);
    }
  }
  if (fitting.empty()) {
    return Error(ErrorKind::kOverflow,
                 "no built-in prompt fits into the context, %zu tokens, with "
                 "an answer of %zu; make -n smaller",
                 opened.session->spec().context_length, options.max_tokens);
  }
  return fitting;
}

}  // namespace slm::bench
