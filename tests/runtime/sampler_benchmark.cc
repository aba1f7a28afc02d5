// SPDX-License-Identifier: MIT
// Choosing a token among the 151936 of Qwen2.5, whose logits are normal. With
// deviation 3 and a few tokens far above ("peaked") they are as a model's; with
// 3 alone ("wide") a nucleus of 0.9 holds thousands of tokens; with 1 ("flat")
// it holds most of the vocabulary, which has to be sorted.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "runtime/sampler.h"

namespace slm {
namespace {

enum Kind { kPeaked, kWide, kFlat };

std::vector<float> Logits(Kind kind) {
  std::mt19937 rng(1);
  std::normal_distribution<float> normal(0.0f, kind == kFlat ? 1.0f : 3.0f);
  std::vector<float> logits(151936);
  for (float& x : logits) x = normal(rng);
  for (size_t i = 0; kind == kPeaked && i < 20; ++i) {
    logits[i * 7001 + 3] = 22.0f - 0.5f * static_cast<float>(i);
  }
  return logits;
}

void Choose(benchmark::State& state, const SearchOptions& options, Kind kind) {
  const std::vector<float> logits = Logits(kind);
  Sampler sampler(options, 1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(sampler.Choose(logits));
  }
}

SearchOptions Options(int64_t top_k, float top_p, float min_p) {
  SearchOptions options;
  options.do_sample = true;
  options.top_k = top_k;
  options.top_p = top_p;
  options.min_p = min_p;
  return options;
}

BENCHMARK_CAPTURE(Choose, greedy, Options(1, 0, 0), kPeaked);
BENCHMARK_CAPTURE(Choose, top_k_50, Options(50, 0, 0), kPeaked);
BENCHMARK_CAPTURE(Choose, top_k_50_flat, Options(50, 0, 0), kFlat);
BENCHMARK_CAPTURE(Choose, top_k_50_top_p, Options(50, 0.9f, 0), kPeaked);
BENCHMARK_CAPTURE(Choose, top_p, Options(0, 0.9f, 0), kPeaked);
BENCHMARK_CAPTURE(Choose, top_p_wide, Options(0, 0.9f, 0), kWide);
BENCHMARK_CAPTURE(Choose, top_p_flat, Options(0, 0.9f, 0), kFlat);
BENCHMARK_CAPTURE(Choose, min_p, Options(0, 0, 0.05f), kPeaked);

}  // namespace
}  // namespace slm

BENCHMARK_MAIN();
