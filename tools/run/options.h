// SPDX-License-Identifier: MIT
// The flags of slm-run as plain values. Nothing is read or decided here that
// needs the model: what the user left out is empty and comes from its files.
#ifndef SLM_TOOLS_RUN_OPTIONS_H_
#define SLM_TOOLS_RUN_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/core/result.h"

namespace slm {

enum class RunAction {
  kRun,
  kHelp,
  kHelpAll,
  kVersion,
  kList,
  kInfo,
  kDoctor,
  kCacheCd,
  kCacheLocation,
  kCacheRemove,
};
enum class KvType { kF32, kF16, kInt8 };
enum class OverflowPolicy { kError, kDropOldest };
enum class OutputFormat { kText, kJson, kJsonLines };
enum class Switch { kAuto, kOn, kOff };
// What becomes of the part of an answer between <think> and </think>.
enum class ShowThink {
  kAuto,  // dim at a terminal, else hidden
  kDim,
  kHide,
  kRaw,  // as the model wrote it, with its marks
};

// A flag that was set, and where.
struct Setting {
  std::string flag, value;
  std::string source;  // "command line", "SLM_TEMP", a file's name
};

struct RunOptions {
  RunAction action = RunAction::kRun;
  std::string model;  // a path or a name; of verbs the model or folder, or ""
  std::vector<std::string> prompt_words;
  std::optional<std::string> models_dir;
  bool yes = false;  // cache rm: do not ask

  std::optional<std::string> system;  // text or @file
  std::optional<std::string> file;    // a prompt file
  std::optional<std::string> template_file;
  bool raw = false;  // no template
  bool show_prompt = false;
  std::optional<std::string> session;  // a transcript that goes on
  bool no_history = false;
  Switch think = Switch::kAuto;  // kAuto: as the template has it
  ShowThink show_think = ShowThink::kAuto;

  std::optional<int64_t> max_tokens;
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int64_t> top_k;
  std::optional<double> min_p;
  std::optional<double> repetition_penalty;
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
  std::optional<int64_t> no_repeat_ngram_size;
  std::optional<int64_t> num_beams;
  std::optional<int64_t> lookup;  // n-gram size of prompt look-up
  std::optional<int64_t> seed;
  std::optional<int64_t> think_budget;  // tokens; -1: no limit
  std::vector<std::pair<int32_t, double>> logit_bias;  // token, bias
  std::vector<std::string> stop;
  bool greedy = false;

  std::optional<int64_t> context;      // empty: auto
  std::optional<int64_t> threads;      // empty: auto
  std::optional<uint64_t> max_memory;  // bytes
  bool no_rope_recompute = false;
  KvType kv = KvType::kF16;
  OverflowPolicy on_overflow = OverflowPolicy::kError;

  bool json = false;  // the answer itself is JSON
  OutputFormat output = OutputFormat::kText;
  Switch color = Switch::kAuto;
  Switch stats = Switch::kAuto;
  bool strict = false;
  bool quiet = false;
  bool verbose = false;

  std::optional<std::string> config;  // a file of flags
  bool print_config = false;
  std::vector<Setting> settings;  // all that is set above
};

// `args` without the program's name. Every failure is kUsage.
Result<RunOptions> ParseRunOptions(std::span<const std::string> args);

// The value of a variable of the environment, "" if it has none.
using Variables = std::function<std::string(const char* name)>;
// As ParseRunOptions, with SLM_<FLAG> for flags that are left out, and the
// file of --config (or SLM_CONFIG) for those that neither sets.
Result<RunOptions> ReadRunOptions(std::span<const std::string> args,
                                  const Variables& variables);

// A screen of what is used most, or all flags.
std::string RunHelp(bool all);

// Sampling flags by the names that they have without dashes, for a change
// while a chat runs; "greedy" takes on or off.
Status SetSampling(const std::string& name, const std::string& value,
                   RunOptions* options);
// Those names.
std::vector<std::string> SamplingNames();

// What standard input is for.
enum class StdinUse {
  kNone,    // the prompt is complete
  kAppend,  // comes after the prompt: cat f | slm-run MODEL "Summarise:"
  kPrompt,  // is the prompt
  kChat,    // a person types
};
StdinUse DecideStdin(const RunOptions& options, bool stdin_is_terminal);

// Words joined by spaces, then the file's text, then that of standard input,
// each on a new line; kUsage if all of them are empty.
Result<std::string> ComposePrompt(const RunOptions& options,
                                  const std::string& file_text,
                                  const std::string& stdin_text);

}  // namespace slm

#endif  // SLM_TOOLS_RUN_OPTIONS_H_
