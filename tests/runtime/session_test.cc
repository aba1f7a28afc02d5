// SPDX-License-Identifier: MIT
// What must not change a logit: neighbours in a batch, chunks of a prompt,
// threads, forks, rewinds. Compared bit by bit with one sequence run alone.
#include "runtime/session.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tests/runtime/model_test_util.h"
#include "tests/shared_fixtures.h"

namespace slm {
namespace {

using Tokens = std::vector<int32_t>;
using Rows = std::vector<std::vector<float>>;  // logits, one per row

struct Source {
  const char* name;
  const char* shared;  // below the shared folder; nullptr: tiny-model
};

std::ostream& operator<<(std::ostream& out, const Source& s) {
  return out << s.name;
}

class SessionTest : public testing::TestWithParam<Source> {
 protected:
  void SetUp() override {
    if (GetParam().shared) SLM_NEEDS_SHARED(GetParam().shared);
    model_ = Open({});
    ASSERT_TRUE(model_);
  }

  std::unique_ptr<Model> Open(const ModelOptions& options) {
    return OpenForTest(
        GetParam().shared ? SharedPath(GetParam().shared) : TinyModelPath(),
        options);
  }
  Tokens Some(size_t count, uint64_t seed) const {
    return SomeTokens(count, model_->decoder().vocab_size, seed);
  }
  std::unique_ptr<Model> model_;
};

// A model's session with a pool of its own.
struct Runner {
  explicit Runner(const Model& model, size_t threads = 1,
                  const SessionOptions& options = {})
      : pool(threads), session(model.plan(), model.decoder(), pool, options) {}

  Rows Run(std::vector<Session::Item> items) {
    const Status status = session.Run(items);
    EXPECT_TRUE(status.ok()) << status.message();
    Rows rows(status.ok() ? 0 : items.size());
    for (size_t r = 0; r < session.logit_rows(); ++r) {
      const auto row = session.Logits(r);
      rows.emplace_back(row.begin(), row.end());
    }
    return rows;
  }
  Rows Run(SequenceId id, const Tokens& tokens, LogitsFor logits) {
    return Run({{id, tokens, logits}});
  }

  ThreadPool pool;
  Session session;
};

double MaxDifference(const Rows& a, const Rows& b) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0;
  for (size_t r = 0; r < std::min(a.size(), b.size()); ++r) {
    for (size_t i = 0; i < a[r].size(); ++i) {
      const double d = std::abs(double{a[r][i]} - double{b[r][i]});
      most = std::isnan(d) ? INFINITY : std::max(most, d);
    }
  }
  return most;
}

void Append(Rows* to, const Rows& rows) {
  to->insert(to->end(), rows.begin(), rows.end());
}

// All logits of a prompt, then of tokens one by one.
Rows Alone(const Model& model, const Tokens& prompt, const Tokens& steps,
           const SessionOptions& options = {}) {
  Runner runner(model, 1, options);
  const SequenceId id = runner.session.NewSequence();
  Rows rows = runner.Run(id, prompt, LogitsFor::kAll);
  for (int32_t token : steps) {
    Append(&rows, runner.Run(id, {token}, LogitsFor::kAll));
  }
  return rows;
}

TEST_P(SessionTest, NeighboursAndThreadsDoNotChangeALogit) {
  const std::vector<Tokens> prompts = {Some(1, 1), Some(70, 2), Some(5, 3),
                                       Some(33, 4)};
  const std::vector<Tokens> steps = {Some(3, 5), Some(3, 6), Some(3, 7),
                                     Some(3, 8)};
  std::vector<Rows> alone;
  for (size_t s = 0; s < prompts.size(); ++s) {
    alone.push_back(Alone(*model_, prompts[s], steps[s]));
  }
  for (size_t threads : {1, 2, 3}) {
    Runner runner(*model_, threads);
    std::vector<Rows> together(prompts.size());
    std::vector<Session::Item> items;
    for (const Tokens& prompt : prompts) {
      items.push_back({runner.session.NewSequence(), prompt, LogitsFor::kAll});
    }
    Rows rows = runner.Run(items);
    for (size_t s = 0, at = 0; s < prompts.size(); ++s) {
      for (size_t i = 0; i < prompts[s].size(); ++i, ++at) {
        together[s].push_back(rows[at]);
      }
    }
    for (size_t step = 0; step < 3; ++step) {
      for (size_t s = 0; s < prompts.size(); ++s) {
        items[s].tokens = std::span(steps[s]).subspan(step, 1);
      }
      rows = runner.Run(items);
      for (size_t s = 0; s < prompts.size(); ++s) {
        together[s].push_back(rows[s]);
      }
    }
    for (size_t s = 0; s < prompts.size(); ++s) {
      EXPECT_EQ(together[s], alone[s])
          << threads << " threads, sequence " << s << ", difference "
          << MaxDifference(together[s], alone[s]);
    }
  }
}

// Continuous batching: prompts come in while others decode.
TEST_P(SessionTest, PromptsJoinWhileOthersDecode) {
  const Tokens a = Some(40, 11), b = Some(20, 12), c = Some(66, 13);
  Runner runner(*model_, 2);
  const SequenceId ia = runner.session.NewSequence();
  const SequenceId ib = runner.session.NewSequence();
  const SequenceId ic = runner.session.NewSequence();
  const auto part = [](const Tokens& t, size_t at, size_t n) {
    return std::span(t).subspan(at, n);
  };
  // Long-rope models decide by the whole prompt's length.
  runner.Run({{ia, part(a, 0, 38), LogitsFor::kLast, 40}});
  runner.Run({{ia, part(a, 38, 1), LogitsFor::kLast, 40},
              {ib, part(b, 0, 20), LogitsFor::kLast}});
  const Rows rows = runner.Run({{ic, part(c, 0, 66), LogitsFor::kLast},
                                {ia, part(a, 39, 1), LogitsFor::kLast}});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0], Alone(*model_, c, {}).back());
  EXPECT_EQ(rows[1], Alone(*model_, a, {}).back());
}

TEST_P(SessionTest, ChunksOfAPromptDoNotChangeALogit) {
  const Tokens prompt = Some(150, 21);
  const Rows whole = Alone(*model_, prompt, {});
  for (size_t chunk : {1, 3, 64, 149}) {
    SessionOptions options;
    options.prefill_chunk = chunk;
    const Rows chunked = Alone(*model_, prompt, {}, options);
    EXPECT_EQ(chunked, whole) << "chunk " << chunk << ", difference "
                              << MaxDifference(chunked, whole);
  }
}

TEST_P(SessionTest, DecodingTokenByTokenEqualsThePromptAtOnce) {
  const Tokens tokens = Some(100, 31);
  const Rows whole = Alone(*model_, tokens, {});
  Runner runner(*model_, 2);
  const SequenceId id = runner.session.NewSequence();
  runner.Run(id, Tokens(tokens.begin(), tokens.begin() + 60), LogitsFor::kNone);
  for (size_t i = 60; i < tokens.size(); ++i) {
    const Rows row = runner.Run(id, {tokens[i]}, LogitsFor::kLast);
    ASSERT_EQ(row.size(), 1u);
    EXPECT_EQ(row[0], whole[i]) << "position " << i;
  }
}

// A sequence that grows over the border of long-rope factors is computed again
// with the long ones, as if it had been a prompt of that length. The border of
// the config is that of large models; here it is where the graph switches.
TEST_P(SessionTest, GrowingOverTheRopeBorderEqualsALongPrompt) {
  const size_t border = model_->plan().rope_switch + 1;
  if (border == 1) GTEST_SKIP() << "one set of rope factors";
  const Tokens tokens = Some(border + 5, 32);
  const Rows whole = Alone(*model_, tokens, {});
  DecoderSpec spec = model_->decoder();
  spec.rope_recompute_at = border;
  ThreadPool pool(2);
  Session session(model_->plan(), spec, pool, SessionOptions());
  const SequenceId id = session.NewSequence();
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Session::Item item{id, std::span(tokens).subspan(i, 1),
                             LogitsFor::kLast};
    ASSERT_TRUE(session.Run({&item, 1}).ok());
    const auto row = session.Logits(0);
    if (i == 0) continue;  // sees itself alone, whatever its angle
    // Below the border the short factors give other logits.
    EXPECT_EQ(std::vector<float>(row.begin(), row.end()) == whole[i],
              i + 1 >= border)
        << "position " << i;
  }
}

TEST_P(SessionTest, ForksGoOnByThemselves) {
  const Tokens prompt = Some(70, 41);
  const Tokens left = Some(5, 42), right = Some(5, 43);
  Runner runner(*model_, 2);
  const SequenceId a = runner.session.NewSequence();
  runner.Run(a, prompt, LogitsFor::kNone);
  const auto b = runner.session.Fork(a);
  ASSERT_TRUE(b.ok());
  Rows rows_left, rows_right;
  for (size_t i = 0; i < left.size(); ++i) {
    const Rows rows =
        runner.Run({{a, std::span(left).subspan(i, 1), LogitsFor::kLast},
                    {*b, std::span(right).subspan(i, 1), LogitsFor::kLast}});
    rows_left.push_back(rows[0]);
    rows_right.push_back(rows[1]);
  }
  Rows expected = Alone(*model_, prompt, left);
  EXPECT_EQ(rows_left, Rows(expected.end() - 5, expected.end()));
  expected = Alone(*model_, prompt, right);
  EXPECT_EQ(rows_right, Rows(expected.end() - 5, expected.end()));
  // One goes, the other stays.
  runner.session.Drop(a);
  const Tokens more = Some(2, 44);
  Tokens all = right;
  all.insert(all.end(), more.begin(), more.end());
  EXPECT_EQ(runner.Run(*b, more, LogitsFor::kLast).back(),
            Alone(*model_, prompt, all).back());
}

// 40 stays inside of what windows keep or not, 100 of 150 lies behind windows
// of 16 and 32 that have slid over a page: the state must be made again.
TEST_P(SessionTest, RewoundSequencesRunAsIfNothingHadBeen) {
  const Tokens prompt = Some(150, 51), other = Some(30, 52);
  for (size_t length : {0, 1, 64, 100, 149}) {
    Runner runner(*model_, 2);
    const SequenceId id = runner.session.NewSequence();
    runner.Run(id, prompt, LogitsFor::kNone);
    ASSERT_TRUE(runner.session.Rewind(id, length).ok());
    EXPECT_EQ(runner.session.Tokens(id).size(), length);
    Tokens tokens(prompt.begin(),
                  prompt.begin() + static_cast<ptrdiff_t>(length));
    tokens.insert(tokens.end(), other.begin(), other.end());
    const Rows rows = runner.Run(id, other, LogitsFor::kAll);
    const Rows expected = Alone(*model_, tokens, {});
    // With long rope factors the kept keys stay long in a sequence that is
    // short again; a new short one has short factors.
    if (model_->plan().rope_switch >= tokens.size()) continue;
    EXPECT_EQ(rows, Rows(expected.end() - 30, expected.end()))
        << "rewound to " << length;
  }
}

TEST_P(SessionTest, LogitsForSaysWhichRowsThereAre) {
  const Tokens a = Some(4, 61), b = Some(3, 62), c = Some(2, 63);
  Runner runner(*model_);
  const SequenceId ia = runner.session.NewSequence();
  const SequenceId ib = runner.session.NewSequence();
  const SequenceId ic = runner.session.NewSequence();
  const Rows rows = runner.Run({{ia, a, LogitsFor::kNone},
                                {ib, b, LogitsFor::kAll},
                                {ic, c, LogitsFor::kLast}});
  Rows expected = Alone(*model_, b, {});
  expected.push_back(Alone(*model_, c, {}).back());
  EXPECT_EQ(rows, expected);
  EXPECT_EQ(runner.session.Tokens(ia).size(), 4u);
  const Tokens more = {1};
  EXPECT_TRUE(runner.Run(ia, more, LogitsFor::kNone).empty());
}

// The graph as it stands, with its own mask subgraph and past tensors.
// Activations in float32: int8 rounding would turn a difference in the last
// bit into a step. Logits are below 32, 2^-19 each unit; 1e-4 is 50 of them
// over some ten sums one after another.
TEST_P(SessionTest, DenseModeAgrees) {
  ModelOptions options;
  options.accuracy_level = 0;
  const auto ragged = Open(options);
  options.force_dense = true;
  const auto dense = Open(options);
  ASSERT_TRUE(ragged && dense);
  EXPECT_TRUE(ragged->plan().ragged);
  EXPECT_FALSE(dense->plan().ragged);
  for (size_t length : {1, 20, 70}) {
    const Tokens prompt = Some(length, 71), steps = Some(3, 72);
    EXPECT_LT(MaxDifference(Alone(*dense, prompt, steps),
                            Alone(*ragged, prompt, steps)),
              1e-4)
        << length;
  }
}

TEST_P(SessionTest, DenseSequencesForkAndRewind) {
  ModelOptions options;
  options.force_dense = true;
  const auto dense = Open(options);
  ASSERT_TRUE(dense);
  const Tokens prompt = Some(20, 81), left = Some(2, 82), right = Some(2, 83);
  Runner runner(*dense);
  const SequenceId a = runner.session.NewSequence();
  runner.Run(a, prompt, LogitsFor::kNone);
  const auto b = runner.session.Fork(a);
  ASSERT_TRUE(b.ok());
  const Rows rows =
      runner.Run({{a, left, LogitsFor::kLast}, {*b, right, LogitsFor::kLast}});
  Runner single(*dense);
  const SequenceId id = single.session.NewSequence();
  single.Run(id, prompt, LogitsFor::kNone);
  EXPECT_EQ(rows[0], single.Run(id, left, LogitsFor::kLast)[0]);
  ASSERT_TRUE(single.session.Rewind(id, 20).ok());
  EXPECT_EQ(rows[1], single.Run(id, right, LogitsFor::kLast)[0]);
}

INSTANTIATE_TEST_SUITE_P(
    Models, SessionTest,
    testing::Values(
        Source{"tiny", nullptr},
        Source{"mistral_window", "fixtures/models/mistral-window/onnx-fp32"},
        Source{"phi4_longrope", "fixtures/models/phi4-longrope/onnx-fp32"},
        Source{"gemma3", "fixtures/models/gemma3/onnx-int4"}),
    [](const testing::TestParamInfo<Source>& instance) {
      return instance.param.name;
    });

class TinySessionTest : public testing::Test {
 protected:
  void SetUp() override {
    model_ = OpenForTest(TinyModelPath());
    ASSERT_TRUE(model_);
    context_ = model_->decoder().context_length;
    const auto& slots = model_->plan().kv_slots;
    ASSERT_EQ(slots.size(), 2u);
    page_bytes_ =
        RoundUp(KvFormat{DType::kF32, slots[0].kv_heads, slots[0].head_size}
                    .PageBytes(),
                kAlignment);
  }
  Tokens Some(size_t count, uint64_t seed) const {
    return SomeTokens(count, model_->decoder().vocab_size, seed);
  }

  std::unique_ptr<Model> model_;
  size_t context_ = 0, page_bytes_ = 0;
};

// The sizes are those of make_tiny_model.py: K 2, E 16.
TEST_F(TinySessionTest, PagesAreSharedUntilWritten) {
  EXPECT_EQ(page_bytes_, 2u * 2 * 64 * 16 * sizeof(float));
  Runner runner(*model_);
  const SequenceId a = runner.session.NewSequence();
  const auto pages = [&] { return runner.session.KvBytes() / page_bytes_; };
  EXPECT_EQ(pages(), 0u);
  runner.Run(a, Some(65, 1), LogitsFor::kNone);
  EXPECT_EQ(pages(), 2u * 2);  // two layers of ceil(65 / 64) pages
  const auto b = runner.session.Fork(a);
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(pages(), 4u);
  runner.Run(*b, {1}, LogitsFor::kNone);  // the second page of each layer
  EXPECT_EQ(pages(), 6u);
  runner.Run(a, {2}, LogitsFor::kNone);
  EXPECT_EQ(pages(), 6u);  // the original page is a's alone now
  ASSERT_TRUE(runner.session.Rewind(*b, 10).ok());
  EXPECT_EQ(pages(), 4u);
  runner.session.Drop(a);
  EXPECT_EQ(pages(), 2u);
  runner.session.Drop(*b);
  EXPECT_EQ(pages(), 0u);
}

TEST_F(TinySessionTest, OverflowNamesBothNumbers) {
  Runner runner(*model_);
  const SequenceId id = runner.session.NewSequence();
  runner.Run(id, Some(context_ - 1, 1), LogitsFor::kNone);
  const Tokens two = {1, 2};
  const Session::Item item{id, two, LogitsFor::kLast};
  const Status status = runner.session.Run({&item, 1});
  EXPECT_EQ(status.kind(), ErrorKind::kOverflow);
  EXPECT_NE(status.message().find("257"), std::string::npos)
      << status.message();
  EXPECT_NE(status.message().find("256"), std::string::npos)
      << status.message();
  EXPECT_EQ(runner.session.Tokens(id).size(), context_ - 1);
  EXPECT_EQ(runner.Run(id, {1}, LogitsFor::kLast).size(), 1u);
}

TEST_F(TinySessionTest, ItemsThatMakeNoSenseAreRefused) {
  Runner runner(*model_);
  const SequenceId id = runner.session.NewSequence();
  const Tokens one = {1}, outside = {288}, negative = {-1};
  const auto run = [&](std::vector<Session::Item> items) {
    const Status status = runner.session.Run(items);
    EXPECT_FALSE(status.message().empty());
    EXPECT_EQ(runner.session.Tokens(id).size(), 0u);
    return status.kind();
  };
  EXPECT_EQ(run({{id, {}, LogitsFor::kLast}}), ErrorKind::kUsage);
  EXPECT_EQ(run({{id, outside, LogitsFor::kLast}}), ErrorKind::kUsage);
  EXPECT_EQ(run({{id, negative, LogitsFor::kLast}}), ErrorKind::kUsage);
  EXPECT_EQ(run({{id + 1, one, LogitsFor::kLast}}), ErrorKind::kUsage);
  EXPECT_EQ(run({{id, one, LogitsFor::kLast}, {id, one, LogitsFor::kLast}}),
            ErrorKind::kUsage);
  EXPECT_EQ(runner.session.Rewind(id, 1).kind(), ErrorKind::kUsage);
}

// The cap leaves room for three pages of each of the two layers.
TEST_F(TinySessionTest, AFailedRunLeavesSequencesAsTheyWere) {
  for (size_t chunk : {50, 512}) {
    SessionOptions options;
    options.kv_cap_bytes = 6 * page_bytes_;
    options.prefill_chunk = chunk;
    Runner runner(*model_, 1, options);
    const SequenceId a = runner.session.NewSequence();
    const SequenceId b = runner.session.NewSequence();
    const Tokens first = Some(60, 1), second = Some(100, 2);
    runner.Run(a, first, LogitsFor::kNone);
    const size_t held = runner.session.KvBytes();
    const Tokens more = Some(10, 3), too_much = Some(200, 4);
    const std::vector<Session::Item> items = {{a, more, LogitsFor::kLast},
                                              {b, too_much, LogitsFor::kLast}};
    const Status status = runner.session.Run(items);
    EXPECT_EQ(status.kind(), ErrorKind::kMemory);
    EXPECT_NE(status.message().find(std::to_string(6 * page_bytes_)),
              std::string::npos)
        << status.message();
    EXPECT_EQ(runner.session.logit_rows(), 0u);
    EXPECT_EQ(runner.session.Tokens(a).size(), 60u);
    EXPECT_EQ(runner.session.Tokens(b).size(), 0u);
    EXPECT_EQ(runner.session.KvBytes(), held);
    EXPECT_EQ(runner.Run(b, second, LogitsFor::kLast)[0],
              Alone(*model_, second, {}).back());
    EXPECT_EQ(runner.Run(a, {7}, LogitsFor::kLast)[0],
              Alone(*model_, first, {7}).back());
  }
}

// Keys and values in fewer bits. Largest logits are 16 times the part of the
// last norm's output that lies along a code, of RMS 1. Each of two layers adds
// attention of gain 0.3 to a stream of RMS 1 or more, so a relative error r of
// the attention's output moves a logit by at most 16 * 2 * 0.3 * r = 10 r.
// r: a value's own rounding u, and that of the scores, which are sums of E = 16
// products / 4 with q, k of RMS 1, so about u of 1; softmax turns an error e of
// a score into 2 e at most: r < 4 u (twice each for peaks above RMS).
// f16: u = 2^-11. int8 with a scale per row: u = max / 254 with max up to 3
// times the RMS, 0.012. Measured: 0.0003 and 0.007.
TEST_F(TinySessionTest, SmallerCachesStayWithinTheirRounding) {
  ModelOptions exact;
  exact.accuracy_level = 0;
  const auto model = OpenForTest(TinyModelPath(), exact);
  ASSERT_TRUE(model);
  struct Case {
    DType dtype;
    double unit;
  };
  const Tokens prompt = Some(100, 1), steps = Some(5, 2);
  const Rows full = Alone(*model, prompt, steps);
  for (const Case& c : {Case{DType::kF16, 0x1p-11}, {DType::kI8, 0.012}}) {
    SessionOptions options;
    options.kv_dtype = c.dtype;
    const Rows rows = Alone(*model, prompt, steps, options);
    const double difference = MaxDifference(rows, full);
    EXPECT_LT(difference, 40 * c.unit) << Name(c.dtype);
    EXPECT_GT(difference, 0) << Name(c.dtype) << " is not used";
    RecordProperty(Name(c.dtype), std::to_string(difference));
    // Chunks and threads do not matter here either.
    options.prefill_chunk = 7;
    EXPECT_EQ(Alone(*model, prompt, steps, options), rows) << Name(c.dtype);
  }
}

TEST_F(TinySessionTest, AttentionReachesTheLogits) {
  // Otherwise the tests above would see nothing of a wrong cache.
  Tokens a = Some(80, 1), b = a;
  b[3] = (b[3] + 1) % 200;
  EXPECT_GT(MaxDifference({Alone(*model_, a, {}).back()},
                          {Alone(*model_, b, {}).back()}),
            1e-3);
}

TEST(PagePool, CountsReferences) {
  KvBudget budget{/*cap_bytes=*/512};
  PagePool pool(256, &budget);
  auto a = pool.Take();
  ASSERT_TRUE(a.ok());
  EXPECT_EQ(pool.UsedBytes(), 256u);
  EXPECT_FALSE(pool.IsShared(*a));
  pool.Share(*a);
  EXPECT_TRUE(pool.IsShared(*a));
  pool.Drop(*a);
  EXPECT_FALSE(pool.IsShared(*a));
  auto b = pool.Take();
  ASSERT_TRUE(b.ok());
  EXPECT_NE(*a, *b);
  EXPECT_EQ(pool.Take().status().kind(), ErrorKind::kMemory);
  pool.Drop(*a);
  EXPECT_EQ(pool.UsedBytes(), 256u);
  auto c = pool.Take();  // the freed one
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(*c, *a);
}

// 20 MB in slabs of all sizes, the last one as large as the cap leaves it.
TEST(PagePool, PagesOfManySlabsAreApart) {
  constexpr size_t kBytes = 17408, kPages = 1200;
  KvBudget budget{/*cap_bytes=*/kBytes * kPages + 1};
  PagePool pool(kBytes, &budget);
  std::vector<uint8_t*> pages;
  for (size_t i = 0; i < kPages; ++i) {
    auto page = pool.Take();
    ASSERT_TRUE(page.ok());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(*page) % kAlignment, 0u);
    std::memset(*page, static_cast<int>(i % 251), kBytes);
    pages.push_back(*page);
  }
  EXPECT_EQ(budget.allocated, kBytes * kPages);
  EXPECT_EQ(pool.Take().status().kind(), ErrorKind::kMemory);
  for (size_t i = 0; i < kPages; ++i) {
    const std::vector<uint8_t> expected(kBytes, static_cast<uint8_t>(i % 251));
    EXPECT_EQ(std::memcmp(pages[i], expected.data(), kBytes), 0) << i;
    EXPECT_FALSE(pool.IsShared(pages[i])) << i;
  }
}

// Window 65 over pages of 64: with 128 tokens in, the next query sees 64..128.
TEST(KvCache, ReleasesWhatSlidOut) {
  const KvFormat format{DType::kF32, 1, 8};
  KvBudget budget;
  PagePool pool(format.PageBytes(), &budget);
  KvCache cache({{format, 65}, {format, -1}}, {&pool, &pool});
  ASSERT_TRUE(cache.Reserve(0, 128).ok());
  EXPECT_EQ(pool.UsedBytes(), 4 * format.PageBytes());
  cache.Slide(127);
  EXPECT_EQ(pool.UsedBytes(), 4 * format.PageBytes());
  cache.Slide(128);
  EXPECT_EQ(pool.UsedBytes(), 3 * format.PageBytes());
  EXPECT_TRUE(cache.Truncate(128));
  EXPECT_FALSE(cache.Truncate(127));
  EXPECT_EQ(pool.UsedBytes(), 3 * format.PageBytes());
  EXPECT_TRUE(cache.Truncate(0));
  EXPECT_EQ(pool.UsedBytes(), 0u);
}

}  // namespace
}  // namespace slm
