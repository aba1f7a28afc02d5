// SPDX-License-Identifier: MIT
#include "gtest/gtest.h"
#include "tools/bench/gate_options.h"
#include "tools/bench/result_file.h"

namespace slm::bench {
namespace {

using Args = std::vector<std::string>;

constexpr const char* kHead =
    R"({"schema": 1, "verb": "speed", "model": "m", "version": "0.1",)"
    R"( "cpu": "c", "target": "AVX2", "threads": 2, "kv": "fp16")";

TEST(ResultFile, HasWhatWasWritten) {
  const auto r = ParseResult(
      std::string(kHead) +
          R"(, "load_ms": 12.5, "peak_rss_mib": null, "more": [], "tests": [)"
          R"({"name": "pp8", "unit": "tok/s", "best": 3, "samples": [1, 2.5]},)"
          R"({"name": "tg4", "unit": "tok/s", "samples": []}]})",
      "a.json");
  ASSERT_TRUE(r.ok()) << r.status().message();
  EXPECT_EQ(r->path, "a.json");
  EXPECT_EQ(r->verb, "speed");
  EXPECT_EQ(r->target, "AVX2");
  EXPECT_EQ(r->threads, 2);
  EXPECT_EQ(r->load_ms, 12.5);
  EXPECT_FALSE(r->peak_rss_mib);
  ASSERT_NE(r->Find("pp8"), nullptr);
  EXPECT_EQ(r->Find("pp8")->unit, "tok/s");
  EXPECT_EQ(r->Find("pp8")->samples, (std::vector<double>{1, 2.5}));
  EXPECT_TRUE(r->Find("tg4")->samples.empty());
  EXPECT_EQ(r->Find("tg8"), nullptr);
}

TEST(ResultFile, WhatIsNoneIsRefusedByName) {
  const std::string head = kHead;
  const std::pair<std::string, const char*> cases[] = {
      {"", "a.json: "},
      {"[]", "no \"schema\""},
      {"{}", "no \"schema\""},
      {"{\"schema\": 2}", "\"schema\" is 2, this slm-bench reads 1"},
      {"{\"schema\": 1}", "\"verb\" is missing"},
      {"{\"schema\": 1, \"verb\": 3}", "\"verb\" is"},
      {head + "}", "has no tests with samples"},
      {head + ", \"load_ms\": \"x\"}", "\"load_ms\" is"},
      {head + ", \"tests\": [1]}", "a test is"},
      {head + ", \"tests\": [{\"name\": \"a\"}]}", "\"unit\" is missing"},
      {head + ", \"tests\": [{\"name\": \"a\", \"unit\": \"ms\"}]}",
       "test \"a\" has no list of samples"},
      {head + ", \"tests\": [{\"name\": \"a\", \"unit\": \"ms\", \"samples\":"
              " [1, null]}]}",
       "a sample of test \"a\" is"},
  };
  for (const auto& [text, part] : cases) {
    const auto r = ParseResult(text, "a.json");
    ASSERT_FALSE(r.ok()) << text;
    EXPECT_EQ(r.status().kind(), ErrorKind::kInvalid) << text;
    EXPECT_NE(r.status().message().find(part), std::string::npos)
        << r.status().message();
  }
}

Result<GateOptions> ParseGate(const Args& args) {
  SLM_ASSIGN_OR_RETURN(Flags flags, Flags::Parse(kGateFlags, args));
  return ReadGateOptions(&flags);
}

TEST(GateOptions, EveryFlagReachesItsField) {
  const auto o =
      ParseGate({"m/", "--min-pp",   "1",     "--min-tg",  "2.5",  "--max-ttft",
                 "3",  "--max-load", "4",     "--max-rss", "1.5G", "--max-ppl",
                 "6",  "-f",         "t.txt", "--chunks",  "7",    "-p",
                 "8",  "-n",         "9",     "-r",        "10"});
  ASSERT_TRUE(o.ok()) << o.status().message();
  EXPECT_EQ(o->model, "m/");
  EXPECT_EQ(o->min_pp, 1);
  EXPECT_EQ(o->min_tg, 2.5);
  EXPECT_EQ(o->max_ttft, 3);
  EXPECT_EQ(o->max_load, 4);
  EXPECT_EQ(o->max_rss, uint64_t{3} << 29);
  EXPECT_EQ(o->max_ppl, 6);
  EXPECT_EQ(o->file, "t.txt");
  EXPECT_EQ(o->chunks, 7u);
  EXPECT_EQ(o->prompt, 8u);
  EXPECT_EQ(o->generated, 9u);
  EXPECT_EQ(o->repetitions, 10u);
}

TEST(GateOptions, SizesArePowersOf1024) {
  for (const auto& [text, bytes] : {std::pair("1500000", uint64_t{1500000}),
                                    std::pair("800M", uint64_t{800} << 20),
                                    std::pair("2GiB", uint64_t{2} << 30),
                                    std::pair("64K", uint64_t{65536})}) {
    const auto o = ParseGate({"m", "--max-rss", text});
    ASSERT_TRUE(o.ok()) << text;
    EXPECT_EQ(o->max_rss, bytes) << text;
  }
}

TEST(GateOptions, BadOnesAreRefusedByName) {
  const std::pair<Args, const char*> cases[] = {
      {{"m"}, "gate without a limit"},
      {{"--min-tg", "1"}, "no model"},
      {{"m", "--min-tg", "x"}, "--min-tg is \"x\""},
      {{"m", "--max-rss", "1.5X"}, "--max-rss is \"1.5X\""},
      {{"m", "--max-rss", "M"}, "--max-rss is \"M\""},
      {{"m", "--max-ppl", "12"}, "--max-ppl needs a text"},
      {{"m", "--min-tg", "1", "-f", "t"}, "--file means nothing without"},
      {{"m", "--min-tg", "1", "--chunks", "2"}, "--chunks means nothing"},
      {{"--from", "r.json"}, "gate without a limit"},
      {{"m", "--from", "r.json", "--min-tg", "1"}, "\"m\" is a word too many"},
      {{"--from", "r.json", "--min-tg", "1", "-t", "2"},
       "--threads does not go with --from"},
      {{"--from", "r.json", "--max-ppl", "1", "-f", "t"},
       "--max-ppl does not go with --from"},
  };
  for (const auto& [args, part] : cases) {
    const auto o = ParseGate(args);
    ASSERT_FALSE(o.ok()) << part;
    EXPECT_EQ(o.status().kind(), ErrorKind::kUsage) << part;
    EXPECT_NE(o.status().message().find(part), std::string::npos)
        << o.status().message();
  }
}

}  // namespace
}  // namespace slm::bench
