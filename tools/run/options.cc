// SPDX-License-Identifier: MIT
#include "tools/run/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <exception>
#include <limits>
#include <string_view>

#include "runtime/core/shape.h"

// A comma is a part of a stop string or a prompt, not a separator.
#define CXXOPTS_VECTOR_DELIMITER '\0'
#define CXXOPTS_NO_REGEX  // its own parser does, without the size of std::regex
#include "cxxopts.hpp"

namespace slm {
namespace {

using Strings = std::vector<std::string>;

// One row per flag. A flag without a value has an empty `value`.
struct Flag {
  const char* group;
  const char* names;  // as cxxopts wants them: "s,system"
  const char* value;
  const char* help;
};

constexpr Flag kFlags[] = {
    {"Prompt", "m,model", "PATH|NAME", "model; else the first word is it"},
    {"Prompt", "models-dir", "DIR", "look for names below DIR first"},
    {"Prompt", "s,system", "TEXT|@FILE", "system message"},
    {"Prompt", "f,file", "FILE", "prompt from a file"},
    {"Prompt", "raw", "", "no chat template"},
    {"Prompt", "template", "@FILE", "chat template instead of the model's"},
    {"Prompt", "show-prompt", "", "print the prompt as the model gets it"},
    {"Chat", "session", "FILE", "go on with this transcript and keep it"},
    {"Chat", "think", "on|off", "reasoning, if the template has a switch"},
    {"Chat", "show-think", "dim|hide|raw",
     "reasoning on the screen (dim; hidden in a pipe)"},
    {"Chat", "no-history", "", "do not keep what is typed"},
    {"Sampling", "n,max-tokens", "N", "stop after N new tokens"},
    {"Sampling", "temp", "X", "temperature, 0 is greedy"},
    {"Sampling", "top-p", "X", "most probable tokens that sum to X"},
    {"Sampling", "top-k", "N", "N most probable tokens, 0 is all"},
    {"Sampling", "min-p", "X", "tokens with X times the best's probability"},
    {"Sampling", "repeat-penalty", "X", "divide what occurred, 1 is off"},
    {"Sampling", "presence-penalty", "X", "subtract from what was answered"},
    {"Sampling", "frequency-penalty", "X", "subtract for each occurrence"},
    {"Sampling", "logit-bias", "ID=X", "add X to a token (repeatable)"},
    {"Sampling", "no-repeat-ngram", "N", "no N tokens in a row twice"},
    {"Sampling", "beams", "N", "beam search"},
    {"Sampling", "stop", "TEXT", "end before TEXT (repeatable)"},
    {"Sampling", "lookup", "N",
     "guess ahead from the last N-1 tokens (same text, faster)"},
    {"Sampling", "think-budget", "N|off",
     "tokens of reasoning, then the answer begins"},
    {"Sampling", "greedy", "", "always the most probable token"},
    {"Sampling", "seed", "N", "repeat a run"},
    {"Machine", "c,ctx", "N|auto", "context length"},
    {"Machine", "t,threads", "N|auto", "threads"},
    {"Machine", "kv", "f32|f16|int8", "type of the KV cache"},
    {"Machine", "no-rope-recompute", "", "long-rope models: keep cached keys"},
    {"Machine", "max-mem", "SIZE", "memory limit: 800M, 2G"},
    {"Machine", "on-overflow", "error|drop-oldest",
     "when the context is full"},
    {"Output", "json", "", "the answer is one JSON object or array"},
    {"Output", "o,output", "text|json|jsonl", "what the answer is put into"},
    {"Output", "color", "auto|on|off", "colours"},
    {"Output", "stats", "on|off", "speed and memory after each answer"},
    {"Output", "strict", "", "exit code 8 when a limit cut the answer"},
    {"Output", "q,quiet", "", "errors only"},
    {"Output", "v,verbose", "", "memory plan, what was chosen and why"},
    {"Output", "version", "", "version"},
    {"Output", "y,yes", "", "cache rm: do not ask"},
    {"Output", "h,help", "", "a screen of what is used most"},
    {"Output", "help-all", "", "all flags"},
};

constexpr const char* kShortHelp =
    R"(slm-run: run a small language model, on this machine only.

  slm-run MODEL                   chat (at a terminal)
  slm-run MODEL PROMPT...         one answer
  FILE | slm-run MODEL PROMPT...  one answer; standard input after the prompt

  slm-run cache ls | cd DIR | location | rm NAME
  slm-run model list | info NAME | run NAME [PROMPT]
  slm-run list [-o json]          models by name
  slm-run info MODEL              what a model is and the memory it needs
  slm-run doctor [MODEL]          what this machine has; does MODEL open?

MODEL is a folder or a name found in --models-dir, SLM_MODELS, the folder of
`cache cd`, ~/.foundry/cache/models or ./models. ./list is a folder, and after
-- no word is a verb.

Prompt and chat
  -s, --system TEXT|@FILE         system message
  -f, --file FILE                 prompt from a file
      --session FILE              go on with this transcript and keep it
      --think on|off              reasoning, if the template has a switch
      --think-budget N            tokens of reasoning, then the answer begins
      --show-think dim|hide|raw   reasoning on the screen
Sampling (the model's own settings unless given)
  -n, --max-tokens N              stop after N new tokens
      --temp X  --top-p X  --top-k N  --min-p X  --seed N
      --greedy                    always the most probable token
      --repeat-penalty X          divide what occurred, 1 is off
      --stop TEXT                 end before TEXT (repeatable)
Machine
  -c, --ctx N|auto                context length
  -t, --threads N|auto            threads
      --kv f32|f16|int8           type of the KV cache
      --max-mem SIZE              memory limit: 800M, 2G
      --on-overflow error|drop-oldest
Output
      --json                      the answer is one JSON object or array
  -o, --output text|json|jsonl    what the answer is put into
      --stats                     speed and memory after each answer
      --show-prompt               print the prompt as the model gets it
  -q, --quiet   -v, --verbose     less, more on standard error

--help-all lists all flags. In a chat: /help.
)";

cxxopts::Options MakeParser() {
  cxxopts::Options parser("slm-run", "Run a small language model.");
  for (const Flag& flag : kFlags) {
    const std::string_view names = flag.names;
    auto group = parser.add_options(flag.group);
    if (flag.value[0] == '\0') {
      group(flag.names, flag.help);
    } else if (names == "stop" || names == "logit-bias") {
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

// Reads flags of a parse result into fields and remembers the first failure.
class Reader {
 public:
  explicit Reader(const cxxopts::ParseResult& parsed) : parsed_(parsed) {}

  bool Has(const char* name) const { return parsed_.count(name) > 0; }
  Strings List(const char* name) const {
    return Has(name) ? parsed_[name].as<Strings>() : Strings();
  }
  // What the user wrote, if the flag is there and no other one failed yet.
  const std::string* Text(const char* name) const {
    return status_.ok() && Has(name) ? &parsed_[name].as<std::string>()
                                     : nullptr;
  }
  void Fail(const char* name, std::string_view text, const char* expected) {
    if (!status_.ok()) return;
    status_ = Usage("--%s is \"%s\", must be %s", name, Printable(text).c_str(),
                    expected);
  }
  const Status& status() const { return status_; }

  void Get(const char* name, std::optional<std::string>* out) {
    if (const std::string* text = Text(name)) *out = *text;
  }
  void Get(const char* name, int64_t low, int64_t high,
           std::optional<int64_t>* out) {
    const std::string* text = Text(name);
    if (text == nullptr) return;
    int64_t value = 0;
    if (ParseAll(*text, &value) && value >= low && value <= high) {
      *out = value;
    } else if (high == std::numeric_limits<int64_t>::max()) {
      Fail(name, *text, Format("a whole number from %lld", Long(low)).c_str());
    } else {
      Fail(name, *text,
           Format("a whole number %lld..%lld", Long(low), Long(high)).c_str());
    }
  }
  void Get(const char* name, double low, double high,
           std::optional<double>* out) {
    const std::string* text = Text(name);
    if (text == nullptr) return;
    double value = 0;
    if (ParseAll(*text, &value) && std::isfinite(value) && value >= low &&
        value <= high) {
      *out = value;
    } else if (low == -kAny) {
      Fail(name, *text, "a number");
    } else if (high == kAny) {
      Fail(name, *text, Format("a number from %g", low).c_str());
    } else {
      Fail(name, *text, Format("a number %g..%g", low, high).c_str());
    }
  }
  template <typename Enum>
  void Get(const char* name,
           std::initializer_list<std::pair<const char*, Enum>> choices,
           Enum* out) {
    const std::string* text = Text(name);
    if (text == nullptr) return;
    std::string expected;
    for (const auto& [choice, value] : choices) {
      if (*text == choice) {
        *out = value;
        return;
      }
      expected += (expected.empty() ? "" : ", ") + std::string(choice);
    }
    Fail(name, *text, ("one of " + expected).c_str());
  }

  // The whole text is a number.
  template <typename T>
  static bool ParseAll(std::string_view text, T* value) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, *value);
    return error == std::errc() && stop == end && !text.empty();
  }

  static constexpr double kAny = std::numeric_limits<double>::max();

 private:
  static long long Long(int64_t value) { return value; }

  const cxxopts::ParseResult& parsed_;
  Status status_;
};

constexpr int64_t kMaxInt = std::numeric_limits<int64_t>::max();

// A number of tokens, or off, which is -1 and takes back what was set before.
void GetBudget(Reader* in, std::optional<int64_t>* out) {
  const std::string* text = in->Text("think-budget");
  if (text == nullptr) return;
  int64_t value = 0;
  if (*text == "off") {
    *out = -1;
  } else if (Reader::ParseAll(*text, &value) && value >= 0) {
    *out = value;
  } else {
    in->Fail("think-budget", *text, "off or a whole number from 0");
  }
}

void ReadSampling(Reader* in, RunOptions* o) {
  constexpr double kAny = Reader::kAny;
  in->Get("max-tokens", 1, kMaxInt, &o->max_tokens);
  in->Get("temp", 0.0, kAny, &o->temperature);
  in->Get("top-p", 0.0, 1.0, &o->top_p);
  in->Get("top-k", 0, kMaxInt, &o->top_k);
  in->Get("min-p", 0.0, 1.0, &o->min_p);
  in->Get("repeat-penalty", std::numeric_limits<float>::min(), kAny,
          &o->repetition_penalty);
  in->Get("presence-penalty", -kAny, kAny, &o->presence_penalty);
  in->Get("frequency-penalty", -kAny, kAny, &o->frequency_penalty);
  in->Get("no-repeat-ngram", 0, kMaxInt, &o->no_repeat_ngram_size);
  in->Get("beams", 1, 32, &o->num_beams);
  in->Get("lookup", 0, 16, &o->lookup);
  in->Get("seed", 0, std::numeric_limits<uint32_t>::max(), &o->seed);
  GetBudget(in, &o->think_budget);
  o->greedy = in->Has("greedy");
  o->stop = in->List("stop");
  for (const std::string& stop : o->stop) {
    if (stop.empty()) in->Fail("stop", stop, "a text");
  }
  for (const std::string& text : in->List("logit-bias")) {
    const std::string_view view = text;
    const size_t equals = view.find('=');
    int32_t token = 0;
    double bias = 0;
    if (equals != std::string_view::npos &&
        Reader::ParseAll(view.substr(0, equals), &token) && token >= 0 &&
        Reader::ParseAll(view.substr(equals + 1), &bias) &&
        std::isfinite(bias)) {
      o->logit_bias.emplace_back(token, bias);
    } else {
      in->Fail("logit-bias", text, "TOKEN=NUMBER, as in 42=-100");
    }
  }
}

// "auto" is what an empty field says already.
void GetOrAuto(Reader* in, const char* name, std::optional<int64_t>* out) {
  const std::string* text = in->Text(name);
  if (text == nullptr || *text == "auto") return;
  int64_t value = 0;
  if (Reader::ParseAll(*text, &value) && value >= 1) {
    *out = value;
  } else {
    in->Fail(name, *text, "auto or a whole number from 1");
  }
}

// 1500000, 800K, 800M, 2G, 1.5G, each with or without "iB": powers of 1024.
void GetSize(Reader* in, const char* name, std::optional<uint64_t>* out) {
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

void ReadMachine(Reader* in, RunOptions* o) {
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

void ReadOutput(Reader* in, RunOptions* o) {
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
  o->quiet = in->Has("quiet");
  o->verbose = in->Has("verbose");
}

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

// Flags that mean something to other verbs than run.
bool TakesFlag(RunAction action, std::string_view flag) {
  if (flag == "models-dir" || flag == "quiet" || flag == "verbose") {
    return true;
  }
  if (flag == "output") {
    return action == RunAction::kList || action == RunAction::kCacheLocation;
  }
  return flag == "yes" && action == RunAction::kCacheRemove;
}

// Whether the first word may be a verb: neither after "--" nor beside -m,
// which names the model, so that all words are the prompt.
bool MayBeVerb(std::span<const std::string> args) {
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string_view arg = args[i];
    if (arg == "--") return false;
    if (arg.size() < 2 || arg[0] != '-') break;
    if (arg.find('=') != std::string_view::npos) continue;
    for (const Flag& flag : kFlags) {
      const std::string_view names = flag.names;
      const size_t comma = names.find(',');
      const bool is = arg == "--" + std::string(names.substr(comma + 1)) ||
                      (comma == 1 && arg == "-" + std::string(1, names[0]));
      if (is && flag.value[0] != '\0' && names != "stats") ++i;
    }
  }
  return true;
}

// Takes a verb and its words from the beginning of o->prompt_words.
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
      return Usage("--%s means nothing to slm-run %s",
                   argument.key().c_str(), verb.usage);
    }
    if (!words.empty()) o->model = words[0];
    words.clear();
    if (o->output == OutputFormat::kJsonLines) {
      return Usage("--output is \"jsonl\", must be text or json");
    }
    return OkStatus();
  }
  if (seconds.empty()) return OkStatus();
  return Usage("slm-run %s wants one of %s; a model folder of that name is "
               "./%s",
               words[0].c_str(), seconds.c_str(), words[0].c_str());
}

Status ReadPrompt(Reader* in, const cxxopts::ParseResult& parsed,
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
    Reader in(parsed);
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
  if (!all) return kShortHelp;
  std::vector<std::string> groups;
  for (const Flag& flag : kFlags) {
    if (groups.empty() || groups.back() != flag.group) {
      groups.emplace_back(flag.group);
    }
  }
  return MakeParser().help(groups) +
         "\n"
         "Exit: 0 ok, 1 anything else, 2 usage, 3 model or file not found, "
         "4 model invalid\n"
         "or not supported, 5 memory, 6 CPU or SLM_TARGET unsupported, 7 "
         "context overflow,\n"
         "8 a limit cut the answer (--strict), 130 Ctrl-C, 143 SIGTERM.\n";
}

std::vector<std::string> SamplingNames() {
  std::vector<std::string> names;
  for (const Flag& flag : kFlags) {
    const std::string_view all = flag.names;
    if (std::string_view(flag.group) != "Sampling") continue;
    names.emplace_back(all.substr(all.find(',') + 1));  // npos + 1 is 0
  }
  return names;
}

Status SetSampling(const std::string& name, const std::string& value,
                   RunOptions* options) {
  const std::vector<std::string> names = SamplingNames();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    std::string all;
    for (const std::string& n : names) all += (all.empty() ? "" : ", ") + n;
    return Usage("no setting \"%s\"; there are %s", Printable(name).c_str(),
                 all.c_str());
  }
  RunOptions& o = *options;
  if (name == "greedy") {
    if (value != "on" && value != "off") {
      return Usage("greedy is \"%s\", must be on or off",
                   Printable(value).c_str());
    }
    o.greedy = value == "on";
    if (o.greedy) o.temperature.reset();
    return OkStatus();
  }
  SLM_ASSIGN_OR_RETURN(const RunOptions given,
                       ParseRunOptions(std::vector<std::string>{
                           "MODEL", "--" + name + "=" + value}));
  const auto take = [](const auto& from, auto* to) {
    if (from) *to = from;
  };
  take(given.max_tokens, &o.max_tokens);
  take(given.temperature, &o.temperature);
  take(given.top_p, &o.top_p);
  take(given.top_k, &o.top_k);
  take(given.min_p, &o.min_p);
  take(given.repetition_penalty, &o.repetition_penalty);
  take(given.presence_penalty, &o.presence_penalty);
  take(given.frequency_penalty, &o.frequency_penalty);
  take(given.no_repeat_ngram_size, &o.no_repeat_ngram_size);
  take(given.num_beams, &o.num_beams);
  take(given.lookup, &o.lookup);
  take(given.seed, &o.seed);
  take(given.think_budget, &o.think_budget);
  if (!given.logit_bias.empty()) o.logit_bias = given.logit_bias;
  if (!given.stop.empty()) o.stop = given.stop;
  // The newer of two wishes counts.
  if (given.temperature.value_or(0) > 0) {
    o.greedy = false;
    o.num_beams.reset();
  }
  if (given.num_beams.value_or(1) > 1) o.temperature.reset();
  return OkStatus();
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
