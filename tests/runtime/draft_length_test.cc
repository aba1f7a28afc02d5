// SPDX-License-Identifier: MIT
// The rules of ORT-GenAI's docs/SpeculativeDecoding.md, "Adaptive proposal
// width", on rounds with invented clocks.
#include "runtime/draft_length.h"

#include "gtest/gtest.h"

namespace slm {
namespace {

// A full round at the present length; a step that costs the same whatever its
// length, as a memory-bound one nearly does.
void Round(DraftLength* length, size_t accepted, double seconds = 1) {
  length->Record(
      {.proposed = length->Next(), .accepted = accepted, .seconds = seconds});
}

void AcceptAll(DraftLength* length, int rounds) {
  for (int i = 0; i < rounds; ++i) Round(length, length->length());
}

TEST(DraftLength, IsFixedWithoutMinAdaptiveK) {
  DraftLength length({.max_draft_tokens = 5});
  AcceptAll(&length, 20);
  EXPECT_EQ(length.Next(), 5u);
  for (int i = 0; i < 20; ++i) Round(&length, 0);
  EXPECT_EQ(length.Next(), 5u);
}

TEST(DraftLength, BeginsAtTheLeastNotAtMaxDraftTokens) {
  EXPECT_EQ(DraftLength({.max_draft_tokens = 8, .min_adaptive_k = 2}).Next(),
            2u);
}

// Two rounds to judge the length, two of the probe, one of waiting, and the
// second round at the new length probes again.
TEST(DraftLength, TriesOneMoreAfterTwoGoodRounds) {
  DraftLength length({.min_adaptive_k = 2});
  const size_t expected[] = {2, 3, 3, 3, 3, 4, 4, 4, 4, 5};
  for (const size_t e : expected) {
    Round(&length, length.length());
    EXPECT_EQ(length.Next(), e);
  }
}

TEST(DraftLength, GrowsToSixteenFallsOnRejectionsAndRecovers) {
  DraftLength length({.min_adaptive_k = 2});
  AcceptAll(&length, 100);
  EXPECT_EQ(length.Next(), 16u);
  for (int i = 0; i < 200; ++i) Round(&length, 0);
  EXPECT_EQ(length.Next(), 2u);
  AcceptAll(&length, 100);
  EXPECT_GT(length.Next(), 2u);
}

// 3 tokens in 1 s against 4 in 2 s: 2 / 3 of the speed, given up at once and
// not tried again for six rounds.
TEST(DraftLength, ASlowProbeIsGivenUpAtOnce) {
  DraftLength length({.min_adaptive_k = 2});
  AcceptAll(&length, 2);
  ASSERT_EQ(length.Next(), 3u);
  Round(&length, 3, 2);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(length.Next(), 2u) << i;
    Round(&length, 2);
  }
  EXPECT_EQ(length.Next(), 2u);
  Round(&length, 2);
  EXPECT_EQ(length.Next(), 3u);
}

// 4 tokens in 1.4 s are 0.95 of 3 tokens a second.
TEST(DraftLength, AProbeNeedsTheSpeedOfItsOriginInTwoRounds) {
  DraftLength length({.min_adaptive_k = 2});
  AcceptAll(&length, 2);
  Round(&length, 3, 1.4);
  EXPECT_EQ(length.Next(), 3u);
  Round(&length, 3, 1.4);
  EXPECT_EQ(length.Next(), 2u);
}

TEST(DraftLength, ShortDraftsAndMissesTeachNothing) {
  DraftLength length({.min_adaptive_k = 2});
  for (int i = 0; i < 20; ++i) {
    length.Record({.proposed = 1, .accepted = 1, .seconds = 1});
    length.Record({.proposed = 0, .accepted = 0, .seconds = 1});
    length.Record({.proposed = 2, .accepted = 2, .seconds = 0});
  }
  EXPECT_EQ(length.Next(), 2u);
}

TEST(DraftLength, CooldownIsOneStepAfterThreeRejectedRounds) {
  for (const int64_t adaptive : {0, 4}) {
    DraftLength length(
        {.max_draft_tokens = 4, .min_adaptive_k = adaptive, .cooldown = true});
    for (int i = 0; i < 2; ++i) Round(&length, 0);
    Round(&length, 1);  // begins the count anew
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(length.length(), 4u);
      Round(&length, 0);
    }
    EXPECT_EQ(length.Next(), 0u);
    EXPECT_EQ(length.Next(), 4u);
  }
}

}  // namespace
}  // namespace slm
