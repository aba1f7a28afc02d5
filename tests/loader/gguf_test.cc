// SPDX-License-Identifier: MIT
// Files are made here, byte by byte. Values of blocks: the format's reference
// (make_gguf_cases.py).
#include "loader/gguf.h"

#include <cstring>
#include <filesystem>
#include <random>

#include "gtest/gtest.h"
#include "loader/gguf_blocks.h"
#include "runtime/core/file.h"

namespace slm {
namespace {

std::string Number(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}
std::string Text(const std::string& text) {
  return Number(text.size(), 8) + text;
}
std::string IntKey(const std::string& key, uint32_t value) {
  return Text(key) + Number(4, 4) + Number(value, 4);
}
std::string TextKey(const std::string& key, const std::string& value) {
  return Text(key) + Number(8, 4) + Text(value);
}
std::string Array(const std::string& key, uint32_t type, uint64_t count,
                  const std::string& raw) {
  return Text(key) + Number(9, 4) + Number(type, 4) + Number(count, 8) + raw;
}

struct Tensor {
  std::string name;
  std::vector<uint64_t> dims;  // as the file has them: columns first
  uint32_t type;
  uint64_t offset;
};

struct Content {
  uint32_t version = 3;
  std::vector<std::string> keys;
  std::vector<Tensor> tensors;
  std::string data;
  size_t alignment = 32;

  std::string Bytes() const {
    std::string out = "GGUF" + Number(version, 4) + Number(tensors.size(), 8) +
                      Number(keys.size(), 8);
    for (const std::string& key : keys) out += key;
    for (const Tensor& t : tensors) {
      out += Text(t.name) + Number(t.dims.size(), 4);
      for (const uint64_t dim : t.dims) out += Number(dim, 8);
      out += Number(t.type, 4) + Number(t.offset, 8);
    }
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data;
  }
};

Content Small() {
  Content content;
  content.keys = {TextKey("general.architecture", "llama"),
                  IntKey("llama.block_count", 2),
                  Array("tokens", 8, 2, Text("a") + Text("")),
                  Array("types", 5, 2, Number(1, 4) + Number(~uint64_t{0}, 4)),
                  Text("on") + Number(7, 4) + Number(1, 1)};
  content.tensors = {{"w", {32, 2}, 2, 0}, {"v", {3}, 0, 64}};
  content.data = std::string(64 + 12, 'x');
  return content;
}

class GgufTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "slm_gguf_" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Result<Gguf> Open(const std::string& bytes,
                    const std::string& name = "m.gguf") {
    EXPECT_TRUE(WriteFileAtomic(folder_ + "/" + name, bytes).ok());
    return Gguf::Open(folder_ + "/" + name);
  }
  void ExpectMessage(const Content& content, const std::string& part) {
    const Result<Gguf> opened = Open(content.Bytes());
    ASSERT_FALSE(opened.ok()) << part;
    EXPECT_NE(opened.status().message().find(part), std::string::npos)
        << "wanted: " << part << "\ngot:    " << opened.status().message();
  }

  std::string folder_;
};

TEST_F(GgufTest, ReadsKeysTypesShapesAndBytes) {
  for (const uint32_t version : {2u, 3u}) {
    Content content = Small();
    content.version = version;
    const Result<Gguf> opened = Open(content.Bytes());
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    EXPECT_EQ(opened->Value("general.architecture")->text, "llama");
    EXPECT_EQ(opened->Value("llama.block_count")->integer, 2);
    EXPECT_EQ(opened->Value("on")->kind, GgufValue::Kind::kBool);
    EXPECT_EQ(opened->Value("on")->integer, 1);
    EXPECT_EQ(opened->Value("tokens")->Strings(),
              (std::vector<std::string_view>{"a", ""}));
    EXPECT_EQ(opened->Value("types")->Ints(), (std::vector<int64_t>{1, -1}));
    EXPECT_TRUE(opened->Value("types")->Floats().empty());
    EXPECT_EQ(opened->Value("none"), nullptr);
    const GgufTensor* w = opened->Find("w");
    ASSERT_NE(w, nullptr);
    EXPECT_EQ(w->type, GgufType::kQ4_0);
    EXPECT_EQ(w->shape, (Shape{2, 32}));
    EXPECT_EQ(w->bytes.size(), 36u);
    EXPECT_EQ(opened->Find("v")->bytes, std::string(12, 'x'));
    EXPECT_EQ(opened->total_bytes(), 48u);
  }
}

TEST_F(GgufTest, AlignmentOfTheFile) {
  Content content = Small();
  content.keys.push_back(IntKey("general.alignment", 64));
  content.alignment = 64;
  EXPECT_TRUE(Open(content.Bytes()).ok());
  content.keys.back() = IntKey("general.alignment", 48);
  ExpectMessage(content, "general.alignment = 48 is no power of two");
  content.keys.back() = IntKey("general.alignment", 0);
  ExpectMessage(content, "general.alignment = 0");
  content = Small();
  content.tensors[1].offset = 40;
  ExpectMessage(content, "begins at byte 40, no multiple of 32");
}

TEST_F(GgufTest, WhatAFileMustNotSay) {
  const auto with = [](auto change) {
    Content content = Small();
    change(&content);
    return content;
  };
  ExpectMessage(with([](Content* c) { c->version = 1; }), "version 1 is not");
  ExpectMessage(with([](Content* c) { c->version = 3u << 24; }), "big-endian");
  ExpectMessage(with([](Content* c) { c->data.resize(70); }),
                "\"v\" needs 12 bytes from byte 64 of the data, file has 70");
  ExpectMessage(with([](Content* c) { c->tensors[1].offset = ~uint64_t{31}; }),
                "needs 12 bytes from byte");
  ExpectMessage(with([](Content* c) { c->tensors[1].offset = 32; }),
                "tensor \"v\" overlaps the one before it");
  ExpectMessage(with([](Content* c) { c->tensors[1].name = "w"; }),
                "tensor \"w\" is there twice");
  ExpectMessage(with([](Content* c) {
                  c->tensors[0].dims = {33, 2};
                }),
                "rows are no multiple of a block of 32");
  ExpectMessage(with([](Content* c) {
                  c->tensors[0].dims = {uint64_t{1} << 62, 1 << 10};
                }),
                "is too large");
  ExpectMessage(with([](Content* c) { c->tensors[0].dims[0] = ~uint64_t{0}; }),
                "is too large");
  ExpectMessage(with([](Content* c) { c->tensors[0].dims = {}; }),
                "has 0 dimensions");
  ExpectMessage(with([](Content* c) {
                  c->tensors[0].dims = {32, 1, 1, 1, 1};
                }),
                "has 5 dimensions");
  ExpectMessage(with([](Content* c) { c->tensors[0].type = 16; }),
                "tensor \"w\": type IQ2_XXS is not supported");
  ExpectMessage(with([](Content* c) { c->tensors[0].type = 99; }),
                "type 99 is not supported");
  ExpectMessage(with([](Content* c) { c->keys.push_back(c->keys[1]); }),
                "key \"llama.block_count\" is there twice");
  ExpectMessage(with([](Content* c) {
                  c->keys[1] = Array("k", 4, uint64_t{1} << 62, "");
                }),
                "key \"k\": 4611686018427387904 elements do not fit");
  ExpectMessage(with([](Content* c) { c->keys[1] = Array("k", 9, 1, ""); }),
                "an array of elements of type 9 is not supported");
  ExpectMessage(
      with([](Content* c) { c->keys[1] = Text("k") + Number(13, 4); }),
      "key \"k\": a value of type 13");
  ExpectMessage(with([](Content* c) {
                  c->keys[1] = Text("k") + Number(8, 4) + Number(~0ull, 8);
                }),
                "key \"k\": needs 18446744073709551615 bytes");
  ExpectMessage(with([](Content* c) { c->keys[1] = IntKey("", 1); }),
                "a name of 0 bytes");
  EXPECT_NE(Open("GGML").status().message().find("does not begin"),
            std::string::npos);
  EXPECT_NE(Open("").status().message().find("does not begin"),
            std::string::npos);
}

// Nothing is read outside of the file and nothing large is allocated; what is
// accepted stays inside.
TEST_F(GgufTest, AnyTruncationAndAnyDamage) {
  const std::string good = Small().Bytes();
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(Open(good.substr(0, size)).ok()) << size;
  }
  std::mt19937 random(3);
  const size_t header = good.size() - Small().data.size();
  for (size_t i = 0; i < 1000; ++i) {
    std::string bad = good;
    for (size_t changes = 1 + random() % 3; changes > 0; --changes) {
      const size_t at = random() % header;
      const size_t count = std::min<size_t>(1 + random() % 8, header - at);
      for (size_t b = 0; b < count; ++b) {
        bad[at + b] = static_cast<char>(random() % 4 ? random() : 255);
      }
    }
    const Result<Gguf> opened = Open(bad);
    if (!opened.ok()) {
      EXPECT_EQ(opened.status().message().find('\n'), std::string::npos);
      continue;
    }
    for (const auto& [name, tensor] : opened->tensors()) {
      std::vector<float> values(tensor.shape.Count());
      DequantizeGguf(tensor.type, tensor.bytes.data(), values.size(),
                     values.data());
    }
    for (const auto& [key, value] : opened->values()) {
      value.Strings();
      value.Ints();
      value.Floats();
    }
  }
}

TEST_F(GgufTest, SplitFiles) {
  const auto part = [](uint32_t number, uint32_t count, const char* name) {
    Content content;
    content.keys = {Text("split.no") + Number(2, 4) + Number(number, 2),
                    Text("split.count") + Number(2, 4) + Number(count, 2),
                    IntKey("split.tensors.count", 2)};
    content.tensors = {{name, {1}, 0, 0}};
    content.data = "1234";
    return content.Bytes();
  };
  const std::string first = "m-00001-of-00002.gguf";
  const std::string second = "m-00002-of-00002.gguf";
  EXPECT_NE(Open(part(0, 2, "a"), first)
                .status()
                .message()
                .find(second + "\" not found: one of 2"),
            std::string::npos);
  const Result<Gguf> opened = Open(part(1, 2, "b"), second);
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  EXPECT_EQ(opened->tensors().size(), 2u);
  EXPECT_EQ(opened->Find("b")->file, 1u);
  EXPECT_EQ(opened->files(), (std::vector<std::string>{first, second}));
  const auto found = FindGguf(folder_);
  ASSERT_TRUE(found.ok() && *found);
  EXPECT_EQ(**found, folder_ + "/" + first);
  EXPECT_NE(Open(part(1, 2, "a"), second).status().message().find("twice"),
            std::string::npos);
  EXPECT_NE(Open(part(0, 2, "b"), second).status().message().find("split.no"),
            std::string::npos);
  EXPECT_NE(Open(part(1, 2, "b"), "x.gguf")
                .status()
                .message()
                .find("by its name it is 0 of 1"),
            std::string::npos);
  EXPECT_NE(FindGguf(folder_).status().message().find("pass one of the files"),
            std::string::npos);
}

TEST(GgufBlocksTest, ValuesOfTheReference) {
  const auto file =
      ReadFile(std::string(SLM_TEST_DATA_DIR) + "/gguf_blocks.bin");
  ASSERT_TRUE(file.ok()) << file.status().message();
  size_t at = 0, types = 0;
  const auto word = [&] {
    uint32_t value;
    std::memcpy(&value, file->data() + at, sizeof value);
    at += sizeof value;
    return value;
  };
  constexpr std::pair<uint32_t, GgufType> kIds[] = {
      {0, GgufType::kF32},   {1, GgufType::kF16},   {2, GgufType::kQ4_0},
      {3, GgufType::kQ4_1},  {6, GgufType::kQ5_0},  {7, GgufType::kQ5_1},
      {8, GgufType::kQ8_0},  {10, GgufType::kQ2_K}, {11, GgufType::kQ3_K},
      {12, GgufType::kQ4_K}, {13, GgufType::kQ5_K}, {14, GgufType::kQ6_K},
      {30, GgufType::kBF16}};
  while (at < file->size()) {
    const uint32_t id = word(), count = word(), bytes = word();
    const auto* row = std::find_if(std::begin(kIds), std::end(kIds),
                                   [&](auto& r) { return r.first == id; });
    ASSERT_NE(row, std::end(kIds)) << id;
    const GgufType type = row->second;
    SCOPED_TRACE(GgufTypeName(type));
    ASSERT_EQ(count / GgufBlockValues(type) * GgufBlockBytes(type), bytes);
    const char* blocks = file->data() + at;
    std::vector<float> expected(count), values(count);
    std::memcpy(expected.data(), blocks + bytes, count * sizeof(float));
    at += bytes + count * sizeof(float);
    DequantizeGguf(type, blocks, count, values.data());
    for (size_t i = 0; i < count; ++i) EXPECT_EQ(values[i], expected[i]) << i;
    ++types;
    const GgufGrid grid = GridOf(type);
    if (grid.bits == 0) continue;
    std::vector<uint8_t> codes(count);
    std::vector<float> scales(count / grid.block);
    GgufCodes(type, blocks, count, codes.data(), scales.data());
    for (size_t i = 0; i < count; ++i) {
      EXPECT_LT(codes[i], 1u << grid.bits);
      EXPECT_EQ(
          static_cast<float>(codes[i] - grid.zero) * scales[i / grid.block],
          expected[i]);
    }
  }
  EXPECT_EQ(types, std::size(kIds));
}

}  // namespace
}  // namespace slm
