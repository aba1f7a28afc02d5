// SPDX-License-Identifier: MIT
// Verbs among the words of a command line.
#include "tools/run/flag_reader.h"
#include "tools/run/flags.h"
#include "tools/run/options_parts.h"

namespace slm {
namespace {

// A row for each form of a verb.
struct Verb {
  const char* first;
  const char* second;  // "" if there is none
  size_t least, most;  // words after it
  RunAction action;
  const char* usage;
};

constexpr size_t kNoLimit = SIZE_MAX;
constexpr Verb kVerbs[] = {
    {"cache", "ls", 0, 0, RunAction::kList, "cache ls"},
    {"cache", "list", 0, 0, RunAction::kList, "cache list"},
    {"cache", "cd", 1, 1, RunAction::kCacheCd, "cache cd DIR"},
    {"cache", "location", 0, 0, RunAction::kCacheLocation, "cache location"},
    {"cache", "rm", 1, 1, RunAction::kCacheRemove, "cache rm NAME"},
    {"cache", "remove", 1, 1, RunAction::kCacheRemove, "cache remove NAME"},
    {"model", "ls", 0, 0, RunAction::kList, "model ls"},
    {"model", "list", 0, 0, RunAction::kList, "model list"},
    {"model", "info", 1, 1, RunAction::kInfo, "model info NAME"},
    {"model", "run", 1, kNoLimit, RunAction::kRun, "model run NAME [PROMPT]"},
    {"run", "", 1, kNoLimit, RunAction::kRun, "run NAME [PROMPT]"},
    {"list", "", 0, 0, RunAction::kList, "list"},
    {"info", "", 1, 1, RunAction::kInfo, "info MODEL"},
    {"doctor", "", 0, 1, RunAction::kDoctor, "doctor [MODEL]"},
};

}  // namespace

bool TakesFlag(RunAction action, std::string_view flag) {
  if (flag == "models-dir" || flag == "config" || flag == "quiet" ||
      flag == "verbose") {
    return true;
  }
  if (flag == "output") {
    return action == RunAction::kList || action == RunAction::kCacheLocation;
  }
  return flag == "yes" && action == RunAction::kCacheRemove;
}

bool MayBeVerb(std::span<const std::string> args) {
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string_view arg = args[i];
    if (arg == "--") return false;
    if (arg.size() < 2 || arg[0] != '-') break;
    if (arg.find('=') != std::string_view::npos) continue;
    for (const RunFlag& flag : RunFlags()) {
      const std::string_view names = flag.names;
      const bool is =
          arg == "--" + std::string(LongName(flag)) ||
          (names[1] == ',' && arg == "-" + std::string(1, names[0]));
      if (is && flag.value[0] != '\0' && names != "stats") ++i;
    }
  }
  return true;
}

Status ReadVerb(const cxxopts::ParseResult& parsed, RunOptions* o) {
  std::vector<std::string>& words = o->prompt_words;
  std::string seconds;
  for (const Verb& verb : kVerbs) {
    if (words.empty() || words[0] != verb.first) continue;
    const size_t count = verb.second[0] ? 2 : 1;
    if (count == 2 && (words.size() < 2 || words[1] != verb.second)) {
      seconds += (seconds.empty() ? "" : ", ") + std::string(verb.second);
      continue;
    }
    const size_t after = words.size() - count;
    if (after < verb.least || after > verb.most) {
      return Usage("usage: slm-run %s", verb.usage);
    }
    o->action = verb.action;
    words.erase(words.begin(), words.begin() + static_cast<ptrdiff_t>(count));
    if (verb.action == RunAction::kRun) return OkStatus();
    for (const auto& argument : parsed.arguments()) {
      if (argument.key() == "words" || TakesFlag(verb.action, argument.key())) {
        continue;
      }
      return Usage("--%s means nothing to slm-run %s", argument.key().c_str(),
                   verb.usage);
    }
    if (!words.empty()) o->model = words[0];
    words.clear();
    if (o->output == OutputFormat::kJsonLines) {
      return Usage("--output is \"jsonl\", must be text or json");
    }
    return OkStatus();
  }
  if (seconds.empty()) return OkStatus();
  return Usage(
      "slm-run %s wants one of %s; a model folder of that name is "
      "./%s",
      words[0].c_str(), seconds.c_str(), words[0].c_str());
}

}  // namespace slm
