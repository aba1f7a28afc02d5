// SPDX-License-Identifier: MIT
// Initializers in every form that an ONNX file has for them. Expected bytes
// are those of the schema's comments in onnx.proto, TensorProto.
#include "loader/onnx_graph.h"

#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "onnx/onnx.pb.h"
#include "runtime/core/file.h"

namespace slm {
namespace {

using onnx::TensorProto;
using Fill = std::function<void(TensorProto*)>;

template <typename T>
std::string BytesOf(std::initializer_list<T> values) {
  return std::string(reinterpret_cast<const char*>(values.begin()),
                     values.size() * sizeof(T));
}

void SetExternal(TensorProto* tensor, const std::string& file,
                 const std::string& offset, const std::string& length = "") {
  tensor->set_data_location(TensorProto::EXTERNAL);
  for (const auto& [key, value] :
       {std::pair<std::string, std::string>("location", file),
        {"offset", offset},
        {"length", length}}) {
    if (value.empty()) continue;
    auto* entry = tensor->add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  }
}

// A folder with a model that is nothing but initializers.
class OnnxTensors : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "slm_onnx_graph_test";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    model_.set_ir_version(10);
    model_.add_opset_import()->set_version(21);
    model_.mutable_graph()->set_name("g");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  TensorProto* Add(const std::string& name, int type,
                   const std::vector<int64_t>& dims) {
    TensorProto* tensor = model_.mutable_graph()->add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(type);
    for (int64_t d : dims) tensor->add_dims(d);
    return tensor;
  }
  void Write(const std::string& file, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomic(folder_ + "/" + file, bytes).ok());
  }
  Result<std::unique_ptr<Graph>> Load() {
    Write("model.onnx", model_.SerializeAsString());
    return LoadOnnxGraph(folder_ + "/model.onnx");
  }
  void LoadWell() {
    auto graph = Load();
    ASSERT_TRUE(graph.ok()) << graph.status().message();
    graph_ = std::move(graph).value();
  }
  const TensorView& Tensor(const std::string& name) const {
    const ValueId id = graph_->FindValue(name);
    SLM_CHECK(graph_->IsConstant(id));
    return *graph_->values[id].constant;
  }
  std::string Bytes(const std::string& name) const {
    const TensorView& view = Tensor(name);
    return std::string(static_cast<const char*>(view.data), view.Bytes());
  }
  void ExpectRefused(const std::vector<std::string>& parts) {
    const auto graph = Load();
    ASSERT_FALSE(graph.ok());
    const std::string message = graph.status().message();
    EXPECT_EQ(graph.status().kind(), ErrorKind::kInvalid) << message;
    EXPECT_EQ(message.rfind("model.onnx: tensor \"w\"", 0), 0u) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    for (const std::string& part : parts) {
      EXPECT_NE(message.find(part), std::string::npos) << message;
    }
  }

  std::string folder_;
  onnx::ModelProto model_;
  std::unique_ptr<Graph> graph_;
};

TEST_F(OnnxTensors, InlineRawDataIsCopiedWhenSmallAndMappedWhenLarge) {
  Add("small", TensorProto::FLOAT, {2})->set_raw_data(BytesOf({1.5f, -2.f}));
  const std::string large(1000, '\7');
  Add("large", TensorProto::UINT8, {10, 100})->set_raw_data(large);
  LoadWell();
  EXPECT_EQ(Bytes("small"), BytesOf({1.5f, -2.f}));
  EXPECT_EQ(Bytes("large"), large);
  EXPECT_EQ(Tensor("large").shape, Shape({10, 100}));
  ASSERT_EQ(graph_->storage->files.size(), 1u);
  const std::string_view file = graph_->storage->files[0].view();
  const char* data = static_cast<const char*>(Tensor("large").data);
  EXPECT_GE(data, file.data());
  EXPECT_LT(data, file.data() + file.size());
}

// Behind names of 1 to 8 letters raw data begins at every address modulo 8.
TEST_F(OnnxTensors, InlineRawDataAtAnyAddressIsAligned) {
  const std::string data(100 * sizeof(int64_t), '\5');
  for (size_t n = 1; n <= 8; ++n) {
    Add(std::string(n, 'w'), TensorProto::INT64, {100})->set_raw_data(data);
  }
  LoadWell();
  for (size_t n = 1; n <= 8; ++n) {
    const std::string name(n, 'w');
    EXPECT_EQ(reinterpret_cast<uintptr_t>(Tensor(name).data) % 8, 0u) << name;
    EXPECT_EQ(Bytes(name), data);
  }
}

TEST_F(OnnxTensors, TypedFieldsHoldEveryElementType) {
  const auto ints = [](std::vector<int32_t> values) -> Fill {
    return [values](TensorProto* t) {
      for (int32_t v : values) t->add_int32_data(v);
    };
  };
  struct Case {
    int type;
    int64_t count;
    Fill fill;
    std::string bytes;
  };
  const Case cases[] = {
      {TensorProto::FLOAT, 2,
       [](TensorProto* t) {
         t->add_float_data(1.5f);
         t->add_float_data(-0.f);
       },
       BytesOf({1.5f, -0.f})},
      {TensorProto::DOUBLE, 1, [](TensorProto* t) { t->add_double_data(0.1); },
       BytesOf({0.1})},
      {TensorProto::INT64, 2,
       [](TensorProto* t) {
         t->add_int64_data(-1);
         t->add_int64_data(INT64_MIN);
       },
       BytesOf<int64_t>({-1, INT64_MIN})},
      {TensorProto::UINT64, 1,
       [](TensorProto* t) { t->add_uint64_data(UINT64_MAX); },
       BytesOf<uint64_t>({UINT64_MAX})},
      {TensorProto::UINT32, 1,
       [](TensorProto* t) { t->add_uint64_data(UINT32_MAX); },
       BytesOf<uint32_t>({UINT32_MAX})},
      {TensorProto::INT32, 2, ints({-7, INT32_MAX}),
       BytesOf<int32_t>({-7, INT32_MAX})},
      {TensorProto::INT16, 2, ints({-7, 32767}), BytesOf<int16_t>({-7, 32767})},
      {TensorProto::UINT16, 1, ints({65535}), BytesOf<uint16_t>({65535})},
      // 1.0 and -2.0, as bits.
      {TensorProto::FLOAT16, 2, ints({0x3C00, 0xC000}),
       BytesOf<uint16_t>({0x3C00, 0xC000})},
      {TensorProto::BFLOAT16, 2, ints({0x3F80, 0xC000}),
       BytesOf<uint16_t>({0x3F80, 0xC000})},
      {TensorProto::INT8, 3, ints({-128, -1, 127}),
       BytesOf<int8_t>({-128, -1, 127})},
      {TensorProto::UINT8, 2, ints({0, 255}), BytesOf<uint8_t>({0, 255})},
      {TensorProto::BOOL, 2, ints({0, 1}), BytesOf<uint8_t>({0, 1})},
      // UINT4 = 21 and INT4 = 22: two elements an int, the low nibble first.
      {21, 4, ints({0x21, 0x43}), "\x21\x43"},
      {22, 3, ints({0xF8, 0x07}), "\xF8\x07"},
      {TensorProto::FLOAT, 0, [](TensorProto*) {}, ""},
  };
  for (const Case& c : cases) {
    model_.mutable_graph()->clear_initializer();
    c.fill(Add("w", c.type, {c.count}));
    LoadWell();
    EXPECT_EQ(static_cast<int>(Info(Tensor("w").dtype).onnx), c.type);
    EXPECT_EQ(Bytes("w"), c.bytes) << c.type;
  }
}

TEST_F(OnnxTensors, PackedNibblesMayLieInRawAndExternalData) {
  Write("w.data", "\x21\x03");
  Add("raw", 22, {3})->set_raw_data("\x21\x03");
  SetExternal(Add("external", 21, {3, 1}), "w.data", "0", "2");
  LoadWell();
  for (const char* name : {"raw", "external"}) {
    EXPECT_EQ(Bytes(name), "\x21\x03");
    EXPECT_EQ(Tensor(name).Count(), 3u);
  }
}

// A byte that is neither 0 nor 1 is true; kernels rely on 0 and 1.
TEST_F(OnnxTensors, BoolsAreZeroOrOne) {
  const std::string bytes = BytesOf<uint8_t>({0, 1, 2, 255});
  const std::string expected = BytesOf<uint8_t>({0, 1, 1, 1});
  Write("w.data", bytes);
  Add("raw", TensorProto::BOOL, {4})->set_raw_data(bytes);
  SetExternal(Add("external", TensorProto::BOOL, {4}), "w.data", "0");
  TensorProto* typed = Add("typed", TensorProto::BOOL, {4});
  for (int32_t v : {0, 1, 256, -1}) typed->add_int32_data(v);
  std::string many(400, '\1'), many_expected = many;
  many[399] = '\4';
  Add("mapped", TensorProto::BOOL, {400})->set_raw_data(many);
  LoadWell();
  EXPECT_EQ(Bytes("raw"), expected);
  EXPECT_EQ(Bytes("external"), expected);
  EXPECT_EQ(Bytes("typed"), expected);
  EXPECT_EQ(Bytes("mapped"), many_expected);
}

TEST_F(OnnxTensors, ExternalDataMayLieInSeveralFilesEachMappedOnce) {
  Write("a.data", BytesOf({1.f, 2.f, 3.f, 4.f}));
  std::filesystem::create_directories(folder_ + "/sub");
  Write("sub/b.data", BytesOf({5.f, 6.f}));
  SetExternal(Add("a0", TensorProto::FLOAT, {2}), "a.data", "0", "8");
  SetExternal(Add("a1", TensorProto::FLOAT, {1, 2}), "a.data", "8", "8");
  SetExternal(Add("b0", TensorProto::FLOAT, {2}), "sub/b.data", "");
  SetExternal(Add("b1", TensorProto::FLOAT, {}), "sub/b.data", "4", "4");
  SetExternal(Add("none", TensorProto::FLOAT, {0}), "a.data", "16", "0");
  LoadWell();
  EXPECT_EQ(Bytes("a0"), BytesOf({1.f, 2.f}));
  EXPECT_EQ(Bytes("a1"), BytesOf({3.f, 4.f}));
  EXPECT_EQ(Bytes("b0"), BytesOf({5.f, 6.f}));
  EXPECT_EQ(Bytes("b1"), BytesOf({6.f}));
  EXPECT_EQ(Tensor("none").Count(), 0u);
  EXPECT_EQ(graph_->storage->files.size(), 3u);
  EXPECT_TRUE(graph_->storage->buffers.empty());
}

TEST_F(OnnxTensors, OffsetsNeedNotBeAligned) {
  Write("w.data", "abc" + BytesOf({1.f, 2.f}) + "d" + BytesOf<int64_t>({-9}));
  SetExternal(Add("f", TensorProto::FLOAT, {2}), "w.data", "3", "8");
  SetExternal(Add("i", TensorProto::INT64, {1}), "w.data", "12", "8");
  SetExternal(Add("u", TensorProto::UINT8, {3}), "w.data", "0", "3");
  LoadWell();
  EXPECT_EQ(Bytes("f"), BytesOf({1.f, 2.f}));
  EXPECT_EQ(Bytes("i"), BytesOf<int64_t>({-9}));
  EXPECT_EQ(Bytes("u"), "abc");
  for (const auto& [name, align] :
       {std::pair<const char*, size_t>("f", 4), {"i", 8}}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(Tensor(name).data) % align, 0u);
  }
}

TEST_F(OnnxTensors, ExternalDataOutsideItsFileIsRefusedWithTheNumbers) {
  Write("w.data", std::string(100, 'x'));
  struct Case {
    const char *file, *offset, *length;
    std::vector<std::string> parts;
  };
  const std::string most = "18446744073709551615";
  const Case cases[] = {
      {"w.data", "96", "16", {"bytes 96..112", "w.data", "has 100"}},
      {"w.data", "96", "", {"bytes 96..112", "w.data", "has 100"}},
      {"w.data", "101", "16", {"bytes 101..117", "w.data", "has 100"}},
      {"w.data", most.c_str(), "16", {most, "w.data", "has 100"}},
      {"w.data", "1", most.c_str(), {most, "w.data", "has 100"}},
      {"w.data", "0", "12", {"12 bytes", "expected 16", "float [4]"}},
      {"w.data", "0", "0", {"0 bytes", "expected 16"}},
      {"w.data", "-1", "16", {"offset \"-1\""}},
      {"w.data", "1e1", "16", {"offset \"1e1\""}},
      {"w.data", "99999999999999999999", "16", {"99999999999999999999"}},
      {"w.data", "0", "0x10", {"length \"0x10\""}},
      {"../w.data", "0", "16", {"../w.data", "leaves the model folder"}},
      {"/w.data", "0", "16", {"/w.data", "leaves the model folder"}},
      {"", "0", "16", {"leaves the model folder"}},
  };
  for (const Case& c : cases) {
    model_.mutable_graph()->clear_initializer();
    SetExternal(Add("w", TensorProto::FLOAT, {4}), c.file, c.offset, c.length);
    ExpectRefused(c.parts);
  }
}

TEST_F(OnnxTensors, AMissingDataFileIsNamed) {
  SetExternal(Add("w", TensorProto::FLOAT, {4}), "none.data", "0", "16");
  const auto graph = Load();
  ASSERT_FALSE(graph.ok());
  EXPECT_EQ(graph.status().kind(), ErrorKind::kNotFound);
  EXPECT_NE(graph.status().message().find("none.data"), std::string::npos)
      << graph.status().message();
}

TEST_F(OnnxTensors, DataThatDoesNotFitItsShapeIsRefused) {
  struct Case {
    int type;
    std::vector<int64_t> dims;
    Fill fill;
    std::vector<std::string> parts;
  };
  const Case cases[] = {
      {TensorProto::FLOAT,
       {2},
       [](TensorProto* t) { t->set_raw_data("1234567"); },
       {"7 bytes", "expected 8", "float [2]"}},
      {TensorProto::FLOAT,
       {100},
       [](TensorProto* t) { t->set_raw_data(std::string(399, 'x')); },
       {"399 bytes", "expected 400"}},
      {22,
       {3},
       [](TensorProto* t) { t->set_raw_data("x"); },
       {"1 bytes", "expected 2"}},
      {TensorProto::FLOAT,
       {2},
       [](TensorProto* t) { t->add_float_data(1); },
       {"1 elements", "expected 2"}},
      {TensorProto::FLOAT,
       {int64_t{1} << 40},
       [](TensorProto*) {},
       {"0 elements", "expected 1099511627776"}},
      {TensorProto::FLOAT,
       {1},
       [](TensorProto* t) { t->add_int32_data(1); },
       {"field of another type"}},
      {TensorProto::FLOAT, {-1}, [](TensorProto*) {}, {"dims [-1]"}},
      {TensorProto::FLOAT,
       {int64_t{1} << 62, 4},
       [](TensorProto*) {},
       {"dims [4611686018427387904, 4]"}},
      {TensorProto::STRING,
       {1},
       [](TensorProto* t) { t->add_string_data("x"); },
       {"element type 8"}},
  };
  for (const Case& c : cases) {
    model_.mutable_graph()->clear_initializer();
    c.fill(Add("w", c.type, c.dims));
    ExpectRefused(c.parts);
  }
}

}  // namespace
}  // namespace slm
