// SPDX-License-Identifier: MIT
// Attention of one layer over paged K/V: GFLOP/s and, for decode, GB/s of the
// cache that a step reads. Names: rows, cached tokens, type, threads. On the
// best SIMD target, or that of SLM_TARGET, which the label names.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <random>
#include <vector>

#include "ops/kernels/attention.h"
#include "runtime/core/cpu.h"
#include "runtime/core/memory.h"
#include "runtime/core/shape.h"

namespace slm {
namespace {

constexpr size_t kHeads = 14, kKvHeads = 2, kSize = 64;  // Qwen2.5-0.5B

std::vector<float> Random(size_t n) {
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(n);
  for (float& v : values) v = normal(rng);
  return values;
}

void Attend(benchmark::State& state, DType dtype) {
  const size_t tokens = static_cast<size_t>(state.range(0));
  const size_t keys = static_cast<size_t>(state.range(1));
  ThreadPool pool(static_cast<size_t>(state.range(2)));
  const size_t row = PagedRowBytes(dtype, kSize);
  const size_t plane = kKvHeads * kKeyBlock * row;
  const size_t scales = kKvHeads * kKeyBlock * sizeof(float);
  std::vector<std::vector<uint8_t>> memory;
  std::vector<uint8_t*> pages;
  for (size_t i = 0; i < CeilDiv(keys, kKeyBlock); ++i) {
    memory.emplace_back(2 * (plane + scales));
    pages.push_back(memory.back().data());
  }
  KvRows k{.dtype = dtype,
           .layout = PagedLayout(dtype, /*values=*/false),
           .pages = pages.data(),
           .head_stride = kKeyBlock * row,
           .row_stride = row,
           .scale_offset = 2 * plane};
  KvRows v = k;
  v.layout = PagedLayout(dtype, /*values=*/true);
  v.offset = plane;
  v.scale_offset += scales;
  const auto x = Random(keys * kKvHeads * kSize);
  StoreKvRows(k, kKvHeads, kSize, 0, keys, x.data(), kKvHeads * kSize);
  StoreKvRows(v, kKvHeads, kSize, 0, keys, x.data(), kKvHeads * kSize);
  const auto q = Random(tokens * kHeads * kSize);
  std::vector<float> out(q.size());
  const AttentionShape shape{.heads = kHeads,
                             .kv_heads = kKvHeads,
                             .head_size = kSize,
                             .value_size = kSize,
                             .scale = 0.125f};
  const AttentionSequence s{.q = q.data(),
                            .q_token_stride = kHeads * kSize,
                            .q_head_stride = kSize,
                            .out = out.data(),
                            .out_token_stride = kHeads * kSize,
                            .out_head_stride = kSize,
                            .count = tokens,
                            .first = static_cast<int64_t>(keys - tokens),
                            .keys = keys,
                            .k = k,
                            .v = v};
  auto scratch = AlignedBuffer::Allocate(
      AttentionScratchBytes(shape, {&s, 1}, pool.size()), "scratch");
  for (auto _ : state) {
    Attention(shape, {&s, 1}, pool, scratch->data());
    benchmark::ClobberMemory();
  }
  // Each query row sees keys - tokens .. keys of them, twice 2 E operations.
  const double pairs =
      static_cast<double>(tokens) * kHeads *
      (static_cast<double>(keys) - (static_cast<double>(tokens) - 1) / 2);
  state.counters["GFLOP/s"] = benchmark::Counter(
      pairs * 4 * kSize * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["GB/s"] =
      benchmark::Counter(static_cast<double>(2 * kKvHeads * keys * row) * 1e-9,
                         benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(CurrentTarget());
}

void Cases(benchmark::internal::Benchmark* b) {
  for (int64_t threads : {1, 2}) {
    for (int64_t keys : {512, 4096}) b->Args({1, keys, threads});
    b->Args({512, 512, threads});
  }
  b->UseRealTime();
}

BENCHMARK_CAPTURE(Attend, f32, DType::kF32)->Apply(Cases);
BENCHMARK_CAPTURE(Attend, f16, DType::kF16)->Apply(Cases);
BENCHMARK_CAPTURE(Attend, int8, DType::kI8)->Apply(Cases);

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
