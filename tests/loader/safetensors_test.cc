// SPDX-License-Identifier: MIT
// Files are made here, byte by byte: the format is a length, JSON and data.
#include "loader/safetensors.h"

#include <cstring>
#include <filesystem>

#include "gtest/gtest.h"
#include "runtime/core/file.h"
#include "tests/shared_fixtures.h"

namespace slm {
namespace {

std::string Container(const std::string& header, const std::string& data,
                      uint64_t length) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(length >> (8 * i));
  return file + header + data;
}
std::string Container(const std::string& header, const std::string& data) {
  return Container(header, data, header.size());
}

std::string Entry(const char* name, const char* dtype, const char* shape,
                  size_t begin, size_t end) {
  return Format(
      "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":"
      "[%zu,%zu]}",
      name, dtype, shape, begin, end);
}

class SafeTensorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "slm_safetensors_" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& content) {
    ASSERT_TRUE(WriteFileAtomic(folder_ + "/" + name, content).ok());
  }
  // The message of opening a folder with this as its only file.
  std::string Message(const std::string& content) {
    Write("model.safetensors", content);
    return Message();
  }
  std::string Message() {
    const Result<SafeTensors> opened = SafeTensors::Open(folder_);
    return opened.ok() ? "" : opened.status().message();
  }
  void ExpectMessage(const std::string& content, const std::string& part) {
    EXPECT_NE(Message(content).find(part), std::string::npos)
        << "wanted: " << part << "\ngot:    " << Message(content);
  }

  std::string folder_;
};

TEST_F(SafeTensorsTest, ReadsTypesShapesAndBytes) {
  Write("model.safetensors",
        Container("{\"__metadata__\":{\"format\":\"pt\"}," +
                      Entry("b", "BF16", "[2,3]", 8, 20) + "," +
                      Entry("a", "F64", "[]", 0, 8) + "," +
                      Entry("c", "F8_E4M3", "[0,4]", 20, 20) + "}  ",
                  "01234567abcdefghijkl"));
  const Result<SafeTensors> opened = SafeTensors::Open(folder_);
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  ASSERT_EQ(opened->tensors().size(), 3u);
  EXPECT_EQ(opened->total_bytes(), 20u);
  const SafeTensor* b = opened->Find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->type, SafeType::kBF16);
  EXPECT_EQ(b->shape, (Shape{2, 3}));
  EXPECT_EQ(b->bytes, "abcdefghijkl");
  EXPECT_EQ(opened->Find("a")->shape.rank(), 0u);
  EXPECT_EQ(opened->Find("c")->bytes.size(), 0u);
  EXPECT_EQ(opened->Find("d"), nullptr);
  opened->Release(*b, 0, b->bytes.size());
  EXPECT_EQ(b->bytes, "abcdefghijkl");
}

TEST_F(SafeTensorsTest, RefusesBrokenFilesInOneLine) {
  ExpectMessage("1234567", "7 bytes are no safetensors file");
  ExpectMessage(Container("{}", "", 3), "header needs 3 bytes, file has 2");
  ExpectMessage(Container("{}", "", uint64_t{1} << 40),
                "header has 1099511627776 bytes, supported: up to 8388608");
  ExpectMessage(Container("{}", "", ~uint64_t{0}), "header has 1844674407");
  ExpectMessage(Container("[]", ""), "header is array, expected object");
  ExpectMessage(Container("{\"a\":", ""), "model.safetensors");
  ExpectMessage(Container("{\"a\":1}", ""), "tensor \"a\": is int");
  ExpectMessage(Container("{\"a\":{}}", ""), "\"dtype\" is missing");
  ExpectMessage(Container("{" + Entry("a", "F33", "[1]", 0, 4) + "}", "1234"),
                "tensor \"a\": dtype \"F33\" is not supported");
  ExpectMessage(Container("{" + Entry("a", "F32", "[-1]", 0, 4) + "}", "1234"),
                "\"shape\" is negative or too large");
  ExpectMessage(Container("{" + Entry("a", "F32", "[1.5]", 0, 4) + "}", "1234"),
                "\"shape\" is ");
  ExpectMessage(
      Container(
          "{" + Entry("a", "F32", "[4294967296,4294967296,16]", 0, 4) + "}",
          "1234"),
      "\"shape\" is negative or too large");
  ExpectMessage(Container("{" + Entry("a", "F32", "[2]", 0, 4) + "}", "1234"),
                "F32 [2] needs 8 bytes, data_offsets hold 4");
  ExpectMessage(Container("{" + Entry("a", "F32", "[2]", 0, 8) + "}", "1234"),
                "needs bytes 0..8 of the data, file has 4");
  ExpectMessage(Container("{" + Entry("a", "F32", "[1]", 4, 0) + "}", "1234"),
                "\"data_offsets\" is not a pair");
  ExpectMessage(Container("{" + Entry("a", "F32", "[1]", 0, 4) + "," +
                              Entry("b", "F32", "[1]", 0, 4) + "}",
                          "1234"),
                "tensor \"b\" begins at byte 0, the one before ends at 4: "
                "tensors overlap");
  ExpectMessage(
      Container("{" + Entry("a", "F32", "[1]", 4, 8) + "}", "12345678"),
      "leave a hole");
  ExpectMessage(
      Container("{" + Entry("a", "F32", "[1]", 0, 4) + "}", "12345678"),
      "tensors end at byte 4 of the data, file has 8");
  ExpectMessage(Container("{" + Entry("a", "F32", "[1]", 0, 4) + "," +
                              Entry("a", "F32", "[1]", 4, 8) + "}",
                          "12345678"),
                "tensor \"a\" is there twice");
}

TEST_F(SafeTensorsTest, ReadsShardsOfAnIndex) {
  Write("model-1.safetensors",
        Container("{" + Entry("a", "F32", "[1]", 0, 4) + "}", "1234"));
  Write("model-2.safetensors",
        Container("{" + Entry("b", "F32", "[1]", 0, 4) + "}", "5678"));
  Write("model.safetensors.index.json",
        "{\"metadata\":{},\"weight_map\":{\"a\":\"model-1.safetensors\","
        "\"b\":\"model-2.safetensors\"}}");
  const Result<SafeTensors> opened = SafeTensors::Open(folder_);
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_EQ(opened->Find("b")->bytes, "5678");
  EXPECT_EQ(opened->files().size(), 2u);
}

TEST_F(SafeTensorsTest, RefusesIndicesThatDoNotFit) {
  const std::string index = "model.safetensors.index.json";
  const auto expect = [&](const std::string& map, const std::string& part) {
    Write(index, "{\"weight_map\":" + map + "}");
    EXPECT_NE(Message().find(part), std::string::npos) << Message();
  };
  Write("m1.safetensors",
        Container("{" + Entry("a", "F32", "[1]", 0, 4) + "}", "1234"));
  Write("m2.safetensors",
        Container("{" + Entry("a", "F32", "[1]", 0, 4) + "}", "1234"));
  expect("{\"a\":\"m3.safetensors\"}", "m3.safetensors");
  expect("{\"a\":\"../m1.safetensors\"}", "leaves the model folder");
  expect("{\"a\":\"/m1.safetensors\"}", "leaves the model folder");
  expect("{\"a\":7}", "\"a\" is integer, expected a file name");
  expect("{\"a\":\"m1.bin\"}", "which is no safetensors file");
  expect("{}", "weight_map is empty");
  expect("[]", "\"weight_map\" is array, expected object");
  expect("{\"b\":\"m1.safetensors\"}", "tensor \"b\" is not in m1.safetensors");
  expect("{\"a\":\"m1.safetensors\",\"b\":\"m2.safetensors\"}",
         "tensor \"a\" is there twice");
}

TEST_F(SafeTensorsTest, NamesWhatElseLiesThere) {
  EXPECT_NE(Message().find("no model.safetensors and no"), std::string::npos);
  Write("model.gguf", "GGUF");
  EXPECT_NE(Message().find("model.gguf"), std::string::npos);
  Write("pytorch_model.bin", "PK");
  EXPECT_NE(Message().find("pytorch_model.bin is a Python pickle"),
            std::string::npos);
}

TEST_F(SafeTensorsTest, ReadsTheTeamsFixtures) {
  SLM_NEEDS_SHARED("fixtures/models");
  const Result<SafeTensors> opened =
      SafeTensors::Open(SharedPath("fixtures/models/llama3-rope/hf"));
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_EQ(opened->files().size(), 5u);
  const SafeTensor* head = opened->Find("lm_head.weight");
  ASSERT_NE(head, nullptr);
  EXPECT_EQ(head->shape, (Shape{653, 128}));
}

}  // namespace
}  // namespace slm
