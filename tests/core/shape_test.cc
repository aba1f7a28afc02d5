// SPDX-License-Identifier: MIT
#include "runtime/core/shape.h"

#include "gtest/gtest.h"

namespace slm {
namespace {

TEST(Shape, MakeRefusesNegativeAndOverflow) {
  const int64_t negative[] = {-1, 4};
  const int64_t overflow[] = {int64_t{1} << 32, int64_t{1} << 32};
  const int64_t hidden[] = {int64_t{1} << 62, 0, 16};
  const int64_t good[] = {2, 0, 3};
  EXPECT_FALSE(Shape::Make(negative));
  EXPECT_FALSE(Shape::Make(overflow));
  EXPECT_FALSE(Shape::Make(hidden));
  ASSERT_TRUE(Shape::Make(good));
  EXPECT_EQ(Shape::Make(good)->Count(), 0u);
  EXPECT_EQ(Shape().Count(), 1u);
}

TEST(Shape, Broadcasts) {
  EXPECT_EQ(Broadcast({2, 1, 3}, {4, 1}), (Shape{2, 4, 3}));
  EXPECT_EQ(Broadcast({}, {4}), (Shape{4}));
  EXPECT_EQ(Broadcast({1}, {0}), (Shape{0}));
  EXPECT_FALSE(Broadcast({2}, {3}));
}

TEST(Shape, NormalizesAxes) {
  EXPECT_EQ(NormalizeAxis(-1, 3), 2u);
  EXPECT_EQ(NormalizeAxis(2, 3), 2u);
  EXPECT_FALSE(NormalizeAxis(3, 3));
  EXPECT_FALSE(NormalizeAxis(-4, 3));
}

}  // namespace
}  // namespace slm
