// SPDX-License-Identifier: MIT
// slm-bench: speed and memory of a model folder.
#include <algorithm>
#include <cstdio>
#include <optional>

#include "loader/models.h"
#include "ops/kernels/machine_limits.h"
#include "runtime/core/clock.h"
#include "runtime/core/cpu.h"
#include "runtime/core/memory.h"
#include "runtime/core/terminal.h"
#include "runtime/model.h"
#include "slm/slm.h"
#include "tools/bench/options.h"
#include "tools/bench/report.h"
#include "tools/bench/speed.h"

namespace slm::bench {
namespace {

struct Opened {
  std::unique_ptr<Model> model;
  std::unique_ptr<ThreadPool> threads;
  std::unique_ptr<Session> session;
};

Result<Opened> Open(const Options& options) {
  ModelOptions model_options;
  model_options.log = [](LogLevel level, std::string_view message) {
    if (level > LogLevel::kWarn) return;
    std::fprintf(stderr, "slm-bench: warning: %.*s\n",
                 static_cast<int>(message.size()), message.data());
  };
  Opened opened;
  SLM_ASSIGN_OR_RETURN(const std::string path,
                       ResolveModel(options.model, std::nullopt));
  SLM_ASSIGN_OR_RETURN(opened.model, Model::Open(path, model_options));
  // As slm-run: the model's own wish counts unless the user has one.
  const auto wish = opened.model->config().decoder.session.intra_op_num_threads;
  opened.threads = std::make_unique<ThreadPool>(
      options.threads
          ? options.threads
          : static_cast<size_t>(std::max<int64_t>(0, wish.value_or(0))));
  SessionOptions session_options;
  session_options.kv_dtype = options.kv;
  opened.session =
      std::make_unique<Session>(opened.model->plan(), opened.model->decoder(),
                                *opened.threads, session_options);
  return opened;
}

// Before hours of others: a test that cannot fit.
Status CheckContext(std::span<const SpeedTest> tests, size_t context) {
  for (const SpeedTest& test : tests) {
    if (test.depth + test.tokens > context) {
      return Error(ErrorKind::kOverflow,
                   "%s needs %zu tokens, the context is %zu; make -d, -p or -n "
                   "smaller",
                   test.Name().c_str(), test.depth + test.tokens, context);
    }
  }
  return OkStatus();
}

double CpuPercent(std::span<const TestResult> results, size_t threads) {
  double cpu = 0, wall = 0;
  for (const TestResult& result : results) {
    for (const Elapsed& e : result.repetitions) {
      cpu += e.cpu_seconds;
      wall += e.seconds;
    }
  }
  return wall > 0 ? 100 * cpu / wall / static_cast<double>(threads) : 0;
}

// Another program that takes a core for half a second spoils one round, so
// there are several, and the best counts as it does for the tests.
void ImproveInt8(ThreadPool& threads, Limits* limits) {
  limits->int8_ops = std::max(limits->int8_ops, MeasureInt8Peak(threads));
}

// After the tests: the buffer would count in their peak of memory.
void ImproveBoth(ThreadPool& threads, Limits* limits) {
  constexpr int kRounds = 3;
  // Far larger than the cache, but no gigabyte on account of a server's. The
  // same where the size of the cache is not known.
  const size_t cache = LastCacheBytes();
  const size_t buffer =
      cache ? std::clamp(4 * cache, size_t{64} << 20, size_t{512} << 20)
            : size_t{256} << 20;
  for (int i = 0; i < kRounds; ++i) {
    const Result<double> read = MeasureReadBandwidth(threads, buffer);
    if (read.ok()) limits->read_bytes = std::max(limits->read_bytes, *read);
    ImproveInt8(threads, limits);
  }
}

Result<Report> Run(const Options& options) {
  SLM_RETURN_IF_ERROR(InitTargets());
  const double begin = MonotonicSeconds();
  SLM_ASSIGN_OR_RETURN(const Opened opened, Open(options));
  Report report;
  report.load_ms = (MonotonicSeconds() - begin) * 1e3;
  const std::vector<SpeedTest> tests = TestsOf(options);
  SLM_RETURN_IF_ERROR(
      CheckContext(tests, opened.model->decoder().context_length));
  SpeedTester tester(opened.session.get());
  SLM_RETURN_IF_ERROR(tester.FirstToken());
  report.ttft_ms = (MonotonicSeconds() - begin) * 1e3;

  report.model = options.model;
  report.version = slm_version();
  report.cpu = CpuName();
  report.target = CurrentTarget();
  report.threads = opened.threads->size();
  report.kv = options.kv;
  report.weight_bytes = opened.model->WeightBytes();
  const bool progress = !options.quiet && IsTerminal(stderr);
  for (const SpeedTest& test : tests) {
    if (progress) std::fprintf(stderr, "slm-bench: %s\n", test.Name().c_str());
    SLM_ASSIGN_OR_RETURN(
        TestResult result,
        tester.Run(test, options.repetitions, options.profile));
    report.tests.push_back(std::move(result));
  }
  report.peak_rss = GetProcessMemory().peak;
  report.cpu_percent = CpuPercent(report.tests, report.threads);
  ImproveBoth(*opened.threads, &report.limits);
  return report;
}

int Main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const Result<Options> options = ParseOptions(args);
  Status status = options.status();
  if (options.ok()) {
    if (options->action == Action::kHelp) {
      std::printf("%s", Help().c_str());
      return 0;
    }
    if (options->action == Action::kVersion) {
      std::printf("slm-bench %s\n", slm_version());
      return 0;
    }
    const Result<Report> report = Run(*options);
    if (report.ok()) {
      const std::string text = Print(*report, options->output);
      std::fwrite(text.data(), 1, text.size(), stdout);
      return 0;
    }
    status = report.status();
  }
  std::fprintf(stderr, "slm-bench: error: %s\n", status.message().c_str());
  return static_cast<int>(status.kind());
}

}  // namespace
}  // namespace slm::bench

int main(int argc, char** argv) { return slm::bench::Main(argc, argv); }
