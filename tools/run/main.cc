// SPDX-License-Identifier: MIT
// slm-run: one answer, or a chat at a terminal. Stands on the public header.
#include <cstdio>
#include <utility>

#include "loader/models.h"
#include "runtime/core/file.h"
#include "runtime/core/terminal.h"
#include "runtime/core/user_folders.h"
#include "slm/slm.hpp"
#include "tools/run/answer.h"
#include "tools/run/options.h"
#include "tools/run/repl.h"
#include "tools/run/transcript.h"
#include "tools/run/verbs.h"

namespace slm {
namespace {

constexpr int kExitCutShort = 8;  // --strict and a limit cut the answer

void LogToStderr(void* user, slm_log_level level, const char* message) {
  const auto& options = *static_cast<const RunOptions*>(user);
  const slm_log_level most = options.quiet     ? SLM_LOG_ERROR
                             : options.verbose ? SLM_LOG_DEBUG
                                               : SLM_LOG_WARN;
  if (level > most) return;
  std::fprintf(stderr, "slm-run: %s%s\n",
               level == SLM_LOG_WARN ? "warning: " : "", message);
}

// "@file" is the file's text.
Result<std::string> TextOrFile(const std::string& text) {
  if (text.empty() || text[0] != '@') return text;
  return ReadFile(text.substr(1), size_t{64} << 20);
}

std::string ReadAll(std::FILE* file) {
  std::string text;
  char chunk[65536];
  size_t got;
  while ((got = std::fread(chunk, 1, sizeof chunk, file)) > 0) {
    text.append(chunk, got);
  }
  return text;
}

Result<api::ModelPtr> OpenModel(const RunOptions& options) {
  slm_model_params params;
  slm_model_params_init(&params);
  SLM_ASSIGN_OR_RETURN(const std::string path,
                       ResolveModel(options.model, options.models_dir));
  if (options.verbose) std::fprintf(stderr, "model: %s\n", path.c_str());
  params.path = path.c_str();
  std::string source;
  if (options.template_file) {
    SLM_ASSIGN_OR_RETURN(source,
                         ReadFile(*options.template_file, size_t{64} << 20));
    params.template_text = source.c_str();
  }
  params.log = LogToStderr;
  params.log_user = const_cast<RunOptions*>(&options);
  api::ModelPtr model;
  SLM_RETURN_IF_ERROR(StatusOf(api::OpenModel(params, &model)));
  return model;
}

Result<api::ChatPtr> NewChat(const slm_model* model,
                             const RunOptions& options) {
  slm_chat_params params;
  slm_chat_params_init(&params);
  params.threads = static_cast<size_t>(options.threads.value_or(0));
  params.context = static_cast<size_t>(options.context.value_or(0));
  params.kv = options.kv == KvType::kF16    ? SLM_KV_F16
              : options.kv == KvType::kInt8 ? SLM_KV_INT8
                                            : SLM_KV_F32;
  params.max_memory = static_cast<size_t>(options.max_memory.value_or(0));
  params.on_overflow = options.on_overflow == OverflowPolicy::kDropOldest
                           ? SLM_OVERFLOW_DROP_OLDEST
                           : SLM_OVERFLOW_ERROR;
  params.raw = options.raw;
  params.no_rope_recompute = options.no_rope_recompute;
  api::ChatPtr chat;
  slm_model_info info;
  slm_model_get_info(model, &info);
  Status status = StatusOf(api::NewChat(model, params, &chat));
  // The context was left to us: the largest one that the limit allows.
  for (size_t context = info.context_length;
       status.kind() == ErrorKind::kMemory && !options.context && context > 256;
       context /= 2) {
    params.context = context;
    status = StatusOf(api::NewChat(model, params, &chat));
  }
  SLM_RETURN_IF_ERROR(status);
  if (options.think != Switch::kAuto) {
    const bool on = options.think == Switch::kOn;
    SLM_RETURN_IF_ERROR(SetThinking(model, chat.get(), on).In("--think"));
  }
  return chat;
}

// The session's turns, with --system in place of its system message.
Result<Transcript> FirstTurns(const RunOptions& options) {
  Transcript turns;
  if (options.session && IsFile(*options.session)) {
    SLM_ASSIGN_OR_RETURN(turns, LoadTranscript(*options.session));
  }
  if (options.system) {
    SLM_ASSIGN_OR_RETURN(std::string text, TextOrFile(*options.system));
    if (!turns.empty() && turns[0].role == "system") {
      turns.erase(turns.begin());
    }
    turns.insert(turns.begin(), {"system", std::move(text)});
  }
  return turns;
}

Status ShowPrompt(slm_chat* chat) {
  std::string prompt;
  SLM_RETURN_IF_ERROR(StatusOf(api::Prompt(chat, &prompt)));
  std::fwrite(prompt.data(), 1, prompt.size(), stdout);
  std::printf("\n");
  return OkStatus();
}

Status ShowMemory(const slm_model* model) {
  std::string memory;
  SLM_RETURN_IF_ERROR(StatusOf(api::Memory(model, &memory)));
  std::fprintf(stderr, "%s", memory.c_str());
  return OkStatus();
}

// What is set and by whom, and the sampling that follows from it and from the
// model's files.
void PrintConfig(const slm_model* model, const RunOptions& options,
                 std::FILE* out) {
  for (const Setting& s : options.settings) {
    if (s.flag == "print-config") continue;
    std::fprintf(out, "%-18s %-16s %s\n", s.flag.c_str(),
                 s.value.empty() ? "on" : Printable(s.value).c_str(),
                 s.source.c_str());
  }
  std::fprintf(out, "%s", Describe(Sampling(model, options).get()).c_str());
}

// The exit code of a single answer.
Result<int> OneShot(slm_chat* chat, const Sampling& sampling,
                    const std::string& prompt, Transcript turns,
                    const RunOptions& options) {
  SLM_RETURN_IF_ERROR(StatusOf(api::AddTurn(chat, "user", prompt)));
  if (options.show_prompt) {
    SLM_RETURN_IF_ERROR(ShowPrompt(chat));
    return 0;
  }
  SLM_ASSIGN_OR_RETURN(const Answered answered,
                       Answer(chat, sampling, options.model, options));
  if (options.session && !answered.text.empty()) {
    turns.push_back({"user", prompt});
    turns.push_back({"assistant", answered.text});
    SLM_RETURN_IF_ERROR(SaveTranscript(*options.session, turns));
  }
  if (options.stats == Switch::kOn) {
    std::fprintf(stderr, "%s\n", StatsLine(chat).c_str());
  }
  if (answered.cancelled) return kExitCancelled;
  const bool cut =
      answered.finish == SLM_FINISH_LENGTH || StatsOf(chat).json_cut != 0;
  return options.strict && cut ? kExitCutShort : 0;
}

Result<int> Run(const RunOptions& options) {
  slm_error error;
  if (slm_init(&error) != SLM_OK) {
    return Status(static_cast<ErrorKind>(error.status), error.message);
  }
  if (options.print_config) {
    SLM_ASSIGN_OR_RETURN(const api::ModelPtr model, OpenModel(options));
    SLM_RETURN_IF_ERROR(CheckThinkBudget(model.get(), options));
    PrintConfig(model.get(), options, stdout);
    return 0;
  }
  const StdinUse use = DecideStdin(options, IsTerminal(stdin));
  std::string prompt;
  if (use != StdinUse::kChat) {
    std::string file_text;
    if (options.file) {
      SLM_ASSIGN_OR_RETURN(file_text,
                           ReadFile(*options.file, size_t{64} << 20));
    }
    SLM_ASSIGN_OR_RETURN(
        prompt, ComposePrompt(options, file_text,
                              use == StdinUse::kNone ? "" : ReadAll(stdin)));
  }
  SLM_ASSIGN_OR_RETURN(const api::ModelPtr model, OpenModel(options));
  SLM_RETURN_IF_ERROR(CheckThinkBudget(model.get(), options));
  if (options.verbose) {
    SLM_RETURN_IF_ERROR(ShowMemory(model.get()));
    PrintConfig(model.get(), options, stderr);
  }
  SLM_ASSIGN_OR_RETURN(const api::ChatPtr chat, NewChat(model.get(), options));
  SLM_ASSIGN_OR_RETURN(Transcript turns, FirstTurns(options));
  SLM_RETURN_IF_ERROR(SetTurns(chat.get(), turns));
  if (use == StdinUse::kChat) {
    return Repl(model.get(), chat.get(), options, std::move(turns)).Run();
  }
  const Sampling sampling(model.get(), options);
  return OneShot(chat.get(), sampling, prompt, std::move(turns), options);
}

int Main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const Result<RunOptions> options = ReadRunOptions(args, Environment);
  Status status = options.status();
  if (options.ok()) {
    if (options->action == RunAction::kHelp ||
        options->action == RunAction::kHelpAll) {
      const bool all = options->action == RunAction::kHelpAll;
      std::printf("%s", RunHelp(all).c_str());
      return 0;
    }
    if (options->action == RunAction::kVersion) {
      std::printf("slm-run %s\n", slm_version());
      return 0;
    }
    const Result<int> code =
        options->action == RunAction::kRun ? Run(*options) : RunVerb(*options);
    if (code.ok()) return *code;
    status = code.status();
  }
  std::fprintf(stderr, "slm-run: error: %s\n", status.message().c_str());
  return static_cast<int>(status.kind());
}

}  // namespace
}  // namespace slm

int main(int argc, char** argv) { return slm::Main(argc, argv); }
