// SPDX-License-Identifier: MIT
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/core/user_folders.h"
#include "tools/run/options.h"

namespace slm {
namespace {

using Args = std::vector<std::string>;

RunOptions Parse(const Args& args) {
  auto options = ParseRunOptions(args);
  EXPECT_TRUE(options.ok()) << options.status().message();
  return options.ok() ? *options : RunOptions();
}

TEST(RunOptions, ModelIsTheFirstWordOrAFlag) {
  RunOptions o = Parse({"m/", "Tell", "me,", "more"});
  EXPECT_EQ(o.model, "m/");
  EXPECT_EQ(o.prompt_words, (Args{"Tell", "me,", "more"}));
  o = Parse({"-m", "m/", "Tell", "--", "--me"});
  EXPECT_EQ(o.model, "m/");
  EXPECT_EQ(o.prompt_words, (Args{"Tell", "--me"}));
}

TEST(RunOptions, LeftOutIsEmpty) {
  const RunOptions o = Parse({"m"});
  EXPECT_FALSE(o.temperature || o.top_p || o.top_k || o.min_p || o.seed ||
               o.max_tokens || o.context || o.threads || o.max_memory ||
               o.system || o.file || o.num_beams);
  EXPECT_EQ(o.kv, KvType::kF16);
  EXPECT_EQ(o.on_overflow, OverflowPolicy::kError);
  EXPECT_EQ(o.stats, Switch::kAuto);
}

TEST(RunOptions, EveryFlagReachesItsField) {
  const RunOptions o = Parse({"m",          "-s",
                              "@sys.txt",   "-f",
                              "p.txt",      "-n",
                              "7",          "--temp",
                              "0.5",        "--top-p",
                              "0.9",        "--top-k",
                              "40",         "--min-p",
                              "0.05",       "--repeat-penalty",
                              "1.1",        "--presence-penalty",
                              "-0.5",       "--frequency-penalty",
                              "0.25",       "--logit-bias",
                              "42=-100",    "--logit-bias",
                              "7=1.5",      "--no-repeat-ngram",
                              "3",          "--stop",
                              "a,b",        "--stop",
                              "\n",         "--seed",
                              "4294967295", "-c",
                              "2048",       "-t",
                              "2",          "--kv",
                              "int8",       "--max-mem",
                              "1.5G",       "--on-overflow",
                              "drop-oldest", "--template",
                              "@t.jinja",   "--show-prompt",
                              "--stats",    "--strict",
                              "-o",         "jsonl",
                              "--color",    "off",
                              "-v"});
  EXPECT_EQ(o.system, "@sys.txt");
  EXPECT_EQ(o.file, "p.txt");
  EXPECT_EQ(o.max_tokens, 7);
  EXPECT_EQ(o.temperature, 0.5);
  EXPECT_EQ(o.top_p, 0.9);
  EXPECT_EQ(o.top_k, 40);
  EXPECT_EQ(o.min_p, 0.05);
  EXPECT_EQ(o.repetition_penalty, 1.1);
  EXPECT_EQ(o.presence_penalty, -0.5);
  EXPECT_EQ(o.frequency_penalty, 0.25);
  ASSERT_EQ(o.logit_bias.size(), 2u);
  EXPECT_EQ(o.logit_bias[0], std::make_pair(42, -100.0));
  EXPECT_EQ(o.no_repeat_ngram_size, 3);
  EXPECT_EQ(o.stop, (Args{"a,b", "\n"}));
  EXPECT_EQ(o.seed, 4294967295);
  EXPECT_EQ(o.context, 2048);
  EXPECT_EQ(o.threads, 2);
  EXPECT_EQ(o.kv, KvType::kInt8);
  EXPECT_EQ(o.max_memory, uint64_t{3} << 29);
  EXPECT_EQ(o.on_overflow, OverflowPolicy::kDropOldest);
  EXPECT_EQ(o.template_file, "t.jinja");
  EXPECT_TRUE(o.show_prompt && o.strict && o.verbose);
  EXPECT_EQ(o.stats, Switch::kOn);
  EXPECT_EQ(o.output, OutputFormat::kJsonLines);
  EXPECT_EQ(o.color, Switch::kOff);
  EXPECT_TRUE(Parse({"m", "--raw", "-q", "--greedy"}).greedy);
  EXPECT_TRUE(Parse({"m", "--json"}).json && !o.json);
  EXPECT_EQ(Parse({"m", "--think-budget", "0"}).think_budget, 0);
  EXPECT_EQ(Parse({"m", "--think-budget", "off"}).think_budget, -1);
  EXPECT_EQ(Parse({"m", "--beams", "4"}).num_beams, 4);
  EXPECT_EQ(Parse({"m", "--stats=off", "hi"}).stats, Switch::kOff);
  EXPECT_FALSE(Parse({"m", "-c", "auto", "-t", "auto"}).context);
}

TEST(RunOptions, MistakesAreUsageErrorsThatSayWhatIsWrong) {
  const std::pair<Args, const char*> cases[] = {
      {{},
       "no model: pass a folder or a name, as in slm-run MODEL \"Hello\""},
      {{"cache", "cd"}, "usage: slm-run cache cd DIR"},
      {{"list", "--temp", "1"}, "--temp means nothing to slm-run list"},
      {{"doctor", "-o", "json"}, "--output means nothing to slm-run doctor [MODEL]"},
      {{"--stats", "list"}, "--stats means nothing to slm-run list"},
      {{"m", "--yes"}, "--yes means nothing without cache rm"},
      {{"m", "--temp", "hot"}, "--temp is \"hot\", must be a number from 0"},
      {{"m", "--temp", "0.5x"}, "--temp is \"0.5x\", must be a number from 0"},
      {{"m", "--temp", "nan"}, "--temp is \"nan\", must be a number from 0"},
      {{"m", "--top-p", "1.5"}, "--top-p is \"1.5\", must be a number 0..1"},
      {{"m", "-n", "0"},
       "--max-tokens is \"0\", must be a whole number from 1"},
      {{"m", "--beams", "33"},
       "--beams is \"33\", must be a whole number 1..32"},
      {{"m", "-c", "-5"},
       "--ctx is \"-5\", must be auto or a whole number "
       "from 1"},
      {{"m", "--kv", "fp8"}, "--kv is \"fp8\", must be one of f32, f16, int8"},
      {{"m", "--max-mem", "2X"},
       "--max-mem is \"2X\", must be a size as in 800M or 1.5G"},
      {{"m", "--logit-bias", "cat=1"},
       "--logit-bias is \"cat=1\", must be TOKEN=NUMBER, as in 42=-100"},
      {{"m", "--stop", ""}, "--stop is \"\", must be a text"},
      {{"m", "--template", "t.jinja"},
       "--template is \"t.jinja\", must be @ and a file, as in @chat.jinja"},
      {{"m", "--raw", "-s", "x"},
       "--raw has no template, so --system has no place"},
      {{"m", "--greedy", "--temp", "1"},
       "--greedy and --temp above 0 contradict each other"},
      {{"m", "--json", "--beams", "2"},
       "--beams keeps to no format, leave --json out"},
      {{"m", "--think-budget", "-1"},
       "--think-budget is \"-1\", must be off or a whole number from 0"},
      {{"m", "--think-budget", "1", "--beams", "2"},
       "--beams keeps to no budget, leave --think-budget out"},
      {{"m", "-q", "-v"}, "-q and -v contradict each other"},
  };
  for (const auto& [args, message] : cases) {
    const auto options = ParseRunOptions(args);
    ASSERT_FALSE(options.ok()) << message;
    EXPECT_EQ(options.status().kind(), ErrorKind::kUsage);
    EXPECT_EQ(options.status().message(), message);
  }
  for (const Args& args : {Args{"m", "--no-such"}, Args{"m", "--temp"},
                           Args{"m", "-Z"}, Args{"m", "--raw=maybe"}}) {
    EXPECT_EQ(ParseRunOptions(args).status().kind(), ErrorKind::kUsage);
  }
}

TEST(RunOptions, HelpAndVersionNeedNoModelAndHelpIsOneScreen) {
  EXPECT_EQ(Parse({"--help"}).action, RunAction::kHelp);
  EXPECT_EQ(Parse({"-h", "m"}).action, RunAction::kHelp);
  EXPECT_EQ(Parse({"--version"}).action, RunAction::kVersion);
  EXPECT_EQ(Parse({"--help-all"}).action, RunAction::kHelpAll);
  const std::string help = RunHelp(false), all = RunHelp(true);
  EXPECT_LE(std::count(help.begin(), help.end(), '\n'), 50);
  EXPECT_NE(help.find("--on-overflow"), std::string::npos);
  EXPECT_NE(all.find("--no-rope-recompute"), std::string::npos);
}

TEST(RunOptions, TheFirstWordIsAVerbUnlessItIsEscaped) {
  struct Case {
    Args args;
    RunAction action;
    const char* model;
    size_t words;
  };
  for (const Case& c : {
           Case{{"cache", "cd", "d/"}, RunAction::kCacheCd, "d/", 0},
           Case{{"cache", "rm", "x", "-y"}, RunAction::kCacheRemove, "x", 0},
           Case{{"-q", "--models-dir", "d", "list"}, RunAction::kList, "", 0},
           Case{{"-o", "json", "model", "list"}, RunAction::kList, "", 0},
           Case{{"model", "run", "x", "a", "b"}, RunAction::kRun, "x", 2},
           Case{{"run", "x"}, RunAction::kRun, "x", 0},
           Case{{"doctor"}, RunAction::kDoctor, "", 0},
           Case{{"--", "list", "a"}, RunAction::kRun, "list", 1},
           Case{{"-n", "3", "--", "info", "a"}, RunAction::kRun, "info", 1},
           Case{{"./list", "a"}, RunAction::kRun, "./list", 1},
           Case{{"-m", "x", "list", "a"}, RunAction::kRun, "x", 2},
           Case{{"--model=x", "list"}, RunAction::kRun, "x", 1},
           Case{{"m", "list"}, RunAction::kRun, "m", 1},
       }) {
    const RunOptions o = Parse(c.args);
    EXPECT_EQ(o.action, c.action) << c.args[0];
    EXPECT_EQ(o.model, c.model) << c.args[0];
    EXPECT_EQ(o.prompt_words.size(), c.words) << c.args[0];
  }
}

// The environment as a table.
Variables Set(std::vector<std::pair<std::string, std::string>> variables) {
  return [variables = std::move(variables)](const char* name) {
    for (const auto& [key, value] : variables) {
      if (key == name) return value;
    }
    return std::string();
  };
}

std::string WriteConfig(const std::string& text) {
  const std::string path = testing::TempDir() + "/slm_run_config.json";
  EXPECT_TRUE(WritePrivateFile(path, text).ok());
  return path;
}

TEST(RunSettings, FlagWinsOverEnvironmentOverFile) {
  const std::string path = WriteConfig(
      R"({"temp": 0.25, "top_p": 0.5, "ctx": 512, "stop": ["a", "b"],
          "strict": true, "quiet": false, "seed": 7})");
  const auto o = ReadRunOptions(
      Args{"m", "hi", "--config", path, "--ctx", "128"},
      Set({{"SLM_TOP_P", "0.75"}, {"SLM_CTX", "256"}, {"SLM_KV", "int8"},
           {"SLM_STATS", "on"}, {"SLM_QUIET", "0"}, {"SLM_MODEL", "x"}}));
  ASSERT_TRUE(o.ok()) << o.status().message();
  EXPECT_EQ(o->model, "m");
  EXPECT_EQ(o->prompt_words, Args{"hi"});
  EXPECT_EQ(o->temperature, 0.25);
  EXPECT_EQ(o->top_p, 0.75);
  EXPECT_EQ(o->context, 128);
  EXPECT_EQ(o->kv, KvType::kInt8);
  EXPECT_EQ(o->seed, 7);
  EXPECT_EQ(o->stop, (Args{"a", "b"}));
  EXPECT_EQ(o->stats, Switch::kOn);
  EXPECT_TRUE(o->strict && !o->quiet);
  std::string sources;
  for (const Setting& s : o->settings) {
    sources += s.flag + "=" + (s.source == path ? "file" : s.source) + " ";
  }
  for (const char* want :
       {"temp=file", "top-p=SLM_TOP_P", "ctx=command line", "stop=file",
        "strict=file", "kv=SLM_KV", "config=command line"}) {
    EXPECT_NE(sources.find(std::string(want) + " "), std::string::npos)
        << want << " in " << sources;
  }
  EXPECT_EQ(sources.find("SLM_CTX"), std::string::npos);
}

TEST(RunSettings, VerbsTakeOnlyWhatMeansSomethingToThem) {
  const auto o = ReadRunOptions(
      Args{"list"}, Set({{"SLM_MODELS_DIR", "d"}, {"SLM_TEMP", "1"}}));
  ASSERT_TRUE(o.ok()) << o.status().message();
  EXPECT_EQ(o->action, RunAction::kList);
  EXPECT_EQ(o->models_dir, "d");
  EXPECT_FALSE(o->temperature);
  EXPECT_EQ(ReadRunOptions(Args{"--help"}, Set({{"SLM_TEMP", "x"}}))->action,
            RunAction::kHelp);
}

TEST(RunSettings, MistakesNameWhereTheyStand) {
  struct Case {
    const char* file;  // "" for none
    std::vector<std::pair<std::string, std::string>> variables;
    const char* message;
  };
  const Case cases[] = {
      {"", {{"SLM_TEMP", "hot"}},
       "--temp is \"hot\", must be a number from 0 (set by SLM_TEMP)"},
      {"", {{"SLM_STRICT", "maybe"}},
       "SLM_STRICT: strict is \"maybe\", must be on or off"},
      {"", {{"SLM_GREEDY", "on"}, {"SLM_TEMP", "1"}},
       "--greedy and --temp above 0 contradict each other (set by SLM_TEMP, "
       "SLM_GREEDY)"},
      {R"({"tmep": 1})", {}, "FILE: \"tmep\" is no flag that a file may set"},
      {R"({"model": "m"})", {},
       "FILE: \"model\" is no flag that a file may set"},
      {R"({"temp": null})", {},
       "FILE: temp is of type null, which it cannot be"},
      {R"({"temp": [1]})", {},
       "FILE: temp is of type array, which it cannot be"},
      {R"({"stop": [1]})", {},
       "FILE: stop is of type array of no strings, which it cannot be"},
      {R"({"strict": "x"})", {},
       "FILE: strict is \"x\", must be on or off"},
      {R"({"temp": true})", {},
       "--temp is \"on\", must be a number from 0 (set by FILE)"},
      {"[]", {},
       "FILE: must be a JSON object of flags, as in {\"temp\": 0.2}"},
  };
  for (const Case& c : cases) {
    auto variables = c.variables;
    std::string path, want = c.message;
    if (*c.file) {
      path = WriteConfig(c.file);
      variables.push_back({"SLM_CONFIG", path});
      want.replace(want.find("FILE"), 4, path);
    }
    const auto options = ReadRunOptions(Args{"m", "hi"}, Set(variables));
    ASSERT_FALSE(options.ok()) << want;
    EXPECT_EQ(options.status().kind(), ErrorKind::kUsage);
    EXPECT_EQ(options.status().message(), want);
  }
  EXPECT_EQ(ReadRunOptions(Args{"m", "--config", "/no/such"}, Set({}))
                .status()
                .kind(),
            ErrorKind::kNotFound);
}

TEST(RunOptions, SamplingChangesByName) {
  RunOptions o = Parse({"m", "--greedy"});
  EXPECT_TRUE(SetSampling("temp", "0.5", &o).ok());
  EXPECT_EQ(o.temperature, 0.5);
  EXPECT_FALSE(o.greedy);
  EXPECT_TRUE(SetSampling("greedy", "on", &o).ok());
  EXPECT_TRUE(o.greedy && !o.temperature);
  for (const std::string& name : SamplingNames()) {
    const std::string value = name == "greedy"       ? "off"
                              : name == "logit-bias" ? "1=2"
                                                     : "1";
    EXPECT_TRUE(SetSampling(name, value, &o).ok()) << name;
  }
  EXPECT_TRUE(o.max_tokens == 1 && o.top_p == 1 && o.top_k == 1 &&
              o.min_p == 1 && o.seed == 1 && o.num_beams == 1 &&
              o.lookup == 1 && o.no_repeat_ngram_size == 1);
  EXPECT_EQ(SetSampling("top-p", "2", &o).kind(), ErrorKind::kUsage);
  EXPECT_EQ(SetSampling("ctx", "2", &o).kind(), ErrorKind::kUsage);
  EXPECT_EQ(SetSampling("greedy", "1", &o).kind(), ErrorKind::kUsage);
}

TEST(RunOptions, StandardInputIsPromptOrAppendixOrConversation) {
  RunOptions none, words, file;
  words.prompt_words = {"hi"};
  file.file = "p.txt";
  EXPECT_EQ(DecideStdin(none, true), StdinUse::kChat);
  EXPECT_EQ(DecideStdin(none, false), StdinUse::kPrompt);
  EXPECT_EQ(DecideStdin(words, true), StdinUse::kNone);
  EXPECT_EQ(DecideStdin(words, false), StdinUse::kAppend);
  EXPECT_EQ(DecideStdin(file, true), StdinUse::kNone);
  EXPECT_EQ(DecideStdin(file, false), StdinUse::kAppend);
}

TEST(RunOptions, PromptIsWordsThenFileThenStandardInput) {
  RunOptions o;
  EXPECT_EQ(ComposePrompt(o, "", "").status().kind(), ErrorKind::kUsage);
  EXPECT_EQ(*ComposePrompt(o, "", "text\n"), "text\n");
  o.prompt_words = {"Sum", "up:"};
  EXPECT_EQ(*ComposePrompt(o, "", ""), "Sum up:");
  EXPECT_EQ(*ComposePrompt(o, "", "text"), "Sum up:\ntext");
  EXPECT_EQ(*ComposePrompt(o, "file\n", "text"), "Sum up:\nfile\ntext");
}

}  // namespace
}  // namespace slm
