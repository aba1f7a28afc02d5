// SPDX-License-Identifier: MIT
// slm::GroupQueryAttention over pages against com.microsoft's operator over
// whole tensors, which contrib_cases_test compares with onnxruntime. With
// float32 pages both do the same arithmetic: the bits must be equal, however
// the prompt is cut and whatever else is in the batch.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "runtime/core/shape.h"
#include "tests/ops/op_test_util.h"

namespace slm {
namespace {

constexpr int64_t kHeads = 6, kKvHeads = 2, kSize = 16, kTokens = 150;
constexpr int64_t kWidth = (kHeads + 2 * kKvHeads) * kSize;
constexpr int64_t kPositions = 200;

struct Config {
  const char* name;
  bool rotary = false;
  int64_t interleaved = 0;
  int64_t rotary_size = kSize;
  bool norm = false;
  bool sink = false;
  int64_t window = -1;
  float softcap = 0;
  bool packed = true;
  bool long_rope = false;
};

constexpr Config kConfigs[] = {
    {.name = "plain"},
    {.name = "rotary", .rotary = true},
    {.name = "partial interleaved",
     .rotary = true,
     .interleaved = 1,
     .rotary_size = 8,
     .packed = false},
    {.name = "norm and rotary", .rotary = true, .norm = true, .packed = false},
    {.name = "norm", .norm = true},
    {.name = "window", .rotary = true, .window = 40},
    {.name = "sink and softcap", .sink = true, .softcap = 3},
    {.name = "long rope", .rotary = true, .long_rope = true},
};

TestTensor Random(const Shape& shape, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(shape.Count());
  for (float& v : values) v = normal(rng);
  return MakeTensor(shape, values);
}

// Columns [begin, end) of rows [t0, t1) of x [1, T, D].
TestTensor Cut(const TestTensor& x, int64_t t0, int64_t t1, int64_t begin,
               int64_t end) {
  std::vector<float> values;
  for (int64_t t = t0; t < t1; ++t) {
    for (int64_t i = begin; i < end; ++i) {
      values.push_back(x.At<float>(static_cast<size_t>(t * x.shape[2] + i)));
    }
  }
  return MakeTensor({1, t1 - t0, end - begin}, values);
}

void AddQkv(OpTest& test, const Config& c, const TestTensor& qkv, int64_t t0,
            int64_t t1) {
  constexpr int64_t q = kHeads * kSize, k = q + kKvHeads * kSize;
  if (c.packed) {
    test.Input(Cut(qkv, t0, t1, 0, kWidth)).NoInput().NoInput();
    return;
  }
  test.Input(Cut(qkv, t0, t1, 0, q))
      .Input(Cut(qkv, t0, t1, q, k))
      .Input(Cut(qkv, t0, t1, k, kWidth));
}

void AddCommon(OpTest& test, const Config& c) {
  test.Int("num_heads", kHeads)
      .Int("kv_num_heads", kKvHeads)
      .Int("do_rotary", c.rotary)
      .Int("rotary_interleaved", c.interleaved)
      .Int("local_window_size", c.window)
      .Float("softcap", c.softcap)
      .Float("qk_norm_epsilon", 1e-5f);
}

TestTensor Cache(const Config& c, unsigned seed) {
  return Random({kPositions, c.rotary_size / 2}, seed);
}

std::vector<float> Whole(const Config& c, const TestTensor& qkv) {
  OpTest test("com.microsoft", "GroupQueryAttention", 1);
  AddCommon(test, c);
  AddQkv(test, c, qkv, 0, kTokens);
  test.NoInput().NoInput();
  test.Input(MakeTensor<int32_t>({1}, {kTokens - 1}));
  test.Input(MakeTensor<int32_t>({}, {kTokens}));
  const unsigned rope = c.long_rope ? 10 : 0;
  if (c.rotary) {
    test.Input(Cache(c, 1 + rope)).Input(Cache(c, 2 + rope));
  } else {
    test.NoInput().NoInput();
  }
  test.NoInput().NoInput();
  c.sink ? test.Input(Random({kHeads}, 3)) : test.NoInput();
  test.NoInput().NoInput();
  if (c.norm) test.Input(Random({kSize}, 4)).Input(Random({kSize}, 5));
  const auto result = test.Run();
  EXPECT_TRUE(result.ok()) << result.status().message();
  return result.ok() ? (*result)[0].Values<float>() : std::vector<float>();
}

// Pages of one sequence, filled with NaN.
struct Sequence {
  std::vector<std::vector<uint8_t>> memory;
  std::vector<KvLayer> layers = std::vector<KvLayer>(2);
  size_t length = 0;

  explicit Sequence(DType dtype) {
    layers[1].format = {
        .dtype = dtype, .kv_heads = kKvHeads, .head_size = kSize};
  }
  BatchSequence Next(size_t row, size_t count, size_t window) {
    KvLayer& layer = layers[1];
    while (layer.first_page + layer.pages.size() <
           CeilDiv(length + count, KvFormat::kPageTokens)) {
      memory.emplace_back(layer.format.PageBytes(), uint8_t{0xFF});
      layer.pages.push_back(memory.back().data());
    }
    if (window && length + 1 > window) {
      const size_t first = (length + 1 - window) / KvFormat::kPageTokens;
      while (layer.first_page < first) {
        layer.pages.erase(layer.pages.begin());
        ++layer.first_page;
      }
    }
    const BatchSequence s{.row = row,
                          .count = count,
                          .first = length,
                          .rope_total = kTokens,
                          .kv = layers};
    length += count;
    return s;
  }
};

OpTest Bound(const Config& c) {
  OpTest test("slm", "GroupQueryAttention", 1);
  AddCommon(test, c);
  test.Int("layer_slot", 1).Int("rope_switch", c.long_rope ? kTokens - 1 : 0);
  return test;
}

void AddBoundInputs(OpTest& test, const Config& c) {
  for (unsigned seed : {1, 2, 11, 12}) {
    if (c.rotary && (seed < 10 || c.long_rope)) {
      test.Constant(Cache(c, seed));
    } else {
      test.NoInput();
    }
  }
  c.sink ? test.Constant(Random({kHeads}, 3)) : test.NoInput();
  if (c.norm) {
    test.Constant(Random({kSize}, 4)).Constant(Random({kSize}, 5));
  } else {
    test.NoInput().NoInput();
  }
}

// The tokens in chunks; a second sequence is one chunk ahead in each batch.
std::vector<float> Chunked(const Config& c, const TestTensor& qkv, DType dtype,
                           const std::vector<size_t>& chunks, size_t threads) {
  Sequence sequence(dtype), other(dtype);
  const size_t window = c.window > 0 ? static_cast<size_t>(c.window) : 0;
  std::vector<float> out;
  for (size_t count : chunks) {
    const size_t at = sequence.length;
    const BatchSequence both[] = {other.Next(0, 1, window),
                                  sequence.Next(1, count, window)};
    const Batch batch{both};
    OpTest test = Bound(c);
    // Row 0 belongs to the other sequence.
    TestTensor rows = qkv;
    rows.bytes.insert(rows.bytes.begin(), kWidth * sizeof(float), 0);
    rows.shape[1] += 1;
    std::rotate(
        rows.bytes.begin(),
        rows.bytes.begin() + static_cast<long>(at * kWidth * sizeof(float)),
        rows.bytes.end());
    AddQkv(test, c, rows, 0, static_cast<int64_t>(count) + 1);
    AddBoundInputs(test, c);
    const auto result = test.Batched(&batch).Threads(threads).Run();
    EXPECT_TRUE(result.ok()) << result.status().message();
    if (!result.ok()) return out;
    const auto values = (*result)[0].Values<float>();
    out.insert(out.end(), values.begin() + kHeads * kSize, values.end());
  }
  return out;
}

TEST(BoundAttention, HasTheBitsOfTheDenseOperatorHoweverThePromptIsCut) {
  const std::vector<size_t> cuts[] = {
      {150}, {1, 63, 64, 1, 21}, {100, 1, 1, 1, 47}};
  const TestTensor qkv = Random({1, kTokens, kWidth}, 9);
  for (const Config& c : kConfigs) {
    const std::vector<float> want = Whole(c, qkv);
    for (const std::vector<size_t>& chunks : cuts) {
      for (size_t threads : {1, 5}) {
        SCOPED_TRACE(c.name);
        ASSERT_EQ(Chunked(c, qkv, DType::kF32, chunks, threads), want);
      }
    }
  }
}

TEST(BoundAttention, SixteenAndEightBitPagesDoNotDependOnCutsEither) {
  const TestTensor qkv = Random({1, kTokens, kWidth}, 9);
  for (DType dtype : {DType::kF16, DType::kI8}) {
    for (const Config& c : kConfigs) {
      SCOPED_TRACE(c.name);
      ASSERT_EQ(Chunked(c, qkv, dtype, {150}, 1),
                Chunked(c, qkv, dtype, {100, 1, 1, 1, 47}, 3));
    }
  }
}

TEST(BoundAttention, RefusesWhatDoesNotFit) {
  const Config c{.name = "", .rotary = true};
  const TestTensor qkv = Random({1, 2, kWidth}, 9);
  const auto run = [&](const Batch* batch) {
    OpTest test = Bound(c);
    AddQkv(test, c, qkv, 0, 2);
    AddBoundInputs(test, c);
    return test.Batched(batch).Run().status().message();
  };
  EXPECT_NE(run(nullptr).find("ragged batches only"), std::string::npos);

  Sequence sequence(DType::kF32);
  BatchSequence s = sequence.Next(0, 2, 0);
  const Batch batch{{&s, 1}};
  EXPECT_EQ(run(&batch), "");
  s.first = kPositions - 1;
  EXPECT_NE(run(&batch).find("position 200 is beyond the rope cache of 200"),
            std::string::npos);
  s.first = 63;
  EXPECT_NE(run(&batch).find("pages 0 to 1, needed are 0 to 2"),
            std::string::npos);
  s.first = 0;
  s.row = 1;
  EXPECT_NE(run(&batch).find("batch rows 1 to 3 of 2"), std::string::npos);
  s.row = 0;
  sequence.layers[1].format.kv_heads = 1;
  EXPECT_NE(run(&batch).find("has 1 heads of 16, the node 2 of 16"),
            std::string::npos);
}

}  // namespace
}  // namespace slm
