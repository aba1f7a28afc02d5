// SPDX-License-Identifier: MIT
#include "runtime/core/memory.h"

#include <cstdio>
#include <filesystem>
#include <vector>

#include "gtest/gtest.h"

namespace slm {
namespace {

// Released pages come back from the file with the same bytes, whatever part is
// named; ranges that are not the mapping's are left alone.
TEST(MappedFile, ReleasedPagesReadTheSameAgain) {
  const std::string path =
      (std::filesystem::path(testing::TempDir()) / "slm_mapped").string();
  std::vector<uint8_t> bytes(100000);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(i * 31 >> 3);
  }
  std::FILE* f = std::fopen(path.c_str(), "wb");
  ASSERT_TRUE(f);
  ASSERT_EQ(std::fwrite(bytes.data(), 1, bytes.size(), f), bytes.size());
  std::fclose(f);
  {
    auto file = MappedFile::Open(path);
    ASSERT_TRUE(file.ok()) << file.status().message();
    const auto expect_all = [&] {
      EXPECT_EQ(std::vector<uint8_t>(file->data(), file->data() + file->size()),
                bytes);
    };
    expect_all();
    for (size_t begin : {size_t{0}, size_t{1}, size_t{4096}, bytes.size()}) {
      for (size_t size : {size_t{0}, size_t{4095}, size_t{12288}}) {
        file->Release(file->data() + begin, size);
        expect_all();
      }
    }
    file->Release(file->data(), bytes.size() + 1);
    file->Release(bytes.data(), bytes.size());
    expect_all();
    EXPECT_EQ(bytes[99], static_cast<uint8_t>(99 * 31 >> 3));
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace slm
