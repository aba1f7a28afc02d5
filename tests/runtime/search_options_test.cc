// SPDX-License-Identifier: MIT
#include "runtime/search_options.h"

#include <limits>
#include <string>

#include "gtest/gtest.h"

namespace slm {
namespace {

SearchOptions Valid() {
  SearchOptions o;
  o.max_length = 100;
  o.eos_ids = {2};
  return o;
}

TEST(SearchOptions, DefaultsWithALengthAreValid) {
  EXPECT_TRUE(Validate(Valid(), 1000, 100).ok());
}

TEST(SearchOptions, RefusesWithTheValueAndTheRange) {
  const float inf = std::numeric_limits<float>::infinity();
  struct Case {
    const char* message;
    void (*change)(SearchOptions*);
  };
  const Case cases[] = {
      {"max_length is 101, the model's context_length is 100",
       [](SearchOptions* o) { o->max_length = 101; }},
      {"max_length is 0, must be 1..100",
       [](SearchOptions* o) { o->max_length = 0; }},
      {"top_p is 1.5, must be 0..1", [](SearchOptions* o) { o->top_p = 1.5f; }},
      {"top_p is -0.5, must be 0..1",
       [](SearchOptions* o) { o->top_p = -0.5f; }},
      {"top_k is 1001, must be 0..1000",
       [](SearchOptions* o) {
         o->do_sample = true;
         o->top_k = 1001;
       }},
      {"top_k is -1, must be 0..1000",
       [](SearchOptions* o) {
         o->do_sample = true;
         o->top_k = -1;
       }},
      {"min_p is 2, must be 0..1", [](SearchOptions* o) { o->min_p = 2; }},
      {"temperature is -1, must be finite and at least 0",
       [](SearchOptions* o) { o->temperature = -1; }},
      {"repetition_penalty is 0, must be above 0 (1 is off)",
       [](SearchOptions* o) { o->repetition_penalty = 0; }},
      {"seed is 4294967296, must be -1..4294967295",
       [](SearchOptions* o) { o->seed = int64_t{1} << 32; }},
      {"num_beams is 33, must be 1..32",
       [](SearchOptions* o) { o->num_beams = 33; }},
      {"num_return_sequences is 3, must be 1..2",
       [](SearchOptions* o) {
         o->num_beams = 2;
         o->num_return_sequences = 3;
       }},
      {"num_beams is 4 and do_sample is true: beam search does not sample; set "
       "num_beams to 1 or do_sample to false",
       [](SearchOptions* o) {
         o->num_beams = 4;
         o->do_sample = true;
       }},
      {"EOS token is 1000, must be 0..999 (below the vocabulary size)",
       [](SearchOptions* o) { o->eos_ids = {1000}; }},
      {"logit_bias names token -1, must be 0..999 (below the vocabulary size)",
       [](SearchOptions* o) {
         o->logit_bias = {{-1, 1}};
       }},
      {"top_logprobs is 21, must be -1..20",
       [](SearchOptions* o) { o->top_logprobs = 21; }},
  };
  for (const Case& c : cases) {
    SearchOptions o = Valid();
    c.change(&o);
    const Status status = Validate(o, 1000, 100);
    EXPECT_EQ(status.kind(), ErrorKind::kUsage);
    EXPECT_EQ(status.message(), c.message);
  }
  for (float SearchOptions::*field :
       {&SearchOptions::top_p, &SearchOptions::min_p,
        &SearchOptions::temperature, &SearchOptions::repetition_penalty,
        &SearchOptions::length_penalty, &SearchOptions::presence_penalty,
        &SearchOptions::frequency_penalty}) {
    for (const float value :
         {inf, -inf, std::numeric_limits<float>::quiet_NaN()}) {
      SearchOptions o = Valid();
      o.*field = value;
      EXPECT_FALSE(Validate(o, 1000, 100).ok());
    }
  }
}

TEST(SearchOptions, TopKMayExceedTheVocabularyWithoutSampling) {
  SearchOptions o = Valid();
  o.eos_ids = {1};
  EXPECT_TRUE(Validate(o, 3, 100).ok());
  o.do_sample = true;
  EXPECT_FALSE(Validate(o, 3, 100).ok());
}

TEST(SearchOptions, BeamsNeedATokenThatIsNoEos) {
  SearchOptions o = Valid();
  o.num_beams = 2;
  o.top_k = 1;
  o.eos_ids = {0, 1, 2};
  EXPECT_FALSE(Validate(o, 3, 100).ok());
  EXPECT_TRUE(Validate(o, 4, 100).ok());
}

TEST(SearchOptions, GreedyIsNoSamplingOrOneCandidateOrNoTemperature) {
  SearchOptions o = Valid();
  EXPECT_TRUE(IsGreedy(o));
  o.do_sample = true;
  EXPECT_FALSE(IsGreedy(o));
  o.temperature = 1e-40f;  // its reciprocal is infinite
  EXPECT_TRUE(IsGreedy(o));
  o.temperature = 0;
  EXPECT_TRUE(IsGreedy(o));
  o.temperature = 1;
  o.top_k = 1;
  EXPECT_TRUE(IsGreedy(o));
}

}  // namespace
}  // namespace slm
