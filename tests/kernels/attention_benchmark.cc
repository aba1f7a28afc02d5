// SPDX-License-Identifier: MIT
// Attention of one layer over paged K/V: GFLOP/s and, for decode, GB/s of the
// cache that a step reads. Decode goes through all layers of the model, as a
// token does, so that the cache comes from memory and not from the last time.
// Names: model, type (int16: products are those of 16-bit integers, as a
// session has them with AVX-512 VNNI) / new tokens of a sequence, cached
// tokens, sequences, threads, window (0: none). The "min" of repetitions is
// what counts on a busy machine. On the best SIMD target, or that of
// SLM_TARGET, which the label names.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include "ops/kernels/attention.h"
#include "runtime/core/cpu.h"
#include "runtime/core/memory.h"
#include "runtime/core/shape.h"

namespace slm {
namespace {

struct Model {
  size_t heads, kv_heads, layers;
};
constexpr size_t kSize = 64;
constexpr Model kQwen = {14, 2, 24};   // Qwen2.5-0.5B
constexpr Model kLlama = {32, 8, 16};  // Llama 3.2 1B

std::vector<float> Random(size_t n) {
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& v : values) v = normal(rng);
  return values;
}

// Pages of huge pages, as a session has them.
class Pages {
 public:
  uint8_t* Take(size_t bytes) {
    bytes = RoundUp(bytes + sizeof(uint32_t), kAlignment);
    if (slabs_.empty() || used_ + bytes > slabs_.back().size()) {
      auto slab = AlignedBuffer::AllocateHuge("pages");
      slabs_.push_back(std::move(*slab));
      used_ = 0;
    }
    uint8_t* page = static_cast<uint8_t*>(slabs_.back().data()) + used_;
    used_ += bytes;
    return page;
  }

 private:
  std::vector<AlignedBuffer> slabs_;
  size_t used_ = 0;
};

// Keys and values of one layer of one sequence.
class Cache {
 public:
  Cache(const Model& model, DType dtype, size_t keys,
        const std::vector<float>& x, Pages& memory) {
    const size_t row = PagedRowBytes(dtype, kSize);
    const size_t plane = model.kv_heads * kKeyBlock * row;
    const size_t scales =
        dtype == DType::kI8 ? model.kv_heads * kKeyBlock * sizeof(float) : 0;
    for (size_t i = 0; i < CeilDiv(keys, kKeyBlock); ++i) {
      pages_.push_back(memory.Take(2 * (plane + scales)));
    }
    k = {.dtype = dtype,
         .layout = PagedLayout(dtype, /*values=*/false),
         .pages = pages_.data(),
         .head_stride = kKeyBlock * row,
         .row_stride = row,
         .scale_offset = 2 * plane};
    v = k;
    v.layout = PagedLayout(dtype, /*values=*/true);
    v.offset = plane;
    v.scale_offset += scales;
    for (const KvRows* rows : {&k, &v}) {
      StoreKvRows(*rows, model.kv_heads, kSize, 0, keys, x.data(),
                  model.kv_heads * kSize);
    }
  }
  KvRows k, v;

 private:
  std::vector<uint8_t*> pages_;
};

void Attend(benchmark::State& state, const Model& model, DType dtype,
            bool int16 = false) {
  const auto arg = [&state](size_t i) {
    return static_cast<size_t>(state.range(i));
  };
  const size_t tokens = arg(0), keys = arg(1), count = arg(2), window = arg(4);
  ThreadPool pool(arg(3));
  const size_t layers = tokens == 1 ? model.layers : 1;
  const auto x = Random(keys * model.kv_heads * kSize);
  Pages memory;
  std::vector<std::unique_ptr<Cache>> caches;
  for (size_t i = 0; i < layers * count; ++i) {
    caches.push_back(std::make_unique<Cache>(model, dtype, keys, x, memory));
  }
  const auto q = Random(tokens * model.heads * kSize);
  std::vector<float> out(count * q.size());
  const AttentionShape shape{.heads = model.heads,
                             .kv_heads = model.kv_heads,
                             .head_size = kSize,
                             .value_size = kSize,
                             .scale = 0.125f,
                             .window = window,
                             .int16 = int16};
  std::vector<AttentionSequence> list(count);
  for (size_t i = 0; i < count; ++i) {
    list[i] = {.q = q.data(),
               .q_token_stride = model.heads * kSize,
               .q_head_stride = kSize,
               .out = out.data() + i * q.size(),
               .out_token_stride = model.heads * kSize,
               .out_head_stride = kSize,
               .count = tokens,
               .first = static_cast<int64_t>(keys - tokens),
               .keys = keys,
               .k = {},
               .v = {}};
  }
  auto scratch = AlignedBuffer::Allocate(
      AttentionScratchBytes(shape, list, pool.size()), "scratch");
  size_t layer = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < count; ++i) {
      const Cache& cache = *caches[layer * count + i];
      list[i].k = cache.k;
      list[i].v = cache.v;
    }
    Attention(shape, list, pool, scratch->data());
    layer = (layer + 1) % layers;
  }
  // A query row sees what is cached before it, or its window.
  double pairs = 0;
  for (size_t t = 0; t < tokens; ++t) {
    const size_t before = keys - tokens + t + 1;
    pairs += static_cast<double>(window ? std::min(window, before) : before);
  }
  const double seen = static_cast<double>(window ? window : keys);
  const double sequences = static_cast<double>(count);
  state.counters["GFLOP/s"] = benchmark::Counter(
      sequences * pairs * static_cast<double>(model.heads) * 4 * kSize * 1e-9,
      benchmark::Counter::kIsIterationInvariantRate);
  const double row = static_cast<double>(PagedRowBytes(dtype, kSize));
  state.counters["GB/s"] = benchmark::Counter(
      sequences * 2 * static_cast<double>(model.kv_heads) * seen * row * 1e-9,
      benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(CurrentTarget());
}

void Cases(benchmark::internal::Benchmark* b) {
  for (int64_t threads : {1, 2}) {
    for (int64_t keys : {64, 512, 4096}) b->Args({1, keys, 1, threads, 0});
    b->Args({1, 4096, 1, threads, 512});
    for (int64_t keys : {16, 32, 512}) b->Args({1, keys, 8, threads, 0});
    b->Args({512, 512, 1, threads, 0});
    b->Args({512, 2048, 1, threads, 0});
  }
  b->UseRealTime()->ComputeStatistics(
      "min", [](const std::vector<double>& times) {
        return *std::min_element(times.begin(), times.end());
      });
}

BENCHMARK_CAPTURE(Attend, qwen_f32, kQwen, DType::kF32)->Apply(Cases);
BENCHMARK_CAPTURE(Attend, qwen_f16, kQwen, DType::kF16)->Apply(Cases);
BENCHMARK_CAPTURE(Attend, qwen_f16_int16, kQwen, DType::kF16, true)
    ->Apply(Cases);
BENCHMARK_CAPTURE(Attend, qwen_int8, kQwen, DType::kI8)->Apply(Cases);
BENCHMARK_CAPTURE(Attend, llama_f32, kLlama, DType::kF32)->Apply(Cases);
BENCHMARK_CAPTURE(Attend, llama_int8, kLlama, DType::kI8)->Apply(Cases);

}  // namespace
}  // namespace slm

// BENCHMARK_MAIN, and SLM_TARGET.
int main(int argc, char** argv) {
  const slm::Status status = slm::InitTargets();
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    return static_cast<int>(status.kind());
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
