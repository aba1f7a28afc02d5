// SPDX-License-Identifier: MIT
// A folder of a test's own, gone when the test ends.
#ifndef SLM_TESTS_TEMPORARY_FOLDER_H_
#define SLM_TESTS_TEMPORARY_FOLDER_H_

#include <filesystem>
#include <string>

#include "gtest/gtest.h"
#include "runtime/core/file.h"

namespace slm {

class TemporaryFolder : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    root_ = testing::TempDir() + "slm_" + test->test_suite_name() + "_" +
            test->name();
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  // A file of the folder, in folders that are made where they are missing.
  void Write(const std::string& name, const std::string& text = "") {
    const std::string path = root_ + "/" + name;
    std::filesystem::create_directories(
        std::filesystem::path(path).parent_path());
    ASSERT_TRUE(WriteFileAtomic(path, text).ok());
  }

  std::string root_;
};

}  // namespace slm

#endif  // SLM_TESTS_TEMPORARY_FOLDER_H_
