// SPDX-License-Identifier: MIT
// What JSON costs a step: the mask after several texts, and the -infinities
// that it writes.
// usage: json_mask_benchmark TOKENIZER_JSON [--benchmark_...]
#include <benchmark/benchmark.h>

#include <cstdio>
#include <string>
#include <vector>

#include "loader/tokenizer_json.h"
#include "runtime/json_mask.h"

namespace slm {
namespace {

void Make(benchmark::State& state, const std::vector<std::string>& bytes) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(JsonVocabulary(bytes));
  }
}

void Mask(benchmark::State& state, const JsonVocabulary& vocabulary,
          size_t size, const std::string& before) {
  JsonAcceptor text;
  if (!text.Take(before)) return state.SkipWithError("not JSON");
  std::vector<uint64_t> allowed;
  std::vector<float> logits(size, 1.0f);
  for (auto _ : state) {
    vocabulary.Allowed(text, &allowed);
    ForbidOthers(allowed, logits);
    benchmark::DoNotOptimize(logits.data());
  }
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 2) return std::fprintf(stderr, "usage: see the source\n"), 2;
  auto tokenizer = LoadTokenizer(argv[1]);
  if (!tokenizer.ok()) {
    return std::fprintf(stderr, "%s\n", tokenizer.status().message().c_str()),
           1;
  }
  const std::vector<std::string> bytes = (*tokenizer)->VocabularyBytes();
  const JsonVocabulary vocabulary(bytes);
  benchmark::RegisterBenchmark("make", Make, bytes)
      ->Unit(benchmark::kMillisecond);
  const std::pair<const char*, const char*> cases[] = {
      {"begin", ""},
      {"key", "{"},
      {"in_string", "[\"a"},
      {"in_key", "{\"a"},
      {"value", "{\"a\":"},
      {"element", "["},
      {"after", "[1 "},
      {"number", "[1"},
      {"escape", "[\"\\"},
      {"hex", "[\"\\u00"},
      {"character", "[\"\xE6"},
      {"deep", "[[[[[[[[{\"a"}};
  for (const auto& [name, before] : cases) {
    benchmark::RegisterBenchmark(name, Mask, vocabulary, bytes.size(),
                                 std::string(before))
        ->Unit(benchmark::kMicrosecond);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace slm

int main(int argc, char** argv) { return slm::Main(argc, argv); }
