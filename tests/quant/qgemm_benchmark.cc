// SPDX-License-Identifier: MIT
// Speed of the matrix products on every SIMD target, for the shapes of
// Qwen2.5-0.5B: GB/s of weight bytes (compare with "read", the plain read
// bandwidth) and GOPS, two operations a multiply-add.
//   kernel_benchmark --benchmark_filter=int8_4.*AVX3_ZEN4
#include <string>

#include "benchmark/benchmark.h"
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

void SetRates(benchmark::State& state, double bytes, double operations) {
  const double runs = static_cast<double>(state.iterations());
  state.counters["GB/s"] =
      benchmark::Counter(bytes * runs / 1e9, benchmark::Counter::kIsRate);
  state.counters["GOPS"] =
      benchmark::Counter(operations * runs / 1e9, benchmark::Counter::kIsRate);
}

// Copies of the weights in turn, 256 MiB in all, so that none is in a cache.
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
  for (auto _ : state) {
    QGemm(pool, a.data(), shape.k, m, b[turn++ % b.size()].view, nullptr,
          c.data(), shape.n, mode, scratch.data());
  }
  SetRates(state, static_cast<double>(bytes), 2.0 * m * shape.n * shape.k);
}

void RunRead(benchmark::State& state) {
  ThreadPool pool(0);
  const std::vector<uint64_t> data(size_t{32} << 20, 1);
  std::vector<uint64_t> sums(pool.size() * 8);
  for (auto _ : state) {
    ParallelFor(pool, data.size(), 4096,
                [&](size_t begin, size_t end, size_t worker) {
                  uint64_t sum[8] = {};
                  for (size_t i = begin; i < end; i += 8) {
                    for (size_t j = 0; j < 8; ++j) sum[j] += data[i + j];
                  }
                  for (size_t j = 0; j < 8; ++j) sums[worker * 8 + j] = sum[j];
                });
    benchmark::DoNotOptimize(sums.data());
  }
  SetRates(state, static_cast<double>(data.size()) * 8, 0);
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
          const std::string name =
              std::string(kind.name) + "/" + target + "/m" + std::to_string(m) +
              "/" + std::to_string(shape.k) + "x" + std::to_string(shape.n);
          benchmark::RegisterBenchmark(name.c_str(), RunQGemm, target, shape, m,
                                       kind.bits, kind.mode)
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
