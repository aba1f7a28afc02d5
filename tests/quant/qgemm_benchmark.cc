// SPDX-License-Identifier: MIT
// Speed of the matrix products on every SIMD target, for the shapes of
// Qwen2.5-0.5B: GB/s of weight bytes (compare with "read", the plain read
// bandwidth) and GOPS, two operations a multiply-add.
//   kernel_benchmark --benchmark_filter='int8_4/AVX2/m1/'
#include <algorithm>
#include <chrono>
#include <string>

#include "benchmark/benchmark.h"
#include "ops/kernels/gemm.h"
#include "quant/qgemm.h"
#include "runtime/core/cpu.h"
#include "runtime/core/memory.h"
#include "runtime/core/threads.h"
#include "tests/quant/random_matrix.h"

namespace slm {
namespace {

struct Shape {
  size_t k, n;
};
constexpr Shape kShapes[] = {
    {896, 1152}, {896, 896}, {896, 4864}, {4864, 896}, {896, 151936}};

// Runs `body`, measures each turn, reports the rates of the best one: other
// programs on the machine then only cost turns.
template <typename Body>
void Measure(benchmark::State& state, double bytes, double operations,
             const Body& body) {
  double best = 1e9;
  for (auto _ : state) {
    const auto begin = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double> time =
        std::chrono::steady_clock::now() - begin;
    best = std::min(best, time.count());
  }
  state.counters["best_us"] = best * 1e6;
  state.counters["GB/s"] = bytes / best / 1e9;
  state.counters["GOPS"] = operations / best / 1e9;
}

// Copies of the weights in turn, 128 MiB in all, so that none is in a cache.
void RunQGemm(benchmark::State& state, const std::string& target,
              const Shape& shape, size_t m, int bits, QGemmMode mode) {
  if (!ForceTarget(target).ok()) return state.SkipWithError("no such target");
  std::mt19937 rng(1);
  ThreadPool pool(0);
  std::vector<RandomMatrix> b;
  size_t bytes = 0, total = 0;
  do {
    b.push_back(MakeRandomMatrix(
        {shape.n, shape.k, bits, 32, ZeroPoints::kNone, DType::kF32}, rng));
    bytes = b.back().b.size() + b.back().scales.size();
    total += bytes;
  } while (m == 1 && total < (size_t{128} << 20));
  const std::vector<float> a = RandomFloats(m * shape.k, -1, 1, rng);
  std::vector<float> c(m * shape.n);
  AlignedBuffer scratch = std::move(
      AlignedBuffer::Allocate(
          QGemmScratchBytes(m, b[0].view, mode, pool.size()), "scratch")
          .value());
  size_t turn = 0;
  Measure(state, static_cast<double>(bytes),
          2.0 * static_cast<double>(m * shape.n * shape.k), [&] {
            QGemm(pool, a.data(), shape.k, m, b[turn++ % b.size()].view,
                  nullptr, c.data(), shape.n, mode, scratch.data());
          });
}

// B [N, K] as exporters' transposed weights, or [K, N] as MatMul has it.
void RunGemm(benchmark::State& state, const std::string& target,
             const Shape& shape, size_t m, bool transposed) {
  if (!ForceTarget(target).ok()) return state.SkipWithError("no such target");
  ThreadPool pool(0);
  const std::vector<float> a(m * shape.k, 0.5f), b(shape.n * shape.k, 0.25f);
  std::vector<float> c(m * shape.n);
  const GemmB matrix{
      .data = b.data(), .transposed = transposed, .n = shape.n, .k = shape.k};
  Measure(state, static_cast<double>(b.size()) * 4,
          2.0 * static_cast<double>(m * shape.n * shape.k), [&] {
            GemmF32(&pool, a.data(), shape.k, m, matrix, nullptr, c.data(),
                    shape.n);
          });
}

void RunRead(benchmark::State& state) {
  ThreadPool pool(0);
  const std::vector<uint64_t> data(size_t{32} << 20, 1);
  std::vector<uint64_t> sums(pool.size() * 8);
  Measure(state, static_cast<double>(data.size()) * 8, 0, [&] {
    ParallelFor(pool, data.size(), 4096,
                [&](size_t begin, size_t end, size_t worker) {
                  uint64_t sum[8] = {};
                  for (size_t i = begin; i < end; i += 8) {
                    for (size_t k = 0; k < 8; ++k) sum[k] += data[i + k];
                  }
                  for (size_t k = 0; k < 8; ++k) sums[worker * 8 + k] = sum[k];
                });
    benchmark::DoNotOptimize(sums.data());
  });
}

// kind/target/mM/KxN
std::string BenchmarkName(const char* kind, const std::string& target,
                          const Shape& shape, size_t m) {
  return std::string(kind) + "/" + target + "/m" + std::to_string(m) + "/" +
         std::to_string(shape.k) + "x" + std::to_string(shape.n);
}

void Register() {
  benchmark::RegisterBenchmark("read", RunRead)->UseRealTime();
  struct Kind {
    const char* name;
    int bits;
    QGemmMode mode;
  };
  constexpr Kind kKinds[] = {
      {"int8_4", 4, QGemmMode::kInt8Activations},
      {"int8_8", 8, QGemmMode::kInt8Activations},
      {"float_4", 4, QGemmMode::kFloat32Activations},
  };
  for (const std::string& target : UsableTargets()) {
    for (const Kind& kind : kKinds) {
      for (size_t m : {1, 8, 128, 512}) {
        for (const Shape& shape : kShapes) {
          benchmark::RegisterBenchmark(
              BenchmarkName(kind.name, target, shape, m).c_str(), RunQGemm,
              target, shape, m, kind.bits, kind.mode)
              ->UseRealTime();
        }
      }
    }
    for (size_t m : {1, 8, 128, 512}) {
      for (bool transposed : {false, true}) {
        for (const Shape& shape : {kShapes[2], kShapes[3]}) {
          benchmark::RegisterBenchmark(
              BenchmarkName(transposed ? "gemm_nk" : "gemm_kn", target, shape,
                            m)
                  .c_str(),
              RunGemm, target, shape, m, transposed)
              ->UseRealTime();
        }
      }
    }
  }
}

}  // namespace
}  // namespace slm

int main(int argc, char** argv) {
  std::printf("%s, %zu threads\n", slm::CpuName().c_str(),
              slm::AvailableCores());
  slm::Register();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
