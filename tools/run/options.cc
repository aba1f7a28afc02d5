// SPDX-License-Identifier: MIT
#include "tools/run/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <exception>
#include <string_view>

#include "tools/run/flag_reader.h"
#include "tools/run/flags.h"
#include "tools/run/options_parts.h"

namespace slm {
namespace {

cxxopts::Options MakeParser() {
  cxxopts::Options parser("slm-run", "Run a small language model.");
  for (const RunFlag& flag : RunFlags()) {
    const std::string_view names = flag.names;
    auto group = parser.add_options(flag.group);
    if (flag.value[0] == '\0') {
      group(flag.names, flag.help);
    } else if (IsList(flag)) {
      group(flag.names, flag.help, cxxopts::value<Strings>(), flag.value);
    } else if (names == "stats") {
      group(flag.names, flag.help,
            cxxopts::value<std::string>()->implicit_value("on"), flag.value);
    } else {
      group(flag.names, flag.help, cxxopts::value<std::string>(), flag.value);
    }
  }
  parser.add_options("Positional")("words", "", cxxopts::value<Strings>());
  parser.parse_positional({"words"});
  parser.positional_help("[MODEL] [PROMPT...]");
  return parser;
}

// "auto" is what an empty field says already.
void GetOrAuto(FlagReader* in, const char* name, std::optional<int64_t>* out) {
  const std::string* text = in->Text(name);
  if (text == nullptr || *text == "auto") return;
  int64_t value = 0;
  if (FlagReader::ParseAll(*text, &value) && value >= 1) {
    *out = value;
  } else {
    in->Fail(name, *text, "auto or a whole number from 1");
  }
}

// 1500000, 800K, 800M, 2G, 1.5G, each with or without "iB": powers of 1024.
void GetSize(FlagReader* in, const char* name, std::optional<uint64_t>* out) {
  const std::string* text = in->Text(name);
  if (text == nullptr) return;
  double number = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, number);
  std::string_view unit(stop, static_cast<size_t>(end - stop));
  double scale = 1;
  if (!unit.empty()) {
    const size_t power = std::string_view("KMGT").find(unit[0]);
    if (power == std::string_view::npos ||
        (unit.size() > 1 && unit.substr(1) != "iB")) {
      scale = 0;
    } else {
      scale = std::ldexp(1024.0, 10 * static_cast<int>(power));
    }
  }
  const double bytes = number * scale;
  if (error == std::errc() && bytes >= 1 && bytes < 0x1p60) {
    *out = static_cast<uint64_t>(bytes);
  } else {
    in->Fail(name, *text, "a size as in 800M or 1.5G");
  }
}

void ReadMachine(FlagReader* in, RunOptions* o) {
  GetOrAuto(in, "ctx", &o->context);
  GetOrAuto(in, "threads", &o->threads);
  GetSize(in, "max-mem", &o->max_memory);
  in->Get<KvType>(
      "kv",
      {{"f32", KvType::kF32}, {"f16", KvType::kF16}, {"int8", KvType::kInt8}},
      &o->kv);
  o->no_rope_recompute = in->Has("no-rope-recompute");
  in->Get<OverflowPolicy>("on-overflow",
                          {{"error", OverflowPolicy::kError},
                           {"drop-oldest", OverflowPolicy::kDropOldest}},
                          &o->on_overflow);
}

void ReadOutput(FlagReader* in, RunOptions* o) {
  in->Get<OutputFormat>("output",
                        {{"text", OutputFormat::kText},
                         {"json", OutputFormat::kJson},
                         {"jsonl", OutputFormat::kJsonLines}},
                        &o->output);
  in->Get<Switch>(
      "color",
      {{"auto", Switch::kAuto}, {"on", Switch::kOn}, {"off", Switch::kOff}},
      &o->color);
  in->Get<Switch>("stats", {{"on", Switch::kOn}, {"off", Switch::kOff}},
                  &o->stats);
  o->json = in->Has("json");
  o->strict = in->Has("strict");
  in->Get("config", &o->config);
  o->print_config = in->Has("print-config");
  o->quiet = in->Has("quiet");
  o->verbose = in->Has("verbose");
}

Status ReadPrompt(FlagReader* in, const cxxopts::ParseResult& parsed,
                  bool may_be_verb, RunOptions* o) {
  in->Get("system", &o->system);
  in->Get("file", &o->file);
  if (const std::string* text = in->Text("template")) {
    if (text->size() < 2 || (*text)[0] != '@') {
      in->Fail("template", *text, "@ and a file, as in @chat.jinja");
    } else {
      o->template_file = text->substr(1);
    }
  }
  in->Get("models-dir", &o->models_dir);
  o->yes = in->Has("yes");
  o->raw = in->Has("raw");
  in->Get("session", &o->session);
  o->no_history = in->Has("no-history");
  in->Get<Switch>("think", {{"on", Switch::kOn}, {"off", Switch::kOff}},
                  &o->think);
  in->Get<ShowThink>("show-think",
                     {{"dim", ShowThink::kDim},
                      {"hide", ShowThink::kHide},
                      {"raw", ShowThink::kRaw}},
                     &o->show_think);
  o->show_prompt = in->Has("show-prompt");
  o->prompt_words = in->List("words");
  if (!in->status().ok()) return in->status();
  if (may_be_verb && !in->Has("model")) {
    SLM_RETURN_IF_ERROR(ReadVerb(parsed, o));
    if (o->action != RunAction::kRun) return OkStatus();
  }
  if (o->yes) return Usage("--yes means nothing without cache rm");
  if (const std::string* text = in->Text("model")) {
    o->model = *text;
  } else if (!o->prompt_words.empty()) {
    o->model = o->prompt_words[0];
    o->prompt_words.erase(o->prompt_words.begin());
  }
  if (!in->status().ok()) return in->status();
  if (o->model.empty()) {
    return Usage(
        "no model: pass a folder or a name, as in slm-run MODEL \"Hello\"");
  }
  return OkStatus();
}

// Two flags that contradict each other, and what to say about it.
Status CheckTogether(const RunOptions& o) {
  struct Conflict {
    bool both;
    const char* message;
  };
  const bool samples = o.temperature.value_or(0) > 0;
  const Conflict conflicts[] = {
      {o.raw && o.system, "--raw has no template, so --system has no place"},
      {o.raw && o.think != Switch::kAuto,
       "--raw has no template, so --think has nothing to switch"},
      {o.raw && o.session, "--raw has no turns, so --session has none to keep"},
      {o.raw && o.template_file, "--raw and --template contradict each other"},
      {o.greedy && samples,
       "--greedy and --temp above 0 contradict each other"},
      {o.num_beams.value_or(1) > 1 && samples,
       "--beams does not sample, leave --temp out"},
      {o.num_beams.value_or(1) > 1 && o.json,
       "--beams keeps to no format, leave --json out"},
      {o.num_beams.value_or(1) > 1 && o.think_budget.value_or(-1) >= 0,
       "--beams keeps to no budget, leave --think-budget out"},
      {o.quiet && o.verbose, "-q and -v contradict each other"},
  };
  for (const Conflict& c : conflicts) {
    if (c.both) return Usage("%s", c.message);
  }
  return OkStatus();
}

}  // namespace

Result<RunOptions> ParseRunOptions(std::span<const std::string> args) {
  std::vector<const char*> argv = {"slm-run"};
  for (const std::string& arg : args) argv.push_back(arg.c_str());
  RunOptions options;
  // cxxopts reports by exceptions; they end here.
  try {
    cxxopts::Options parser = MakeParser();
    const cxxopts::ParseResult parsed =
        parser.parse(static_cast<int>(argv.size()), argv.data());
    for (const auto& [name, action] :
         {std::pair("help-all", RunAction::kHelpAll),
          std::pair("help", RunAction::kHelp),
          std::pair("version", RunAction::kVersion)}) {
      if (parsed.count(name) == 0) continue;
      options.action = action;
      return options;
    }
    for (const auto& argument : parsed.arguments()) {
      const RunFlag* flag = FindFlag(argument.key());
      if (flag == nullptr) continue;  // words
      options.settings.push_back({argument.key(),
                                  flag->value[0] ? argument.value() : "",
                                  "command line"});
    }
    FlagReader in(parsed);
    ReadSampling(&in, &options);
    ReadMachine(&in, &options);
    ReadOutput(&in, &options);
    SLM_RETURN_IF_ERROR(ReadPrompt(&in, parsed, MayBeVerb(args), &options));
  } catch (const std::exception& e) {
    return Usage("%s; see slm-run --help", Printable(e.what()).c_str());
  }
  SLM_RETURN_IF_ERROR(CheckTogether(options));
  return options;
}

std::string RunHelp(bool all) {
  if (!all) return ShortRunHelp();
  std::vector<std::string> groups;
  for (const RunFlag& flag : RunFlags()) {
    if (groups.empty() || groups.back() != flag.group) {
      groups.emplace_back(flag.group);
    }
  }
  return MakeParser().help(groups) +
         "\n"
         "A flag that is left out is taken from the environment, as in "
         "SLM_TOP_P=0.9 or\n"
         "SLM_STRICT=on, else from the file of --config or SLM_CONFIG, as in\n"
         "{\"top-p\": 0.9, \"strict\": true}; not so the model, --file, "
         "--yes and those that print.\n"
         "\n"
         "Exit: 0 ok, 1 anything else, 2 usage, 3 model or file not found, "
         "4 model invalid\n"
         "or not supported, 5 memory, 6 CPU or SLM_TARGET unsupported, 7 "
         "context overflow,\n"
         "8 a limit cut the answer (--strict), 130 Ctrl-C, 143 SIGTERM.\n";
}

StdinUse DecideStdin(const RunOptions& options, bool stdin_is_terminal) {
  const bool has_prompt = !options.prompt_words.empty() || options.file;
  if (has_prompt)
    return stdin_is_terminal ? StdinUse::kNone : StdinUse::kAppend;
  return stdin_is_terminal ? StdinUse::kChat : StdinUse::kPrompt;
}

Result<std::string> ComposePrompt(const RunOptions& options,
                                  const std::string& file_text,
                                  const std::string& stdin_text) {
  std::string words;
  for (const std::string& word : options.prompt_words) {
    if (!words.empty()) words += ' ';
    words += word;
  }
  std::string prompt;
  for (const std::string_view part :
       {std::string_view(words), std::string_view(file_text),
        std::string_view(stdin_text)}) {
    if (part.empty()) continue;
    if (!prompt.empty() && prompt.back() != '\n') prompt += '\n';
    prompt += part;
  }
  if (prompt.empty()) {
    return Usage(
        "the prompt is empty: pass it as an argument, with --file or "
        "on standard input");
  }
  return prompt;
}

}  // namespace slm
