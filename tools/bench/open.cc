// SPDX-License-Identifier: MIT
#include "tools/bench/open.h"

#include <algorithm>
#include <cstdio>

#include "loader/models.h"
#include "runtime/core/clock.h"
#include "runtime/core/cpu.h"
#include "runtime/core/terminal.h"
#include "slm/slm.h"

namespace slm::bench {

Result<Opened> Open(const CommonOptions& options) {
  SLM_RETURN_IF_ERROR(InitTargets());
  ModelOptions model_options;
  model_options.log = [](LogLevel level, std::string_view message) {
    if (level > LogLevel::kWarn) return;
    std::fprintf(stderr, "slm-bench: warning: %.*s\n",
                 static_cast<int>(message.size()), message.data());
  };
  Opened opened;
  opened.begin = MonotonicSeconds();
  SLM_ASSIGN_OR_RETURN(const std::string path,
                       ResolveModel(options.model, options.models_dir));
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
  opened.load_seconds = MonotonicSeconds() - opened.begin;
  return opened;
}

RunInfo InfoOf(const CommonOptions& options, const Opened& opened) {
  return {.model = options.model,
          .version = slm_version(),
          .cpu = CpuName(),
          .target = CurrentTarget(),
          .threads = opened.threads->size(),
          .kv = options.kv};
}

std::string MachineLine(const RunInfo& info, const char* between) {
  return Format("slm %s%s%s%starget %s%s%zu %s%skv %s", info.version.c_str(),
                between, info.cpu.c_str(), between, info.target.c_str(),
                between, info.threads, info.threads == 1 ? "thread" : "threads",
                between, KvName(info.kv));
}

std::string InfoLine(const RunInfo& info) {
  return Printable(info.model, 400) + "  " + MachineLine(info, "  ");
}

void AddInfo(const RunInfo& info, JsonObject* object) {
  object->Text("model", info.model);
  object->Text("version", info.version);
  object->Text("cpu", info.cpu);
  object->Text("target", info.target);
  object->Count("threads", info.threads);
  object->Text("kv", KvName(info.kv));
}

double MiB(size_t bytes) { return static_cast<double>(bytes) / 0x1p20; }

bool ShowsProgress(const CommonOptions& options) {
  return !options.quiet && IsTerminal(stderr);
}

}  // namespace slm::bench
