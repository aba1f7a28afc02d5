// SPDX-License-Identifier: MIT
// What every verb with a model begins with: the opened model, its threads and
// a session, and a description of what was measured where.
#ifndef SLM_TOOLS_BENCH_OPEN_H_
#define SLM_TOOLS_BENCH_OPEN_H_

#include <memory>
#include <string>

#include "runtime/core/threads.h"
#include "runtime/model.h"
#include "runtime/session.h"
#include "tools/bench/flags.h"
#include "tools/bench/json_object.h"

namespace slm::bench {

struct Opened {
  std::unique_ptr<Model> model;
  std::unique_ptr<ThreadPool> threads;
  std::unique_ptr<Session> session;
  double begin = 0;         // MonotonicSeconds() before the folder was read
  double load_seconds = 0;  // from there to the ready session, with tokenizer
};

// Applies SLM_TARGET first. Warnings go to standard error.
Result<Opened> Open(const CommonOptions& options);

// The first line of every result.
struct RunInfo {
  std::string model;
  std::string version;
  std::string cpu;
  std::string target;  // SIMD target that the kernels take
  size_t threads = 0;
  DType kv = DType::kF16;
};
RunInfo InfoOf(const CommonOptions& options, const Opened& opened);
// All but the model, with `between` between the words.
std::string MachineLine(const RunInfo& info, const char* between);
// Model and machine, without the end of the line.
std::string InfoLine(const RunInfo& info);
void AddInfo(const RunInfo& info, JsonObject* object);

double MiB(size_t bytes);

// Whether somebody looks who wants to know how far it is.
bool ShowsProgress(const CommonOptions& options);

}  // namespace slm::bench

#endif  // SLM_TOOLS_BENCH_OPEN_H_
