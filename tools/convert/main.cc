// SPDX-License-Identifier: MIT
// slm-convert: a Hugging Face folder into a model folder.
#include <cstdio>
#include <optional>
#include <string_view>

#include "loader/models.h"
#include "runtime/core/cpu.h"
#include "runtime/core/file_output.h"
#include "runtime/core/memory.h"
#include "slm/slm.h"
#include "tools/convert/check.h"
#include "tools/convert/convert.h"
#include "tools/convert/help.h"
#include "tools/convert/options.h"
#include "tools/convert/report.h"

namespace slm::convert {
namespace {

void Print(const Summary& summary, const Options& options) {
  for (const std::string& note : summary.notes) {
    std::fprintf(stderr, "slm-convert: note: %s\n", note.c_str());
  }
  if (options.quiet) return;
  const auto mega = [](uint64_t bytes) {
    return static_cast<double>(bytes) / 1e6;
  };
  const auto share = [&](uint64_t bytes) {  // of `bytes`: -69
    return bytes ? 100 * (static_cast<double>(summary.output_bytes) /
                              static_cast<double>(bytes) -
                          1)
                 : 0;
  };
  const uint64_t fp16 = 2 * summary.weights;
  std::fprintf(stderr,
               "slm-convert: %s%s: %.2f bits/weight, %.1f MB of weights "
               "(source %.1f MB; fp16 %.1f MB, %+.0f %%; fp32 %+.0f %%), "
               "%.1f s, peak memory %.0f MB\n",
               options.dry_run ? "would write " : "", options.output.c_str(),
               BitsPerWeight(summary.output_bytes, summary.weights),
               mega(summary.output_bytes), mega(summary.source_bytes),
               mega(fp16), share(fp16), share(2 * fp16), summary.seconds,
               mega(GetProcessMemory().peak));
  for (const std::string& line : summary.lines) {
    std::fprintf(stderr, "slm-convert: %s\n", line.c_str());
  }
}

void LogWarning(LogLevel level, std::string_view message) {
  if (level > LogLevel::kWarn) return;
  std::fprintf(stderr, "slm-convert: warning: %.*s\n",
               static_cast<int>(message.size()), message.data());
}

Status RunConvert(const Options& options) {
  SLM_ASSIGN_OR_RETURN(const Summary summary, Convert(options, LogWarning));
  Print(summary, options);
  return OkStatus();
}

Status RunCheck(const Options& options) {
  SLM_ASSIGN_OR_RETURN(const std::string folder,
                       ResolveModel(options.source, std::nullopt));
  SLM_ASSIGN_OR_RETURN(const CheckReport report,
                       CheckFolder(folder, LogWarning));
  for (const std::string& note : report.notes) {
    std::fprintf(stderr, "slm-convert: note: %s\n", note.c_str());
  }
  std::printf("%s: ok, %zu files as slm.json has them\n",
              options.source.c_str(), report.hashed_files);
  return OkStatus();
}

int Main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  HoldSignals();
  const Result<Options> options = ParseOptions(args);
  Status status = options.status();
  if (options.ok()) {
    if (options->action == Action::kHelp ||
        options->action == Action::kHelpAll) {
      const bool all = options->action == Action::kHelpAll;
      std::printf("%s", (all ? HelpAll() : Help()).c_str());
      return 0;
    }
    if (options->action == Action::kVersion) {
      std::printf("slm-convert %s\n", slm_version());
      return 0;
    }
    status = InitTargets();
    if (status.ok()) {
      status = options->action == Action::kCheck ? RunCheck(*options)
                                                 : RunConvert(*options);
    }
    if (status.ok()) return 0;
  }
  std::fprintf(stderr, "slm-convert: error: %s\n", status.message().c_str());
  if (const int signal = HeldSignal()) return 128 + signal;
  return static_cast<int>(status.kind());
}

}  // namespace
}  // namespace slm::convert

int main(int argc, char** argv) { return slm::convert::Main(argc, argv); }
