// SPDX-License-Identifier: MIT
#include <algorithm>

#include "gtest/gtest.h"
#include "tools/bench/chat_options.h"
#include "tools/bench/compare_options.h"
#include "tools/bench/gate_options.h"
#include "tools/bench/soak_options.h"
#include "tools/bench/speed_options.h"

namespace slm::bench {
namespace {

using Args = std::vector<std::string>;

Result<SpeedOptions> ParseSpeed(const Args& args) {
  SLM_ASSIGN_OR_RETURN(Flags flags, Flags::Parse(kSpeedFlags, args));
  return ReadSpeedOptions(&flags);
}

SpeedOptions Parse(const Args& args) {
  auto options = ParseSpeed(args);
  EXPECT_TRUE(options.ok()) << options.status().message();
  return options.ok() ? *options : SpeedOptions();
}

std::string NamesOf(const Args& args) {
  std::string names;
  for (const SpeedTest& test : TestsOf(Parse(args))) {
    names += (names.empty() ? "" : " ") + test.Name();
  }
  return names;
}

TEST(SpeedOptions, LeftOutIsTheUsualRun) {
  const SpeedOptions o = Parse({"m/"});
  EXPECT_EQ(o.model, "m/");
  EXPECT_EQ(o.repetitions, 5u);
  EXPECT_EQ(o.threads, 0u);
  EXPECT_EQ(o.kv, DType::kF16);
  EXPECT_EQ(o.output, OutputFormat::kText);
  EXPECT_FALSE(o.profile || o.quiet);
}

TEST(SpeedOptions, EveryFlagReachesItsField) {
  const SpeedOptions o =
      Parse({"-m", "m/",   "--models-dir", "dir",    "-p",   "128,512",
             "-n", "64,1", "-d",           "0,4096", "-b",   "1,8",
             "-r", "3",    "-t",           "2",      "--kv", "int8",
             "-o", "json", "--profile",    "-q"});
  EXPECT_EQ(o.model, "m/");
  EXPECT_EQ(o.models_dir, "dir");
  EXPECT_EQ(o.prompts, (std::vector<size_t>{128, 512}));
  EXPECT_EQ(o.generated, (std::vector<size_t>{64, 1}));
  EXPECT_EQ(o.depths, (std::vector<size_t>{0, 4096}));
  EXPECT_EQ(o.batches, (std::vector<size_t>{1, 8}));
  EXPECT_EQ(o.repetitions, 3u);
  EXPECT_EQ(o.threads, 2u);
  EXPECT_EQ(o.kv, DType::kI8);
  EXPECT_EQ(o.output, OutputFormat::kJson);
  EXPECT_TRUE(o.profile && o.quiet);
}

TEST(SpeedOptions, KvHasTheNamesOfSlmRunToo) {
  for (const char* name : {"fp32", "f32"}) {
    EXPECT_EQ(Parse({"m", "--kv", name}).kv, DType::kF32) << name;
  }
  for (const char* name : {"fp16", "f16"}) {
    EXPECT_EQ(Parse({"m", "--kv", name}).kv, DType::kF16) << name;
  }
}

TEST(SpeedTests, NamesSayTokensDepthAndBatch) {
  struct Case {
    SpeedTest test;
    const char* name;
  };
  const Case cases[] = {
      {{.decode = false, .tokens = 512}, "pp512"},
      {{.decode = true, .tokens = 64}, "tg64"},
      {{.decode = true, .tokens = 64, .depth = 4096}, "tg64@d4096"},
      {{.decode = true, .tokens = 64, .batch = 8}, "tg64x8"},
      {{.decode = false, .tokens = 1, .depth = 2, .batch = 3}, "pp1@d2x3"},
  };
  for (const Case& c : cases) EXPECT_EQ(c.test.Name(), c.name);
}

TEST(SpeedTests, AreTheProductOfTheLists) {
  EXPECT_EQ(NamesOf({"m"}), "pp128 pp512 tg64");
  EXPECT_EQ(NamesOf({"m", "-p", "0"}), "tg64");
  EXPECT_EQ(NamesOf({"m", "-n", "0", "-p", "8,16"}), "pp8 pp16");
  EXPECT_EQ(NamesOf({"m", "-p", "8", "-n", "4", "-d", "0,32", "-b", "1,2"}),
            "pp8 tg4 pp8@d32 tg4@d32 pp8x2 tg4x2 pp8@d32x2 tg4@d32x2");
}

TEST(SpeedOptions, BadOnesAreRefusedByName) {
  struct Case {
    Args args;
    const char* part;  // of the message
  };
  const Case cases[] = {
      {{}, "no model"},
      {{""}, "no model"},
      {{"a", "b"}, "\"b\" is a word too many"},
      {{"m", "-p", ""}, "--prompt is \"\""},
      {{"m", "-p", "12x"}, "--prompt is \"12x\""},
      {{"m", "-p", "1,,2"}, "--prompt is \"1,,2\""},
      {{"m", "-p", "1,"}, "--prompt is \"1,\""},
      {{"m", "-p", "-1"}, "--prompt"},
      {{"m", "-n", "99999999999999999999"}, "--max-tokens"},
      {{"m", "-d", "x"}, "--depth"},
      {{"m", "-b", "0"}, "whole numbers 1..1024"},
      {{"m", "-r", "0"}, "--repeat is \"0\""},
      {{"m", "-t", "0"}, "--threads is \"0\""},
      {{"m", "--kv", "q4"}, "must be one of fp32, fp16, int8"},
      {{"m", "-o", "xml"}, "must be one of text, md, csv, json"},
      {{"m", "-p", "0", "-n", "0"}, "no test is left"},
      {{"m", "-o", "csv", "--profile"}, "--profile has no csv form"},
      {{"m", "--speed"}, "speed"},
  };
  for (const Case& c : cases) {
    const Result<SpeedOptions> options = ParseSpeed(c.args);
    ASSERT_FALSE(options.ok()) << c.part;
    EXPECT_EQ(options.status().kind(), ErrorKind::kUsage) << c.part;
    EXPECT_NE(options.status().message().find(c.part), std::string::npos)
        << options.status().message();
  }
}

Result<ChatOptions> ParseChat(const Args& args) {
  SLM_ASSIGN_OR_RETURN(Flags flags, Flags::Parse(kChatFlags, args));
  return ReadChatOptions(&flags);
}

TEST(ChatOptions, EveryFlagReachesItsField) {
  const auto o =
      ParseChat({"m/",  "-f",      "p.jsonl", "-n",      "7",  "-r",
                 "3",   "--temp",  "0.5",     "--top-k", "40", "--top-p",
                 "0.9", "--min-p", "0.1",     "--seed",  "6",  "--models-dir",
                 "dir", "-t",      "2"});
  ASSERT_TRUE(o.ok()) << o.status().message();
  EXPECT_EQ(o->model, "m/");
  EXPECT_EQ(o->models_dir, "dir");
  EXPECT_EQ(o->threads, 2u);
  EXPECT_EQ(o->file, "p.jsonl");
  EXPECT_EQ(o->repetitions, 3u);
  EXPECT_EQ(o->answer.max_tokens, 7u);
  EXPECT_EQ(o->answer.temperature, 0.5);
  EXPECT_EQ(o->answer.top_k, 40u);
  EXPECT_EQ(o->answer.top_p, 0.9);
  EXPECT_EQ(o->answer.min_p, 0.1);
  EXPECT_EQ(o->answer.seed, 6u);
}

TEST(ChatOptions, BadOnesAreRefusedByName) {
  struct Case {
    Args args;
    const char* part;  // of the message
  };
  const Case cases[] = {
      {{}, "no model"},
      {{"m", "x"}, "\"x\" is a word too many"},
      {{"m", "-n", "0"}, "--max-tokens is \"0\""},
      {{"m", "-r", "0"}, "--repeat is \"0\""},
      {{"m", "-f", ""}, "--file is \"\""},
      {{"m", "--temp", "nan"}, "--temp is \"nan\""},
      {{"m", "--temp", "-1"}, "--temp is \"-1\", must be a number 0..100"},
      {{"m", "--top-p", "2", "--temp", "1"}, "must be a number 0..1"},
      {{"m", "--top-p", "0.5"}, "--top-p means nothing without --temp"},
      {{"m", "--temp", "0", "--seed", "2"}, "--seed means nothing without"},
  };
  for (const Case& c : cases) {
    const auto options = ParseChat(c.args);
    ASSERT_FALSE(options.ok()) << c.part;
    EXPECT_EQ(options.status().kind(), ErrorKind::kUsage) << c.part;
    EXPECT_NE(options.status().message().find(c.part), std::string::npos)
        << options.status().message();
  }
}

TEST(Flags, HelpFitsAScreen) {
  for (const FlagSet* set :
       {&kSpeedFlags, &kChatFlags, &kSoakFlags, &kGateFlags, &kCompareFlags}) {
    const std::string help = Help(*set);
    EXPECT_LE(std::count(help.begin(), help.end(), '\n'), 40) << set->verb;
  }
}

TEST(Flags, HelpAndVersionNeedNoModel) {
  for (const auto& [word, action] :
       {std::pair("--help", Action::kHelp), std::pair("-h", Action::kHelp),
        std::pair("--version", Action::kVersion)}) {
    const auto flags = Flags::Parse(kSpeedFlags, Args{word});
    ASSERT_TRUE(flags.ok());
    EXPECT_EQ(flags->action(), action) << word;
  }
}

}  // namespace
}  // namespace slm::bench
