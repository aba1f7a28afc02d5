// SPDX-License-Identifier: MIT
#include "ops/kernels/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "runtime/core/cpu.h"
#include "runtime/core/half.h"
#include "runtime/core/memory.h"
#include "runtime/core/shape.h"
#include "tests/quant/guarded_bytes.h"

namespace slm {
namespace {

enum class Masking { kNone, kBias, kAllowed };

struct Case {
  const char* name;
  size_t heads, kv_heads, head_size, value_size;
  size_t count;
  int64_t first;
  size_t keys;
  DType dtype = DType::kF32;
  bool paged = false;
  bool causal = true;
  size_t window = 0;
  float softcap = 0;
  bool smooth = false;
  bool sink = false;
  Masking masking = Masking::kNone;
  float key_offset = 0;   // what all keys have in common in an element
  bool constant = false;  // queries, keys and values are ones
  bool int16 = false;
};

constexpr Case kCases[] = {
    {"one token", 1, 1, 4, 4, 1, 0, 1},
    {"decode", 14, 2, 64, 64, 1, 511, 512, DType::kF16, true},
    {"decode after page", 14, 2, 64, 64, 1, 512, 513, DType::kF32, true},
    {"prefill", 14, 2, 64, 64, 70, 0, 70, DType::kF32, true},
    {"chunk", 4, 4, 80, 80, 33, 290, 323, DType::kF16, true},
    {"int8", 6, 2, 32, 32, 19, 250, 269, DType::kI8, true},
    {"int8 decode", 14, 2, 64, 64, 1, 600, 601, DType::kI8, true},
    {"int8 odd head", 5, 1, 22, 22, 6, 250, 256, DType::kI8, true},
    {"int8 window", 8, 2, 80, 80, 40, 300, 340, DType::kI8, true, true, 70},
    {"odd sizes", 3, 1, 22, 10, 5, 60, 65},
    {"odd head", 5, 5, 7, 3, 4, 9, 13},
    {"window", 8, 2, 64, 64, 40, 300, 340, DType::kF16, true, true, 100},
    {"window of one", 2, 1, 8, 8, 9, 60, 69, DType::kF32, true, true, 1},
    {"not causal", 2, 1, 16, 16, 3, 0, 131, DType::kF32, false, false},
    {"fewer keys than rows", 2, 1, 16, 16, 7, -3, 4},
    {"softcap", 4, 2, 32, 32, 10, 60, 70, DType::kF32, true, true, 0, 2.5f},
    {"smooth", 4, 2, 32, 32, 10, 0, 10, DType::kF32, false, true, 0, 0, true},
    {"sink", 4, 2, 32, 32, 10, 0, 10, DType::kF32, true, true, 0, 0, false,
     true},
    {"bias", 4, 2, 24, 24, 6, 64, 70, DType::kF32, false, true, 0, 0, false,
     false, Masking::kBias},
    {"allowed", 4, 2, 24, 24, 6, 250, 256 + 3, DType::kF32, false, false, 0, 0,
     false, false, Masking::kAllowed},
    {"all of it", 6, 3, 40, 40, 17, 600, 617, DType::kI8, true, true, 333, 30,
     false, true, Masking::kBias},
    {"multi query", 71, 1, 64, 64, 3, 5, 8},
    {"heads of a tile", 8, 1, 64, 64, 5, 280, 285, DType::kF16, true},
    {"odd float16", 3, 1, 33, 33, 2, 270, 272, DType::kF16, true},
    {"common offset", 6, 2, 64, 64, 9, 60, 69, DType::kF16, true, true, 0, 0,
     false, false, Masking::kNone, 300.0f},
    {"longest sums", 2, 1, 64, 64, 3, 253, 256, DType::kF16, true, true, 0, 0,
     false, false, Masking::kNone, 0, true},
    {"longest int8 sums", 2, 1, 64, 64, 3, 253, 256, DType::kI8, true, true, 0,
     0, false, false, Masking::kNone, 0, true},
};

// The cases, and those of float caches with products of 16-bit integers.
std::vector<Case> AllCases() {
  std::vector<Case> cases(std::begin(kCases), std::end(kCases));
  for (Case c : kCases) {
    c.int16 = true;
    if (c.dtype != DType::kI8) cases.push_back(c);
  }
  return cases;
}

std::vector<float> Normal(size_t n, std::mt19937& rng) {
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& v : values) v = normal(rng);
  return values;
}

// One sequence with all its memory.
class Fixture {
 public:
  explicit Fixture(const Case& c, unsigned seed) : c_(c) {
    std::mt19937 rng(seed);
    shape_ = {.heads = c.heads,
              .kv_heads = c.kv_heads,
              .head_size = c.head_size,
              .value_size = c.value_size,
              .scale = 1.7f / std::sqrt(static_cast<float>(c.head_size)),
              .softcap = c.softcap,
              .causal = c.causal,
              .window = c.window,
              .smooth = c.smooth,
              .int16 = c.int16};
    q_ = Normal(c.count * c.heads * c.head_size, rng);
    auto k = Normal(c.keys * c.kv_heads * c.head_size, rng);
    auto v = Normal(c.keys * c.kv_heads * c.value_size, rng);
    for (size_t i = 0; i < k.size(); i += c.head_size) k[i] += c.key_offset;
    if (c.constant) {
      for (auto* x : {&q_, &k, &v}) std::fill(x->begin(), x->end(), 1.0f);
    }
    if (c.paged) {
      MakePages(k, v);
    } else {
      k_plain_ = Guard(k);
      v_plain_ = Guard(v);
      sequence_.k = Plain(k_plain_, c.head_size);
      sequence_.v = Plain(v_plain_, c.value_size);
    }
    if (c.sink) {
      sink_ = Normal(c.heads, rng);
      shape_.sink = sink_.data();
    }
    MakeMask(rng);
    sequence_.q = q_.data();
    sequence_.q_token_stride = c.heads * c.head_size;
    sequence_.q_head_stride = c.head_size;
    sequence_.out_token_stride = c.heads * c.value_size;
    sequence_.out_head_stride = c.value_size;
    sequence_.count = c.count;
    sequence_.first = c.first;
    sequence_.keys = c.keys;
  }

  const AttentionShape& shape() const { return shape_; }
  const AttentionSequence& sequence() const { return sequence_; }

  // Tokens [t0, t1) by one call, into out [T, H, E].
  AttentionSequence Part(size_t t0, size_t t1, float* out) const {
    AttentionSequence s = sequence_;
    s.q += t0 * s.q_token_stride;
    s.out = out + t0 * s.out_token_stride;
    s.first += static_cast<int64_t>(t0);
    s.count = t1 - t0;
    if (s.bias) s.bias += t0 * s.mask_token_stride;
    if (s.allowed) s.allowed += t0 * s.mask_token_stride;
    return s;
  }

  std::vector<float> Run(size_t chunk, size_t threads) const {
    std::vector<float> out(c_.count * c_.heads * c_.value_size, NAN);
    ThreadPool pool(threads);
    for (size_t t = 0; t < c_.count; t += chunk) {
      Attend(pool, Part(t, std::min(c_.count, t + chunk), out.data()));
    }
    return out;
  }

  void Attend(ThreadPool& pool, const AttentionSequence& s) const {
    const size_t bytes = AttentionScratchBytes(shape_, {&s, 1}, pool.size());
    auto scratch = AlignedBuffer::Allocate(bytes, "scratch");
    ASSERT_TRUE(scratch.ok());
    std::memset(scratch->data(), 0xFF, bytes);
    Attention(shape_, {&s, 1}, pool, scratch->data());
  }

  // The formula in double, and the bound of a float computation's error.
  void Expect(const std::vector<float>& out) const {
    for (size_t t = 0; t < c_.count; ++t) {
      for (size_t h = 0; h < c_.heads; ++h) ExpectRow(t, h, out);
    }
  }

 private:
  double Key(const KvRows& rows, size_t head, size_t j, size_t e) const {
    const size_t block = j / kKeyBlock, slot = j % kKeyBlock;
    const uint8_t* at = rows.Block(head, block) + rows.At(slot, e);
    if (rows.dtype == DType::kF32) {
      return *reinterpret_cast<const float*>(at);
    }
    if (rows.dtype == DType::kF16) {
      return FloatFromF16(*reinterpret_cast<const uint16_t*>(at));
    }
    const int value = rows.layout == KvLayout::kKeyTiles
                          ? *at - kKeyBias
                          : *reinterpret_cast<const int8_t*>(at);
    return static_cast<double>(value) * rows.Scales(head, block)[slot];
  }

  double LargestValue(size_t head, size_t j) const {
    double largest = 0;
    for (size_t e = 0; e < c_.value_size; ++e) {
      largest = std::max(largest, std::abs(Key(sequence_.v, head, j, e)));
    }
    return largest;
  }

  // Query and key in steps of 1 / 32700 of their length, each rounded by half a
  // step; a quotient of up to 32700 is wrong by 3 * 2^-24 of that, 0.006.
  double Int16ScoreError(size_t t, size_t h, size_t j) const {
    const size_t head = h / (c_.heads / c_.kv_heads);
    double q_sum = 0, k_sum = 0, q_square = 0, k_square = 0;
    for (size_t e = 0; e < c_.head_size; ++e) {
      const double q = q_[(t * c_.heads + h) * c_.head_size + e] * shape_.scale;
      const double k = Key(sequence_.k, head, j, e);
      q_sum += std::abs(q);
      k_sum += std::abs(k);
      q_square += q * q;
      k_square += k * k;
    }
    const double q_half = 0.506 * std::sqrt(q_square) / 32700;
    const double k_half = 0.506 * std::sqrt(k_square) / 32700;
    return q_half * k_sum + k_half * q_sum +
           q_half * k_half * static_cast<double>(c_.head_size);
  }

  // What rounding weights and one element of the values costs: half a step of
  // each, the steps of attention_int16-inl.h.
  class Int16Values {
   public:
    explicit Int16Values(size_t splits) : splits_(splits) {}
    void Add(double weight, size_t j, double v, double largest) {
      const double step = largest / 4095;
      Split& s = splits_[j / kSplitKeys];
      s.top = std::max(s.top, weight * step);
      s.total += weight * step;
      if (step > 0) s.integers += std::abs(v) / step + 0.506;
    }
    double Bound() const {
      double bound = 0;
      for (const Split& s : splits_) {
        const double step = std::max(s.top / 32767, s.total / 524000);
        bound += 0.506 * (s.total + step * s.integers);
      }
      return bound;
    }

   private:
    struct Split {
      double top = 0, total = 0, integers = 0;
    };
    std::vector<Split> splits_;
  };

  void ExpectRow(size_t t, size_t h, const std::vector<float>& out) const {
    constexpr double u = 0x1p-24;
    const size_t head = h / (c_.heads / c_.kv_heads);
    const int64_t p = c_.first + static_cast<int64_t>(t);
    const size_t mask_at =
        h * sequence_.mask_head_stride + t * sequence_.mask_token_stride;
    std::vector<double> s(c_.keys, -INFINITY);
    double most = -INFINITY, error = 0, error_i8 = 0;
    for (size_t j = 0; j < c_.keys; ++j) {
      const int64_t key = static_cast<int64_t>(j);
      if (c_.causal && key > p) continue;
      if (c_.window && key <= p - static_cast<int64_t>(c_.window)) continue;
      if (sequence_.allowed && !sequence_.allowed[mask_at + j]) continue;
      double dot = 0, size = 0, q_most = 0, k_size = 0;
      for (size_t e = 0; e < c_.head_size; ++e) {
        const double q =
            q_[(t * c_.heads + h) * c_.head_size + e] * shape_.scale;
        const double k = Key(sequence_.k, head, j, e);
        dot += q * k;
        size += std::abs(q * k);
        q_most = std::max(q_most, std::abs(q));
        k_size += std::abs(k);
      }
      // Queries as integers up to 127 * 128: half a step of each.
      if (c_.dtype == DType::kI8) error_i8 = q_most / (2 * 16256) * k_size;
      if (c_.int16) error_i8 = Int16ScoreError(t, h, j);
      if (c_.softcap) dot = c_.softcap * std::tanh(dot / c_.softcap);
      const double bias = sequence_.bias ? sequence_.bias[mask_at + j] : 0;
      s[j] = dot + bias;
      if (s[j] == -INFINITY) continue;
      // E products and sums, q * scale, scale of the row; tanh (4 ulp = 8 u),
      // its quotient and product; the sum with the bias; s - m.
      error =
          std::max(error, (static_cast<double>(c_.head_size) + 2) * u * size +
                              10 * u * std::abs(dot) + 2 * u * std::abs(s[j]) +
                              error_i8);
      most = std::max(most, s[j]);
    }
    const bool empty = most == -INFINITY;  // the row sees nothing: zeros
    if (!empty) error += u * std::abs(most);
    double sum = c_.smooth ? std::exp(-most) : 0;
    if (c_.sink) sum += std::exp(sink_[h] - most);
    double n = 0;
    for (double x : s) {
      if (x == -INFINITY) continue;
      sum += std::exp(x - most);
      ++n;
    }
    // Exponents are wrong by `error`, exp itself by 4 u; n terms are summed
    // above and below the bar; blocks and splits rescale (exp 2 u, product u).
    const double cuts = n / kKeyBlock + n / kSplitKeys + 4;
    const double relative =
        2 * std::expm1(error + 4 * u) + (2 * n + 6 * cuts + 8) * u;
    std::vector<double> largest(c_.int16 ? c_.keys : 0);
    for (size_t j = 0; j < largest.size(); ++j) {
      if (s[j] != -INFINITY) largest[j] = LargestValue(head, j);
    }
    for (size_t e = 0; e < c_.value_size; ++e) {
      double expected = 0, size = 0;
      std::vector<double> steps(CeilDiv(c_.keys, kSplitKeys));
      std::vector<double> bytes(steps.size());
      Int16Values values(steps.size());
      for (size_t j = 0; j < c_.keys && !empty; ++j) {
        if (s[j] == -INFINITY) continue;
        const double weight = std::exp(s[j] - most) / sum;
        const double v = Key(sequence_.v, head, j, e);
        expected += weight * v;
        size += std::abs(weight * v);
        if (c_.int16) values.Add(weight, j, v, largest[j]);
        if (c_.dtype != DType::kI8) continue;
        // Weights times scales as integers up to 32767 for each split.
        const double scale =
            sequence_.v.Scales(head, j / kKeyBlock)[j % kKeyBlock];
        double& step = steps[j / kSplitKeys];
        step = std::max(step, weight * scale / 32767);
        bytes[j / kSplitKeys] += std::abs(v) / scale;
      }
      double rounding = values.Bound();  // half a step of each
      for (size_t i = 0; i < steps.size(); ++i) {
        rounding += steps[i] / 2 * bytes[i];
      }
      ASSERT_NEAR(out[(t * c_.heads + h) * c_.value_size + e], expected,
                  relative * size + (1 + relative) * rounding + 1e-30)
          << "token " << t << " head " << h << " element " << e;
    }
  }

  KvRows Plain(const GuardedBytes& bytes, size_t width) const {
    return {.dtype = DType::kF32,
            .base = bytes.data(),
            .head_stride = c_.keys * width * sizeof(float),
            .row_stride = width * sizeof(float)};
  }

  // Pages as KvFormat has them; those before the window are not there.
  void MakePages(const std::vector<float>& k, const std::vector<float>& v) {
    const size_t row = PagedRowBytes(c_.dtype, c_.head_size);
    const size_t plane = c_.kv_heads * kKeyBlock * row;
    const size_t scales = c_.kv_heads * kKeyBlock * sizeof(float);
    const size_t blocks = CeilDiv(c_.keys, kKeyBlock);
    memory_.assign(blocks, std::vector<uint8_t>(2 * (plane + scales), 0xFF));
    for (std::vector<uint8_t>& page : memory_) pages_.push_back(page.data());
    sequence_.k = {.dtype = c_.dtype,
                   .layout = PagedLayout(c_.dtype, /*values=*/false),
                   .pages = pages_.data(),
                   .offset = 0,
                   .head_stride = kKeyBlock * row,
                   .row_stride = row,
                   .scale_offset = 2 * plane};
    sequence_.v = sequence_.k;
    sequence_.v.layout = PagedLayout(c_.dtype, /*values=*/true);
    sequence_.v.offset = plane;
    sequence_.v.scale_offset = 2 * plane + scales;
    StoreKvRows(sequence_.k, c_.kv_heads, c_.head_size, 0, c_.keys, k.data(),
                c_.kv_heads * c_.head_size);
    StoreKvRows(sequence_.v, c_.kv_heads, c_.head_size, 0, c_.keys, v.data(),
                c_.kv_heads * c_.head_size);
    if (c_.window == 0) return;
    const int64_t lo = c_.first + 1 - static_cast<int64_t>(c_.window);
    const size_t gone = lo > 0 ? static_cast<size_t>(lo) / kKeyBlock : 0;
    pages_.erase(pages_.begin(), pages_.begin() + static_cast<long>(gone));
    for (KvRows* rows : {&sequence_.k, &sequence_.v}) {
      rows->pages = pages_.data();
      rows->first_page = gone;
    }
  }

  void MakeMask(std::mt19937& rng) {
    if (c_.masking == Masking::kNone) return;
    sequence_.mask_token_stride = c_.keys;
    sequence_.mask_head_stride = c_.count * c_.keys;
    const size_t n = c_.heads * c_.count * c_.keys;
    if (c_.masking == Masking::kBias) {
      bias_ = Normal(n, rng);
      for (size_t i = 0; i < n; i += 5) bias_[i] = -INFINITY;
      bias_bytes_ = Guard(bias_);
      sequence_.bias = reinterpret_cast<const float*>(bias_bytes_.data());
      return;
    }
    std::vector<uint8_t> allowed(n);
    for (uint8_t& a : allowed) a = rng() % 3 != 0;
    allowed_ = Guard(allowed);
    sequence_.allowed = allowed_.data();
  }

  const Case c_;
  AttentionShape shape_;
  AttentionSequence sequence_;
  std::vector<float> q_, sink_, bias_;
  GuardedBytes k_plain_, v_plain_, bias_bytes_, allowed_;
  std::vector<std::vector<uint8_t>> memory_;
  std::vector<uint8_t*> pages_;
};

// Stores a row at slot 5 of a page and reads it back.
void CheckStored(DType dtype, bool values, const std::vector<float>& x) {
  const size_t n = x.size(), row = PagedRowBytes(dtype, n);
  std::vector<uint8_t> page(kKeyBlock * (row + 4), 0xFF);
  uint8_t* pages[] = {page.data()};
  const KvRows rows{.dtype = dtype,
                    .layout = PagedLayout(dtype, values),
                    .pages = pages,
                    .first_page = 1,
                    .row_stride = row,
                    .scale_offset = kKeyBlock * row};
  StoreKvRows(rows, 1, n, kKeyBlock + 5, 1, x.data(), n);
  const float scale = dtype == DType::kI8 ? rows.Scales(0, 1)[5] : 0;
  for (size_t i = 0; i < n; ++i) {
    uint8_t* at = page.data() + rows.At(5, i);
    ASSERT_LE(at + BytesFor(dtype, 1), page.data() + kKeyBlock * row);
    if (dtype == DType::kF32) {
      ASSERT_EQ(*reinterpret_cast<const float*>(at), x[i]) << i;
    } else if (dtype == DType::kF16) {
      const float clamped = std::min(x[i], 65504.0f);
      ASSERT_EQ(*reinterpret_cast<const uint16_t*>(at), F16FromFloat(clamped));
    } else {
      const int byte =
          values ? *reinterpret_cast<const int8_t*>(at) : *at - kKeyBias;
      // Half a step; the rounding of x * 127 / absmax moves it by 2 ulp.
      const float q = static_cast<float>(byte);
      ASSERT_NEAR(q * scale, x[i], scale * (0.5f + 127 * 0x1p-22f)) << i;
    }
    std::memset(at, 0xFF, BytesFor(dtype, 1));
  }
  for (size_t i = 0; i < kKeyBlock * row; ++i) ASSERT_EQ(page[i], 0xFF) << i;
}

class AttentionTest : public testing::Test {
 protected:
  void TearDown() override { EXPECT_TRUE(ForceTarget("").ok()); }
};

// body(fixture, case) for every case on every target, until one fails.
template <typename Body>
void ForEachCase(const Body& body) {
  for (const std::string& target : UsableTargets()) {
    ASSERT_TRUE(ForceTarget(target).ok());
    unsigned seed = 0;
    for (const Case& c : AllCases()) {
      SCOPED_TRACE(target + ", " + c.name + (c.int16 ? ", int16" : ""));
      body(Fixture(c, ++seed), c);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

// run(fixture, case, chunk, threads) gives the bits of all rows at once.
template <typename Run>
void ExpectTheSameBits(std::initializer_list<size_t> chunks,
                       std::initializer_list<size_t> threads, const Run& run) {
  ForEachCase([&](const Fixture& f, const Case& c) {
    const std::vector<float> whole = f.Run(c.count, 1);
    std::vector<size_t> all(chunks);
    all.push_back(c.count);
    for (size_t chunk : all) {
      for (size_t t : threads) {
        SCOPED_TRACE(testing::Message()
                     << "chunk " << chunk << ", threads " << t);
        ASSERT_EQ(run(f, c, chunk, t), whole);
      }
    }
  });
}

TEST_F(AttentionTest, AgreesWithTheFormulaOnEveryTarget) {
  ForEachCase(
      [](const Fixture& f, const Case& c) { f.Expect(f.Run(c.count, 1)); });
}

TEST_F(AttentionTest, RowsDoNotDependOnChunksOrThreads) {
  ExpectTheSameBits({1, 7}, {1, 3, 8},
                    [](const Fixture& f, const Case&, size_t chunk,
                       size_t threads) { return f.Run(chunk, threads); });
}

TEST_F(AttentionTest, SequencesOfABatchDoNotMix) {
  const Case& c = kCases[4];
  const Fixture a(c, 1), b(c, 2);
  const std::vector<float> want_a = a.Run(c.count, 1), want_b = b.Run(1, 1);
  std::vector<float> got_a(want_a.size()), got_b(want_b.size());
  const std::vector<AttentionSequence> both = {
      a.Part(0, c.count, got_a.data()), a.Part(3, 3, got_a.data()),
      b.Part(0, 5, got_b.data()), b.Part(5, c.count, got_b.data())};
  for (size_t threads : {1, 2, 40}) {
    ThreadPool pool(threads);
    const size_t bytes = AttentionScratchBytes(a.shape(), both, threads);
    auto scratch = AlignedBuffer::Allocate(bytes, "scratch");
    ASSERT_TRUE(scratch.ok());
    Attention(a.shape(), both, pool, scratch->data());
    EXPECT_EQ(got_a, want_a);
    EXPECT_EQ(got_b, want_b);
  }
}

// Every token of a case as a sequence of its own, or two of them, whose queries
// are made when Attention asks for them.
std::vector<float> AttendMade(const Fixture& f, const Case& c, size_t chunk,
                              size_t threads) {
  const size_t width = c.heads * c.head_size;
  std::vector<float> q(c.count * width, NAN);
  std::vector<float> out(c.count * c.heads * c.value_size, NAN);
  std::vector<AttentionSequence> list;
  for (size_t t = 0; t < c.count; t += chunk) {
    list.push_back(f.Part(t, std::min(c.count, t + chunk), out.data()));
    list.back().q = q.data() + t * width;
  }
  auto make = [&](size_t i, size_t begin, size_t end) {
    const float* from = f.sequence().q + i * chunk * width;
    for (size_t n = begin * width; n < end * width; ++n) {
      // Were it made twice, it would not be a number.
      float& to = q[i * chunk * width + n];
      to = std::isnan(to) ? from[n] : NAN;
    }
  };
  const AttentionRowMaker maker = RowMakerOf(make, /*grain=*/2);
  ThreadPool pool(threads);
  const size_t bytes = AttentionScratchBytes(f.shape(), list, threads);
  auto scratch = AlignedBuffer::Allocate(bytes, "scratch");
  Attention(f.shape(), list, pool, scratch->data(), &maker);
  return out;
}

TEST_F(AttentionTest, SequencesOfABatchHaveTheBitsOfOne) {
  ExpectTheSameBits({1, 2}, {1, 3}, AttendMade);
}

TEST_F(AttentionTest, NotANumberStaysVisible) {
  for (const std::string& target : UsableTargets()) {
    ASSERT_TRUE(ForceTarget(target).ok());
    Case int16 = kCases[3];
    int16.int16 = true;
    for (const Case& c : {kCases[3], kCases[5], int16}) {
      SCOPED_TRACE(target + ", " + c.name + (c.int16 ? ", int16" : ""));
      Fixture f(c, 1);
      std::vector<float> q(c.heads * c.head_size, NAN);
      std::vector<float> out(c.heads * c.value_size, 0);
      AttentionSequence s = f.Part(0, 1, out.data());
      s.q = q.data();
      ThreadPool pool(1);
      f.Attend(pool, s);
      for (float x : out) EXPECT_TRUE(std::isnan(x));
    }
  }
}

// A value that is not a number spoils the rows that see it, and no others.
TEST_F(AttentionTest, MaskedInt8ValuesDoNotMatter) {
  const Case c = {.name = "int8",
                  .heads = 4,
                  .kv_heads = 1,
                  .head_size = 16,
                  .value_size = 16,
                  .count = 3,
                  .first = 20,
                  .keys = 23,
                  .dtype = DType::kI8,
                  .paged = true};
  for (const std::string& target : UsableTargets()) {
    ASSERT_TRUE(ForceTarget(target).ok());
    SCOPED_TRACE(target);
    const Fixture f(c, 1);
    const std::vector<float> want = f.Run(c.count, 1);
    const std::vector<float> nan(c.value_size, NAN);
    StoreKvRows(f.sequence().v, 1, c.value_size, 22, 1, nan.data(), 0);
    const std::vector<float> got = f.Run(c.count, 1);
    const size_t token = c.heads * c.value_size;
    for (size_t i = 0; i < 3 * token; ++i) {
      if (i < 2 * token) {
        EXPECT_EQ(got[i], want[i]);
      } else {
        EXPECT_TRUE(std::isnan(got[i]));
      }
    }
  }
}

// Stored rows: float16 to half an ulp (saturated), int8 to half a step, and
// no other byte of the page is written.
TEST_F(AttentionTest, StoresRowsOnEveryTarget) {
  std::mt19937 rng(3);
  for (const std::string& target : UsableTargets()) {
    ASSERT_TRUE(ForceTarget(target).ok());
    for (size_t n : {1, 2, 16, 33, 64}) {
      for (bool values : {false, true}) {
        for (DType dtype : {DType::kF32, DType::kF16, DType::kI8}) {
          SCOPED_TRACE(target + ", " + std::to_string(n) + ", type " +
                       std::string(Info(dtype).name));
          std::vector<float> x = Normal(n, rng);
          if (n > 2) x[0] = dtype == DType::kF16 ? 1e9f : -3;
          CheckStored(dtype, values, x);
        }
      }
    }
  }
}

TEST_F(AttentionTest, Int8RowsOfZerosAndNotANumber) {
  std::vector<uint8_t> page(kKeyBlock * 16 + kKeyBlock * 4);
  uint8_t* pages[] = {page.data()};
  const KvRows rows{.dtype = DType::kI8,
                    .layout = KvLayout::kValueTiles,
                    .pages = pages,
                    .row_stride = 16,
                    .scale_offset = kKeyBlock * 16};
  std::vector<float> x(8, 0);
  StoreKvRows(rows, 1, 8, 0, 1, x.data(), 8);
  EXPECT_EQ(rows.Scales(0, 0)[0] * page[rows.At(0, 3)], 0.0f);
  x[6] = NAN;
  StoreKvRows(rows, 1, 8, 1, 1, x.data(), 8);
  EXPECT_TRUE(std::isnan(rows.Scales(0, 0)[1]));
}

}  // namespace
}  // namespace slm
