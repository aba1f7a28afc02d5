// SPDX-License-Identifier: MIT
#include "tools/convert/self_check.h"

#include <cmath>
#include <filesystem>

#include "gtest/gtest.h"
#include "runtime/core/file.h"
#include "tests/shared_fixtures.h"
#include "tools/convert/lean_plan.h"

namespace slm::convert {
namespace {

TEST(Divergence, OfTwoRowsByHand) {
  // Softmax of {log 3, 0} is {3/4, 1/4}, of {0, 0} {1/2, 1/2}.
  const float source[] = {std::log(3.0f), 0};
  const float output[] = {0, 0};
  Divergence d;
  d.Add(source, output, 1);
  d.Add(source, source, -1);
  EXPECT_EQ(d.rows, 2u);
  EXPECT_EQ(d.predictions, 1u);
  const double kl = 0.75 * std::log(1.5) + 0.25 * std::log(0.5);
  EXPECT_NEAR(d.MeanKl(), kl / 2, 1e-7);  // float32 exp
  EXPECT_NEAR(d.SourcePerplexity(), 4, 1e-6);
  EXPECT_NEAR(d.OutputPerplexity(), 2, 1e-6);
  // Errors are as large as the first row, none in the second.
  EXPECT_NEAR(d.RelativeError(), std::sqrt(0.5), 1e-7);
  EXPECT_EQ(d.Top1(), 1);
  EXPECT_NEAR(d.Correlation(), std::sqrt(0.5), 1e-7);
  const float other[] = {0, 1};
  d.Add(source, other, -1);
  EXPECT_DOUBLE_EQ(d.Top1(), 2.0 / 3);
}

TEST(Divergence, WhatAllLogitsHaveMoreDoesNotCount) {
  const float source[] = {1, -2, 0.5f}, output[] = {101, 98, 100.5f};
  Divergence d;
  d.Add(source, output, 0);
  EXPECT_NEAR(d.MeanKl(), 0, 1e-12);
  EXPECT_NEAR(d.RelativeError(), 0, 1e-6);
}

TEST(Divergence, NaNAndInfinityAreNotFinite) {
  for (const float bad : {std::nanf(""), HUGE_VALF}) {
    const float source[] = {1, 2}, output[] = {bad, 2};
    Divergence d;
    d.Add(source, output, 0);
    EXPECT_FALSE(d.finite);
  }
}

class SelfCheckTest : public testing::Test {
 protected:
  void SetUp() override {
    namespace fs = std::filesystem;
    folder_ = testing::TempDir() + "slm_self_check";
    fs::remove_all(folder_);
    fs::copy(std::string(SLM_TEST_DATA_DIR) + "/tiny-model", folder_);
    fs::permissions(folder_ + "/model.onnx.data", fs::perms::owner_write,
                    fs::perm_options::add);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // The tiny model as it came.
  static Result<Reference> Intact(const Model&) {
    auto model =
        Model::Open(std::string(SLM_TEST_DATA_DIR) + "/tiny-model", {});
    if (!model.ok()) return model.status();
    const std::shared_ptr<Model> shared = std::move(model).value();
    return Reference{{shared, &shared->plan()}};
  }
  Result<SelfCheck> Check(bool exact) {
    ThreadPool threads(1);
    return CheckOutput(folder_, Intact, {exact, 1000}, threads);
  }
  // Each byte of the weights through `change`.
  template <typename Change>
  void Damage(const Change& change) {
    const std::string path = folder_ + "/model.onnx.data";
    std::string data = *ReadFile(path);
    for (size_t i = 0; i < data.size(); ++i) data[i] = change(i, data[i]);
    ASSERT_TRUE(WriteFileAtomic(path, data).ok());
  }

  std::string folder_;
};

TEST_F(SelfCheckTest, TheSameModelIsTheSame) {
  const auto check = Check(/*exact=*/true);
  ASSERT_TRUE(check.ok()) << check.status().message();
  EXPECT_EQ(check->prompts.size(), 3u);
  EXPECT_TRUE(check->has_template);
  EXPECT_EQ(check->all.rows, check->TokenCount());
  EXPECT_EQ(check->all.MeanKl(), 0);
  EXPECT_EQ(check->all.Top1(), 1);
}

TEST_F(SelfCheckTest, WithoutReferenceTheOutputIsTriedAlone) {
  ThreadPool threads(1);
  const auto check = CheckOutput(
      folder_,
      [](const Model&) -> Result<Reference> { return Invalid("for a reason"); },
      {}, threads);
  ASSERT_TRUE(check.ok()) << check.status().message();
  EXPECT_EQ(check->no_reference, "for a reason");
  EXPECT_EQ(check->all.rows, 0u);
}

TEST_F(SelfCheckTest, LostWeightsFail) {
  Damage([](size_t, char) { return '\0'; });
  for (const bool exact : {false, true}) {
    const auto check = Check(exact);
    ASSERT_FALSE(check.ok());
    EXPECT_EQ(check.status().kind(), ErrorKind::kVerify)
        << check.status().message();
    EXPECT_NE(check.status().message().find(exact ? "differs" : "nothing"),
              std::string::npos)
        << check.status().message();
  }
}

TEST_F(SelfCheckTest, LogitsThatAreNotFiniteFail) {
  // Every float NaN: scales, norms and caches.
  Damage([](size_t, char) { return static_cast<char>(0xFF); });
  const auto check = Check(/*exact=*/false);
  ASSERT_FALSE(check.ok());
  EXPECT_EQ(check.status().kind(), ErrorKind::kVerify);
  EXPECT_NE(check.status().message().find("not finite"), std::string::npos)
      << check.status().message();
}

TEST_F(SelfCheckTest, AFolderThatDoesNotOpenFails) {
  std::filesystem::resize_file(folder_ + "/model.onnx.data", 1000);
  const auto check = Check(/*exact=*/false);
  ASSERT_FALSE(check.ok());
  EXPECT_EQ(check.status().kind(), ErrorKind::kVerify);
}

}  // namespace
}  // namespace slm::convert
